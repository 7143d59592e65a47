// What tools and other nodes send to the control service: arguments as JSON, and the documents inside them
// (definitions, parameters, policies). What is accepted can be applied, and is then nothing new.

#include "base/assert.h"
#include "cluster/metadata/catalogue.h"
#include "cluster/transport/call_args.h"
#include "node/broker/definitions.h"
#include "tests/fuzz/fuzz.h"

#include <boost/json/serialize.hpp>

#include <algorithm>

namespace {

using namespace warren;

const metadata::Catalogue& one_vhost() {
  static const auto made = [] {
    metadata::Catalogue catalogue;
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    FUZZ_CHECK(catalogue.apply(vhost).has_value());
    return catalogue;
  }();
  return made;
}

void arguments(std::string_view text) {
  const auto args = transport::parse_call_args(text);
  if (!args) return;
  for (const auto& column : transport::wanted_columns(*args)) FUZZ_CHECK(args->contains("columns") || column.empty());
  for (const auto& cell : *args) {
    const std::string_view key(cell.key().data(), cell.key().size());
    const auto number = transport::number_arg(*args, key, -7);
    FUZZ_CHECK(!cell.value().is_int64() || number == cell.value().get_int64());
    FUZZ_CHECK(cell.value().is_number() || number == -7);
    FUZZ_CHECK(cell.value().is_string() || transport::text_arg(*args, key, "none") == "none");
    FUZZ_CHECK(!transport::flag_arg(*args, key) || cell.value().is_bool());
  }
  const auto again = transport::parse_call_args(boost::json::serialize(*args));
  FUZZ_CHECK(again.has_value());
}

void definitions(std::string_view text, bool one) {
  metadata::Catalogue catalogue = one_vhost();
  broker::ImportOptions options;
  if (one) options.vhost = "/";
  options.user = "guest";
  options.random = [](std::span<std::uint8_t> into) { std::fill(into.begin(), into.end(), std::uint8_t{1}); };
  const auto commands = broker::import_definitions(text, catalogue, options);
  if (!commands) return;
  for (const auto& command : *commands) FUZZ_CHECK(catalogue.apply(command).has_value());
  const std::string exported = broker::export_definitions(catalogue, {});
  const auto again = broker::import_definitions(exported, catalogue, {});
  FUZZ_CHECK(again.has_value());
}

void parameter(Input& in) {
  static constexpr const char* kComponents[] = {"vhost-limits", "operator_policy", "policy", "federation-upstream", "x"};
  metadata::ParameterDef def;
  def.vhost = in.below(4) == 0 ? "" : "/";
  def.component = kComponents[in.below(std::size(kComponents))];
  def.name = in.text();
  def.value = in.rest();
  const auto command = broker::put_parameter_command(one_vhost(), def);
  if (!command) return;
  metadata::Catalogue catalogue = one_vhost();
  (void)catalogue.apply(*command);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto kind = in.below(4);
  if (kind == 0) arguments(in.rest());
  else if (kind == 3) parameter(in);
  else definitions(in.rest(), kind == 2);
  return 0;
}
