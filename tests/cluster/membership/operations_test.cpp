// Joining, leaving and first starts among nodes of one process: each has a state and an operations
// object; questions go to the other's handler, or are lost when it is down.

#include "cluster/membership/operations.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>

namespace warren::membership {
namespace {

namespace json = boost::json;

class World;

struct TestNode final : OperationsEnv {
  TestNode(World& w, std::string n) : world(w), name(std::move(n)) {}

  World& world;
  std::string name;
  LocalState disc;
  bool up{true}, app{false};
  int wipes{0}, quiet_starts{0};
  bool crash_before_wipe{false};
  std::vector<std::string> full_queues;
  std::vector<std::string> said, warned;
  Operations operations{*this, {}};

  const std::string& self_name() const override { return name; }
  const LocalState& state() const override { return disc; }
  Result<void> put_state(LocalState state) override {
    disc = std::move(state);
    return {};
  }
  Result<void> wipe_data() override {
    if (crash_before_wipe) return make_error(Errc::io, "the disc is gone");
    ++wipes;
    return {};
  }
  std::string new_id() override;
  void ask(const std::string& node, std::string method, json::object args, Millis deadline,
           Answer answer) override;
  void after(Millis delay, std::function<void()> then) override;
  void start_quietly(std::function<void(Result<void>)> done) override {
    ++quiet_starts;
    done({});
  }
  void stop_quietly(std::function<void()> done) override { done(); }
  std::vector<std::string> queues_with_messages() const override { return full_queues; }
  void say(const std::string& text) override { said.push_back(text); }
  void warn(const std::string& text) override { warned.push_back(text); }
};

/// The catalogue of each cluster stands for consensus: one list by cluster id.
class World {
 public:
  TestNode& add(const std::string& name) {
    auto node = std::make_unique<TestNode>(*this, name);
    node->disc.node_id = fresh_id();
    auto& ref = *node;
    nodes[name] = std::move(node);
    return ref;
  }
  std::string fresh_id() {
    std::string id(16, 'i');
    id[7] = static_cast<char>(++ids_);
    return id;
  }
  void run() {
    while (!work.empty()) {
      auto next = std::move(work.front());
      work.pop_front();
      next();
    }
  }
  /// What the leader would do: the app starts, and its list is the cluster's.
  Result<std::string> start(TestNode& node, std::vector<std::string> peers = {}, bool ram = false) {
    Result<std::string> out = make_error(Errc::internal, "no answer");
    node.operations.form(peers, ram, [&](Result<std::string> result) { out = std::move(result); });
    run();
    if (out) {
      started(node);
    }
    return out;
  }
  void started(TestNode& node) {
    auto& list = lists[node.disc.cluster_id];
    if (list.empty()) list = node.disc.members;
    node.disc.members = list;
    node.app = true;
  }
  Result<json::value> answer(TestNode& at, const std::string& method, const json::object& args) {
    if (method == "cluster_probe") {
      NodeView view;
      view.name = at.name;
      view.node_id = at.disc.node_id;
      view.cluster_id = at.disc.cluster_id;
      view.app_running = at.app;
      view.flags = flag_view(release(), at.name, {});
      view.members = at.app ? lists[at.disc.cluster_id] : at.disc.members;
      return json::value(to_json(view));
    }
    if (!at.app) return make_error(Errc::unavailable, "stopped");
    auto& list = lists[at.disc.cluster_id];
    if (method == "member_join") {
      auto request = join_request_from_json(args);
      if (!request) return request.error();
      std::erase_if(list, [&](const auto& m) {
        return m.node_id == request->node_id || (!request->replaces.empty() && m.node_id == request->replaces);
      });
      list.push_back({member_number(request->node_id), request->node_id, request->name, request->ram});
      if (lose_answers) return make_error(Errc::timeout, "lost");
      return json::value(to_json(Admission{at.disc.cluster_id, "c", list}));
    }
    if (method == "member_leave") {
      const auto id = from_hex(std::string(args.at("node_id").as_string()));
      std::erase_if(list, [&](const auto& m) { return m.node_id == *id; });
      return json::value(json::object{});
    }
    return make_error(Errc::unsupported, method);
  }

  std::map<std::string, std::unique_ptr<TestNode>> nodes;
  std::map<std::string, std::vector<metadata::MemberDef>> lists;
  std::deque<std::function<void()>> work;
  bool lose_answers{false};
  int timers{0};
  std::function<void(int)> on_timer;

