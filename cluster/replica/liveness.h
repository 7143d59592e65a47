#pragma once
// Who is alive, judged per pair of nodes: adaptive silence detection, and what heartbeats prove
// about the groups two nodes share. Owner: the replica node.

#include "base/clock.h"
#include "cluster/raft/core.h"
#include "cluster/replica/frame.h"

#include <map>
#include <vector>

namespace warren::replica {

struct LivenessOptions {
  Millis heartbeat_ms{100};
  Millis suspect_floor_ms{400};
  Millis suspect_ceiling_ms{3'000};
};

/// Estimates from the gaps between heartbeats when silence means death.
class SilenceDetector {
 public:
  explicit SilenceDetector(Millis now) : last_(now) {}

  void heard(Millis now) { last_ = now; }
  /// A heartbeat: like heard, and its gap teaches what is normal.
  void heartbeat(Millis now);
  Millis threshold(const LivenessOptions& options) const;
  Millis silence_ms(Millis now) const { return now - last_; }
  bool silent(Millis now, const LivenessOptions& options) const {
    return now - last_ > threshold(options);
  }

 private:
  Millis last_;
  Millis last_heartbeat_{0};
  double gap_ms_{100};
  double deviation_ms_{0};
};

/// All peers of one node. A heartbeat vouches for every shared group at once when the digest of
/// the groups led on one side equals the digest of those followed on the other.
class PeerTable final : public raft::Liveness {
 public:
  explicit PeerTable(LivenessOptions options) : options_(options) {}

  void add(raft::NodeId peer, Millis now);
  void keep_only(const std::vector<raft::NodeId>& peers);
  /// Digests of the groups: led by us with each peer, and led by each peer with us as follower.
  void set_digests(std::map<raft::NodeId, std::uint64_t> led,
                   std::map<raft::NodeId, std::uint64_t> followed);

  struct Due {
    raft::NodeId peer;
    Heartbeat heartbeat;
  };
  /// Heartbeats to send now.
  std::vector<Due> due(Millis now);
  /// Peers newly judged dead. Call every 20 ms; a larger gap means we ourselves stood still, and
  /// then nobody is blamed.
  std::vector<raft::NodeId> evaluate(Millis now);

  enum class Life { stale, same, restarted };
  /// Anything arrived. Stale: of an older incarnation than one already seen. Restarted: of a newer.
  Life on_frame(raft::NodeId peer, std::uint64_t incarnation, Millis now);
  HeartbeatReply on_heartbeat(raft::NodeId peer, const Heartbeat& heartbeat, Millis now);
  void on_reply(raft::NodeId peer, const HeartbeatReply& reply, Millis now);
  /// The stream broke: suspected at once. Answers true when that is news.
  bool on_down(raft::NodeId peer);

  bool suspected(raft::NodeId peer) const;
  /// Since when nothing came; the time of its adding when nothing ever did. 0 for a stranger.
  Millis silence_ms(raft::NodeId peer, Millis now) const;
  /// True when nothing came for `limit` ms; of a stranger, too.
  bool silent_for(raft::NodeId peer, Millis limit, Millis now) const {
    return !peers_.contains(peer) || silence_ms(peer, now) >= limit;
  }
  Millis heard_ms(raft::NodeId peer) const override;
  Millis confirmed_ms(raft::NodeId peer) const override;

 private:
  struct Peer {
    explicit Peer(Millis now) : silence(now) {}
    SilenceDetector silence;
    std::uint64_t incarnation{0};
    Millis next_heartbeat{0};
    Millis heard{0};
    Millis confirmed{0};
    std::uint64_t led{0};
    std::uint64_t followed{0};
    bool suspected{false};
  };

  LivenessOptions options_;
  Millis last_evaluation_{0};
  std::map<raft::NodeId, Peer> peers_;
};

}  // namespace warren::replica
