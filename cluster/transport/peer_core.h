#pragma once
// What the parts of PeerNet share: settings, the events on their way to the loop, the peers.
// Private to cluster/transport. Locks, in order: core, link, then settings or inbox.

#include <atomic>
#include <map>
#include <mutex>

#include "cluster/transport/control_server.h"
#include "cluster/transport/peer_net.h"
#include "cluster/transport/refusal_log.h"
#include "cluster/transport/resolver.h"

namespace warren::transport {

class PeerLink;

/// Something for the loop. Frames come in batches: as many as one read brought.
struct PeerEvent {
  enum class Kind { frames, up, down, refused } kind{Kind::frames};
  std::shared_ptr<PeerLink> link;
  std::vector<LaneFrame> frames{};
  std::size_t bytes{0};
  std::uint64_t incarnation{0};
  Error why{};
  std::uint64_t pair{0};  ///< of an up
};

struct PeerNetCore : std::enable_shared_from_this<PeerNetCore> {
  PeerNetOptions options;
  PeerEvents events;
  PeerNet::Post post;
  const Clock& clock;
  Logger& log;
  std::shared_ptr<Workers> workers{std::make_shared<Workers>()};
  std::shared_ptr<RpcModule> module;
  std::array<std::unique_ptr<replica::Transport>, kLanes> lanes;

  /// Guards links. Only the loop changes them.
  mutable std::mutex lock;
  std::map<raft::NodeId, std::shared_ptr<PeerLink>> links;
  Millis silence_checked{0};  ///< by the loop
  std::atomic<bool> running{false};
  std::atomic<bool> closed{false};

  /// Guards options.self, options.cookies, own_port and what was told of refused streams.
  mutable std::mutex settings_lock;
  std::uint16_t own_port{0};
  RefusalLog refusals;

  std::mutex inbox_lock;
  std::vector<PeerEvent> inbox;
  bool drain_posted{false};

  PeerNetCore(PeerNetOptions chosen, PeerEvents to, PeerNet::Post how, const Clock& time, Logger& lines)
      : options(std::move(chosen)),
        events(std::move(to)),
        post(std::move(how)),
        clock(time),
        log(lines) {}

  /// From any thread; keeps the order.
  void tell(PeerEvent event);
  /// On the loop.
  void drain();
  void deliver(PeerEvent& event);
  PeerIdentity self() const;
};

}  // namespace warren::transport
