#pragma once
// The network between the nodes of a cluster: to every peer one authenticated stream of ours, from
// every peer one of its own, and on them three lanes of frames. Reports to the node's loop; its
// methods belong to that loop. Free of gRPC.
//
// A peer is *up* while both directions stand. Between on_peer_up and on_peer_down every frame sent
// while up is delivered, whole, once and in order per lane; what was under way at on_peer_down may
// be lost. Lanes are not ordered among each other.

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/raft/types.h"
#include "cluster/replica/transport.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"
#include "cluster/transport/lane_codec.h"

namespace warren::transport {

class RpcModule;
struct PeerNetCore;

/// The member number of a node: the first 8 bytes of its 16-byte id, big-endian, never 0.
raft::NodeId member_number(std::string_view node_id);

/// A node to keep streams with.
struct Peer {
  raft::NodeId id;
  std::string node_name;  ///< rabbit@host; the host part is resolved
  std::string node_id;    ///< 16 bytes; another id under this name is refused
  std::string host{};     ///< where it was last reached; empty: from the name
  std::uint16_t port{0};  ///< inter-node port where it was last; 0: found by name

  bool operator==(const Peer&) const = default;
};

struct PeerNetOptions {
  PeerIdentity self;  ///< with its 16-byte node id
  std::uint64_t incarnation{1};  ///< of this process; grows with every start of the node
  std::vector<Cookie> cookies;   ///< as for the control server
  std::vector<std::string> registry;  ///< empty: registry_directories()
  std::uint16_t default_port{25672};
  std::size_t unsent_max_bytes{128u << 20};   ///< per peer and lane; beyond it the stream is broken
  std::size_t untaken_max_bytes{8u << 20};    ///< per peer: arrived, not yet taken by the loop; then
                                              ///< its stream is not read
  Millis redial_min_ms{20};
  Millis redial_max_ms{1'000};
  Millis refused_redial_max_ms{5'000};  ///< after a refusal that only an operator ends
  Millis dial_deadline_ms{3'000};
  /// Nothing of a peer for so long, and its streams are given up; 0: only gRPC's pings, within 5 s. Requires: peers
  /// that always have something to say (heartbeats), and end_silent() again and again.
  Millis silence_ms{0};
};

/// What the node's loop is told. All are called on the loop, in order; none is called after stop().
struct PeerEvents {
  std::function<void(raft::NodeId peer, Lane lane, std::shared_ptr<const std::string> frame)> on_frame;
  /// Both directions stand; frames may be sent. `incarnation` is of the peer's process.
  std::function<void(raft::NodeId peer, std::uint64_t incarnation)> on_peer_up;
  /// Either direction broke; what was under way may be lost.
  std::function<void(raft::NodeId peer, const std::string& why)> on_peer_down;
  /// A peer cannot be reached or refuses, and why; once per reason, repeated at most once a minute.
  std::function<void(raft::NodeId peer, const Error& why)> on_refused;
};

/// One peer as it stands, for status and metrics.
struct PeerState {
  Peer peer;
  bool up{false};
  std::uint64_t incarnation{0};  ///< the highest seen; 0: never heard
  std::string address;           ///< of our stream to it, host:port
  std::string last_error;        ///< of the last attempt that failed; empty while up
  Millis skew_ms{0};             ///< its clock less ours, at the last handshake
  std::uint64_t frames_sent{0}, bytes_sent{0}, frames_received{0}, bytes_received{0};
  std::uint64_t downs{0};
  std::array<std::size_t, kLanes> unsent_bytes{};
};

/// Owner: the loop. `post` runs work on the loop and is called from other threads.
class PeerNet {
 public:
  using Post = std::function<void(std::function<void()>)>;

  PeerNet(PeerNetOptions options, PeerEvents events, Post post, const Clock& clock, Logger& log);
  ~PeerNet();
  PeerNet(const PeerNet&) = delete;
  PeerNet& operator=(const PeerNet&) = delete;

  /// The receiving side; give it to ControlServerOptions::modules before the server starts.
  std::shared_ptr<RpcModule> module();
  /// Begins to dial and to accept. `own_port` is the control server's port, told to peers.
  void start(std::uint16_t own_port);
  /// Breaks all streams; no event comes after. Repeat: does nothing.
  void stop();

  /// Exactly these from now on. Those left out are cut off (with on_peer_down); those known stay.
  void set_peers(std::vector<Peer> peers);
  /// The name or cluster of this node changed. Streams stand; new ones carry it.
  void set_self(PeerIdentity self);
  void set_cookies(std::vector<Cookie> cookies);

  /// The lane as consensus, metadata and pipes see it. A frame to a peer that is not up is dropped.
  replica::Transport& lane(Lane lane);
  bool up(raft::NodeId peer) const;
  std::vector<PeerState> states() const;
  /// Gives up the pairs of peers that were silent for `silence_ms`. By the loop, a few times a second; a longer gap
  /// means that this node stood still itself, and then nobody is blamed.
  void end_silent();

 private:
  std::shared_ptr<PeerNetCore> core_;
};

}  // namespace warren::transport
