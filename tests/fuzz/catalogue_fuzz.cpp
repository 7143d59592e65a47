// The replicated catalogue: stored rows and logged commands of any bytes. What decodes encodes and
// decodes again; applying it leaves a catalogue whose rows restore to equal rows.

#include "cluster/metadata/catalogue.h"
#include "tests/fuzz/fuzz.h"

#include <map>

using namespace warren;
using namespace warren::metadata;

namespace {

std::map<std::string, std::string> rows_of(const Catalogue& catalogue) {
  std::map<std::string, std::string> rows;
  for (const RowChange& row : catalogue.rows()) {
    FUZZ_CHECK(row.value.has_value());
    FUZZ_CHECK(rows.emplace(row.key, *row.value).second);
  }
  return rows;
}

void restores_equal(const Catalogue& catalogue) {
  Catalogue other;
  const auto rows = rows_of(catalogue);
  for (const auto& [key, value] : rows) FUZZ_CHECK(other.restore_row(key, value).has_value());
  (void)other.restored();
  FUZZ_CHECK(rows_of(other) == rows);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const bool commands = (in.byte() & 1) != 0;
  Catalogue catalogue;
  if (!commands) {
    while (!in.empty()) {
      const std::string key(in.text());
      (void)catalogue.restore_row(key, in.text());
    }
    (void)catalogue.restored();
  } else {
    PutVhost vhost;
    vhost.def.name = "/";
    (void)catalogue.apply(vhost);
    while (!in.empty()) {
      const auto command = decode_command(in.text());
      if (!command) continue;
      const std::string encoded = encode_command(*command);
      const auto again = decode_command(encoded);
      FUZZ_CHECK(again.has_value() && encode_command(*again) == encoded);
      (void)catalogue.apply(*command);
    }
    restores_equal(catalogue);
  }
  return 0;
}