 private:
  int ids_{0};
};

std::string TestNode::new_id() { return world.fresh_id(); }
void TestNode::ask(const std::string& node, std::string method, json::object args, Millis, Answer answer) {
  world.work.push_back([this, node, method = std::move(method), args = std::move(args), answer = std::move(answer)] {
    const auto at = world.nodes.find(node);
    if (at == world.nodes.end() || !at->second->up)
      return answer(make_error(Errc::unavailable, "unable to perform an operation on node '" + node + "'"));
    answer(world.answer(*at->second, method, args));
  });
}
void TestNode::after(Millis, std::function<void()> then) {
  world.work.push_back([this, then = std::move(then)] {
    ++world.timers;
    if (world.on_timer) world.on_timer(world.timers);
    then();
  });
}

struct OperationsTest : testing::Test {
  World world;
  Result<std::string> outcome = make_error(Errc::internal, "no answer");
  Done keep() {
    return [this](Result<std::string> result) { outcome = std::move(result); };
  }
  std::string identifier() const { return outcome.error().text.substr(0, outcome.error().text.find(':')); }
  TestNode& single(const std::string& name) {
    auto& node = world.add(name);
    EXPECT_TRUE(world.start(node));
    return node;
  }
  void join(TestNode& node, const std::string& target, bool ram = false) {
    node.app = false;
    node.operations.join(target, ram, keep());
    world.run();
    if (outcome) world.started(node);
  }
  std::set<std::string> names(TestNode& at) {
    std::set<std::string> out;
    for (const auto& m : world.lists[at.disc.cluster_id]) out.insert(m.name + (m.ram ? " ram" : ""));
    return out;
  }
};

TEST_F(OperationsTest, CLU_05_JoinWipesOnlyAfterTheTargetAgreed) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  const std::string before = two.disc.node_id;
  one.app = false;
  join(two, "rabbit@n1");
  EXPECT_EQ(identifier(), "node_not_running");
  EXPECT_EQ(two.wipes, 0);
  one.app = true;
  join(two, "rabbit@n1");
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(two.wipes, 1);
  EXPECT_NE(two.disc.node_id, before);
  EXPECT_FALSE(two.disc.wipe);
  EXPECT_EQ(two.disc.cluster_id, one.disc.cluster_id);
  EXPECT_EQ(names(one), (std::set<std::string>{"rabbit@n1", "rabbit@n2"}));
  join(two, "rabbit@n1");
  EXPECT_EQ(outcome.value(), "The node is already a member of this cluster");
}

TEST_F(OperationsTest, CLU_05_AJoinWhoseAnswerWasLostIsGoneOnWith) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  world.lose_answers = true;
  join(two, "rabbit@n1");
  EXPECT_EQ(outcome.error().code, Errc::timeout);
  EXPECT_EQ(two.wipes, 0);
  world.lose_answers = false;
  join(two, "rabbit@n1");
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(world.lists[one.disc.cluster_id].size(), 2U);
}

TEST_F(OperationsTest, ACrashBeforeTheWipeLeavesTheOrderToWipe) {
  single("rabbit@n1");
  auto& two = single("rabbit@n2");
  two.crash_before_wipe = true;
  join(two, "rabbit@n1");
  EXPECT_FALSE(outcome);
  EXPECT_TRUE(two.disc.wipe);
  EXPECT_EQ(two.disc.members.size(), 2U);
}

TEST_F(OperationsTest, CLU_06_ARamNodeJoinsThroughARamNode) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  auto& three = single("rabbit@n3");
  join(two, "rabbit@n1", true);
  join(three, "rabbit@n2", true);
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(names(one), (std::set<std::string>{"rabbit@n1", "rabbit@n2 ram", "rabbit@n3 ram"}));
}

TEST_F(OperationsTest, CLU_08_ResetLeavesAndStartsAnew) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  const std::string before = two.disc.node_id;
  two.app = false;
  two.operations.reset(false, keep());
  world.run();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(two.quiet_starts, 1);  // it votes on its own leaving
  EXPECT_NE(two.disc.node_id, before);
  EXPECT_FALSE(two.disc.founded());
  EXPECT_EQ(names(one), std::set<std::string>{"rabbit@n1"});
}

TEST_F(OperationsTest, CLU_08_ResetNeedsARunningMember) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  one.up = false;
  two.app = false;
  two.operations.reset(false, keep());
  world.run();
  EXPECT_EQ(identifier(), "no_running_cluster_nodes");
  EXPECT_TRUE(two.disc.founded());
  two.operations.reset(true, keep());
  world.run();
  ASSERT_TRUE(outcome);
  EXPECT_FALSE(two.disc.founded());
  one.up = true;  // CLU-09: the peer still lists it
  EXPECT_EQ(names(one).size(), 2U);
  join(two, "rabbit@n1");
  EXPECT_EQ(identifier(), "inconsistent_cluster");
}

