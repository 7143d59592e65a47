#pragma once
// Hosts whose membership changes while faults happen: they join, leave, are forgotten and change their type
// through the shipped cluster/membership, each with the catalogue's group as shipped, put together as
// node/server does. One truth and one checker for every cluster that comes into being.

#include "cluster/membership/duties.h"
#include "cluster/membership/operations.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/disc.h"
#include "tests/simulation/metadata_node.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace warren::simulation {

class Members {
 public:
  Members(World& world, std::uint64_t seed, StoreKind store);
  ~Members();

  void inject(const Fault& fault);
  void heal_all();
  /// Throws a violation unless every host ends as a member of a cluster that works.
  void demand(Millis within);
  void add_to(RunResult& result) const;

 private:
  enum class Mode { serve, member_only };

  /// All that is known of one cluster, by its id.
  struct Universe {
    explicit Universe(World& world, std::string id);
    std::string id;
    Checker checker;
    MetadataGroup group;
    std::set<std::uint64_t> ever_listed;
    std::map<std::uint64_t, bool> ram;             ///< of who was ever listed
    std::map<std::uint64_t, Index> voted, left_at;  ///< config indexes: newest with it, first without
    Index looked_at{0};
    Index newest_config{0};
  };

  /// A process on a machine of its own; what is in `file` and `disc` outlives it.
  class Host final : public membership::OperationsEnv {
   public:
    Host(Members& all, int slot, StoreKind store);

    // the machine
    void boot_process();
    void kill(const char* why);
    void start_app(Mode mode, std::function<void(Result<void>)> done);
    void stop_app(std::function<void()> done);
    void after_step();
    void tick();
    bool up() const { return operations != nullptr; }
    NodeId number() const { return NodeId(membership::member_number(file.node_id)); }
    const raft::Core* core() const;
    bool leads() const { return core() && core()->effective(); }
    std::vector<metadata::MemberDef> members() const;
    membership::Counted counted() const;
    bool knows(const Host& other) const { return peers.contains(other.file.node_id); }

    // as node/server answers and acts
    membership::NodeView view() const;
    void admit(const membership::JoinRequest& request, Answer answer);
    void dismiss(const std::string& node_id, std::function<void(Result<void>)> done);
    void answer(const std::string& method, const boost::json::object& args, Answer answer);

    // membership::OperationsEnv
    const std::string& self_name() const override { return name; }
    const membership::LocalState& state() const override { return file; }
    Result<void> put_state(membership::LocalState state) override;
    Result<void> wipe_data() override;
    std::string new_id() override { return all.fresh_id(); }
    void ask(const std::string& node, std::string method, boost::json::object args, Millis deadline,
             Answer answer) override;
    void after(Millis delay, std::function<void()> then) override;
    void start_quietly(std::function<void(Result<void>)> done) override { start_app(Mode::member_only, done); }
    void stop_quietly(std::function<void()> done) override { stop_app(done); }
    std::vector<std::string> queues_with_messages() const override { return {}; }
    void say(const std::string& text) override { all.world_.trace("{}: {}", name, text); }
    void warn(const std::string& text) override { say(text); }

    Members& all;
    int slot;
    std::string name;
    Disc disc;
    SimClock clock;
    membership::LocalState file;
    std::unique_ptr<membership::Operations> operations;
    std::uint64_t life{0}, app_life{0};
    bool started_before{false};
    bool forcing{false};  ///< the operator said: without a word to anybody
    // the app
    Universe* universe{nullptr};
    std::unique_ptr<replica::Transport> transport;
    std::unique_ptr<MetadataNode> metadata;
    std::unique_ptr<replica::ReplicaNode> replica;
    std::set<std::string> peers;  ///< node ids that are dialled
    bool running{false};          ///< serves clients
    bool turn_due{false};
    bool lingering{false};        ///< as ClusterService
    bool told_of_members{false};  ///< from the end of the start on
    Micros starting_since{0};
    std::vector<std::function<void(Result<void>)>> waiters;
    std::string refusal;  ///< why the last start failed; "" when it did not
    // the operator
    bool busy{false};
    Micros busy_since{0};

   private:
    void before_app(std::function<void(Result<void>)> done);
    Result<void> launch(Mode mode);
    Result<void> open_group();
    void booted(Mode mode, const Result<void>& result);
    void app_started(const Result<void>& result);
    void end_app();
    void members_changed();
    void reconcile();
    void await_removed(NodeId node, Micros until, std::function<void(Result<void>)> done);
    void await_vote(Micros until, std::function<void()> done);
    void set_peers(const std::vector<metadata::MemberDef>& list);
    bool dies_here(const char* where);
  };
  class Wire;

  /// One stream pair of two hosts: stands while both list each other under the ids they have.
  struct Frame {
    bool consensus{false};
    std::string bytes;
  };
  struct Link {
    bool standing{false};
    std::uint64_t epoch{0};
    std::string ids[2];
    Micros cut_since{0};
    Micros last[2]{};
    std::deque<Frame> held[2];
  };

  // members_net.cpp
  struct Call;
  void poll_links();
  bool should_stand(const Host& a, const Host& b) const;
  void fall(Link& link, Host& a, Host& b);
  bool connected(const Host& from, NodeId to);
  void send(Host& from, NodeId to, Frame frame);
  void arrive(int from, int to, std::uint64_t epoch, Frame frame);
  void deliver(Host& to, NodeId from, const Frame& frame);
  void call(Host& from, const std::string& name, std::string method, boost::json::object args, Millis deadline,
            membership::OperationsEnv::Answer answer);
  void inspect(Host& from, const std::string& frame);
  Link& link_of(int a, int b) { return links_[std::min(a, b)][std::max(a, b)]; }
  bool cut(int a, int b) const { return cuts_[a][b] || cuts_[b][a]; }
  Micros delay() { return world_.prng.between(100, slow_ ? 40'000 : 800); }

  // members_operator.cpp
  void operator_loop();
  void client_loop();
  void operate(Host& host, std::uint64_t random);
  void with_app_stopped(Host& host, std::function<void(membership::Done)> what);
  void forget(Host& at, Host& target);
  void join(Host& host, Host& target, bool ram);
  void reset(Host& host, bool force);
  void change_type(Host& host, bool ram);
  void repair();
  bool listed(const Host& host);
  void finish(Host& host) { host.busy = false; }

  // members_check.cpp
  Universe& universe_of(const std::string& cluster_id);
  void look(Host& host);
  void check_state(const Host& host, const membership::LocalState& next);
  void check_config(Host& host, const raft::Core& core);
  void check_list(Universe& universe);
  std::string unsettled();
  std::string describe(const Host& host) const;
  Host* by_number(NodeId id);
  Host* by_name(const std::string& name);
  std::string fresh_id();

  World& world_;
  std::uint64_t seed_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::map<std::string, std::unique_ptr<Universe>> universes_;
  std::map<std::uint64_t, std::string> voters_of_;  ///< which cluster a member ever voted in
  std::map<int, std::map<int, Link>> links_;
  bool cuts_[8][8]{};
  bool slow_{false};
  bool calm_{false};
  bool crashes_inside_{false};
  std::vector<std::string> configured_;  ///< peers of a first start
  std::uint64_t next_id_{0};
  replica::GroupOptions group_options_;
  raft::Options raft_;
  std::uint64_t joined_{0}, left_{0}, forgotten_{0}, changed_{0}, refused_{0}, resumed_{0}, updated_{0};
};

}  // namespace warren::simulation
