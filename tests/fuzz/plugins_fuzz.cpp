// The enabled_plugins file: any text gives names or an error, and what the tools would write of the
// names is what the tools and the node read back.

#include "node/config/erlang_terms.h"
#include "node/ctl/plugins.h"
#include "node/ctl/terms.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)config::parse_term(text, "enabled_plugins");
  const auto names = ctl::parse_enabled_plugins(text);
  if (!names) {
    FUZZ_CHECK(!names.error().text.empty());
    return 0;
  }
  for (const auto& name : *names) FUZZ_CHECK(name.find('\'') == std::string::npos);
  const auto all = ctl::with_dependencies(*names);
  FUZZ_CHECK(all.size() >= names->size());
  std::string written = "[";
  for (const auto& name : *names)
    written += (written.size() > 1 ? "," : "") + ctl::flat(ctl::Term::atom(name));
  written += "].\n";
  const auto again = ctl::parse_enabled_plugins(written);
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(again->size() == names->size());
  const auto node = config::parse_term(written, "enabled_plugins");
  FUZZ_CHECK(node.has_value() && node->is_list());
  FUZZ_CHECK(node->items.size() == names->size());
  return 0;
}
