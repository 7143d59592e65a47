// Who may come and go, and how the list of members becomes the membership of a group.

#include "cluster/membership/discovery.h"
#include "cluster/membership/reconcile.h"
#include "cluster/membership/rules.h"

#include "base/prng.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace warren::membership {
namespace {

std::string id_of(int n) { return std::string(7, 0) + static_cast<char>(n) + std::string(8, 0); }

metadata::MemberDef member(int n, bool ram = false) {
  return {member_number(id_of(n)), id_of(n), "rabbit@n" + std::to_string(n), ram};
}

LocalState state(int self, std::vector<metadata::MemberDef> members) {
  LocalState out;
  out.node_id = id_of(self);
  out.incarnation = 3;
  out.cluster_id = id_of(100);
  out.cluster_name = "rabbit@n1";
  out.members = std::move(members);
  for (const auto& m : out.members)
    if (m.node_id == out.node_id) out.ram = m.ram;
  return out;
}

NodeView view(int n, std::vector<metadata::MemberDef> members, int cluster = 100) {
  NodeView out;
  out.name = "rabbit@n" + std::to_string(n);
  out.node_id = id_of(n);
  out.cluster_id = id_of(cluster);
  out.app_running = true;
  out.members = std::move(members);
  out.flags = flag_view(release(), out.name, {});
  return out;
}

std::string text_of(const Error& error) { return error.text.substr(0, error.text.find(':')); }

// ---- the file -------------------------------------------------------------------------------------

struct Directory {
  std::string path = [] {
    char name[] = "/tmp/warren-membership-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  ~Directory() { std::filesystem::remove_all(path); }
};

TEST(StateFileTest, OneHolderOfTheLock) {
  Directory directory;
  auto first = StateLock::take(directory.path);
  ASSERT_TRUE(first) << first.error().text;
  const auto second = StateLock::take(directory.path);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::conflict);
  EXPECT_NE(second.error().text.find(directory.path), std::string::npos);
  { const StateLock ended = std::move(*first); }
  EXPECT_TRUE(StateLock::take(directory.path));
  EXPECT_EQ(StateLock::take(directory.path + "/gone").error().code, Errc::io);
}

TEST(StateFileTest, GivesBackWhatWasWritten) {
  Directory directory;
  StateFile file(directory.path);
  auto none = file.read();
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
  LocalState wanted = state(1, {member(1), member(2, true)});
  wanted.wipe = true;
  wanted.joining_as = id_of(9);
  wanted.joining_cluster = id_of(8);
  ASSERT_TRUE(file.write(wanted));
  auto read = file.read();
  ASSERT_TRUE(read);
  EXPECT_EQ(**read, wanted);
  EXPECT_FALSE(std::filesystem::exists(file.path() + ".new"));
}

TEST(StateFileTest, ADamagedFileIsNeverReadAsNothing) {
  const std::string good = encode(state(1, {member(1), member(2)}));
  ASSERT_TRUE(decode(good));
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  for (std::size_t cut = 0; cut + 2 < good.size(); ++cut)
    EXPECT_FALSE(decode(std::string_view(good).substr(0, cut))) << cut;
  for (int i = 0; i < 2000; ++i) {
    std::string bytes = good;
    bytes[prng.below(bytes.size())] = static_cast<char>(prng.below(256));
    (void)decode(bytes);  // may still be valid; must not crash
  }
  Directory directory;
  std::ofstream(directory.path + "/cluster.json") << "{\"format\":1";
  EXPECT_EQ(StateFile(directory.path).read().error().code, Errc::corruption);
  std::ofstream(directory.path + "/cluster.json") << "{\"format\":2}";
  EXPECT_EQ(StateFile(directory.path).read().error().code, Errc::unsupported);
}

// ---- rules ----------------------------------------------------------------------------------------

TEST(RulesTest, CLU_05_WhoMayJoin) {
  const LocalState alone = state(2, {member(2)});
  EXPECT_EQ(may_join(alone, "rabbit@n2", view(1, {member(1)})).value(), JoinVerdict::join);
  EXPECT_EQ(text_of(may_join(alone, "rabbit@n2", view(2, {member(2)})).error()),
            "cannot_cluster_node_with_itself");
  NodeView stopped = view(1, {member(1)}, 50);
  stopped.app_running = false;
  EXPECT_EQ(text_of(may_join(alone, "rabbit@n2", stopped).error()), "node_not_running");
  const LocalState both = state(2, {member(1), member(2)});
  EXPECT_EQ(may_join(both, "rabbit@n2", view(1, {member(1), member(2)})).value(),
            JoinVerdict::already_member);
  const LocalState only = state(2, {member(1, true), member(2)});
  EXPECT_EQ(text_of(may_join(only, "rabbit@n2", view(3, {member(3)}, 50)).error()),
            "clustering_only_disc_node");
}

TEST(RulesTest, CLU_09_AfterForceResetThePeerDisagrees) {
  LocalState wiped = state(7, {});
  wiped.members = {metadata::MemberDef{7, id_of(7), "rabbit@n2", false}};
  const NodeView target = view(1, {member(1), member(2)});
  EXPECT_EQ(text_of(may_join(wiped, "rabbit@n2", target).error()), "inconsistent_cluster");
  wiped.joining_as = id_of(2);  // a join that was interrupted is gone on with
  EXPECT_EQ(may_join(wiped, "rabbit@n2", target).value(), JoinVerdict::join);
}

TEST(RulesTest, CLU_07_CLU_08_TheOnlyDiscNodeStaysAsItIs) {
  const LocalState only = state(1, {member(1), member(2, true)});
  EXPECT_EQ(text_of(may_leave(only).error()), "resetting_only_disc_node");
  EXPECT_EQ(text_of(may_change_type(only, true).error()), "resetting_only_disc_node");
  const LocalState alone = state(1, {member(1)});
  EXPECT_TRUE(may_leave(alone));
  EXPECT_EQ(text_of(may_change_type(alone, true).error()), "not_clustered");
  EXPECT_EQ(may_change_type(alone, false).value(), TypeVerdict::is_already);
  EXPECT_EQ(may_change_type(state(2, {member(1), member(2, true)}), false).value(), TypeVerdict::change);
}

TEST(RulesTest, CLU_10_WhoMayBeForgotten) {
  const std::vector<metadata::MemberDef> members{member(1), member(2)};
  EXPECT_EQ(text_of(may_forget(members, "rabbit@n1", "rabbit@n9", false).error()), "not_a_cluster_node");
  EXPECT_EQ(may_forget(members, "rabbit@n1", "rabbit@n2", true).error().code, Errc::conflict);
  EXPECT_EQ(may_forget(members, "rabbit@n1", "rabbit@n2", false).value(), member(2));
}

TEST(RulesTest, HowManyLossesAreSurvivedIsSaid) {
  EXPECT_EQ(can_lose(1, 1).nodes, 0U);
  EXPECT_EQ(can_lose(2, 2).nodes, 0U);
  EXPECT_EQ(can_lose(3, 3).nodes, 1U);
  EXPECT_EQ(can_lose(3, 2).nodes, 0U);
  EXPECT_EQ(can_lose(5, 5).nodes, 2U);
  EXPECT_NE(can_lose(3, 1).text.find("no majority"), std::string::npos);
}

// ---- reconciliation -------------------------------------------------------------------------------

std::map<std::uint64_t, metadata::MemberDef> table(const std::vector<metadata::MemberDef>& list) {
  std::map<std::uint64_t, metadata::MemberDef> out;
  for (const auto& m : list) out[m.id] = m;
  return out;
}

raft::NodeId node(int n) { return raft::NodeId(member(n).id); }

TEST(ReconcileTest, ADiscNodeListensBeforeItVotes) {
  const auto members = table({member(1), member(2)});
  raft::Config config = raft::make_config({node(1)});
  Reachability now;
  const auto look = [&](raft::NodeId) { return now; };
  EXPECT_FALSE(next_step(members, config, node(1), look));  // not reachable yet
  now.connected = true;
  auto step = next_step(members, config, node(1), look);
  ASSERT_TRUE(step);
  EXPECT_EQ(step->learners, std::vector{node(2)});
  EXPECT_EQ(step->voters, std::vector{node(1)});
  EXPECT_FALSE(next_step(members, *step, node(1), look));  // not caught up
  now.caught_up = true;
  step = next_step(members, *step, node(1), look);
  ASSERT_TRUE(step);
  EXPECT_EQ(*step, raft::make_config({node(1), node(2)}));
  EXPECT_FALSE(next_step(members, *step, node(1), look));
}

TEST(ReconcileTest, ARamNodeNeverVotes) {
  const auto members = table({member(1), member(2, true)});
  const raft::Config config = raft::make_config({node(1)}, {node(2)});
  EXPECT_FALSE(next_step(members, config, node(1), [](raft::NodeId) { return Reachability{true, true}; }));
}

TEST(ReconcileTest, AnySequenceOfChangesEndsAtTheList) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  for (int round = 0; round < 500; ++round) {
    std::vector<metadata::MemberDef> list;
    for (int n = 1; n <= 7; ++n)
      if (prng.below(2) == 0) list.push_back(member(n, prng.below(3) == 0));
    if (std::none_of(list.begin(), list.end(), [](const auto& m) { return !m.ram; })) continue;
    std::vector<raft::NodeId> voters, learners;
    for (int n = 1; n <= 7; ++n) {
      const auto kind = prng.below(3);
      const auto at = std::find_if(list.begin(), list.end(), [&](const auto& m) { return m.id == node(n).value; });
      if (kind == 0 && (at == list.end() || !at->ram)) voters.push_back(node(n));
      if (kind == 1) learners.push_back(node(n));
    }
    if (voters.empty()) continue;
    raft::Config config = raft::make_config(voters, learners);
    raft::NodeId self = voters.front();
    for (int steps = 0;; ++steps) {
      ASSERT_LT(steps, 30) << "round " << round;
      auto step = next_step(table(list), config, self, [](raft::NodeId) { return Reachability{true, true}; });
      if (!step) break;
      ASSERT_TRUE(raft::check_config(*step));
      config = *step;
      if (!config.is_voter(self)) self = config.voters.front();  // the leader went: another goes on
    }
    for (const auto& m : list) {
      EXPECT_EQ(config.is_voter(raft::NodeId(m.id)), !m.ram) << "round " << round;
      EXPECT_TRUE(config.is_member(raft::NodeId(m.id))) << "round " << round;
    }
    EXPECT_EQ(config.members().size(), list.size()) << "round " << round;
  }
}

