#include "cluster/metadata/fence.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace warren::metadata {

namespace {

constexpr std::uint8_t kFrameVersion = 1;
constexpr std::uint8_t kFirstKind = 16;  // the proposer has those below

}  // namespace

void Fence::tell(raft::NodeId to, Kind kind, std::uint64_t value) {
  std::string frame;
  ByteWriter out(frame);
  out.u8(kFrameVersion);
  out.u8(static_cast<std::uint8_t>(kind));
  out.u64(value);
  link_.send(to, std::move(frame));
}

void Fence::serve(const std::vector<raft::NodeId>& members) {
  serving_ = true;
  for (const raft::NodeId member : members) {
    if (member == self_) continue;
    peers_.try_emplace(member);  // hears it when we leave
    tell(member, Kind::serving, 1);
  }
}

void Fence::stop_serving() {
  if (!std::exchange(serving_, false)) return;
  for (const auto& [id, peer] : peers_) tell(id, Kind::left, 0);
}

void Fence::wait(raft::Index index, std::function<void()> done) {
  const bool alone = std::none_of(peers_.begin(), peers_.end(),
                                  [&](const auto& entry) { return counts(entry.first, entry.second); });
  if (alone && waiting_.empty()) return done();
  if (!waiting_.empty()) index = std::max(index, waiting_.back().index);
  waiting_.push_back({index, std::move(done)});
}

void Fence::turn(raft::Index applied, Millis now) {
  raft::Index everywhere = std::numeric_limits<raft::Index>::max();
  for (auto& [id, peer] : peers_) {
    // Progress is told also below what was asked: else who asks for more and more would never hear.
    if (peer.wanted > peer.told && applied > peer.told) {
      peer.told = applied;
      tell(id, Kind::carried, applied);
    }
    if (waiting_.empty() || !counts(id, peer)) continue;
    if (const raft::Index goal = waiting_.back().index; peer.carried < goal && peer.asked < goal) {
      if (peer.carried >= peer.asked) peer.asked_ms = now;
      peer.asked = goal;
      tell(id, Kind::question, goal);
    }
    if (peer.carried < peer.asked && now - peer.asked_ms >= patience_ms_) {
      peer.lags = true;
      continue;
    }
    if (!WARREN_MUTANT(33)) everywhere = std::min(everywhere, peer.carried);
  }
  while (!waiting_.empty() && waiting_.front().index <= everywhere) {
    const auto done = std::move(waiting_.front().done);
    waiting_.pop_front();
    done();
  }
}

void Fence::release_all() {
  for (auto& waiter : std::exchange(waiting_, {})) waiter.done();
}

bool Fence::is_frame(std::string_view frame) {
  return frame.size() > 1 && static_cast<std::uint8_t>(frame[1]) >= kFirstKind;
}

bool Fence::on_frame(raft::NodeId from, std::string_view frame, Millis now) {
  ByteReader in(frame);
  const std::uint8_t version = in.u8();
  const auto kind = static_cast<Kind>(in.u8());
  const std::uint64_t value = in.u64();
  if (!in.ok() || !in.at_end() || version != kFrameVersion) return false;
  Peer& peer = peers_[from];
  switch (kind) {
    case Kind::serving:
      // Perhaps of a new life on the same stream, which knows of no question and of no answer.
      if (value != 0) peer = Peer{.wanted = peer.wanted};
      peer.serves = true;
      if (value != 0 && serving_ && !WARREN_MUTANT(39)) tell(from, Kind::serving, 0);
      return true;
    case Kind::left:
      // Should it come back on the same stream, it is another life that knows of no question.
      peer = Peer{};
      return true;
    case Kind::question:
      peer.wanted = std::max(peer.wanted, value);
      // Told already, but perhaps to its former life: then it waits for the answer.
      if (value != 0) peer.told = std::min(peer.told, value - 1);
      return true;
    case Kind::carried:
      // Progress, though perhaps not all that was asked: patience begins anew.
      if (value > peer.carried) peer.asked_ms = now;
      peer.carried = std::max(peer.carried, value);
      if (peer.carried >= peer.asked) peer.lags = false;
      return true;
  }
  return false;
}

void Fence::on_peer_up(raft::NodeId peer) {
  peers_.erase(peer);
  if (!serving_) return;
  peers_.try_emplace(peer);
  tell(peer, Kind::serving, 1);
}

}  // namespace warren::metadata
