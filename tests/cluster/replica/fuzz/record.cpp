#include "cluster/replica/records.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  auto record = warren::replica::decode_record(bytes);
  if (!record) return 0;
  auto again = warren::replica::decode_record(warren::replica::encode_record(*record));
  if (!again || !(*again == *record)) std::abort();
  return 0;
}
