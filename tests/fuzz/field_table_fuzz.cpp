// Field tables: whatever decodes encodes back to a table that decodes equal; the walker that checks
// without decoding accepts exactly the same bytes.

#include "base/field_table.h"
#include "node/amqp/properties.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto table = warren::FieldTable::decode(bytes);
  FUZZ_CHECK(table.has_value() == warren::amqp::valid_table(bytes));
  if (!table) return 0;
  const std::string encoded = table->encode();
  FUZZ_CHECK(encoded.size() == bytes.size());
  const auto again = warren::FieldTable::decode(encoded);
  FUZZ_CHECK(again.has_value());
  FUZZ_CHECK(again->encode() == encoded);
  // The raw walker sees the same names.
  std::string_view left = bytes;
  warren::amqp::RawPair pair;
  for (const auto& [name, value] : *table) {
    FUZZ_CHECK(warren::amqp::take_pair(left, pair));
    FUZZ_CHECK(pair.name == name);
  }
  FUZZ_CHECK(left.empty());
  return 0;
}
