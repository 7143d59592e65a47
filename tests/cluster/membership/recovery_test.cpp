// The last resort: what may be asked for, and what a start makes of it with which answers.

#include "cluster/membership/recovery.h"

#include <gtest/gtest.h>

namespace warren::membership {
namespace {

std::string id_of(int n) { return std::string(7, 0) + static_cast<char>(n) + std::string(8, 0); }
std::string name_of(int n) { return "rabbit@n" + std::to_string(n); }

metadata::MemberDef member(int n, bool ram = false) {
  return {member_number(id_of(n)), id_of(n), name_of(n), ram};
}

/// n1, a disc member that has its copy.
LocalState first_of(std::vector<metadata::MemberDef> members) {
  LocalState out;
  out.node_id = id_of(1);
  out.cluster_id = id_of(100);
  out.synced = true;
  out.members = std::move(members);
  return out;
}

PeerAnswer down(int n) { return {name_of(n), std::nullopt, "no answer"}; }
PeerAnswer up(int n, bool app = true, int cluster = 100) {
  NodeView view;
  view.name = name_of(n);
  view.node_id = id_of(n);
  view.cluster_id = id_of(cluster);
  view.app_running = app;
  return {view.name, view, {}};
}

using Kind = Recovery::Kind;

TEST(RecoveryTest, CLU_14_NothingHappensUnasked) {
  const LocalState two = first_of({member(1), member(2)});
  EXPECT_EQ(plan_recovery(two, "rabbit@n1", {down(2)}).kind, Kind::none);
}

TEST(RecoveryTest, CLU_14_ForceBootGoesOnAloneOnlyWithoutAMajority) {
  LocalState three = first_of({member(1), member(2), member(3)});
  three.force_boot = true;
  const Recovery alone = plan_recovery(three, "rabbit@n1", {down(2), down(3)});
  EXPECT_EQ(alone.kind, Kind::alone);
  EXPECT_EQ(alone.left_behind.size(), 2u);
  for (const char* said : {"rabbit@n2", "rabbit@n3", "lost", "1 of 3", "join_cluster rabbit@n1"})
    EXPECT_NE(alone.text.find(said), std::string::npos) << said << " not in " << alone.text;
  EXPECT_EQ(plan_recovery(three, "rabbit@n1", {up(2), down(3)}).kind, Kind::ordinary);
  EXPECT_EQ(plan_recovery(three, "rabbit@n1", {up(2, false), down(3)}).kind, Kind::ordinary)
      << "a stopped broker can be started: nothing needs to be forced";
  EXPECT_EQ(plan_recovery(three, "rabbit@n1", {up(2, true, 50), down(3)}).kind, Kind::alone)
      << "a node of another cluster is no majority of this one";
  PeerAnswer stranger = up(2);
  stranger.view->node_id = id_of(9);
  EXPECT_EQ(plan_recovery(three, "rabbit@n1", {stranger, down(3)}).kind, Kind::alone) << "a wiped node";
}

TEST(RecoveryTest, CLU_14_RamNodesAreNoMajority) {
  LocalState mixed = first_of({member(1), member(2), member(3, true)});
  mixed.force_boot = true;
  EXPECT_EQ(plan_recovery(mixed, "rabbit@n1", {down(2), up(3)}).kind, Kind::alone);
  LocalState only_disc = first_of({member(1), member(2, true)});
  only_disc.force_boot = true;
  EXPECT_EQ(plan_recovery(only_disc, "rabbit@n1", {down(2)}).kind, Kind::ordinary) << "it is the majority";
}

TEST(RecoveryTest, CLU_10_ForgettingOfflineIsAloneOnlyWhenNobodyStays) {
  LocalState two = first_of({member(1), member(2)});
  two.forget = {"rabbit@n2"};
  EXPECT_EQ(plan_recovery(two, "rabbit@n1", {down(2)}).kind, Kind::alone);
  EXPECT_EQ(plan_recovery(two, "rabbit@n1", {up(2)}).kind, Kind::ordinary);
  LocalState three = first_of({member(1), member(2), member(3)});
  three.forget = {"rabbit@n3"};
  const Recovery waits = plan_recovery(three, "rabbit@n1", {down(2), down(3)});
  EXPECT_EQ(waits.kind, Kind::ordinary);
  EXPECT_NE(waits.text.find("force_boot"), std::string::npos);
  three.forget = {"rabbit@n3", "rabbit@n2"};
  EXPECT_EQ(plan_recovery(three, "rabbit@n1", {down(2), down(3)}).kind, Kind::alone);
  LocalState with_ram = first_of({member(1), member(2), member(3, true)});
  with_ram.forget = {"rabbit@n2"};
  EXPECT_EQ(plan_recovery(with_ram, "rabbit@n1", {down(2), down(3)}).kind, Kind::alone);
}

TEST(RecoveryTest, WhoMayBeAsked) {
  EXPECT_TRUE(may_force_boot(first_of({member(1), member(2)})));
  LocalState alone = first_of({member(1)});
  alone.synced = false;
  EXPECT_TRUE(may_force_boot(alone));
  LocalState joined = first_of({member(1), member(2)});
  joined.synced = false;
  EXPECT_FALSE(may_force_boot(joined));
  LocalState ram = first_of({member(1, true), member(2)});
  ram.ram = true;
  EXPECT_FALSE(may_force_boot(ram));
  EXPECT_FALSE(may_forget_offline(ram, "rabbit@n1", "rabbit@n2"));
  const LocalState two = first_of({member(1), member(2)});
  EXPECT_EQ(may_forget_offline(two, "rabbit@n1", "rabbit@n2").value().id, member(2).id);
  EXPECT_TRUE(may_forget_offline(two, "rabbit@n1", "rabbit@n7").error().text.starts_with("not_a_cluster_node"));
  EXPECT_TRUE(may_forget_offline(two, "rabbit@n1", "rabbit@n1").error().text.starts_with("failed_to_remove_node"));
}

TEST(RecoveryTest, TheSurvivorKeepsItsIdInAClusterOfItsOwn) {
  LocalState three = first_of({member(1), member(2), member(3)});
  three.force_boot = true;
  three.forget = {"rabbit@n2"};
  const LocalState after = taken_over(three, id_of(77));
  EXPECT_EQ(after.node_id, three.node_id);
  EXPECT_EQ(after.cluster_id, id_of(77));
  EXPECT_EQ(after.members, std::vector<metadata::MemberDef>{member(1)});
  EXPECT_TRUE(after.taking_over && after.synced);
  EXPECT_TRUE(!after.force_boot && after.forget.empty());
  const auto read = decode(encode(after));
  ASSERT_TRUE(read);
  EXPECT_EQ(*read, after);
  EXPECT_EQ(*decode(encode(three)), three);
}

}  // namespace
}  // namespace warren::membership
