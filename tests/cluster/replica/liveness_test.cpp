// Who is suspected, when, and what a heartbeat proves.
#include "cluster/replica/liveness.h"

#include <gtest/gtest.h>

namespace warren::replica {
namespace {

constexpr raft::NodeId kPeer{2};

struct Pair {
  explicit Pair(Millis start) : now(start) { table.add(kPeer, now); }
  /// Advances in steps of 20 ms; answers when the peer was first suspected, or 0.
  Millis wait(Millis ms) {
    for (Millis end = now + ms; now < end;) {
      now += 20;
      if (!table.evaluate(now).empty()) return now;
    }
    return 0;
  }
  PeerTable table{LivenessOptions{}};
  Millis now;
};

TEST(LivenessTest, SilenceIsNoticedWithinTheFloorPlusATick) {
  Pair pair(1'000);
  for (int i = 0; i < 50; ++i) {
    pair.now += 100;
    pair.table.on_frame(kPeer, 1, pair.now);
    (void)pair.table.on_heartbeat(kPeer, {pair.now, 0}, pair.now);
    ASSERT_TRUE(pair.table.evaluate(pair.now).empty());
  }
  Millis silent_since = pair.now;
  Millis at = pair.wait(2'000);
  EXPECT_GE(at - silent_since, 400);
  EXPECT_LE(at - silent_since, 440);
}

TEST(LivenessTest, JitterRaisesTheThresholdUpToTheCeiling) {
  SilenceDetector detector(0);
  Millis now = 0;
  for (int i = 0; i < 200; ++i) detector.heartbeat(now += i % 2 ? 20 : 600);
  EXPECT_GT(detector.threshold({}), 1'000);
  EXPECT_LE(detector.threshold({}), 3'000);
}

TEST(LivenessTest, OurOwnPauseBlamesNobody) {
  Pair pair(1'000);
  EXPECT_EQ(pair.wait(300), 0);
  pair.now += 30'000;  // SIGSTOP
  EXPECT_TRUE(pair.table.evaluate(pair.now).empty());
  EXPECT_GT(pair.wait(2'000), 0) << "real silence afterwards still counts";
}

TEST(LivenessTest, ABrokenStreamIsSuspectedAtOnceAndOnce) {
  Pair pair(1'000);
  EXPECT_TRUE(pair.table.on_down(kPeer));
  EXPECT_FALSE(pair.table.on_down(kPeer));
  EXPECT_TRUE(pair.table.suspected(kPeer));
  pair.table.on_frame(kPeer, 1, pair.now);
  EXPECT_FALSE(pair.table.suspected(kPeer));
}

TEST(LivenessTest, UnequalDigestsVouchForNothing) {
  Pair pair(1'000);
  pair.table.set_digests({{kPeer, 5}}, {{kPeer, 6}});
  (void)pair.table.on_heartbeat(kPeer, {10, 7}, 1'100);
  EXPECT_EQ(pair.table.heard_ms(kPeer), 0);
  (void)pair.table.on_heartbeat(kPeer, {10, 6}, 1'100);
  EXPECT_EQ(pair.table.heard_ms(kPeer), 1'100);
  pair.table.on_reply(kPeer, {1'050, 4}, 1'100);
  EXPECT_EQ(pair.table.confirmed_ms(kPeer), 0);
  pair.table.on_reply(kPeer, {1'050, 5}, 1'100);
  EXPECT_EQ(pair.table.confirmed_ms(kPeer), 1'050);
  pair.table.on_reply(kPeer, {9'999, 5}, 1'100);
  EXPECT_EQ(pair.table.confirmed_ms(kPeer), 1'050) << "an answer to a heartbeat not yet sent";
}

TEST(LivenessTest, AnOlderIncarnationIsRefused) {
  Pair pair(1'000);
  EXPECT_EQ(pair.table.on_frame(kPeer, 4, 1'010), PeerTable::Life::restarted);
  EXPECT_EQ(pair.table.on_frame(kPeer, 4, 1'015), PeerTable::Life::same);
  EXPECT_EQ(pair.table.on_frame(kPeer, 3, 1'020), PeerTable::Life::stale);
  EXPECT_EQ(pair.table.on_frame(kPeer, 5, 1'030), PeerTable::Life::restarted);
}

TEST(LivenessTest, SilenceIsSinceAnythingCame) {
  PeerTable table{LivenessOptions{}};
  table.add(raft::NodeId(2), 1'000);
  EXPECT_EQ(table.silence_ms(raft::NodeId(2), 1'250), 250);
  (void)table.on_frame(raft::NodeId(2), 1, 2'000);
  EXPECT_EQ(table.silence_ms(raft::NodeId(2), 2'700), 700);
  EXPECT_EQ(table.silence_ms(raft::NodeId(3), 2'700), 0);
}

}  // namespace
}  // namespace warren::replica
