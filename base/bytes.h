#pragma once
// Big-endian reading and writing of byte strings. Readers never read past the end: they turn
// `ok()` false and return zeros, so a decoder checks once at its end.

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <type_traits>

namespace warren {

template <class Int>
inline Int load_be(const void* from) {
  static_assert(std::is_integral_v<Int>);
  std::make_unsigned_t<Int> v;
  std::memcpy(&v, from, sizeof v);
  if constexpr (sizeof v == 2) v = __builtin_bswap16(v);
  if constexpr (sizeof v == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof v == 8) v = __builtin_bswap64(v);
  return static_cast<Int>(v);
}

template <class Int>
inline void store_be(void* to, Int value) {
  static_assert(std::is_integral_v<Int>);
  auto v = static_cast<std::make_unsigned_t<Int>>(value);
  if constexpr (sizeof v == 2) v = __builtin_bswap16(v);
  if constexpr (sizeof v == 4) v = __builtin_bswap32(v);
  if constexpr (sizeof v == 8) v = __builtin_bswap64(v);
  std::memcpy(to, &v, sizeof v);
}

/// Reads a byte string from front to back. Owner: the caller keeps the bytes alive.
class ByteReader {
 public:
  explicit ByteReader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool ok() const { return ok_; }
  std::size_t remaining() const { return static_cast<std::size_t>(end_ - at_); }
  bool at_end() const { return at_ == end_; }

  std::uint8_t u8() { return take<std::uint8_t>(); }
  std::uint16_t u16() { return take<std::uint16_t>(); }
  std::uint32_t u32() { return take<std::uint32_t>(); }
  std::uint64_t u64() { return take<std::uint64_t>(); }
  std::int8_t i8() { return take<std::int8_t>(); }
  std::int16_t i16() { return take<std::int16_t>(); }
  std::int32_t i32() { return take<std::int32_t>(); }
  std::int64_t i64() { return take<std::int64_t>(); }
  float f32() { return std::bit_cast<float>(u32()); }
  double f64() { return std::bit_cast<double>(u64()); }

  /// The next `n` bytes; empty and !ok() when fewer are left.
  std::string_view bytes(std::size_t n) {
    if (n > remaining()) {
      fail();
      return {};
    }
    std::string_view out(at_, n);
    at_ += n;
    return out;
  }
  /// A string led by its length in one byte (AMQP shortstr).
  std::string_view str8() { return bytes(u8()); }
  /// A string led by its length in four bytes (AMQP longstr).
  std::string_view str32() { return bytes(u32()); }

  void fail() {
    ok_ = false;
    at_ = end_;
  }

 private:
  template <class Int>
  Int take() {
    if (remaining() < sizeof(Int)) {
      fail();
      return Int{};
    }
    Int v = load_be<Int>(at_);
    at_ += sizeof(Int);
    return v;
  }

  const char* at_;
  const char* end_;
  bool ok_{true};
};

/// Appends big-endian values to a string.
class ByteWriter {
 public:
  explicit ByteWriter(std::string& to) : to_(to) {}

  void u8(std::uint8_t v) { to_.push_back(static_cast<char>(v)); }
  void u16(std::uint16_t v) { put(v); }
  void u32(std::uint32_t v) { put(v); }
  void u64(std::uint64_t v) { put(v); }
  void i8(std::int8_t v) { u8(static_cast<std::uint8_t>(v)); }
  void i16(std::int16_t v) { put(v); }
  void i32(std::int32_t v) { put(v); }
  void i64(std::int64_t v) { put(v); }
  void f32(float v) { put(std::bit_cast<std::uint32_t>(v)); }
  void f64(double v) { put(std::bit_cast<std::uint64_t>(v)); }
  void bytes(std::string_view v) { to_.append(v); }
  /// Requires: v.size() <= 255.
  void str8(std::string_view v) {
    u8(static_cast<std::uint8_t>(v.size()));
    bytes(v);
  }
  void str32(std::string_view v) {
    u32(static_cast<std::uint32_t>(v.size()));
    bytes(v);
  }
  std::string& target() { return to_; }

 private:
  template <class Int>
  void put(Int v) {
    char raw[sizeof(Int)];
    store_be(raw, v);
    to_.append(raw, sizeof raw);
  }

  std::string& to_;
};

}  // namespace warren
