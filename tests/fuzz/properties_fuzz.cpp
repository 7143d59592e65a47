// Property bytes: scan and decoder agree, encoding is stable, headers are added without harm.

#include "node/amqp/properties.h"
#include "node/broker/delivery_headers.h"
#include "tests/fuzz/fuzz.h"

using namespace warren;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view wire(reinterpret_cast<const char*>(data), size);
  amqp::PropertiesScan scan;
  const bool ok = amqp::scan_properties(wire, scan);
  const auto p = amqp::decode_properties(wire);
  FUZZ_CHECK(ok == p.has_value());
  // These get what was let in, but must bear anything.
  const std::string counted = broker::with_delivery_count(wire, 3);
  const auto bare = broker::without_bcc(wire);
  if (!ok) return 0;
  FUZZ_CHECK(scan.delivery_mode == p->delivery_mode.value_or(0));
  FUZZ_CHECK(scan.priority == p->priority.value_or(0));
  FUZZ_CHECK(scan.expiration == p->expiration.value_or(""));
  FUZZ_CHECK(scan.user_id == p->user_id.value_or(""));
  FUZZ_CHECK(scan.cluster_id == p->cluster_id.value_or(""));
  FUZZ_CHECK(scan.has_headers == p->headers.has_value());
  FUZZ_CHECK(scan.has_bcc == (p->headers && p->headers->find("BCC") != nullptr));
  FUZZ_CHECK(scan.has_bcc == bare.has_value());
  (void)amqp::parse_expiration(scan.expiration);
  const std::string encoded = amqp::encode_properties(*p);
  const auto again = amqp::decode_properties(encoded);
  FUZZ_CHECK(again.has_value() && amqp::encode_properties(*again) == encoded);
  const auto with_count = amqp::decode_properties(counted);
  FUZZ_CHECK(with_count.has_value() && with_count->headers);
  const FieldValue* count = with_count->headers->find("x-delivery-count");
  FUZZ_CHECK(count != nullptr && count->as_int() == 3);
  if (bare) {
    const auto without = amqp::decode_properties(*bare);
    FUZZ_CHECK(without.has_value() && without->headers->find("BCC") == nullptr);
  }
  return 0;
}
