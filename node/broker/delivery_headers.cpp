#include "node/broker/delivery_headers.h"

#include "base/bytes.h"
#include "node/amqp/properties.h"

namespace warren::broker {

namespace {

constexpr std::string_view kCount = "x-delivery-count";

/// Property bytes cut at the headers: what comes before, the encoded pairs, what comes behind.
struct Parts {
  std::uint16_t flags{0};
  std::string_view before, pairs, behind;
};

bool cut(std::string_view properties, Parts& parts) {
  ByteReader in(properties);
  parts.flags = in.u16();
  for (std::uint16_t word = parts.flags; in.ok() && (word & amqp::kFlagContinuation) != 0;)
    word = in.u16();
  if ((parts.flags & amqp::kFlagContentType) != 0) in.str8();
  if ((parts.flags & amqp::kFlagContentEncoding) != 0) in.str8();
  const std::size_t at = properties.size() - in.remaining();
  if ((parts.flags & amqp::kFlagHeaders) != 0) parts.pairs = in.str32();
  if (!in.ok()) return false;
  parts.before = properties.substr(2, at - 2);
  parts.behind = properties.substr(properties.size() - in.remaining());
  return true;
}

/// The same properties with other headers: without the pair `drop` and with `added` at the end.
std::string rebuild(const Parts& parts, bool drop_bcc, bool drop_count, std::string_view added) {
  std::string wire;
  wire.reserve(2 + parts.before.size() + 4 + parts.pairs.size() + added.size() +
               parts.behind.size());
  ByteWriter out(wire);
  out.u16(parts.flags | amqp::kFlagHeaders);
  out.bytes(parts.before);
  const std::size_t size_at = wire.size();
  out.u32(0);
  std::string_view pairs = parts.pairs;
  amqp::RawPair pair;
  while (amqp::take_pair(pairs, pair))
    if (!(drop_bcc && pair.name == "BCC") && !(drop_count && pair.name == kCount))
      out.bytes(pair.bytes);
  out.bytes(added);
  store_be(wire.data() + size_at, static_cast<std::uint32_t>(wire.size() - size_at - 4));
  out.bytes(parts.behind);
  return wire;
}

std::string count_pair(std::uint32_t count) {
  std::string pair;
  ByteWriter out(pair);
  out.str8(kCount);
  out.u8('l');
  out.i64(count);
  return pair;
}

}  // namespace

std::string with_delivery_count(std::string_view properties, std::uint32_t count) {
  Parts parts;
  if (!cut(properties, parts)) return std::string(properties);
  return rebuild(parts, false, true, count_pair(count));
}

std::optional<std::string> without_bcc(std::string_view properties) {
  Parts parts;
  if (!cut(properties, parts)) return std::nullopt;
  std::string_view pairs = parts.pairs;
  amqp::RawPair pair;
  while (amqp::take_pair(pairs, pair))
    if (pair.name == "BCC") return rebuild(parts, true, false, {});
  return std::nullopt;
}

std::optional<std::string> delivery_properties(std::string_view properties, bool has_bcc,
                                               std::uint32_t delivery_count) {
  if (delivery_count == 0) return has_bcc ? without_bcc(properties) : std::nullopt;
  Parts parts;
  if (!cut(properties, parts)) return std::nullopt;
  return rebuild(parts, has_bcc, true, count_pair(delivery_count));
}

}  // namespace warren::broker