// ---- discovery ------------------------------------------------------------------------------------

TEST(DiscoveryTest, CLU_22_ExactlyOneFounds) {
  const std::vector<std::string> configured{"rabbit@n2", "rabbit@n1", "rabbit@n3"};
  const std::vector<PeerAnswer> silent{{"rabbit@n2", std::nullopt, "refused"}};
  EXPECT_EQ(next_discovery_step(configured, "rabbit@n1", false, silent).kind, DiscoveryStep::Kind::found);
  EXPECT_EQ(next_discovery_step(configured, "rabbit@n2", false, silent).kind, DiscoveryStep::Kind::wait);
  EXPECT_EQ(next_discovery_step(configured, "rabbit@n3", false, silent).kind, DiscoveryStep::Kind::wait);
  EXPECT_EQ(next_discovery_step(configured, "rabbit@n9", false, silent).kind, DiscoveryStep::Kind::wait);
  EXPECT_EQ(next_discovery_step({}, "rabbit@n9", false, {}).kind, DiscoveryStep::Kind::found);
}

TEST(DiscoveryTest, AClusterThatIsThereIsJoinedAlsoByItsWouldBeFounder) {
  const std::vector<std::string> configured{"rabbit@n1", "rabbit@n2", "rabbit@n3"};
  const std::vector<PeerAnswer> answers{{"rabbit@n3", view(3, {member(3)}), ""},
                                        {"rabbit@n2", view(2, {member(2)}), ""}};
  const auto step = next_discovery_step(configured, "rabbit@n1", false, answers);
  EXPECT_EQ(step.kind, DiscoveryStep::Kind::join);
  EXPECT_EQ(step.target, "rabbit@n2");
  EXPECT_EQ(next_discovery_step(configured, "rabbit@n1", true, {}).kind, DiscoveryStep::Kind::wait);
}

