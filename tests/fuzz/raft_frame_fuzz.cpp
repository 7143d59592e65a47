// Frames between two nodes: what decodes encodes to the same bytes.

#include "cluster/replica/frame.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace warren;
  const auto bytes = std::make_shared<const std::string>(reinterpret_cast<const char*>(data), size);
  const auto frame = replica::decode_frame(bytes);
  if (frame) FUZZ_CHECK(replica::encode_frame(*frame) == *bytes);
  return 0;
}
