#include "cluster/transport/lane_codec.h"

#include <algorithm>

#include "base/bytes.h"

namespace warren::transport {
namespace {

constexpr std::uint8_t kLaneMask = 0x03;
constexpr std::uint8_t kFirst = 0x40;
constexpr std::uint8_t kLast = 0x80;
constexpr std::size_t kHeadBytes = 5;
constexpr std::size_t kLongHeadBytes = 9;
/// What each lane may put into a message before the others had their turn.
constexpr std::array<std::size_t, kLanes> kShare{128u << 10, 64u << 10, 64u << 10};
/// Less is not worth a chunk of its own.
constexpr std::size_t kChunkMinBytes = 1024;
/// A frame's memory is taken as it arrives beyond this, whatever its length claims to be.
constexpr std::size_t kReserveMaxBytes = 1u << 20;

}  // namespace

const char* lane_name(Lane lane) {
  switch (lane) {
    case Lane::consensus: return "consensus";
    case Lane::metadata: return "metadata";
    case Lane::queues: return "queues";
  }
  return "unknown";
}

void LaneWriter::add(Lane lane, std::string frame) {
  Waiting& waiting = lanes_[index(lane)];
  waiting.bytes += frame.size();
  waiting.frames.push_back(std::move(frame));
  ++waiting_;
}

std::size_t LaneWriter::put(std::size_t lane, std::size_t budget, std::string& to) {
  Waiting& waiting = lanes_[lane];
  std::size_t used = 0;
  ByteWriter out(to);
  while (!waiting.frames.empty()) {
    const std::string& frame = waiting.frames.front();
    const std::size_t rest = frame.size() - waiting.offset;
    const std::size_t room = budget > used ? budget - used : 0;
    if (rest > room && room < kChunkMinBytes) break;
    const std::size_t length = std::min(rest, room);
    const bool first = waiting.offset == 0;
    const bool last = length == rest;
    out.u8(static_cast<std::uint8_t>(lane | (first ? kFirst : 0u) | (last ? kLast : 0u)));
    out.u32(static_cast<std::uint32_t>(length));
    if (first && !last) out.u32(static_cast<std::uint32_t>(frame.size()));
    out.bytes(std::string_view(frame).substr(waiting.offset, length));
    // A head counts against the budget, or empty frames would have no bound.
    used += length + kHeadBytes;
    waiting.bytes -= length;
    waiting.offset += length;
    if (!last) break;
    waiting.offset = 0;
    waiting.frames.pop_front();
    --waiting_;
    if (used >= budget) break;
  }
  return used;
}

std::string LaneWriter::next(std::array<std::size_t, kLanes>& taken) {
  std::string message;
  std::size_t total = 0;
  for (const Waiting& waiting : lanes_) total += waiting.bytes + kLongHeadBytes * waiting.frames.size();
  message.reserve(std::min(total, kMessageBytes + kLanes * 2 * kLongHeadBytes) + kLongHeadBytes);
  std::array<std::size_t, kLanes> before{};
  std::size_t left = kMessageBytes;
  for (std::size_t lane = 0; lane < kLanes; ++lane) before[lane] = lanes_[lane].bytes;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    left -= std::min(left, put(lane, kShare[lane], message));
  for (std::size_t lane = 0; lane < kLanes && left >= kChunkMinBytes; ++lane)
    left -= std::min(left, put(lane, left, message));
  for (std::size_t lane = 0; lane < kLanes; ++lane) taken[lane] = before[lane] - lanes_[lane].bytes;
  return message;
}

void LaneWriter::clear() {
  lanes_ = {};
  waiting_ = 0;
}

Result<> LaneReader::take_head() {
  ByteReader in(head_);
  const std::uint8_t flags = in.u8();
  lane_ = flags & kLaneMask;
  const bool first = (flags & kFirst) != 0;
  last_ = (flags & kLast) != 0;
  left_ = in.u32();
  if (lane_ >= kLanes || (flags & ~(kLaneMask | kFirst | kLast)) != 0)
    return make_error(Errc::corruption, "malformed peer stream: unknown lane or flags");
  Partial& partial = lanes_[lane_];
  if (first == partial.open)
    return make_error(Errc::corruption, "malformed peer stream: a chunk out of its place");
  if (first) {
    partial.total = last_ ? left_ : in.u32();
    if (partial.total > kFrameMaxBytes)
      return make_error(Errc::corruption, "malformed peer stream: a frame is too large");
    partial.open = true;
    partial.bytes.clear();
    partial.bytes.reserve(std::min(partial.total, kReserveMaxBytes));
  }
  const std::size_t rest = partial.total - partial.bytes.size();
  const bool fits = last_ ? left_ == rest : left_ > 0 && left_ < rest;
  if (!fits)
    return make_error(Errc::corruption, "malformed peer stream: the lengths of a frame disagree");
  return {};
}

void LaneReader::take_body(std::string_view& bytes, std::vector<LaneFrame>& out) {
  Partial& partial = lanes_[lane_];
  const std::size_t length = std::min(left_, bytes.size());
  partial.bytes.append(bytes.substr(0, length));
  bytes.remove_prefix(length);
  left_ -= length;
  if (left_ > 0) return;
  in_body_ = false;
  if (!last_) return;
  partial.open = false;
  out.push_back({static_cast<Lane>(lane_), std::move(partial.bytes)});
  partial.bytes = {};
}

Result<> LaneReader::feed(std::string_view bytes, std::vector<LaneFrame>& out) {
  while (!bytes.empty()) {
    if (in_body_) {
      take_body(bytes, out);
      continue;
    }
    head_.push_back(bytes.front());
    bytes.remove_prefix(1);
    const auto flags = static_cast<std::uint8_t>(head_.front());
    const bool longer = (flags & kFirst) != 0 && (flags & kLast) == 0;
    if (head_.size() < (longer ? kLongHeadBytes : kHeadBytes)) continue;
    if (Result<> taken = take_head(); !taken) return taken;
    head_.clear();
    in_body_ = true;
    if (left_ == 0) take_body(bytes, out);  // an empty frame has no byte to wait for
  }
  return {};
}

std::size_t LaneReader::held_bytes() const {
  std::size_t held = 0;
  for (const Partial& partial : lanes_) held += partial.bytes.size();
  return held;
}

}  // namespace warren::transport
