#pragma once
// A change is answered when every member that serves clients has carried it out, so that what was
// declared through one node can be used through all of them at once. Pure.

#include "base/clock.h"
#include "cluster/raft/types.h"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace warren::metadata {

/// What the fence needs of the node.
class FenceLink {
 public:
  virtual ~FenceLink() = default;
  /// A frame to a peer that is not up is dropped.
  virtual void send(raft::NodeId to, std::string frame) = 0;
  /// Was not heard for so long that nobody is to wait for it.
  virtual bool suspected(raft::NodeId peer) const = 0;
};

/// Members tell each other that they serve clients; whoever made a change asks those for the index
/// up to which they carried out the group's log. A member that stops serving, whose stream broke or
/// that is suspected is not waited for, nor one that owes an answer for longer than `patience_ms` until it gives
/// it (one that hears us but not the leader): its clients' reads look again.
/// Owner: the loop's thread. Invariants: 1. `done`s run in the order of wait(), each once;
/// 2. frames between two members per turn: at most one question and one answer.
class Fence {
 public:
  Fence(raft::NodeId self, Millis patience_ms, FenceLink& link)
      : self_(self), patience_ms_(patience_ms), link_(link) {}

  /// Clients may come from now on. `members`: all of the cluster, this node may be among them.
  void serve(const std::vector<raft::NodeId>& members);
  void stop_serving();

  /// `done` when everybody who serves carried out `index` (not below any index before); at once
  /// when nobody else serves.
  void wait(raft::Index index, std::function<void()> done);
  /// The end of a turn, and every 20 ms while !idle(). `applied`: what this node carried out.
  void turn(raft::Index applied, Millis now);
  bool idle() const { return waiting_.empty(); }
  /// Nobody waits any more: the changes were made.
  void release_all();

  /// Frames share their way with the proposer's.
  static bool is_frame(std::string_view frame);
  /// False when it is none that a member sends.
  bool on_frame(raft::NodeId from, std::string_view frame, Millis now);
  void on_peer_up(raft::NodeId peer);
  void on_peer_down(raft::NodeId peer) { peers_.erase(peer); }

 private:
  enum class Kind : std::uint8_t { serving = 16, left = 17, question = 18, carried = 19 };
  struct Peer {
    bool serves{false};
    raft::Index carried{0};  // as it told us
    raft::Index asked{0};    // of it
    Millis asked_ms{0};      // the oldest question without an answer
    bool lags{false};
    raft::Index wanted{0};   // by it
    raft::Index told{0};     // to it
  };
  struct Waiter {
    raft::Index index;
    std::function<void()> done;
  };

  void tell(raft::NodeId to, Kind kind, std::uint64_t value);
  bool counts(raft::NodeId id, const Peer& peer) const {
    return peer.serves && !peer.lags && !link_.suspected(id);
  }

  raft::NodeId self_;
  Millis patience_ms_;
  FenceLink& link_;
  bool serving_{false};
  std::map<raft::NodeId, Peer> peers_;  // that were heard or told on the stream that stands
  std::deque<Waiter> waiting_;          // ascending by index
};

}  // namespace warren::metadata
