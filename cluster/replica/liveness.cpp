#include "cluster/replica/liveness.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace warren::replica {
namespace {

constexpr double kSmoothing = 1.0 / 16;
/// A longer pause between two evaluations means that this node itself stood still.
constexpr Millis kOwnPauseMs = 150;

std::uint64_t at(const std::map<raft::NodeId, std::uint64_t>& map, raft::NodeId node) {
  auto found = map.find(node);
  return found == map.end() ? 0 : found->second;
}

}  // namespace

void SilenceDetector::heartbeat(Millis now) {
  last_ = now;
  if (last_heartbeat_ != 0) {
    auto gap = static_cast<double>(now - last_heartbeat_);
    deviation_ms_ += (std::abs(gap - gap_ms_) - deviation_ms_) * kSmoothing;
    gap_ms_ += (gap - gap_ms_) * kSmoothing;
  }
  last_heartbeat_ = now;
}

Millis SilenceDetector::threshold(const LivenessOptions& options) const {
  auto estimate = static_cast<Millis>(4 * gap_ms_ + 6 * deviation_ms_);
  return std::clamp(estimate, options.suspect_floor_ms, options.suspect_ceiling_ms);
}

void PeerTable::add(raft::NodeId peer, Millis now) { peers_.try_emplace(peer, Peer(now)); }

void PeerTable::keep_only(const std::vector<raft::NodeId>& peers) {
  std::erase_if(peers_, [&](const auto& item) {
    return std::find(peers.begin(), peers.end(), item.first) == peers.end();
  });
}

void PeerTable::set_digests(std::map<raft::NodeId, std::uint64_t> led,
                            std::map<raft::NodeId, std::uint64_t> followed) {
  for (auto& [node, peer] : peers_) {
    peer.led = at(led, node);
    peer.followed = at(followed, node);
  }
}

std::vector<PeerTable::Due> PeerTable::due(Millis now) {
  std::vector<Due> out;
  for (auto& [node, peer] : peers_) {
    if (now < peer.next_heartbeat) continue;
    peer.next_heartbeat = now + options_.heartbeat_ms;
    out.push_back({node, Heartbeat{now, peer.led}});
  }
  return out;
}

std::vector<raft::NodeId> PeerTable::evaluate(Millis now) {
  bool stood_still = last_evaluation_ != 0 && now - last_evaluation_ > kOwnPauseMs;
  last_evaluation_ = now;
  std::vector<raft::NodeId> out;
  for (auto& [node, peer] : peers_) {
    if (stood_still) peer.silence.heard(now);
    if (peer.suspected || !peer.silence.silent(now, options_)) continue;
    on_down(node);
    out.push_back(node);
  }
  return out;
}

PeerTable::Life PeerTable::on_frame(raft::NodeId peer, std::uint64_t incarnation, Millis now) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) return Life::same;
  if (incarnation < found->second.incarnation) return Life::stale;
  bool news = std::exchange(found->second.incarnation, incarnation) != incarnation;
  found->second.suspected = false;
  found->second.silence.heard(now);
  return news ? Life::restarted : Life::same;
}

HeartbeatReply PeerTable::on_heartbeat(raft::NodeId peer, const Heartbeat& heartbeat, Millis now) {
  auto found = peers_.find(peer);
  if (found == peers_.end()) return {heartbeat.sent_ms, 0};
  found->second.silence.heartbeat(now);
  if (heartbeat.led_digest == found->second.followed) found->second.heard = now;
  return {heartbeat.sent_ms, found->second.followed};
}

void PeerTable::on_reply(raft::NodeId peer, const HeartbeatReply& reply, Millis now) {
  auto found = peers_.find(peer);
  if (found == peers_.end() || reply.sent_ms > now) return;
  if (reply.followed_digest == found->second.led) {
    found->second.confirmed = std::max(found->second.confirmed, reply.sent_ms);
  }
}

bool PeerTable::on_down(raft::NodeId peer) {
  auto found = peers_.find(peer);
  if (found == peers_.end() || found->second.suspected) return false;
  found->second.suspected = true;
  found->second.heard = 0;
  return true;
}

bool PeerTable::suspected(raft::NodeId peer) const {
  auto found = peers_.find(peer);
  return found != peers_.end() && found->second.suspected;
}

Millis PeerTable::silence_ms(raft::NodeId peer, Millis now) const {
  auto found = peers_.find(peer);
  return found == peers_.end() ? 0 : found->second.silence.silence_ms(now);
}

Millis PeerTable::heard_ms(raft::NodeId peer) const {
  auto found = peers_.find(peer);
  return found == peers_.end() ? 0 : found->second.heard;
}

Millis PeerTable::confirmed_ms(raft::NodeId peer) const {
  auto found = peers_.find(peer);
  return found == peers_.end() ? 0 : found->second.confirmed;
}

}  // namespace warren::replica
