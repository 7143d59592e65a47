// Texts and tables that operators and clients hand in as settings: policy definitions (JSON) and
// queue arguments. What is accepted can be applied.

#include "base/field_table.h"
#include "node/broker/policy_definition.h"
#include "node/broker/queue_arguments.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  using namespace warren::broker;
  Input in(data, size);
  const auto bits = in.byte();
  const std::string_view rest = in.rest();
  const auto definition = parse_policy_definition(rest, (bits & 1) != 0);
  if (definition)
    for (const auto type :
         {metadata::QueueType::classic, metadata::QueueType::quorum, metadata::QueueType::stream})
      (void)suits_queue_type(*definition, type);
  (void)parse_max_age_ms(rest);
  const auto arguments = FieldTable::decode(rest);
  if (!arguments) return 0;
  metadata::QueueDef def;
  def.vhost = "/";
  def.name = "q";
  def.arguments = *arguments;
  def.durable = (bits & 2) != 0;
  def.exclusive = (bits & 4) != 0;
  const auto type = queue_type_of(def, "");
  if (!type) return 0;
  def.type = *type;
  if (!validate_queue_arguments(def)) return 0;
  FUZZ_CHECK(check_equivalence(def, def).has_value());
  return 0;
}