TEST_F(OperationsTest, CLU_07_ChangeOfTypeIsANewMemberOfTheSameName) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1", true);
  const std::string as_ram = two.disc.node_id;
  two.app = false;
  two.operations.change_type(false, keep());
  world.run();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_NE(two.disc.node_id, as_ram);
  EXPECT_EQ(names(one), (std::set<std::string>{"rabbit@n1", "rabbit@n2"}));
  two.full_queues = {"tasks"};
  two.operations.change_type(true, keep());
  world.run();
  EXPECT_NE(outcome.error().text.find("tasks"), std::string::npos);
  two.full_queues.clear();
  two.operations.change_type(true, keep());
  world.run();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(names(one), (std::set<std::string>{"rabbit@n1", "rabbit@n2 ram"}));
}

/// An id that one cluster may list already is not shown to another: it would look as if the node had gone on
/// without the first.
TEST_F(OperationsTest, CLU_05_AJoinElsewhereIsUnderAnotherId) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  auto& three = single("rabbit@n3");
  world.lose_answers = true;
  join(three, "rabbit@n1");
  EXPECT_EQ(outcome.error().code, Errc::timeout);
  const std::string spent = three.disc.joining_as;
  EXPECT_EQ(three.disc.joining_cluster, one.disc.cluster_id);
  world.lose_answers = false;
  join(three, "rabbit@n2");
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(three.disc.cluster_id, two.disc.cluster_id);
  EXPECT_NE(three.disc.node_id, spent);
}

/// Who knows us only by name may have been reset, and run in a cluster of its own.
TEST_F(OperationsTest, CLU_08_TheWordOfANodeInAnotherClusterDoesNotCount) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  auto& three = single("rabbit@n3");
  join(two, "rabbit@n1");
  join(three, "rabbit@n1", true);
  const LocalState before = three.disc;
  one.disc.cluster_id = two.disc.cluster_id = world.fresh_id();
  one.disc.members = {{member_number(one.disc.node_id), one.disc.node_id, "rabbit@n1", false}};
  world.started(one);
  three.app = false;
  three.operations.reset(false, keep());
  world.run();
  EXPECT_EQ(identifier(), "no_running_cluster_nodes");
  three.operations.change_type(false, keep());
  world.run();
  EXPECT_EQ(identifier(), "no_online_cluster_nodes");
  EXPECT_EQ(three.disc.node_id, before.node_id);
}

TEST_F(OperationsTest, CLU_11_AStartLearnsWhoTheMembersAreNow) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  auto& list = world.lists[one.disc.cluster_id];
  const std::string fresh = world.fresh_id();
  list.push_back({member_number(fresh), fresh, "rabbit@n9", false});
  two.operations.check_membership(keep());
  world.run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(two.disc.members, list);
}

TEST_F(OperationsTest, CLU_11_AForgottenNodeIsToldSo) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  std::erase_if(world.lists[one.disc.cluster_id], [&](const auto& m) { return m.name == "rabbit@n2"; });
  two.operations.check_membership(keep());
  world.run();
  EXPECT_EQ(identifier(), "inconsistent_cluster");
}

TEST_F(OperationsTest, CLU_14_WhoIsLeftBehindIsToldSoUnlessItsClusterRuns) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  auto& three = single("rabbit@n3");
  join(two, "rabbit@n1");
  join(three, "rabbit@n1");
  for (auto* node : {&one, &two}) node->disc.members = three.disc.members;
  one.disc.synced = one.disc.force_boot = true;
  one.app = two.app = three.app = false;
  two.up = three.up = false;
  const LocalState before = one.disc;
  one.operations.recover(keep());
  world.run();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(one.warned.size(), 1U);
  EXPECT_NE(one.disc.cluster_id, before.cluster_id);
  EXPECT_TRUE(one.disc.taking_over);
  world.started(one);
  two.up = true;
  two.operations.check_membership(keep());
  world.run();
  EXPECT_EQ(identifier(), "inconsistent_cluster");
  EXPECT_NE(outcome.error().text.find("join_cluster rabbit@n1"), std::string::npos);
  // The others had a majority all along: they do not follow the one that was forced by mistake.
  three.up = three.app = true;
  two.operations.check_membership(keep());
  world.run();
  EXPECT_TRUE(outcome) << outcome.error().text;
}

