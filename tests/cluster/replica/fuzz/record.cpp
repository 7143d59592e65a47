#include "cluster/replica/records.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto record = warren::replica::decode_record(bytes);
  if (record && warren::replica::encode_record(*record) != bytes) std::abort();
  return 0;
}
