// Pieces of a snapshot from a peer: what is taken becomes rows and entries under the given uid only.

#include "base/bytes.h"
#include "cluster/replica/records.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  constexpr storage::GroupUid kUid = 5;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  storage::WriteBatch batch;
  if (!replica::write_piece(bytes, nullptr, kUid, batch)) return 0;
  for (const auto& op : batch.ops()) {
    FUZZ_CHECK(!op.erase && op.key.size() >= 8);
    FUZZ_CHECK(load_be<std::uint64_t>(op.key.data()) == kUid);
    FUZZ_CHECK(op.space == storage::Keyspace::log || op.space == storage::Keyspace::queue_state);
    FUZZ_CHECK(op.space != storage::Keyspace::log || op.key.size() == 16);
  }
  return 0;
}
