#pragma once
// The bytes of a pipe between two nodes, version 1: frames of the link, and the operations inside
// them. Numbers are LEB128 varints. Peers' bytes are input: readers validate, never assert.

#include "base/bytes.h"
#include "node/broker/queue_api.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker::pipe {

inline constexpr std::uint8_t kVersion = 1;

/// Appends to a string.
class Out {
 public:
  explicit Out(std::string& to) : to_(to) {}
  void u8(std::uint8_t v) { to_.push_back(static_cast<char>(v)); }
  void num(std::uint64_t v) {
    while (v >= 0x80) {
      to_.push_back(static_cast<char>(v | 0x80));
      v >>= 7;
    }
    to_.push_back(static_cast<char>(v));
  }
  void fixed(std::uint64_t v) {
    char raw[8];
    store_be(raw, v);
    to_.append(raw, sizeof raw);
  }
  void raw(std::string_view bytes) { to_.append(bytes); }
  void text(std::string_view bytes) {
    num(bytes.size());
    raw(bytes);
  }
  std::size_t size() const { return to_.size(); }

 private:
  std::string& to_;
};

/// Reads from front to back; past the end or on nonsense it turns !ok() and gives zeros.
class In {
 public:
  explicit In(std::string_view bytes) : bytes_(bytes), in_(bytes) {}
  std::uint8_t u8() { return in_.u8(); }
  std::uint64_t num();
  std::uint64_t fixed() { return in_.u64(); }
  /// A number that is at most `most`.
  std::uint64_t num(std::uint64_t most) {
    const std::uint64_t v = num();
    if (v <= most) return v;
    in_.fail();
    return 0;
  }
  std::string_view raw(std::size_t n) { return in_.bytes(n); }
  std::string_view text() { return in_.bytes(num(in_.remaining())); }
  std::size_t remaining() const { return in_.remaining(); }
  std::size_t offset() const { return bytes_.size() - in_.remaining(); }
  bool ok() const { return in_.ok(); }
  bool at_end() const { return in_.at_end(); }
  void fail() { in_.fail(); }

 private:
  std::string_view bytes_;
  ByteReader in_;
};

// ---- frames ---------------------------------------------------------------------------------------

/// One side of a session. A node's incarnation is one run of its process, and grows with every start;
/// within it every loss of a session begins a higher number.
struct Side {
  std::uint64_t incarnation{0}, session{0};
  bool operator==(const Side&) const = default;
};

enum class FrameKind : std::uint8_t { hello = 1, data = 2, ack = 3 };

struct Frame {
  FrameKind kind{FrameKind::hello};
  Side from;               ///< the sender
  Side about;              ///< the receiver as the sender knows it; zeros = not at all
  std::uint64_t seq{0};    ///< of a data frame, from 1
  std::uint64_t received{0};  ///< the sender has everything up to here
  bool ask{false};         ///< hello: wants one back
  bool more{false};        ///< data: the message goes on in the next frame
  std::string_view payload;
};

std::string encode_frame(const Frame& frame);
/// The payload is a view into `bytes`. Nothing when it is no frame of a known version.
std::optional<Frame> decode_frame(std::string_view bytes);

// ---- operations -------------------------------------------------------------------------------------

enum class Op : std::uint8_t {
  // from a client's node to the home node
  block = 1,        ///< id, how far below it the oldest without an answer is, bytes: the records
                    ///< of the publishes behind it
  publish = 2,      ///< uid, n or 0 = every record of the block, n x (number, offset)
  subscribe = 3,    ///< request, uid, consumer
  unsubscribe = 4,  ///< request, uid, holder
  credit = 5,       ///< uid, holder, bytes
  get = 6,          ///< request, uid, holder, no_ack
  settle = 7,       ///< uid, holder, how, positions
  release = 8,      ///< uid, holder
  ask = 9,          ///< request, uid, what
  // both ways
  reply = 20,       ///< token, record: a direct reply
  reply_known = 21, ///< request, token
  alarms = 22,      ///< node name, resources
  // from the home node to the client's node
  answered = 30,    ///< n, n x (id, rejected numbers)
  answer = 31,      ///< request, error, value
  deliver = 32,     ///< holder, delivery
  cancelled = 33,   ///< holder
};

enum class Question : std::uint8_t {
  depth = 1, stats = 2, consumers = 3, purge = 4, touched = 5, pause = 6, resume = 7
};

inline constexpr std::size_t kPositionsMax = 1 << 22;

void put_positions(Out& out, std::span<const Position> positions);
std::vector<Position> take_positions(In& in);

void put_consumer(Out& out, const ConsumerSpec& spec);
ConsumerSpec take_consumer(In& in);

/// Position, flags and the record as it stands.
void put_delivery(Out& out, const Delivery& delivery);
/// `block` holds the bytes that `in` reads, from its first byte.
Delivery take_delivery(In& in, const BlockRef& block);

void put_stats(Out& out, const QueueStats& stats);
QueueStats take_stats(In& in);
void put_infos(Out& out, const std::vector<ConsumerInfo>& infos);
std::vector<ConsumerInfo> take_infos(In& in);

/// The record that begins at `offset`; nothing when there is no whole one.
std::optional<MessageView> record_at(const Block& block, std::uint64_t offset);
/// Every record of a block, back to back; false when it is not made of whole records.
bool all_records(const Block& block, std::vector<RecordRef>& out);

}  // namespace warren::broker::pipe
