#pragma once
// Messages as they live in memory, in the log and on the wire between nodes: records packed in
// blocks. A block holds what one channel published in one loop turn; queues refer into it. The
// bytes of a block are the body of a log entry as they stand.

#include "base/assert.h"

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace warren::broker {

static_assert(std::endian::native == std::endian::little, "records are stored little-endian");

/// A reference-counted run of bytes. Written by one owner until shared, immutable afterwards.
/// Thread safety: the count is atomic, so blocks may be released on any thread.
class Block {
 public:
  static boost::intrusive_ptr<Block> make(std::size_t capacity) {
    void* raw = std::malloc(sizeof(Block) + capacity);
    WARREN_ASSERT(raw != nullptr);
    return boost::intrusive_ptr<Block>(new (raw) Block(static_cast<std::uint32_t>(capacity)));
  }
  static boost::intrusive_ptr<Block> copy_of(std::string_view bytes) {
    auto block = make(bytes.size());
    std::memcpy(block->append(bytes.size()), bytes.data(), bytes.size());
    return block;
  }

  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::size_t room() const { return capacity_ - size_; }
  std::string_view bytes() const { return {data(), size_}; }
  /// Grows by `n` bytes and gives their start. Requires: n <= room().
  char* append(std::size_t n) {
    WARREN_ASSERT(n <= room());
    char* at = data() + size_;
    size_ += static_cast<std::uint32_t>(n);
    return at;
  }
  /// Takes back the last bytes. Requires: size <= size().
  void shrink_to(std::size_t size) {
    WARREN_ASSERT(size <= size_);
    size_ = static_cast<std::uint32_t>(size);
  }
  bool shared() const { return refs_.load(std::memory_order_acquire) > 1; }

  friend void intrusive_ptr_add_ref(Block* block) {
    block->refs_.fetch_add(1, std::memory_order_relaxed);
  }
  friend void intrusive_ptr_release(Block* block) {
    if (block->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      block->~Block();
      std::free(block);
    }
  }

 private:
  explicit Block(std::uint32_t capacity) : capacity_(capacity) {}

  std::atomic<std::uint32_t> refs_{0};
  std::uint32_t size_{0};
  std::uint32_t capacity_;
  std::uint32_t unused_{0};
};
using BlockRef = boost::intrusive_ptr<Block>;

inline constexpr std::uint64_t kNoExpiration = ~std::uint64_t{0};

enum MessageFlags : std::uint8_t {
  kPersistent = 1,   ///< delivery_mode 2
  kHasHeaders = 2,   ///< the headers property is present
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

/// Writes header, exchange, routing key and properties of a record and leaves room for the body.
/// Requires: the block has room for record_bytes(...). Returns the body's place (h.body_size bytes).
inline std::size_t record_bytes(std::size_t exchange, std::size_t key, std::size_t props,
                                std::size_t body) {
  return sizeof(RecordHeader) + exchange + key + props + body;
}
inline char* append_record(Block& block, RecordHeader h, std::string_view exchange,
                           std::string_view key, std::string_view props) {
  h.exchange_size = static_cast<std::uint8_t>(exchange.size());
  h.routing_key_size = static_cast<std::uint8_t>(key.size());
  h.props_size = static_cast<std::uint32_t>(props.size());
  h.record_size = static_cast<std::uint32_t>(
      record_bytes(exchange.size(), key.size(), props.size(), h.body_size));
  char* at = block.append(h.record_size);
  std::memcpy(at, &h, sizeof h);
  at += sizeof h;
  std::memcpy(at, exchange.data(), exchange.size());
  at += exchange.size();
  std::memcpy(at, key.data(), key.size());
  at += key.size();
  std::memcpy(at, props.data(), props.size());
  return at + props.size();
}

}  // namespace warren::broker
