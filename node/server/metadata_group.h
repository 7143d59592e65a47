#pragma once
// The catalogue's replica group on this node: the replica, the machine over the broker's catalogue, and the
// proposer, driven by the loop. Alone in its cluster a node runs a group of one in the same way.

#include "cluster/metadata/fence.h"
#include "cluster/metadata/proposer.h"
#include "cluster/replica/replica_node.h"
#include "node/config/settings.h"
#include "node/server/loop.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>

namespace warren::server {

/// Queues' uids are below, uids for snapshots under way above.
inline constexpr storage::GroupUid kMetadataGroup = storage::GroupUid{1} << 62;

struct GroupOptions {
  raft::NodeId self{1};
  std::uint64_t cluster{1};
  std::uint64_t incarnation{1};  ///< grows with each start of the app
  std::uint64_t seed{1};
  bool ram{false};               ///< listens only: never votes, never leads
  Millis timeout_ms{30'000};
  config::ClusterSettings cluster_settings;
  config::StorageSettings storage_settings;
};

/// Owner: the loop's thread. Order: construct, open(), then found() or join() unless has_group(), boot().
class MetadataGroup final : private metadata::ProposerLink, private metadata::FenceLink {
 public:
  struct Links {
    Loop& loop;
    storage::Store& store;
    storage::Committer& committer;
    metadata::CatalogueOwner& owner;
    replica::Transport* consensus{nullptr};  ///< null = alone
    replica::Transport* metadata{nullptr};
    Logger& log;
    std::function<void(const Error&)> on_failure;
  };

  MetadataGroup(GroupOptions options, Links links);
  ~MetadataGroup() override;

  /// Reads what the store holds of the group; the catalogue then stands at its checkpoint.
  Result<void> open();
  bool has_group() const { return replica_->core(kMetadataGroup) != nullptr; }
  /// First start of a cluster's first node: a group of one.
  Result<void> found();
  /// First start of a node that was let into a cluster: its members send everything.
  Result<void> join();
  /// Proposes that this node was restarted. When that is carried out, so is everything that was committed
  /// before. Waits without limit; meanwhile `progress` is called about every ten seconds.
  void boot(std::function<void(Result<void>)> done, std::function<void(const std::string&)> progress);

  /// `done` when every member that serves clients has carried it out.
  void propose(const std::vector<metadata::Command>& commands, metadata::ProposeDone done);
  /// This node's listeners open soon: changes wait for it from now on, until stop().
  void serve();
  /// True when another member may know of changes that this one has not carried out.
  bool may_be_behind() const;
  /// `done` when this node is not behind any more, or at once when that cannot be had.
  void catch_up(std::function<void()> done);
  /// The end of a loop turn: what was proposed and received in it.
  void turn();
  /// No more answers; callers that wait are told so.
  void stop();

  // ---- from the network
  void on_frame_consensus(raft::NodeId peer, std::shared_ptr<const std::string> bytes);
  void on_frame_metadata(raft::NodeId peer, std::string_view bytes);
  void on_peer_up(raft::NodeId peer);
  void on_peer_down(raft::NodeId peer);

  // ---- membership of the group
  raft::NodeId self() const { return options_.self; }
  raft::NodeId leader() const;
  /// This node leads and may act as leader.
  bool leads() const;
  raft::Config config() const;
  /// Errors: conflict (not the leader, a change is under way), as raft::Core::change_config.
  Result<void> change_config(const raft::Config& target);
  /// Entries that the member lacks of what is committed; nothing unless leader.
  std::optional<std::uint64_t> lag(raft::NodeId member) const;
  bool suspected(raft::NodeId peer) const override { return replica_->peers().suspected(peer); }
  /// Called behind each change of leader, term or effectiveness.
  void on_leadership(std::function<void(const replica::Leadership&)> hook) { leadership_ = std::move(hook); }
  /// Members' names, for texts; "" = unknown.
  void names(std::function<std::string(raft::NodeId)> name_of) { name_of_ = std::move(name_of); }
  replica::ReplicaNode& replica() { return *replica_; }

 private:
  class NoTransport final : public replica::Transport {
   public:
    void send(raft::NodeId, std::string) override {}
    std::size_t unsent_bytes(raft::NodeId) const override { return 0; }
  };

  const raft::Core* core() const { return replica_->core(kMetadataGroup); }
  std::unique_ptr<metadata::Machine> make_machine();
  bool alone() const;
  void arm();
  void tick();

  // ---- metadata::ProposerLink, FenceLink
  void append(raft::Term term, std::string batch, std::function<void(const Error&)> failed) override;
  void send(raft::NodeId to, std::string frame) override;
  void want_flush() override { links_.loop.want_turn(); }
  metadata::QueueUid next_uid() const override { return links_.owner.catalogue().next_uid(); }
  std::optional<std::uint64_t> applied_sequence(std::uint64_t origin,
                                                std::uint64_t incarnation) const override;
  std::string missing() const override;
  Millis steady_ms() const override { return links_.loop.steady_ms(); }
  Millis wall_ms() const override { return links_.loop.wall_ms(); }

  GroupOptions options_;
  Links links_;
  NoTransport nowhere_;
  metadata::Proposer proposer_;
  metadata::Fence fence_;
  std::unique_ptr<replica::ReplicaNode> replica_;
  metadata::Machine* machine_{nullptr};
  std::function<void(const replica::Leadership&)> leadership_;
  std::function<std::string(raft::NodeId)> name_of_;
  std::function<void(const std::string&)> progress_;
  Millis progress_at_{0};
  boost::asio::steady_timer ticker_;
  bool ticking_{false};
  bool stopped_{false};
  std::shared_ptr<char> alive_{std::make_shared<char>()};
};

}  // namespace warren::server
