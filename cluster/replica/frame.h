#pragma once
// One frame between two nodes: who speaks, the pair's heartbeat, and messages of many groups.

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "cluster/raft/codec.h"
#include "cluster/raft/messages.h"
#include "storage/api/store.h"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::replica {

inline constexpr std::uint8_t kFrameVersion = 1;
inline constexpr std::size_t kMaxFrameBytes = 64ULL << 20;
inline constexpr std::size_t kMaxFrameMessages = 65'536;

struct FrameHead {
  std::uint64_t cluster{0};
  raft::NodeId from{};
  raft::NodeId to{};
  std::uint64_t incarnation{0};  ///< of the sender's process; grows with every start

  bool operator==(const FrameHead&) const = default;
};

/// "I live, and these are the groups I lead with you": a digest of (group, term).
struct Heartbeat {
  Millis sent_ms{0};  ///< the sender's steady clock
  std::uint64_t led_digest{0};
  bool operator==(const Heartbeat&) const = default;
};
/// The same back, with the digest of the groups in which the answerer follows the asker.
struct HeartbeatReply {
  Millis sent_ms{0};
  std::uint64_t followed_digest{0};
  bool operator==(const HeartbeatReply&) const = default;
};

struct GroupMessage {
  storage::GroupUid group{0};
  raft::Message message;
};

struct Frame {
  FrameHead head;
  std::optional<Heartbeat> heartbeat;
  std::optional<HeartbeatReply> reply;
  std::vector<GroupMessage> messages;
};

/// Requires: every Append in it has its entries.
std::string encode_frame(const Frame& frame);
/// Slices point into `bytes`. Errors: unsupported (foreign version), corruption, exhausted (oversize).
Result<Frame> decode_frame(const std::shared_ptr<const std::string>& bytes);

}  // namespace warren::replica
