#pragma once
// What all harnesses share: reading the fuzzer's bytes piece by piece, and checks that stop it.

#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <string>
#include <string_view>

/// Ends the run with the input kept by the fuzzer.
#define FUZZ_CHECK(condition)                                                          \
  do {                                                                                 \
    if (!(condition)) {                                                                \
      std::fprintf(stderr, "check failed: %s at %s:%d\n", #condition, __FILE__, __LINE__); \
      std::abort();                                                                    \
    }                                                                                  \
  } while (false)

namespace warren::fuzz {

/// Takes values off the front of an input; zeros and empty texts when it has run out.
class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size)
      : left_(reinterpret_cast<const char*>(data), size) {}

  bool empty() const { return left_.empty(); }
  std::uint8_t byte() {
    if (left_.empty()) return 0;
    const auto value = static_cast<std::uint8_t>(left_.front());
    left_.remove_prefix(1);
    return value;
  }
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value = (value << 8) | byte();
    return value;
  }
  /// A number below `bound`, from one byte.
  std::size_t below(std::size_t bound) { return bound == 0 ? 0 : byte() % bound; }
  std::string_view take(std::size_t n) {
    const std::string_view out = left_.substr(0, n);
    left_.remove_prefix(out.size());
    return out;
  }
  /// Text led by its length in one byte.
  std::string_view text() { return take(byte()); }
  std::string_view rest() { return take(left_.size()); }

 private:
  std::string_view left_;
};

}  // namespace warren::fuzz

using warren::fuzz::Input;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
