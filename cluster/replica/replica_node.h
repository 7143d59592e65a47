#pragma once
// All replicated groups of one node over one store, one committer and one transport.
// Owner: one executor; every method runs there. Reads of the wire and of the clock come in, frames
// and batches go out, in turns: what arrived together is written and sent together.

#include "base/clock.h"
#include "base/log.h"
#include "cluster/replica/group.h"
#include "cluster/replica/liveness.h"
#include "cluster/replica/transport.h"
#include "storage/api/committer.h"

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

namespace warren::replica {

struct ReplicaOptions {
  raft::NodeId self{};
  std::uint64_t cluster{0};
  std::uint64_t incarnation{1};  ///< grows with every start of this node
  std::uint64_t seed{1};
  raft::Options raft;            ///< self and seed are filled in
  GroupOptions group;
  LivenessOptions liveness;
  Millis stall_transfer_ms{500};   ///< a sync this long: hand leaderships over
  Millis stall_step_down_ms{2'000};  ///< and this long: give them up, stand for none
  Millis read_timeout_ms{2'000};
  std::size_t max_unsent_bytes{64ULL << 20};  ///< to one peer; beyond it entries are dropped and sent again later
  std::size_t max_frame_bytes{4ULL << 20};
  /// load() ends with Store::floors_loaded(). False when others have floors in the same store.
  bool owns_floors{true};
};

/// Why something a peer sent was not followed.
enum class FrameRefusal {
  malformed, foreign_version, wrong_cluster, wrong_destination, stale_incarnation, unknown_group,
  not_the_sender, count
};
const char* frame_refusal_name(FrameRefusal refusal);

/// What hands work back to the owner from other threads; runs it later, in order.
using Post = std::function<void(std::function<void()>)>;
using MachineFactory = std::function<std::unique_ptr<StateMachine>(storage::GroupUid)>;

/// Invariants: after fail-stop nothing is sent, written or answered with success.
class ReplicaNode {
 public:
  /// Requires: the references outlive the node; `wake` asks the owner to call turn() soon.
  ReplicaNode(const ReplicaOptions& options, storage::Store& store, storage::Committer& committer,
              Transport& transport, const Clock& clock, Logger& logger, Post post,
              std::function<void()> wake, std::function<void(const Error&)> on_fatal);
  ~ReplicaNode();

  /// Opens every group on disc. Call once, before anything else.
  /// Errors: corruption, unsupported, io: the node must not serve (never read as "nothing here").
  Result<void> load(const MachineFactory& factory);
  /// A group that this node helps to found: every founder calls it with the same membership.
  /// Errors: already_exists, invalid_argument (uid 0 or a local uid, membership).
  Result<void> found(storage::GroupUid uid, const raft::Config& config,
                     std::unique_ptr<StateMachine> machine);
  /// A group whose members will send everything.
  Result<void> join(storage::GroupUid uid, std::unique_ptr<StateMachine> machine);
  /// Forgets a group and its rows for good.
  void remove(storage::GroupUid uid);

  /// `done` is called once: with the index when the commands are committed and applied here, with
  /// unavailable when leadership was lost (outcome unknown), else with propose()'s refusal.
  void propose(storage::GroupUid uid, raft::Term term, std::vector<raft::Slice> bodies,
               ProposeDone done);
  /// `done` with an index when a linearizable read may be answered from the local machine.
  void read(storage::GroupUid uid, ReadDone done);
  Result<void> transfer(storage::GroupUid uid, raft::NodeId to);
  Result<raft::Index> change_config(storage::GroupUid uid, raft::Term term,
                                    const raft::Config& target);
  /// Writes a checkpoint of every group with dead rows; `done` runs once they are durable and the
  /// floors are set: the answer to Store::on_floors_wanted (then call Store::floors_current).
  void write_checkpoints(std::function<void()> done);
  /// Hands all leaderships to other voters, for a planned stop.
  void drain_leaderships();

  /// A frame arrived on the authenticated stream of `peer`.
  void on_frame(raft::NodeId peer, std::shared_ptr<const std::string> bytes);
  /// The stream to `peer` broke.
  void on_peer_down(raft::NodeId peer);
  /// Call every 20 ms.
  void tick();
  /// Does what became due: one batch to the committer, one frame per peer.
  void turn();

  const raft::Core* core(storage::GroupUid uid) const;
  StateMachine* machine(storage::GroupUid uid);
  std::vector<storage::GroupUid> groups() const;
  const PeerTable& peers() const { return peers_; }
  bool failed() const { return failed_; }
  std::uint64_t refused(FrameRefusal why) const { return refused_[static_cast<std::size_t>(why)]; }

 private:
  Result<void> add(storage::GroupUid uid, const GroupRecord& record,
                   std::unique_ptr<StateMachine> machine);
  Group* find(storage::GroupUid uid) const;
  void touch(Group& group);
  void schedule(Group& group, Millis now);
  void refuse(FrameRefusal why, raft::NodeId peer, storage::GroupUid group);
  void fail_stop(const Error& error);
  void on_durable(std::vector<std::function<void()>>& steps, const Result<void>& result);
  void submit(Turn& turn);
  void send_mail(std::vector<GroupMessage> mail);
  void send(raft::NodeId to, Frame frame);
  void refresh_digests();
  void suspect(raft::NodeId peer);
  void peer_restarted(raft::NodeId peer);
  Result<void> sweep_orphans();
  Millis campaign_delay(const Group& group);
  void watch_disc();
  storage::GroupUid new_uid(storage::WriteBatch& batch);

  ReplicaOptions options_;
  storage::Store& store_;
  storage::Committer& committer_;
  Transport& transport_;
  const Clock& clock_;
  Logger& logger_;
  Post post_;
  std::function<void()> wake_;
  std::function<void(const Error&)> on_fatal_;
  Prng prng_;
  PeerTable peers_;
  GroupContext context_;
  std::map<storage::GroupUid, std::shared_ptr<Group>> groups_;
  struct Timer {
    Millis at;
    storage::GroupUid uid;
    bool operator>(const Timer& other) const {
      return at != other.at ? at > other.at : uid > other.uid;
    }
  };
  /// Earliest first. A timer whose time is not its group's due_ms is out of date.
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_;
  std::vector<storage::GroupUid> dirty_;  ///< those with Group::dirty, once each
  std::vector<std::function<void()>> checkpoints_wanted_;
  bool woken_{false};
  bool digests_stale_{true};
  bool failed_{false};
  bool stall_handled_{false};
  storage::GroupUid last_local_uid_{kLocalUid};
  std::array<std::uint64_t, static_cast<std::size_t>(FrameRefusal::count)> refused_{};
  std::shared_ptr<bool> alive_{std::make_shared<bool>(true)};
};

}  // namespace warren::replica
