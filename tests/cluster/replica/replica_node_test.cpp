// The node as a whole: groups, restarts, refusals, failing discs.
#include "bench_nodes.h"

#include <ctime>
#include <malloc.h>

namespace warren::replica::testing {
namespace {

using raft::Slice;

std::vector<Slice> one(const std::string& text) { return {Slice::of(text)}; }

TEST(ReplicaNodeTest, CommandsReachEveryMember) {
  Nodes nodes(3);
  nodes.found(7, 3);
  nodes.run(3'000);
  int leader = nodes.leader(7);
  ASSERT_NE(leader, 0);
  int answered = 0;
  for (int i = 0; i < 10; ++i) {
    nodes.replica(leader).propose(7, nodes.replica(leader).core(7)->term(), one(std::to_string(i)),
                                  [&](Result<Index> at) { answered += at.has_value(); });
  }
  nodes.run(400);
  EXPECT_EQ(answered, 10);
  for (int i = 1; i <= 3; ++i) EXPECT_EQ(nodes.machine(i, 7).items.size(), 10u) << i;
  EXPECT_TRUE(nodes.machine(leader, 7).leadership.effective);
}

TEST(ReplicaNodeTest, AllGroupsOfATurnShareOneBatch) {
  Nodes nodes(1);
  for (storage::GroupUid uid = 1; uid <= 50; ++uid) nodes.found(uid, 1);
  nodes.run(3'000);
  std::uint64_t before = nodes.at(1).committer->writes();
  for (storage::GroupUid uid = 1; uid <= 50; ++uid) {
    nodes.replica(1).propose(uid, nodes.replica(1).core(uid)->term(), one("x"), [](Result<Index>) {});
  }
  nodes.settle();
  EXPECT_EQ(nodes.at(1).committer->writes(), before + 1);
}

TEST(ReplicaNodeTest, ARestartFindsEverythingAcknowledged) {
  ReplicaOptions options;
  options.group.checkpoint_entries = 4;
  options.group.trailing_entries = 2;
  Nodes nodes(1, options);
  nodes.found(7, 1);
  nodes.run(3'000);
  for (int i = 0; i < 11; ++i) {
    nodes.replica(1).propose(7, nodes.replica(1).core(7)->term(), one(std::to_string(i)), [](Result<Index>) {});
    nodes.settle();
  }
  ASSERT_TRUE(nodes.start(1));
  nodes.run(3'000);
  ASSERT_EQ(nodes.machine(1, 7).items.size(), 11u);
  EXPECT_EQ(nodes.machine(1, 7).items[10], "10");
}

/// Cuts the history of writes at every place: what was answered by then must be there.
TEST(ReplicaNodeTest, EveryCrashPointKeepsWhatWasAnswered) {
  ReplicaOptions options;
  options.group.checkpoint_entries = 3;
  options.group.trailing_entries = 0;
  Nodes nodes(1, options);
  nodes.at(1).committer->record = true;
  nodes.found(7, 1);
  std::vector<std::size_t> answered_at;  // number of writes when the i-th command was answered
  nodes.run(3'000);
  for (int i = 0; i < 20; ++i) {
    nodes.replica(1).propose(7, nodes.replica(1).core(7)->term(), one(std::to_string(i)), [&](Result<Index> at) {
      ASSERT_TRUE(at);
      answered_at.push_back(nodes.at(1).committer->batches.size());
    });
    nodes.settle();
  }
  auto batches = std::move(nodes.at(1).committer->batches);
  ASSERT_EQ(answered_at.size(), 20u);
  for (std::size_t cut = 1; cut <= batches.size(); ++cut) {
    Nodes reopened(1, options);
    for (std::size_t i = 0; i < cut; ++i) {
      ASSERT_TRUE(reopened.at(1).store->write(batches[i], storage::Durability::synced));
    }
    ASSERT_TRUE(reopened.start(1)) << "cut behind write " << cut;
    reopened.run(3'000);
    std::size_t must = 0;
    while (must < answered_at.size() && answered_at[must] <= cut) ++must;
    ASSERT_GE(reopened.machine(1, 7).items.size(), must) << "cut behind write " << cut;
  }
}

/// Fails each write in turn: the node stops, answers nothing with success afterwards, and what it
/// had answered is there after a restart.
TEST(ReplicaNodeTest, AFailedWriteStopsTheNodeWhereverItHappens) {
  for (std::uint64_t step = 1; step <= 12; ++step) {
    Nodes nodes(1);
    nodes.found(7, 1);
    std::uint64_t base = nodes.at(1).committer->writes();
    nodes.at(1).committer->fail_at = base + step;
    nodes.run(2'000);
    std::size_t answered = 0, failed = 0;
    for (int i = 0; i < 15; ++i) {
      const raft::Core* core = nodes.replica(1).core(7);
      nodes.replica(1).propose(7, core->term(), one(std::to_string(i)), [&](Result<Index> at) {
        at ? ++answered : ++failed;
        EXPECT_FALSE(at && nodes.at(1).fatal);
      });
      nodes.settle();
    }
    EXPECT_TRUE(nodes.at(1).fatal) << step;
    EXPECT_EQ(answered + failed, 15u) << "every caller gets an answer";
    ASSERT_TRUE(nodes.start(1));
    nodes.run(3'000);
    EXPECT_GE(nodes.machine(1, 7).items.size(), answered) << step;
  }
}

TEST(ReplicaNodeTest, WhatDoesNotBelongHereIsCountedAndIgnored) {
  Nodes nodes(2);
  nodes.found(7, 2);
  ReplicaNode& node = nodes.replica(1);
  auto frame = [](Frame f) { return std::make_shared<const std::string>(encode_frame(f)); };
  Frame good;
  good.head = {5, NodeId(2), NodeId(1), 50};
  Frame bad = good;
  bad.head.cluster = 6;
  node.on_frame(NodeId(2), frame(bad));
  EXPECT_EQ(node.refused(FrameRefusal::wrong_cluster), 1u);
  bad = good;
  bad.head.to = NodeId(3);
  node.on_frame(NodeId(2), frame(bad));
  EXPECT_EQ(node.refused(FrameRefusal::wrong_destination), 1u);
  node.on_frame(NodeId(3), frame(good));
  EXPECT_EQ(node.refused(FrameRefusal::not_the_sender), 1u);
  node.tick();
  node.on_frame(NodeId(2), frame(good));
  bad = good;
  bad.head.incarnation = 49;
  node.on_frame(NodeId(2), frame(bad));
  EXPECT_EQ(node.refused(FrameRefusal::stale_incarnation), 1u);
  bad = good;
  bad.messages.push_back({99, {NodeId(2), NodeId(1), 1, raft::TimeoutNow{}}});
  bad.messages.push_back({7, {NodeId(9), NodeId(1), 1, raft::TimeoutNow{}}});
  node.on_frame(NodeId(2), frame(bad));
  EXPECT_EQ(node.refused(FrameRefusal::unknown_group), 1u);
  EXPECT_EQ(node.refused(FrameRefusal::not_the_sender), 2u);
  node.on_frame(NodeId(2), std::make_shared<const std::string>("junk"));
  EXPECT_EQ(node.refused(FrameRefusal::malformed), 1u);
}

TEST(ReplicaNodeTest, AnUnreadableRecordStopsTheStart) {
  Nodes nodes(1);
  nodes.found(7, 1);
  nodes.settle();
  storage::WriteBatch batch;
  batch.put(storage::Keyspace::hard_state, group_key(7), "junk");
  ASSERT_TRUE(nodes.at(1).store->write(batch, storage::Durability::synced));
  EXPECT_FALSE(nodes.start(1));
}

TEST(ReplicaNodeTest, AStalledDiscHandsLeadershipOver) {
  Nodes nodes(3);
  nodes.found(7, 3);
  nodes.run(3'000);
  int leader = nodes.leader(7);
  nodes.at(leader).committer->stalled = 600;
  nodes.run(300);
  EXPECT_NE(nodes.leader(7), leader);
  EXPECT_NE(nodes.leader(7), 0);
}

TEST(ReplicaNodeTest, LeadersLostTogetherSpreadOverTheSurvivors) {
  Nodes nodes(3);
  for (storage::GroupUid uid = 1; uid <= 60; ++uid) nodes.found(uid, 3);
  nodes.run(3'000);
  for (storage::GroupUid uid = 1; uid <= 60; ++uid) {
    if (int leader = nodes.leader(uid); leader != 1) (void)nodes.replica(leader).transfer(uid, NodeId(1));
  }
  nodes.run(500);
  // Node 1 falls silent: its frames and its ticks are no more.
  for (int step = 0; step < 100; ++step) {
    nodes.clock.advance(20);
    for (int i = 2; i <= 3; ++i) nodes.replica(i).tick();
    for (int round = 0; round < 100; ++round) {
      for (int i = 2; i <= 3; ++i) {
        auto& node = nodes.at(i);
        while (!node.posted.empty()) {
          auto what = std::move(node.posted.front());
          node.posted.pop_front();
          what();
        }
        if (std::exchange(node.due, false)) node.replica->turn();
      }
      std::deque<Nodes::InFlight> batch;
      batch.swap(nodes.wire);
      for (auto& f : batch) {
        if (f.to != NodeId(1) && f.from != NodeId(1)) nodes.replica(static_cast<int>(f.to.value)).on_frame(f.from, f.frame);
      }
    }
  }
  int second = 0, third = 0;
  for (storage::GroupUid uid = 1; uid <= 60; ++uid) {
    second += nodes.replica(2).core(uid)->effective();
    third += nodes.replica(3).core(uid)->effective();
  }
  EXPECT_EQ(second + third, 60);
  EXPECT_GE(second, 15);
  EXPECT_GE(third, 15);
}

/// Nothing of its own: what is measured is the group.
class EmptyMachine final : public StateMachine {
 public:
  void apply(const Command&) override {}
  void checkpoint(RowSink&) override {}
  std::vector<Index> live() const override { return {}; }
  Result<void> restore(const RowSource&, Index) override { return {}; }
};

TEST(ReplicaNodeTest, IdleGroupsCostLittle) {
  constexpr int kGroups = 1'000;
  Nodes nodes(3);
  for (storage::GroupUid uid = 1; uid <= kGroups; ++uid) {
    for (int i = 1; i <= 3; ++i) {
      ASSERT_TRUE(nodes.replica(i).found(uid, raft::make_config({NodeId(1), NodeId(2), NodeId(3)}),
                                         std::make_unique<EmptyMachine>()));
    }
  }
  nodes.run(3'000);
  std::size_t frames = 0;
  double cpu = static_cast<double>(std::clock());
  for (int i = 0; i < 250; ++i) {
    nodes.clock.advance(20);
    for (auto& node : nodes.nodes) node->replica->tick();
    frames += nodes.wire.size();
    nodes.settle();
  }
  cpu = (static_cast<double>(std::clock()) - cpu) / CLOCKS_PER_SEC;
  std::size_t full = mallinfo2().uordblks;
  for (auto& node : nodes.nodes) node->replica.reset();
  std::size_t used = full - mallinfo2().uordblks;
  std::printf("1000 groups x 3 replicas: %zu bytes per group and replica, "
              "%.2f %% of a core idle (all three), %zu heartbeat frames in 5 s\n",
              used / kGroups / 3, cpu / 5 * 100, frames);
  EXPECT_LE(used / kGroups / 3, 2'048u);
  EXPECT_LE(frames, 3u * 2 * 55) << "heartbeats are per pair of nodes, not per group";
}

}  // namespace
}  // namespace warren::replica::testing
