#pragma once
// The metadata group as one node of the simulated cluster has it: machine, proposer and fence as
// shipped, put together as node/server does it, and the clients who are connected to this node.

#include "cluster/metadata/fence.h"
#include "cluster/metadata/proposer.h"
#include "cluster/replica/replica_node.h"
#include "tests/simulation/metadata_keeper.h"
#include "tests/simulation/metadata_truth.h"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::simulation {

/// What all nodes of a run share.
struct MetadataGroup {
  GroupUid uid{0};
  World& world;
  Checker& checker;
  MetadataTruth truth;
  metadata::ProposerOptions proposer;  ///< self and incarnation are filled in
  Millis patience_ms{3'000};
  bool real_members{false};  ///< the list is that of the nodes there are: clients leave it alone
  Index answered_upto{0};  ///< the newest change whose caller was told
  std::uint64_t lost_answers{0}, refusals{0}, answers{0}, fenced{0};
};

/// Owner: the machine. Order: construct; ReplicaNode::load, found or join with make_machine(); boot().
class MetadataNode final : private metadata::ProposerLink, private metadata::FenceLink {
 public:
  struct Links {
    const Clock& clock;
    std::function<void(NodeId to, std::string frame)> send;
    std::function<void()> wake;
    /// Throws unless the answer may go out: what only the whole cluster knows.
    std::function<void(Index index, const raft::Core& core)> durable;
    std::function<void(Index index)> everywhere;
  };

  MetadataNode(MetadataGroup& group, NodeId self, std::uint64_t incarnation, Links links);

  std::unique_ptr<replica::StateMachine> make_machine();
  void attach(replica::ReplicaNode& replica) { replica_ = &replica; }
  /// The first things that a node proposes; then it serves. `members`: who is told. Again: nothing.
  void boot(const metadata::MemberDef& self, const std::vector<std::uint64_t>& former,
            std::function<std::vector<NodeId>()> members);

  // ---- where members come and go, who is told what follows from the list (members_host.cpp)
  void announce(bool alone, std::function<void(Result<void>)> done);
  void serve(const std::vector<NodeId>& members);
  void apply(const std::vector<metadata::Command>& commands,
             std::function<void(const std::vector<Result<void>>&)> then) {
    change(commands, std::move(then));
  }
  const metadata::Catalogue& catalogue() const { return keeper_.catalogue(); }
  /// Since it was asked last.
  bool take_members_changed() { return std::exchange(members_changed_, false); }

  /// The app ends in order; callers that wait are told something.
  void stop();
  void before_turn() { proposer_.flush(); }
  void end_of_turn();
  void tick();
  void on_frame(NodeId from, const std::string& frame);
  void on_peer_up(NodeId peer);
  void on_peer_down(NodeId peer);

  /// Some client of this node does something.
  void act();

  bool serves() const { return serves_; }
  /// Must it have carried out what `other` made, as far as it can know?
  bool waits_for(NodeId other) const;
  Index applied() const;
  const raft::Core* core() const { return replica_ ? replica_->core(group_.uid) : nullptr; }
  /// What is still to be answered or ended; "" when nothing is.
  std::string busy() const;
  bool has_connection(std::uint64_t id) const { return connections_.contains(id); }
  Keeper& keeper() { return keeper_; }
  /// Throws unless this node's catalogue, rows and sequences are those of the log.
  void check_equal();

 private:
  class CheckedMachine;
  using Commands = std::vector<metadata::Command>;
  using Results = std::vector<Result<void>>;
  struct Change {
    PartId id;
    Index after{0};  ///< answered to somebody before this began
    bool submitting{false};
    bool answered{false};
    std::function<void(const Results&)> then;
  };
  /// A fence's peer, as it must see it.
  struct PeerView {
    bool serves{false};
    Index carried{0};
    Index asked{0};
    Millis asked_ms{0};
    bool lags{false};
  };

  void change(const Commands& commands, std::function<void(const Results&)> then,
              metadata::Deadline deadline = metadata::Deadline::normal);
  void answered(const std::shared_ptr<Change>& change, const Results& results);
  void told(const std::shared_ptr<Change>& change, const Results& results, Index index);
  void confirm(const MetadataTruth::Outcome& outcome);
  void on_effect(const metadata::Effect& effect);
  void delete_queues(std::vector<metadata::QueueUid> uids);
  void end_connection(std::uint64_t id);
  void watch_patience();
  metadata::Command random_command();  // metadata_clients.cpp
  metadata::Command random_topology();
  metadata::Command random_other();
  metadata::Command random_operation();

  // ---- metadata::ProposerLink, FenceLink
  void append(Term term, std::string batch, std::function<void(const Error&)> failed) override;
  void send(NodeId to, std::string frame) override;
  void want_flush() override { links_.wake(); }
  metadata::QueueUid next_uid() const override { return keeper_.catalogue().next_uid(); }
  std::optional<std::uint64_t> applied_sequence(std::uint64_t origin, std::uint64_t incarnation) const override;
  std::string missing() const override { return "somebody"; }
  Millis steady_ms() const override { return links_.clock.steady_ms(); }
  Millis wall_ms() const override { return links_.clock.wall_ms(); }
  bool suspected(NodeId peer) const override { return replica_->peers().suspected(peer); }

  MetadataGroup& group_;
  const NodeId self_;
  const std::uint64_t incarnation_;
  Links links_;
  Keeper keeper_;
  metadata::Proposer proposer_;
  metadata::Fence fence_;
  replica::ReplicaNode* replica_{nullptr};
  CheckedMachine* machine_{nullptr};
  bool booted_{false};
  bool serves_{false};
  bool stopped_{false};
  bool applying_{false};
  bool members_changed_{false};
  std::vector<const MetadataTruth::Outcome*> confirmed_;
  std::uint32_t next_part_{1};
  std::size_t open_changes_{0};
  std::map<NodeId, PeerView> peers_;

  // clients
  std::uint64_t next_connection_{1};
  std::set<std::uint64_t> connections_;
  std::map<std::uint64_t, std::set<metadata::QueueUid>> owned_;
  std::set<metadata::QueueUid> doomed_;
  Millis delete_again_at_{0};
};

}  // namespace warren::simulation
