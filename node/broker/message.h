#pragma once
// Messages as they live in memory, in the log and on the wire between nodes: records packed in
// blocks. A block holds what one channel published in one loop turn; queues refer into it. The
// bytes of a block are the body of a log entry as they stand.

#include "base/block.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace warren::broker {

static_assert(std::endian::native == std::endian::little, "records are stored little-endian");

inline constexpr std::uint64_t kNoExpiration = ~std::uint64_t{0};

enum MessageFlags : std::uint8_t {
  kPersistent = 1,   ///< delivery_mode 2
  kHasHeaders = 2,   ///< the headers property is present
  kDeadLettered = 4, ///< published by dead-lettering: its x-death is the broker's own (PUB-15)
  kHasBcc = 8,       ///< the headers name BCC: taken out at delivery (PUB-14)
};

/// Fixed front of a record; exchange, routing key, properties and body follow without gaps.
struct RecordHeader {
  std::uint32_t record_size;     ///< bytes, this header included
  std::uint32_t body_size;
  std::uint32_t props_size;      ///< property flags (2 bytes and more) and values, as on the wire
  std::uint8_t exchange_size;
  std::uint8_t routing_key_size;
  std::uint8_t priority;         ///< the property, 0 when absent
  std::uint8_t flags;            ///< MessageFlags
  std::uint64_t timestamp_ms;    ///< wall time of arrival
  std::uint64_t expiration_ms;   ///< the property, relative to arrival; kNoExpiration
};
static_assert(sizeof(RecordHeader) == 32);

/// Reads one record in place. Owner: whoever holds the block.
class MessageView {
 public:
  MessageView() = default;
  explicit MessageView(const char* record) : at_(record) {}

  const char* raw() const { return at_; }
  RecordHeader header() const {
    RecordHeader h;
    std::memcpy(&h, at_, sizeof h);
    return h;
  }
  std::size_t record_size() const { return u32(0); }
  std::size_t body_size() const { return u32(4); }
  std::size_t props_size() const { return u32(8); }
  std::uint8_t priority() const { return static_cast<std::uint8_t>(at_[14]); }
  std::uint8_t flags() const { return static_cast<std::uint8_t>(at_[15]); }
  bool persistent() const { return (flags() & kPersistent) != 0; }
  std::uint64_t timestamp_ms() const { return u64(16); }
  std::uint64_t expiration_ms() const { return u64(24); }
  std::string_view exchange() const {
    return {at_ + sizeof(RecordHeader), static_cast<std::uint8_t>(at_[12])};
  }
  std::string_view routing_key() const {
    const auto x = exchange();
    return {x.data() + x.size(), static_cast<std::uint8_t>(at_[13])};
  }
  std::string_view props() const {
    const auto k = routing_key();
    return {k.data() + k.size(), props_size()};
  }
  std::string_view body() const {
    const auto p = props();
    return {p.data() + p.size(), body_size()};
  }
  std::string_view record() const { return {at_, record_size()}; }
  explicit operator bool() const { return at_ != nullptr; }

  /// True when `bytes` begins with a whole, self-consistent record: for bytes from disc or peers.
  static bool valid(std::string_view bytes) {
    if (bytes.size() < sizeof(RecordHeader)) return false;
    RecordHeader h;
    std::memcpy(&h, bytes.data(), sizeof h);
    const std::uint64_t need = sizeof h + std::uint64_t{h.exchange_size} + h.routing_key_size +
                               std::uint64_t{h.props_size} + h.body_size;
    return h.record_size == need && h.record_size <= bytes.size() && h.props_size >= 2;
  }

 private:
  std::uint32_t u32(std::size_t off) const {
    std::uint32_t v;
    std::memcpy(&v, at_ + off, sizeof v);
    return v;
  }
  std::uint64_t u64(std::size_t off) const {
    std::uint64_t v;
    std::memcpy(&v, at_ + off, sizeof v);
    return v;
  }

  const char* at_{nullptr};
};

/// Writes header, exchange, routing key and properties of a record and leaves room for the body, or
/// for its first `body_room` bytes.
/// Requires: the block has room for record_bytes(...) with that much body. Returns the body's place.
inline std::size_t record_bytes(std::size_t exchange, std::size_t key, std::size_t props,
                                std::size_t body) {
  return sizeof(RecordHeader) + exchange + key + props + body;
}
inline char* append_record(Block& block, RecordHeader h, std::string_view exchange,
                           std::string_view key, std::string_view props,
                           std::size_t body_room) {
  h.exchange_size = static_cast<std::uint8_t>(exchange.size());
  h.routing_key_size = static_cast<std::uint8_t>(key.size());
  h.props_size = static_cast<std::uint32_t>(props.size());
  h.record_size = static_cast<std::uint32_t>(
      record_bytes(exchange.size(), key.size(), props.size(), h.body_size));
  char* at = block.append(record_bytes(exchange.size(), key.size(), props.size(), body_room));
  std::memcpy(at, &h, sizeof h);
  at += sizeof h;
  std::memcpy(at, exchange.data(), exchange.size());
  at += exchange.size();
  std::memcpy(at, key.data(), key.size());
  at += key.size();
  std::memcpy(at, props.data(), props.size());
  return at + props.size();
}
inline char* append_record(Block& block, const RecordHeader& h, std::string_view exchange,
                           std::string_view key, std::string_view props) {
  return append_record(block, h, exchange, key, props, h.body_size);
}

}  // namespace warren::broker
