#include "base/crc32c.h"

#include <array>
#include <cstddef>
#include <cstring>

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

namespace warren {
namespace {

constexpr std::uint32_t kPolynomial = 0x82F63B78u;

constexpr std::array<std::uint32_t, 256> make_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c & 1) != 0 ? kPolynomial ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

constexpr auto kTable = make_table();

std::uint32_t by_table(std::uint32_t crc, std::string_view bytes) {
  for (const char byte : bytes) {
    crc = kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xFF] ^ (crc >> 8);
  }
  return crc;
}

#if defined(__x86_64__)

/// A linear map over the 32 bits of a CRC: what `kLane` zero bytes do to it, one table per byte.
/// The instruction has a latency of three and a rate of one, so three independent lanes are run
/// and then joined with this map.
constexpr std::size_t kLane = 1024;

struct ZeroLane {
  std::array<std::array<std::uint32_t, 256>, 4> table{};

  ZeroLane() {
    const std::array<char, kLane> zeros{};
    for (int byte = 0; byte < 4; ++byte) {
      for (std::uint32_t value = 0; value < 256; ++value) {
        table[static_cast<std::size_t>(byte)][value] =
            by_table(value << (8 * byte), {zeros.data(), zeros.size()});
      }
    }
  }
  std::uint32_t operator()(std::uint32_t crc) const {
    return table[0][crc & 0xFF] ^ table[1][(crc >> 8) & 0xFF] ^ table[2][(crc >> 16) & 0xFF] ^
           table[3][crc >> 24];
  }
};

std::uint64_t word_at(const char* at) {
  std::uint64_t word;
  std::memcpy(&word, at, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) std::uint32_t by_instruction(std::uint32_t crc,
                                                               std::string_view bytes) {
  static const ZeroLane kShift;
  std::uint64_t wide = crc;
  const char* at = bytes.data();
  std::size_t left = bytes.size();
  for (; left >= 3 * kLane; at += 3 * kLane, left -= 3 * kLane) {
    std::uint64_t second = 0;
    std::uint64_t third = 0;
    for (std::size_t i = 0; i < kLane; i += 8) {
      wide = _mm_crc32_u64(wide, word_at(at + i));
      second = _mm_crc32_u64(second, word_at(at + kLane + i));
      third = _mm_crc32_u64(third, word_at(at + 2 * kLane + i));
    }
    wide = kShift(kShift(static_cast<std::uint32_t>(wide)) ^ static_cast<std::uint32_t>(second)) ^
           static_cast<std::uint32_t>(third);
  }
  for (; left >= 8; at += 8, left -= 8) wide = _mm_crc32_u64(wide, word_at(at));
  return by_table(static_cast<std::uint32_t>(wide), {at, left});
}

#endif

}  // namespace

std::uint32_t crc32c(std::uint32_t crc, std::string_view bytes) {
  crc = ~crc;
#if defined(__x86_64__)
  static const bool kHasInstruction = __builtin_cpu_supports("sse4.2");
  if (kHasInstruction) return ~by_instruction(crc, bytes);
#endif
  return ~by_table(crc, bytes);
}

}  // namespace warren
