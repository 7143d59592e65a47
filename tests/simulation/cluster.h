#pragma once
// A whole cluster in one thread: machines with discs and processes, clients, an operator, and a
// run that follows a plan of faults and then demands that everything comes back.

#include "cluster/replica/replica_node.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/disc.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/lanes.h"
#include "tests/simulation/metadata_node.h"
#include "tests/simulation/network.h"
#include "tests/simulation/toy_machine.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::simulation {

enum class Scene {
  cluster,  ///< groups on machines that are there from the start (this file)
  members,  ///< hosts that become a cluster, and leave it (members.h)
};

struct RunOptions {
  std::uint64_t seed{1};
  Millis chaos_ms{20'000};
  Millis settle_ms{15'000};  ///< bound within which everything must work again
  bool tracing{false};
  StoreKind store{StoreKind::rows};
  Scene scene{Scene::cluster};
  std::vector<Fault> plan;  ///< filled in by plan_for
};
std::vector<Fault> plan_for(std::uint64_t seed, Millis chaos_ms);

struct RunResult {
  bool failed{false};
  Violation violation;
  Millis simulated_ms{0};
  std::uint64_t steps{0};
  std::uint64_t acks{0}, reads{0}, elections{0}, restores{0}, commits{0};
  /// Of the catalogue: changes answered, refused for certain, lost from sight; answers held by the fence.
  std::uint64_t changes{0}, refusals{0}, lost{0}, fenced{0};
  /// Of the members: operations that were done, those that were refused, wipes that a crash had interrupted.
  std::uint64_t joined{0}, left{0}, forgotten{0}, changed_type{0}, refused{0}, resumed{0};
  std::deque<std::string> trace;
};
/// One run from start to end. The same options give the same result, step for step.
RunResult run_once(const RunOptions& options);
/// Removes faults from a failing plan as long as the same invariant breaks. At most `tries` runs.
std::vector<Fault> shrink(RunOptions options, const std::string& invariant, int tries);

class Cluster {
 public:
  Cluster(World& world, Checker& checker, std::uint64_t seed, StoreKind store);

  void inject(const Fault& fault);
  /// Heals everything that is not lost for good.
  void heal_all();
  /// Throws a violation unless all members of each group agree and a new command commits.
  void demand_progress(Millis within);
  /// Of the catalogue's group: answers that came, were refused, were lost.
  const MetadataGroup* metadata() const { return metadata_.get(); }

 private:
  struct Machine {
    Machine(World& world, int slot, StoreKind store) : slot(slot), disc(world, store), clock(world) {}
    int slot;
    NodeId id;
    Disc disc;
    SimClock clock;
    std::unique_ptr<replica::Transport> transport;
    std::unique_ptr<MetadataNode> metadata;  ///< outlives its machine, which the replica owns
    std::unique_ptr<replica::ReplicaNode> replica;
    std::uint64_t life{0};
    std::uint64_t incarnation{0};
    int generation{0};
    bool damaged{false};
    bool rotted{false};   ///< a row of its disc may be unreadable
    bool ram{false};      ///< forgets everything with its process; same name, never a voter
    bool foreign{false};  ///< speaks a version of its own until it is restarted
    bool wiped{false};  ///< lost its state: back under another identity, not yet a member again
    bool turn_due{false};
    bool app_stopped{false};  ///< the process stands, and its streams; nobody hears what comes
    Micros paused_until{0};
    std::deque<std::function<void()>> backlog;
    bool up() const { return replica != nullptr; }
  };
  class WireTap;

  void start(Machine& m);
  void stop(Machine& m, bool silent);
  void end_life(Machine& m);
  /// Runs `what` on a machine: now, or once it wakes; never if it is down.
  template <class F>
  void on(Machine& m, F what) {
    if (!m.up()) return;
    if (world_.now() < m.paused_until) {
      m.backlog.emplace_back(std::move(what));
      return;
    }
    what();
    after_step(m);
  }
  void resume(Machine& m);
  void after_step(Machine& m);
  void schedule_tick(Machine& m);
  void deliver(int to, const std::shared_ptr<const Packet>& packet);
  std::shared_ptr<const Packet> inspect_sent(Machine& from, std::string frame);
  void inspect_message(Machine& from, GroupUid group, const raft::Message& m);
  void on_fatal(Machine& m, const Error& error);
  void replace(Machine& m);
  void tidy(Machine& m);
  void demand_reads(Millis within);
  void plot(Machine& m, GroupUid group, const raft::Core& core);
  void cut_off(int slot, Micros delay, Micros length);
  std::unique_ptr<replica::StateMachine> make_machine(Machine& m, GroupUid group);
  // metadata_cluster.cpp
  void plan_metadata(Prng& prng);
  void start_metadata(Machine& m);
  void boot_metadata(Machine& m);
  void metadata_loop();
  void restart_app(Machine& m);
  void check_everywhere(const Machine& from, Index index);
  void demand_metadata(Millis within);
  std::string metadata_unsettled();
  bool is_metadata(GroupUid group) const { return metadata_ && metadata_->uid == group; }
  void client_loop();
  void client_propose(Machine& m, GroupUid group, Term fence);
  void client_read();
  void operator_loop();
  void repair(GroupUid group);
  void change_membership(std::uint64_t random);
  bool may_damage(const Machine& m);
  std::string describe(const Machine& leader, GroupUid group, NodeId node);
  static NodeId identity(int slot, int generation) {
    return NodeId(static_cast<std::uint64_t>(slot + 1 + 100 * generation));
  }
  Machine* by_id(NodeId id);
  Machine* leader_of(GroupUid group);
  void check_discs_hold(GroupUid group, Index index, const raft::Core& leader);

  World& world_;
  Checker& checker_;
  const StoreKind store_;
  Network network_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<GroupUid> groups_;
  std::map<GroupUid, std::vector<Index>> removable_;
  std::uint64_t next_text_{0};
  Micros client_gap_us_;
  Micros coup_until_{0};
  Plot plot_;
  std::map<GroupUid, Term> led_;  ///< newest term of each group that had a leader
  int first_voters_{3};
  bool bulky_{false};   ///< bodies up to tens of kilobytes, frames and pieces to match
  bool bursts_{false};  ///< clients rest now and then, so that logs and checkpoints meet
  bool calm_{false};  ///< no more faults: reads and proposals are checked for success
  bool quiet_{false};  ///< and no more clients of the catalogue
  std::unique_ptr<MetadataGroup> metadata_;  ///< only with its plot
  bool app_restarts_{false};
  Index newest_config_{0};  ///< of the catalogue's group, in any log at any time
  std::unique_ptr<Lanes> lanes_;
  raft::Options raft_;
  replica::GroupOptions group_options_;
};

}  // namespace warren::simulation
