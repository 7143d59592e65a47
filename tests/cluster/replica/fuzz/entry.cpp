#include "cluster/raft/codec.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto entry = warren::raft::decode_stored_entry(1, bytes, nullptr);
  if (entry && warren::raft::encode_entry_head(*entry) + std::string(entry->body.bytes) != bytes) {
    std::abort();
  }
  return 0;
}
