// Regular expressions of permissions and policies: no pattern and no subject ends the process or
// takes for ever.

#include "node/access/patterns.h"
#include "tests/fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static warren::access::Patterns patterns(16);
  Input in(data, size);
  const std::string_view pattern = in.text();
  const bool compiles = warren::access::check_pattern(pattern).has_value();
  const auto found = patterns.search(pattern, in.rest());
  if (!compiles) FUZZ_CHECK(!found.has_value());
  FUZZ_CHECK(patterns.size() <= 16);
  return 0;
}