TEST_F(OperationsTest, CLU_14_ForceBootIsForgottenWhenAMajorityAnswers) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  one.disc.members = two.disc.members;
  one.disc.synced = one.disc.force_boot = true;
  one.app = false;
  const std::string cluster = one.disc.cluster_id;
  one.operations.recover(keep());
  world.run();
  ASSERT_TRUE(outcome);
  EXPECT_EQ(one.disc.cluster_id, cluster);
  EXPECT_TRUE(!one.disc.force_boot && !one.disc.taking_over && one.warned.empty());
}

TEST_F(OperationsTest, CLU_11_AStrangerUnderAMembersNameSaysNothing) {
  auto& one = single("rabbit@n1");
  auto& two = single("rabbit@n2");
  join(two, "rabbit@n1");
  one.disc = LocalState{};
  one.disc.node_id = world.fresh_id();
  one.disc.cluster_id = world.fresh_id();
  one.disc.members = {{member_number(one.disc.node_id), one.disc.node_id, "rabbit@n1", false}};
  world.started(one);
  two.operations.check_membership(keep());
  world.run();
  EXPECT_EQ(outcome.error().code, Errc::unavailable) << "a wiped node must not keep the others from starting";
}

TEST_F(OperationsTest, CLU_22_NodesStartedTogetherMakeOneCluster) {
  const std::vector<std::string> peers{"rabbit@n1", "rabbit@n2", "rabbit@n3"};
  for (const auto& order : std::vector<std::vector<std::string>>{
           {"rabbit@n1", "rabbit@n2", "rabbit@n3"}, {"rabbit@n3", "rabbit@n2", "rabbit@n1"},
           {"rabbit@n2", "rabbit@n1", "rabbit@n3"}}) {
    World fresh;
    int ready = 0;
    for (const auto& name : peers) fresh.add(name);
    for (const auto& name : order) {
      auto& node = *fresh.nodes[name];
      node.operations.form(peers, false, [&fresh, &node, &ready](Result<std::string> result) {
        ASSERT_TRUE(result) << result.error().text;
        fresh.started(node);
        ++ready;
      });
    }
    fresh.run();
    EXPECT_EQ(ready, 3);
    std::set<std::string> clusters;
    for (const auto& [name, node] : fresh.nodes) clusters.insert(node->disc.cluster_id);
    EXPECT_EQ(clusters.size(), 1U);
    EXPECT_EQ(fresh.lists[*clusters.begin()].size(), 3U);
  }
}

TEST_F(OperationsTest, CLU_21_WithoutItsFounderANodeGivesUpAndSaysWhatItWaitedFor) {
  auto& two = world.add("rabbit@n2");
  auto result = world.start(two, {"rabbit@n1", "rabbit@n2"});
  ASSERT_FALSE(result);
  EXPECT_EQ(world.timers, 10);
  EXPECT_NE(result.error().text.find("rabbit@n1"), std::string::npos);
  EXPECT_FALSE(two.disc.founded());
}

TEST_F(OperationsTest, CLU_21_NamesThatAppearLateAreAskedForAgain) {
  auto& one = world.add("rabbit@n1");
  int asked = 0;
  PeerSource source;
  source.grows = true;
  source.size_hint = 2;
  source.find = [&](const PeerSource::Found& found) {
    if (++asked == 1) return found(make_error(Errc::not_found, "no such host"));
    if (asked == 2) return found(std::vector<std::string>{"rabbit@n1"});
    found(std::vector<std::string>{"rabbit@n1", "rabbit@n2"});
  };
  one.operations.form(source, false, keep());
  world.run();
  ASSERT_TRUE(outcome) << outcome.error().text;
  EXPECT_EQ(asked, 3);
  EXPECT_TRUE(one.disc.founded());
}

TEST_F(OperationsTest, ARamNodeCannotStartAlone) {
  auto& node = world.add("rabbit@n1");
  auto result = world.start(node, {}, true);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().text.substr(0, result.error().text.find(':')), "cannot_create_standalone_ram_node");
}

TEST_F(OperationsTest, OneOperationAtATime) {
  single("rabbit@n1");
  auto& two = single("rabbit@n2");
  two.app = false;
  Result<std::string> first = make_error(Errc::internal, "no answer");
  two.operations.join("rabbit@n1", false, [&](Result<std::string> result) { first = std::move(result); });
  two.operations.reset(false, keep());
  EXPECT_EQ(outcome.error().code, Errc::conflict);
  world.run();
  EXPECT_TRUE(first);
  EXPECT_FALSE(two.operations.busy());
}

}  // namespace
}  // namespace warren::membership
