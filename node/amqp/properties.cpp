#include "node/amqp/properties.h"

#include "base/bytes.h"

namespace warren::amqp {

namespace {

constexpr int kMaxNesting = 64;  // as in FieldTable::decode

/// Bytes of a value of fixed size, by tag; -1 = led by its length, -2 = unknown.
constexpr int fixed_size(unsigned char tag) {
  switch (tag) {
    case 'V': return 0;
    case 't':
    case 'b':
    case 'B': return 1;
    case 's':
    case 'u': return 2;
    case 'I':
    case 'i':
    case 'f': return 4;
    case 'D': return 5;
    case 'l':
    case 'L':
    case 'd':
    case 'T': return 8;
    case 'S':
    case 'x':
    case 'A':
    case 'F': return -1;
    default: return -2;
  }
}

bool valid_pairs(std::string_view pairs, int depth, PropertiesScan* scan);

bool valid_value(ByteReader& in, int depth) {
  if (depth > kMaxNesting) return false;
  const auto tag = in.u8();
  const int size = fixed_size(tag);
  if (size >= 0) {
    in.bytes(static_cast<std::size_t>(size));
    return in.ok();
  }
  if (size == -2) return false;
  const std::string_view inner = in.str32();
  if (!in.ok()) return false;
  if (tag == 'F') return valid_pairs(inner, depth + 1, nullptr);
  if (tag == 'A') {
    ByteReader items(inner);
    while (!items.at_end())
      if (!valid_value(items, depth + 1)) return false;
  }
  return true;
}

/// Checks pairs; marks CC and BCC in `scan` when given.
bool valid_pairs(std::string_view pairs, int depth, PropertiesScan* scan) {
  ByteReader in(pairs);
  while (!in.at_end()) {
    const std::string_view name = in.str8();
    if (!in.ok() || !valid_value(in, depth)) return false;
    if (scan == nullptr || !name.ends_with("CC")) continue;
    if (name == "BCC") scan->has_bcc = true;
    if (name == "CC" || name == "BCC") scan->has_extra_keys = true;
  }
  return true;
}

/// Reads the flag words; 0xFFFF when they announce something we do not know.
constexpr std::uint16_t kBadFlags = 0xFFFF;
std::uint16_t read_flags(ByteReader& in) {
  const std::uint16_t first = in.u16();
  if ((first & kFlagUnused) != 0) return kBadFlags;
  std::uint16_t word = first;
  while ((word & kFlagContinuation) != 0) {
    word = in.u16();
    if (!in.ok() || (word & ~kFlagContinuation) != 0) return kBadFlags;
  }
  return first;
}

void write_text(ByteWriter& out, const std::optional<std::string>& text) {
  if (text) out.str8(std::string_view(*text).substr(0, 255));
}

void read_text(ByteReader& in, bool present, std::optional<std::string>& text) {
  if (present) text.emplace(in.str8());
}

std::uint16_t flags_of(const BasicProperties& p) {
  std::uint16_t flags = 0;
  const auto mark = [&](bool present, PropertyFlag flag) {
    if (present) flags = static_cast<std::uint16_t>(flags | flag);
  };
  mark(p.content_type.has_value(), kFlagContentType);
  mark(p.content_encoding.has_value(), kFlagContentEncoding);
  mark(p.headers.has_value(), kFlagHeaders);
  mark(p.delivery_mode.has_value(), kFlagDeliveryMode);
  mark(p.priority.has_value(), kFlagPriority);
  mark(p.correlation_id.has_value(), kFlagCorrelationId);
  mark(p.reply_to.has_value(), kFlagReplyTo);
  mark(p.expiration.has_value(), kFlagExpiration);
  mark(p.message_id.has_value(), kFlagMessageId);
  mark(p.timestamp.has_value(), kFlagTimestamp);
  mark(p.type.has_value(), kFlagType);
  mark(p.user_id.has_value(), kFlagUserId);
  mark(p.app_id.has_value(), kFlagAppId);
  mark(p.cluster_id.has_value(), kFlagClusterId);
  return flags;
}

}  // namespace

bool take_value(std::string_view& values, RawValue& out) {
  ByteReader in(values);
  out.tag = static_cast<char>(in.u8());
  const int size = fixed_size(static_cast<unsigned char>(out.tag));
  if (size == -2) return false;
  out.payload = size >= 0 ? in.bytes(static_cast<std::size_t>(size)) : in.str32();
  if (!in.ok()) return false;
  values.remove_prefix(values.size() - in.remaining());
  return true;
}

bool take_pair(std::string_view& pairs, RawPair& out) {
  std::string_view rest = pairs;
  ByteReader in(rest);
  out.name = in.str8();
  if (!in.ok()) return false;
  rest.remove_prefix(out.name.size() + 1);
  if (!take_value(rest, out.value)) return false;
  out.bytes = pairs.substr(0, pairs.size() - rest.size());
  pairs = rest;
  return true;
}

bool valid_table(std::string_view pairs) { return valid_pairs(pairs, 0, nullptr); }

bool scan_properties(std::string_view wire, PropertiesScan& out) {
  if (wire.size() < 2) return false;
  const auto flags = load_be<std::uint16_t>(wire.data());
  std::size_t values_at = 2;
  if ((flags & (kFlagUnused | kFlagContinuation)) != 0) [[unlikely]] {
    ByteReader words(wire);
    if (read_flags(words) == kBadFlags) return false;
    values_at = wire.size() - words.remaining();
  }
  ByteReader in(wire.substr(values_at));
  // Every member is set one by one: clearing the whole first costs more than all the rest.
  const auto has = [&](PropertyFlag flag) { return (flags & flag) != 0; };
  const auto text = [&](PropertyFlag flag) { return has(flag) ? in.str8() : std::string_view{}; };
  out.flags = flags;
  out.content_type = text(kFlagContentType);
  out.content_encoding = text(kFlagContentEncoding);
  out.has_headers = has(kFlagHeaders);
  out.has_extra_keys = out.has_bcc = false;
  out.headers = {};
  if (out.has_headers) {
    out.headers = in.str32();
    if (!in.ok() || !valid_pairs(out.headers, 0, &out)) return false;
  }
  out.delivery_mode = has(kFlagDeliveryMode) ? in.u8() : std::uint8_t{0};
  out.priority = has(kFlagPriority) ? in.u8() : std::uint8_t{0};
  out.correlation_id = text(kFlagCorrelationId);
  out.reply_to = text(kFlagReplyTo);
  out.expiration = text(kFlagExpiration);
  out.message_id = text(kFlagMessageId);
  out.timestamp = has(kFlagTimestamp) ? in.u64() : 0;
  out.type = text(kFlagType);
  out.user_id = text(kFlagUserId);
  out.app_id = text(kFlagAppId);
  out.cluster_id = text(kFlagClusterId);
  return in.ok() && in.at_end();
}

Result<BasicProperties> decode_properties(std::string_view wire) {
  ByteReader in(wire);
  const std::uint16_t flags = read_flags(in);
  if (flags == kBadFlags)
    return make_error(Errc::invalid_argument, "content header with unknown property flags");
  const auto has = [&](PropertyFlag flag) { return (flags & flag) != 0; };
  BasicProperties p;
  read_text(in, has(kFlagContentType), p.content_type);
  read_text(in, has(kFlagContentEncoding), p.content_encoding);
  if (has(kFlagHeaders)) {
    auto table = FieldTable::decode(in.str32());
    if (!table) return table.error();
    p.headers = std::move(*table);
  }
  if (has(kFlagDeliveryMode)) p.delivery_mode = in.u8();
  if (has(kFlagPriority)) p.priority = in.u8();
  read_text(in, has(kFlagCorrelationId), p.correlation_id);
  read_text(in, has(kFlagReplyTo), p.reply_to);
  read_text(in, has(kFlagExpiration), p.expiration);
  read_text(in, has(kFlagMessageId), p.message_id);
  if (has(kFlagTimestamp)) p.timestamp = in.u64();
  read_text(in, has(kFlagType), p.type);
  read_text(in, has(kFlagUserId), p.user_id);
  read_text(in, has(kFlagAppId), p.app_id);
  read_text(in, has(kFlagClusterId), p.cluster_id);
  if (!in.ok() || !in.at_end())
    return make_error(Errc::invalid_argument, "content header with a bad length");
  return p;
}

std::string encode_properties(const BasicProperties& p) {
  std::string wire;
  ByteWriter out(wire);
  out.u16(flags_of(p));
  write_text(out, p.content_type);
  write_text(out, p.content_encoding);
  if (p.headers) out.str32(p.headers->encode());
  if (p.delivery_mode) out.u8(*p.delivery_mode);
  if (p.priority) out.u8(*p.priority);
  write_text(out, p.correlation_id);
  write_text(out, p.reply_to);
  write_text(out, p.expiration);
  write_text(out, p.message_id);
  if (p.timestamp) out.u64(*p.timestamp);
  write_text(out, p.type);
  write_text(out, p.user_id);
  write_text(out, p.app_id);
  write_text(out, p.cluster_id);
  return wire;
}

Result<std::uint64_t> parse_expiration(std::string_view text) {
  const auto bad = [&] {
    return make_error(Errc::invalid_argument,
                      "invalid expiration '" + std::string(text.substr(0, 64)) +
                          "': digits only, 0 to 315360000000 milliseconds");
  };
  if (text.empty()) return bad();
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return bad();
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
    if (value > kExpirationMsMax) return bad();
  }
  return value;
}

}  // namespace warren::amqp
