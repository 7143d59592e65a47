#include "cluster/transport/peer_net.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/assert.h"
#include "base/bytes.h"
#include "cluster/transport/node_registry.h"
#include "cluster/transport/peer_accept.h"
#include "cluster/transport/peer_link.h"

namespace warren::transport {
namespace {

class LaneTransport final : public replica::Transport {
 public:
  LaneTransport(PeerNetCore& core, Lane lane) : core_(core), lane_(lane) {}
  void send(raft::NodeId to, std::string frame) override {
    const auto found = core_.links.find(to);
    if (found != core_.links.end()) found->second->send(lane_, std::move(frame));
  }
  std::size_t unsent_bytes(raft::NodeId to) const override {
    const auto found = core_.links.find(to);
    return found == core_.links.end() ? 0 : found->second->unsent(lane_);
  }

 private:
  PeerNetCore& core_;
  const Lane lane_;
};

}  // namespace

raft::NodeId member_number(std::string_view node_id) {
  ByteReader in(node_id);
  const std::uint64_t number = in.u64();
  // One id in 2^64 begins with zeros; it gets the number of another rather than none.
  return raft::NodeId(number == 0 ? 1 : number);
}

// ---- events on their way to the loop

void PeerNetCore::tell(PeerEvent event) {
  {
    const std::lock_guard guard(inbox_lock);
    if (closed) return;
    inbox.push_back(std::move(event));
    if (drain_posted) return;
    drain_posted = true;
  }
  post([core = shared_from_this()] { core->drain(); });
}

void PeerNetCore::drain() {
  std::vector<PeerEvent> events_now;
  {
    const std::lock_guard guard(inbox_lock);
    drain_posted = false;
    events_now.swap(inbox);
  }
  for (PeerEvent& event : events_now) {
    if (closed) return;
    deliver(event);
  }
}

void PeerNetCore::deliver(PeerEvent& event) {
  const raft::NodeId peer = event.link->peer().id;
  switch (event.kind) {
    case PeerEvent::Kind::frames:
      for (LaneFrame& frame : event.frames) {
        if (closed || event.link->closed()) return;
        events.on_frame(peer, frame.lane, std::make_shared<const std::string>(std::move(frame.bytes)));
      }
      event.link->taken(event.bytes);
      break;
    case PeerEvent::Kind::up:
      if (event.link->closed()) break;
      event.link->loop_knows(event.pair);
      if (events.on_peer_up) events.on_peer_up(peer, event.incarnation);
      break;
    case PeerEvent::Kind::down:
      if (events.on_peer_down) events.on_peer_down(peer, event.why.text);
      break;
    case PeerEvent::Kind::refused:
      if (!event.link->closed() && events.on_refused) events.on_refused(peer, event.why);
      break;
  }
}

PeerIdentity PeerNetCore::self() const {
  const std::lock_guard guard(settings_lock);
  return options.self;
}

// ---- the loop's side

PeerNet::PeerNet(PeerNetOptions options, PeerEvents events, Post post, const Clock& clock,
                 Logger& log)
    : core_(std::make_shared<PeerNetCore>(std::move(options), std::move(events), std::move(post),
                                          clock, log)) {
  WARREN_ASSERT(core_->options.self.node_id.size() == 16);
  WARREN_ASSERT(!core_->options.cookies.empty());
  if (core_->options.registry.empty()) core_->options.registry = registry_directories();
  core_->module = make_peer_module(core_);
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    core_->lanes[lane] = std::make_unique<LaneTransport>(*core_, static_cast<Lane>(lane));
}

PeerNet::~PeerNet() { stop(); }

std::shared_ptr<RpcModule> PeerNet::module() { return core_->module; }

void PeerNet::start(std::uint16_t own_port) {
  {
    const std::lock_guard guard(core_->settings_lock);
    core_->own_port = own_port;
  }
  if (core_->running.exchange(true)) return;
  for (const auto& [id, link] : core_->links) link->start();
}

void PeerNet::stop() {
  {
    const std::lock_guard guard(core_->inbox_lock);
    if (core_->closed.exchange(true)) return;
    core_->inbox.clear();
  }
  core_->running = false;
  std::map<raft::NodeId, std::shared_ptr<PeerLink>> links;
  {
    const std::lock_guard guard(core_->lock);
    links.swap(core_->links);
  }
  for (const auto& [id, link] : links) link->close("this node stops", false);
  // The module may outlive us with the server; it must not keep clock and log alive in its mind.
  close_peer_module(*core_->module);
}

void PeerNet::set_peers(std::vector<Peer> peers) {
  std::map<raft::NodeId, std::shared_ptr<PeerLink>> kept, fresh, gone;
  const std::string own = core_->self().node_id;
  gone = core_->links;
  for (Peer& peer : peers) {
    if (peer.node_id == own) continue;
    const auto known = gone.find(peer.id);
    const bool same = known != gone.end() && known->second->peer().node_name == peer.node_name &&
                      known->second->peer().node_id == peer.node_id;
    if (same) {
      kept.insert(*known);
      gone.erase(known);
      continue;
    }
    const raft::NodeId id = peer.id;
    fresh[id] = std::make_shared<PeerLink>(core_, std::move(peer));
  }
  kept.insert(fresh.begin(), fresh.end());
  {
    const std::lock_guard guard(core_->lock);
    core_->links = kept;
  }
  for (const auto& [id, link] : gone) link->close("no longer a peer", true);
  if (!core_->running) return;
  for (const auto& [id, link] : fresh) link->start();
}

void PeerNet::set_self(PeerIdentity self) {
  const std::lock_guard guard(core_->settings_lock);
  core_->options.self = std::move(self);
}

void PeerNet::set_cookies(std::vector<Cookie> cookies) {
  const std::lock_guard guard(core_->settings_lock);
  if (!cookies.empty()) core_->options.cookies = std::move(cookies);
}

replica::Transport& PeerNet::lane(Lane lane) {
  return *core_->lanes[static_cast<std::size_t>(lane)];
}

bool PeerNet::up(raft::NodeId peer) const {
  const auto found = core_->links.find(peer);
  return found != core_->links.end() && found->second->up();
}

void PeerNet::end_silent() {
  constexpr Millis kOwnPauseMs = 1'000;
  const Millis limit = core_->options.silence_ms;
  if (limit == 0) return;
  const Millis now = core_->clock.steady_ms();
  const bool stood_still = now - std::exchange(core_->silence_checked, now) > kOwnPauseMs;
  for (const auto& [id, link] : core_->links) link->end_silence(now, stood_still ? 0 : limit);
}

std::vector<PeerState> PeerNet::states() const {
  std::vector<PeerState> all;
  for (const auto& [id, link] : core_->links) all.push_back(link->state());
  return all;
}

}  // namespace warren::transport
