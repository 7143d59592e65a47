#include "cluster/replica/records.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  warren::storage::WriteBatch batch;
  (void)warren::replica::write_piece(bytes, nullptr, 5, batch);
  return 0;
}