TEST(DiscoveryTest, TwoClustersAreNamed) {
  EXPECT_FALSE(split_clusters({{"rabbit@n1", view(1, {}), ""}, {"rabbit@n2", view(2, {}), ""}}));
  EXPECT_TRUE(split_clusters({{"rabbit@n1", view(1, {}), ""}, {"rabbit@n2", view(2, {}, 50), ""}}));
}

TEST(DiscoveryTest, PeersAreAskedOnce) {
  EXPECT_EQ(peers_to_ask({"rabbit@n2", "rabbit@n1", "rabbit@n2"}, "rabbit@n1"),
            std::vector<std::string>{"rabbit@n2"});
}

TEST(DiscoveryTest, CLU_21_NamesBehindASeedName) {
  const std::vector<std::string> hosts{"n2.example.org", "n1.example.org.", "n2.example.org", ""};
  EXPECT_EQ(peers_on_hosts(hosts, "rabbit@n1"), (std::vector<std::string>{"rabbit@n1", "rabbit@n2"}));
  EXPECT_EQ(peers_on_hosts(hosts, "hare@n1.example.org"),
            (std::vector<std::string>{"hare@n1.example.org", "hare@n2.example.org"}));
  EXPECT_TRUE(peers_on_hosts({}, "rabbit@n1").empty());
}

TEST(DiscoveryTest, CLU_22_AListThatGrowsFoundsNothingTooEarly) {
  EXPECT_FALSE(complete({}, "rabbit@n1", 0));
  EXPECT_FALSE(complete({"rabbit@n2"}, "rabbit@n1", 0)) << "its own record is not there yet";
  EXPECT_TRUE(complete({"rabbit@n1"}, "rabbit@n1", 0));
  EXPECT_FALSE(complete({"rabbit@n1", "rabbit@n2"}, "rabbit@n1", 3));
  using Kind = DiscoveryStep::Kind;
  const std::vector<std::string> both{"rabbit@n1", "rabbit@n2"};
  EXPECT_EQ(next_discovery_step(both, "rabbit@n1", false, {}, false).kind, Kind::wait);
  EXPECT_EQ(next_discovery_step(both, "rabbit@n1", false, {}, true).kind, Kind::found);
  EXPECT_EQ(next_discovery_step({}, "rabbit@n1", false, {}, false).kind, Kind::wait);
  const std::vector<PeerAnswer> running{{"rabbit@n2", view(2, {member(2)}), {}}};
  EXPECT_EQ(next_discovery_step(both, "rabbit@n1", false, running, false).kind, Kind::join);
}

}  // namespace
}  // namespace warren::membership
