// Rows of a group on disc: its record (every version) and memberships.

#include "cluster/replica/records.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  Input in(data, size);
  const bool record_wanted = in.byte() % 4 != 0;
  const std::string_view bytes = in.rest();
  if (record_wanted) {
    const auto record = replica::decode_record(bytes);
    if (!record) return 0;
    const std::string encoded = replica::encode_record(*record);
    const auto again = replica::decode_record(encoded);
    FUZZ_CHECK(again && *again == *record);
    FUZZ_CHECK(replica::encode_record(*again) == encoded);
  } else if (const auto config = raft::decode_config(bytes)) {
    FUZZ_CHECK(raft::encode_config(*config) == bytes);
    FUZZ_CHECK(raft::check_config(*config).has_value());
  }
  return 0;
}
