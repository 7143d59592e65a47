// A group of three whose other members are gone, put into the hands of the one that is left.
#include "bench_nodes.h"

#include "cluster/replica/takeover.h"

namespace warren::replica::testing {
namespace {

using raft::Slice;

constexpr storage::GroupUid kGroup = 7;

void propose(Nodes& nodes, int count) {
  const int leader = nodes.leader(kGroup);
  ASSERT_NE(leader, 0);
  for (int i = 0; i < count; ++i) {
    nodes.replica(leader).propose(kGroup, nodes.replica(leader).core(kGroup)->term(),
                                  {Slice::of("m" + std::to_string(i))}, [](const Result<Index>&) {});
    nodes.settle();
  }
}

/// Only `i` is left: nobody else hears or says anything.
void only(Nodes& nodes, int i) {
  nodes.lose = [i](const Nodes::InFlight& f) {
    return f.from.value != static_cast<std::uint64_t>(i) || f.to.value != static_cast<std::uint64_t>(i);
  };
}

class TakeoverTest : public ::testing::TestWithParam<int> {};

TEST_P(TakeoverTest, TheOneThatIsLeftKeepsWhatItHasAndGoesOn) {
  ReplicaOptions options;
  options.group.checkpoint_entries = 8;
  Nodes nodes(3, options);
  nodes.found(kGroup, 3);
  nodes.run(3'000);
  propose(nodes, 21);
  nodes.run(300);
  const int left = GetParam();
  only(nodes, left);
  ASSERT_TRUE(nodes.start(left));
  nodes.run(10'000);
  EXPECT_FALSE(nodes.replica(left).core(kGroup)->effective()) << "one of three must not lead";

  const auto before = nodes.replica(left).core(kGroup)->term();
  ASSERT_TRUE(take_over(*nodes.at(left).store, kGroup, NodeId(static_cast<std::uint64_t>(left))));
  ASSERT_TRUE(nodes.start(left));
  nodes.run(5'000);
  const raft::Core& core = *nodes.replica(left).core(kGroup);
  ASSERT_TRUE(core.effective());
  EXPECT_GT(core.term(), before);
  EXPECT_EQ(core.config(), raft::make_config({NodeId(static_cast<std::uint64_t>(left))}));
  EXPECT_EQ(nodes.machine(left, kGroup).items.size(), 21u);
  bool made = false;
  nodes.replica(left).propose(kGroup, core.term(), {Slice::of("alone")},
                              [&](const Result<Index>& index) { made = index.has_value(); });
  nodes.settle();
  EXPECT_TRUE(made);
  EXPECT_EQ(nodes.machine(left, kGroup).items.back(), "alone");

  // Again changes nothing, and it is still there after another start.
  ASSERT_TRUE(take_over(*nodes.at(left).store, kGroup, NodeId(static_cast<std::uint64_t>(left))));
  ASSERT_TRUE(nodes.start(left));
  nodes.run(5'000);
  EXPECT_TRUE(nodes.replica(left).core(kGroup)->effective());
  EXPECT_EQ(nodes.machine(left, kGroup).items.size(), 22u);
}

INSTANTIATE_TEST_SUITE_P(EachMember, TakeoverTest, ::testing::Values(1, 2, 3));

TEST(TakeoverTest, WhatWasNeverCommittedIsKept) {
  Nodes nodes(3);
  nodes.found(kGroup, 3);
  nodes.run(3'000);
  const int leader = nodes.leader(kGroup);
  ASSERT_NE(leader, 0);
  only(nodes, leader);
  nodes.replica(leader).propose(kGroup, nodes.replica(leader).core(kGroup)->term(), {Slice::of("unheard")},
                                [](const Result<Index>&) {});
  nodes.settle();
  ASSERT_TRUE(take_over(*nodes.at(leader).store, kGroup, NodeId(static_cast<std::uint64_t>(leader))));
  ASSERT_TRUE(nodes.start(leader));
  nodes.run(5'000);
  EXPECT_EQ(nodes.machine(leader, kGroup).items, std::vector<std::string>{"unheard"});
}

TEST(TakeoverTest, ThereMustBeSomethingToTakeOver) {
  Nodes nodes(2);
  EXPECT_EQ(take_over(*nodes.at(1).store, kGroup, NodeId(1)).error().code, Errc::not_found);
  ASSERT_TRUE(nodes.replica(2).join(kGroup, std::make_unique<ListMachine>()));
  nodes.settle();
  EXPECT_EQ(take_over(*nodes.at(2).store, kGroup, NodeId(2)).error().code, Errc::not_found);
}

}  // namespace
}  // namespace warren::replica::testing
