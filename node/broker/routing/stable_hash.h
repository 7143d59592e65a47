#pragma once
// The hash behind the hashing exchanges and our tables. Frozen: x-consistent-hash and
// x-modulus-hash promise the same queue for the same key on every node and in every version, so a
// change of these numbers is a change of behaviour.

#include <cstdint>
#include <cstring>
#include <string_view>

namespace warren::broker::routing {

namespace hash_detail {
inline constexpr std::uint64_t kA = 0xA0761D6478BD642FULL;
inline constexpr std::uint64_t kB = 0xE7037ED1A0B428DBULL;

/// Both halves of the 128-bit product, folded.
inline std::uint64_t fold(std::uint64_t a, std::uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}
inline std::uint64_t load(const char* at, std::size_t bytes) {
  std::uint64_t v = 0;
  std::memcpy(&v, at, bytes);
  return v;
}
/// The last 1 to 8 bytes, read with two overlapping loads of fixed size where possible.
inline std::uint64_t load_tail(const char* at, std::size_t n) {
  if (n == 8) return load(at, 8);
  if (n >= 4) return load(at, 4) | (load(at + n - 4, 4) << 32);
  return static_cast<std::uint64_t>(static_cast<unsigned char>(at[0])) |
         (static_cast<std::uint64_t>(static_cast<unsigned char>(at[n / 2])) << 8) |
         (static_cast<std::uint64_t>(static_cast<unsigned char>(at[n - 1])) << 16);
}
}  // namespace hash_detail

/// Mixes one number.
inline std::uint64_t stable_mix(std::uint64_t value) {
  return hash_detail::fold(value ^ hash_detail::kA, hash_detail::kB);
}

inline std::uint64_t stable_hash(std::string_view bytes, std::uint64_t seed = 0) {
  using namespace hash_detail;
  std::uint64_t h = seed ^ kA ^ (bytes.size() * 0x9E3779B97F4A7C15ULL);
  const char* at = bytes.data();
  std::size_t n = bytes.size();
  for (; n > 8; at += 8, n -= 8) h = fold(load(at, 8) ^ kB, h);
  if (n > 0) h = fold(load_tail(at, n) ^ kB, h);
  return stable_mix(h);
}

}  // namespace warren::broker::routing
