// What a running member does about the list by itself.

#include "cluster/membership/duties.h"

#include <gtest/gtest.h>

namespace warren::membership {
namespace {

metadata::MemberDef member(int n, bool ram = false) {
  std::string id(16, 'i');
  id[7] = static_cast<char>(n);
  return {member_number(id), id, "rabbit@n" + std::to_string(n), ram};
}
raft::NodeId number(int n) { return raft::NodeId(member(n).id); }

metadata::Catalogue catalogue_of(const std::vector<metadata::MemberDef>& members) {
  metadata::Catalogue out;
  for (const auto& def : members) EXPECT_TRUE(out.apply(metadata::PutMember{def, 0}).has_value());
  return out;
}

LocalState state_of(int self, std::vector<metadata::MemberDef> members) {
  LocalState state;
  state.node_id = member(self).node_id;
  state.cluster_id = std::string(16, 'c');
  state.members = std::move(members);
  return state;
}

/// A leader that leaves must be heard until its group goes on without it; and a restart must find it again.
TEST(DutiesTest, WhoIsOffTheListIsKeptInTouchWhileCounted) {
  const auto self = state_of(2, {member(1), member(2)});
  const auto catalogue = catalogue_of({member(2)});
  const Counted both{raft::make_config({number(1), number(2)}), false};
  EXPECT_EQ(kept_in_touch(self.members, catalogue, both).size(), 2U);
  EXPECT_EQ(remembered(self, catalogue, both)->members.size(), 2U);
  const Counted agreeing{raft::make_config({number(2)}), true};
  EXPECT_EQ(kept_in_touch(self.members, catalogue, agreeing).size(), 2U);
  const Counted alone{raft::make_config({number(2)}), false};
  EXPECT_EQ(kept_in_touch(self.members, catalogue, alone), std::vector{member(2)});
  EXPECT_EQ(remembered(self, catalogue, alone)->members, std::vector{member(2)});
}

TEST(DutiesTest, WhoWasPutOffTheListKeepsWhatItKnew) {
  EXPECT_FALSE(remembered(state_of(1, {member(1), member(2)}), catalogue_of({member(2)}), {}));
}

/// A node that was let in and never started is listed, and holds nothing.
TEST(DutiesTest, TheLastVoterMayNotGo) {
  const auto catalogue = catalogue_of({member(1), member(2), member(3, true)});
  const Counted first{raft::make_config({number(1)}, {number(3)}), false};
  const auto refused = may_dismiss(catalogue, first, member(1).id);
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().text.starts_with("resetting_only_disc_node"));
  EXPECT_TRUE(may_dismiss(catalogue, first, member(2).id));
  EXPECT_TRUE(may_dismiss(catalogue, first, member(3).id));
  const Counted both{raft::make_config({number(1), number(2)}, {number(3)}), false};
  EXPECT_TRUE(may_dismiss(catalogue, both, member(1).id));
}

TEST(DutiesTest, AStartCallsAlsoWhomTheDiscKnows) {
  const auto known = known_at_start({member(1), member(2)}, catalogue_of({member(2), member(4)}));
  EXPECT_EQ(known, (std::vector{member(1), member(2), member(4)}));
}

TEST(DutiesTest, OnlyAFounderEntersItself) {
  const auto self = state_of(1, {member(1)});
  EXPECT_EQ(introduction(self, "rabbit@n1", "", {}, metadata::Catalogue()).size(), 2U);
  auto joined = catalogue_of({member(1), member(2)});
  ASSERT_TRUE(joined.apply(metadata::PutCluster{{self.cluster_id, "x"}}).has_value());
  EXPECT_TRUE(introduction(self, "rabbit@n1", "", {}, joined).empty());
  EXPECT_EQ(introduction(self, "rabbit@new", "", {}, joined).size(), 1U);
}

}  // namespace
}  // namespace warren::membership
