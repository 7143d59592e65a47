// Messages between cores and stored log entries: what decodes encodes to bytes that decode to the
// same bytes again.

#include "cluster/raft/codec.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  const auto owner = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  (void)raft::decode_stored_entry(raft::Index(5), *owner, owner);
  ByteReader in(*owner);
  while (!in.at_end()) {
    const auto message = raft::decode_message(in, owner);
    if (!message) return 0;
    std::string encoded, twice;
    raft::encode_message(*message, encoded);
    const auto copy = std::make_shared<const std::string>(encoded);
    ByteReader reader(*copy);
    const auto again = raft::decode_message(reader, copy);
    FUZZ_CHECK(again.has_value() && reader.at_end());
    raft::encode_message(*again, twice);
    FUZZ_CHECK(twice == encoded);
  }
  return 0;
}
