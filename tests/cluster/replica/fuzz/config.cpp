#include "cluster/raft/config.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto config = warren::raft::decode_config(bytes);
  if (config && warren::raft::encode_config(*config) != bytes) std::abort();
  return 0;
}
