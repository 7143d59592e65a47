#include "cluster/replica/frame.h"

#include <algorithm>

namespace warren::replica {
namespace {

constexpr std::uint16_t kMagic = 0x5752;  // "WR"
constexpr std::uint8_t kHasHeartbeat = 1;
constexpr std::uint8_t kHasReply = 2;

}  // namespace

std::string encode_frame(const Frame& frame) {
  constexpr std::size_t kHead = 80, kMessage = 112;
  std::size_t room = kHead + kMessage * frame.messages.size();
  for (const GroupMessage& m : frame.messages) {
    if (auto* append = std::get_if<raft::Append>(&m.message.payload)) {
      for (const raft::Entry& entry : append->entries) room += entry.bytes();
    } else if (auto* chunk = std::get_if<raft::SnapshotChunk>(&m.message.payload)) {
      room += chunk->body.bytes.size();
    }
  }
  std::string bytes;
  bytes.reserve(room);
  ByteWriter out(bytes);
  out.u16(kMagic);
  out.u8(kFrameVersion);
  out.u8(static_cast<std::uint8_t>((frame.heartbeat ? kHasHeartbeat : 0) |
                                   (frame.reply ? kHasReply : 0)));
  out.u64(frame.head.cluster);
  out.u64(frame.head.from.value);
  out.u64(frame.head.to.value);
  out.u64(frame.head.incarnation);
  if (frame.heartbeat) {
    out.i64(frame.heartbeat->sent_ms);
    out.u64(frame.heartbeat->led_digest);
  }
  if (frame.reply) {
    out.i64(frame.reply->sent_ms);
    out.u64(frame.reply->followed_digest);
  }
  out.u32(static_cast<std::uint32_t>(frame.messages.size()));
  for (const GroupMessage& m : frame.messages) {
    out.u64(m.group);
    raft::encode_message(m.message, bytes);
  }
  return bytes;
}

Result<Frame> decode_frame(const std::shared_ptr<const std::string>& bytes) {
  if (bytes->size() > kMaxFrameBytes) return make_error(Errc::exhausted, "peer frame: oversize");
  ByteReader in(*bytes);
  if (in.u16() != kMagic) return make_error(Errc::corruption, "peer frame: not one of ours");
  if (in.u8() != kFrameVersion) return make_error(Errc::unsupported, "peer frame: foreign version");
  std::uint8_t flags = in.u8();
  Frame frame;
  frame.head.cluster = in.u64();
  frame.head.from = raft::NodeId(in.u64());
  frame.head.to = raft::NodeId(in.u64());
  frame.head.incarnation = in.u64();
  if (flags & kHasHeartbeat) {
    Millis sent = in.i64();
    frame.heartbeat = Heartbeat{sent, in.u64()};
  }
  if (flags & kHasReply) {
    Millis sent = in.i64();
    frame.reply = HeartbeatReply{sent, in.u64()};
  }
  std::size_t count = in.u32();
  if (!in.ok() || flags > (kHasHeartbeat | kHasReply) || count > kMaxFrameMessages) {
    return make_error(Errc::corruption, "peer frame: malformed head");
  }
  // No message is shorter than its kind, two nodes, a term and the group.
  constexpr std::size_t kLeast = 33;
  frame.messages.reserve(std::min(count, in.remaining() / kLeast));
  for (std::size_t i = 0; i < count; ++i) {
    GroupMessage m;
    m.group = in.u64();
    auto message = raft::decode_message(in, bytes);
    if (!message) return message.error();
    m.message = std::move(*message);
    frame.messages.push_back(std::move(m));
  }
  if (!in.at_end()) return make_error(Errc::corruption, "peer frame: bytes behind its end");
  return frame;
}

}  // namespace warren::replica
