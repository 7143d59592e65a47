#pragma once
// Methods to bytes and back, from the descriptions in methods.h.

#include "base/bytes.h"
#include "node/amqp/methods.h"

#include <string>

namespace warren::amqp {

/// Reads fields in wire order; views point into the source.
class MethodDecoder {
 public:
  explicit MethodDecoder(std::string_view arguments) : in_(arguments) {}

  template <class... T>
  void operator()(T&... values) {
    (one(values), ...);
  }
  template <class... B>
  void bits(B&... flags) {
    const std::uint8_t octet = in_.u8();
    int bit = 0;
    ((flags = ((octet >> bit++) & 1) != 0), ...);
  }
  bool ok() const { return in_.ok(); }

 private:
  void one(std::uint8_t& v) { v = in_.u8(); }
  void one(std::uint16_t& v) { v = in_.u16(); }
  void one(std::uint32_t& v) { v = in_.u32(); }
  void one(std::uint64_t& v) { v = in_.u64(); }
  void one(std::string_view& v) { v = in_.str8(); }
  void one(LongStr& v) { v.text = in_.str32(); }
  void one(Table& v) { v.pairs = in_.str32(); }

  ByteReader in_;
};

/// Appends fields in wire order.
class MethodEncoder {
 public:
  explicit MethodEncoder(std::string& to) : out_(to) {}

  template <class... T>
  void operator()(const T&... values) {
    (one(values), ...);
  }
  template <class... B>
  void bits(const B&... flags) {
    unsigned octet = 0;
    int bit = 0;
    ((octet |= (flags ? 1U : 0U) << bit++), ...);
    out_.u8(static_cast<std::uint8_t>(octet));
  }

 private:
  void one(std::uint8_t v) { out_.u8(v); }
  void one(std::uint16_t v) { out_.u16(v); }
  void one(std::uint32_t v) { out_.u32(v); }
  void one(std::uint64_t v) { out_.u64(v); }
  void one(std::string_view v) { out_.str8(v.substr(0, 255)); }
  void one(const LongStr& v) { out_.str32(v.text); }
  void one(const Table& v) { out_.str32(v.pairs); }

  ByteWriter out_;
};

/// Reads the arguments behind a method's class and number. False when they are cut short.
template <class Method>
bool decode(std::string_view arguments, Method& method) {
  MethodDecoder decoder(arguments);
  method.fields(decoder);
  return decoder.ok();
}

/// Appends a whole method frame.
template <class Method>
void append_frame(std::string& to, std::uint16_t channel, Method method) {
  const std::size_t at = to.size();
  ByteWriter out(to);
  out.u8(kFrameMethod);
  out.u16(channel);
  out.u32(0);
  out.u32(Method::kId);
  MethodEncoder encoder(to);
  method.fields(encoder);
  store_be(to.data() + at + 3, static_cast<std::uint32_t>(to.size() - at - kFrameHeaderBytes));
  out.u8(kFrameEnd);
}

template <class Method>
std::string encode_frame(std::uint16_t channel, const Method& method) {
  std::string frame;
  append_frame(frame, channel, method);
  return frame;
}

}  // namespace warren::amqp
