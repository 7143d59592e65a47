// Dead letters of messages with arbitrary valid properties: always decodable, never with an
// expiration or BCC, the latest death in front; chains of deaths stay bounded.

#include "node/amqp/properties.h"
#include "node/broker/dead_letter.h"
#include "tests/fuzz/fuzz.h"

using namespace warren;
using namespace warren::broker;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto choices = in.byte();
  const std::string_view exchange = in.take(in.below(8));
  const std::string_view key = in.take(in.below(8));
  std::string props(in.rest());
  amqp::PropertiesScan scan;
  std::vector<std::string_view> keys;
  const bool valid = amqp::scan_properties(props, scan);
  const bool routable = valid && collect_extra_keys(scan.headers, keys).has_value();
  std::uint8_t flags = (choices & 1) != 0 ? kDeadLettered : 0;
  static constexpr std::string_view kQueues[] = {"a", "b", "c"};
  for (unsigned hop = 0; hop < 4; ++hop) {
    const auto block = Block::make(record_bytes(exchange.size(), key.size(), props.size(), 0));
    RecordHeader header{};
    header.flags = flags;
    append_record(*block, header, exchange, key, props);
    DyingMessage dying{MessageView(block->data()), kQueues[(choices >> hop) % 3],
                       static_cast<DeathReason>((choices >> (hop + 2)) % 4), 1, "dlx", {}};
    if ((choices & 2) != 0) dying.routing_key = "dlrk";
    const auto next = make_dead_letter(dying);
    if (hop == 0) FUZZ_CHECK(next.has_value() == routable);
    if (!next) return 0;
    const auto p = amqp::decode_properties(next->properties);
    FUZZ_CHECK(p.has_value() && p->headers && !p->expiration);
    FUZZ_CHECK(p->headers->find("BCC") == nullptr);
    const FieldArray* deaths = p->headers->find("x-death")->as_array();
    FUZZ_CHECK(deaths != nullptr && !deaths->empty());
    FUZZ_CHECK(deaths->front().as_table()->find("queue")->as_string() == dying.queue);
    const bool cycle = is_cycle(next->properties, dying.queue);
    FUZZ_CHECK(cycle == (dying.reason != DeathReason::rejected));
    props = next->properties;
    flags = kDeadLettered;
  }
  return 0;
}
