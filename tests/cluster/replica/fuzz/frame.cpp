// What decodes must encode to the same bytes again.
#include "cluster/replica/frame.h"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  auto frame = warren::replica::decode_frame(bytes);
  if (frame && warren::replica::encode_frame(*frame) != *bytes) std::abort();
  return 0;
}
