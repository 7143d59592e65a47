// Claims about membership and snapshots. Sections of the Raft thesis.
#include "lab.h"

namespace warren::raft::testing {
namespace {

NodeId node(std::uint64_t id) { return NodeId(id); }

/// Carries a snapshot as a shell would: one chunk, stored at once.
void stream(Lab& lab, int from, int to) {
  Member& leader = lab.at(from);
  LogBase base = lab.core(from).describe(lab.core(from).applied_index());
  lab.deliver(message(from, to, lab.core(from).term(),
                      SnapshotChunk{1, 0, true, base, Slice::of("state")}));
  lab.collect(lab.at(to));
  ASSERT_EQ(lab.at(to).chunks.size(), 1u);
  lab.at(to).chunks.clear();
  lab.core(to).chunk_stored(leader.id, 1, 0);
  lab.settle();
}

TEST(MembershipTest, ALearnerReceivesEverythingAndDecidesNothing) {  // 4.2.1
  Lab lab(3, 1);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.run(200);
  EXPECT_EQ(lab.at(4).applied.size(), 1u);
  lab.isolate(2), lab.isolate(3);
  Index before = lab.core(1).commit_index();
  ASSERT_TRUE(lab.propose(1, "y"));
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before);
  lab.run(5'000);
  EXPECT_EQ(lab.core(4).role(), Role::follower);
}

TEST(MembershipTest, AMemberJoinsThroughASnapshotAndThenVotes) {  // 4.2.1, 5
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  lab.add(node(4));
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(),
                                        make_config({node(1), node(2), node(3)}, {node(4)})));
  lab.run(300);
  ASSERT_FALSE(lab.at(1).snapshots.empty());
  stream(lab, 1, 4);
  lab.run(300);
  EXPECT_EQ(lab.core(4).log().last_index(), lab.core(1).log().last_index());
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(),
                                        make_config({node(1), node(2), node(3), node(4)})));
  lab.run(300);
  lab.elect(4);
  EXPECT_EQ(lab.core(4).config().voters.size(), 4u);
}

TEST(MembershipTest, OnlyOneChangeAtATime) {  // 4.1
  Lab lab(3, 1);
  lab.elect(1);
  lab.isolate(1);
  Term term = lab.core(1).term();
  ASSERT_TRUE(lab.core(1).change_config(term, make_config({node(1), node(2)}, {node(4)})));
  EXPECT_EQ(lab.core(1).change_config(term, make_config({node(1), node(2), node(3)})).error().code,
            Errc::conflict);
}

TEST(MembershipTest, NoChangeBeforeTheOwnTermCommitted) {  // 4.1, the 2015 erratum
  Lab lab(3);
  lab.at(2).disc_holds = lab.at(3).disc_holds = false;
  lab.elect(1);
  lab.elect(2);
  lab.elect(1);
  lab.core(1).step_down(0);
  lab.elect(2);
  lab.cut(2, 1), lab.cut(2, 3);
  Term term = lab.core(2).term();
  EXPECT_TRUE(lab.core(2).effective());
  EXPECT_TRUE(lab.core(2).change_config(term, make_config({node(2), node(3)})));
}

TEST(MembershipTest, ACutTailTakesItsMembershipWithIt) {  // 4.1, B.9-10
  Lab lab(3);
  lab.elect(1);
  lab.isolate(1);
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(1), node(2)})));
  EXPECT_EQ(lab.core(1).config().voters.size(), 2u) << "in force as soon as it is in the log";
  lab.run(1'000);
  lab.elect(3);
  lab.heal();
  lab.run(1'000);
  EXPECT_EQ(lab.core(1).config().voters.size(), 3u);
}

TEST(MembershipTest, TwoServersChangeAtOnceThroughAJointMembership) {  // 4.3
  Lab lab(3);
  lab.elect(1);
  lab.add(node(4), LogBase{1, 1, {}, 1});
  lab.add(node(5), LogBase{1, 1, {}, 1});
  Config target = make_config({node(1), node(4), node(5)});
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), target));
  EXPECT_TRUE(lab.core(1).config().joint());
  lab.run(500);
  EXPECT_EQ(lab.core(1).config(), target);
  EXPECT_FALSE(lab.core(1).config_pending());
  lab.isolate(2), lab.isolate(3);
  ASSERT_TRUE(lab.propose(1, "with the new majority"));
  lab.run(300);
  EXPECT_EQ(lab.at(4).applied.size(), 1u);
}

TEST(MembershipTest, AJointMembershipNeedsBothMajorities) {  // 4.3
  Lab lab(3);
  lab.elect(1);
  lab.add(node(4), LogBase{1, 1, {}, 1});
  lab.add(node(5), LogBase{1, 1, {}, 1});
  lab.isolate(2), lab.isolate(3);
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(1), node(4), node(5)})));
  Index before = lab.core(1).commit_index();
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before) << "the old majority is not there";
}

TEST(MembershipTest, ARemovedLeaderCommitsItsRemovalAndGoes) {  // 4.2.2
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(2), node(3)})));
  lab.run(1'500);
  EXPECT_EQ(lab.core(1).role(), Role::follower);
  EXPECT_EQ(lab.leader_count(), 1);
  EXPECT_EQ(lab.core(2).config().voters.size(), 2u);
}

TEST(MembershipTest, ARemovedMembersAnswersDoNotCount) {  // B.9-11
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(1), node(2)})));
  lab.run(300);
  lab.isolate(2);
  Index before = lab.core(1).commit_index();
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.core(1).step(message(3, 1, lab.core(1).term(), AppendReply{true, before + 1, 0, 0, 0, 0, {}}));
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before);
  EXPECT_EQ(lab.core(1).refused(Refusal::not_member), 1u);
}

TEST(SnapshotTest, AMemberBehindTheLogsStartGetsASnapshot) {  // 5
  Lab lab(3);
  lab.elect(1);
  lab.isolate(3);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(lab.propose(1, "x"));
  lab.run(100);
  lab.core(1).compact(lab.core(1).applied_index());
  lab.at(1).snapshots.clear();
  lab.heal();
  lab.run(700);
  ASSERT_EQ(lab.at(1).snapshots.size(), 1u);
  stream(lab, 1, 3);
  ASSERT_TRUE(lab.propose(1, "behind the snapshot"));
  lab.run(300);
  EXPECT_EQ(lab.at(3).applied, std::vector<std::string>{"behind the snapshot"});
  lab.crash(3);
  EXPECT_EQ(lab.core(3).log().base_index(), lab.at(3).durable_base.index);
}

TEST(SnapshotTest, ALearnerThatForgotEverythingIsServedAgain) {
  Lab lab(3, 1);
  lab.elect(1);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(lab.propose(1, "x"));
  lab.run(200);
  Index last = lab.core(1).log().last_index();
  ASSERT_EQ(lab.core(1).progress(node(4))->match(), last);
  lab.forget(4);
  lab.run(1'000);
  EXPECT_TRUE(lab.at(1).snapshots.empty()) << "without the news its answers look stale";
  lab.core(1).peer_restarted(node(4));
  lab.run(500);
  ASSERT_FALSE(lab.at(1).snapshots.empty());
  stream(lab, 1, 4);
  ASSERT_TRUE(lab.propose(1, "y"));
  lab.run(300);
  EXPECT_EQ(lab.core(4).log().last_index(), last + 1);
  EXPECT_EQ(lab.core(1).progress(node(4))->match(), last + 1);
}

TEST(SnapshotTest, WhatAVoterAcknowledgedOutlivesItsRestart) {
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.run(200);
  Index match = lab.core(1).progress(node(2))->match();
  lab.crash(2);
  lab.core(1).peer_restarted(node(2));
  EXPECT_EQ(lab.core(1).progress(node(2))->match(), match);
  ASSERT_TRUE(lab.propose(1, "y"));
  lab.run(300);
  EXPECT_EQ(lab.at(2).applied.back(), "y");
}

TEST(SnapshotTest, SeveralChunksAreOnTheWayAtOnce) {
  Lab lab(3);
  LogBase base{50, 4, make_config({node(1), node(2), node(3)}), 1};
  auto chunk = [&](std::uint64_t number, bool last) {
    lab.core(2).step(message(1, 2, 5, SnapshotChunk{1, number, last, base, Slice::of("part")}));
  };
  for (std::uint64_t i = 0; i < 4; ++i) chunk(i, i == 3);
  lab.collect(lab.at(2));
  EXPECT_EQ(lab.at(2).chunks.size(), 4u);
  chunk(4, false);
  chunk(2, false);
  lab.collect(lab.at(2));
  EXPECT_EQ(lab.at(2).chunks.size(), 4u) << "behind the last, or again";
  lab.core(2).chunk_stored(node(1), 1, 1);
  for (std::uint64_t i = 0; i < 3; ++i) lab.core(2).chunk_stored(node(1), 1, i);
  EXPECT_EQ(lab.core(2).log().base_index(), 1u);
  lab.core(2).chunk_stored(node(1), 1, 3);
  EXPECT_EQ(lab.core(2).log().base_index(), 50u);
}

TEST(SnapshotTest, AnInterruptedSnapshotGoesOnWhereItsDiscStands) {
  Lab lab(3);
  LogBase base{50, 4, make_config({node(1), node(2), node(3)}), 1};
  Member& m = lab.at(2);
  m.durable_hard.term = 5;
  m.staged = StagedSnapshot{node(1), 5, 1, 3, base};
  lab.crash(2);
  auto chunk = [&](std::uint64_t number, bool last) {
    lab.core(2).step(message(1, 2, 5, SnapshotChunk{1, number, last, base, Slice::of("part")}));
    lab.collect(m);
  };
  chunk(1, false);
  ASSERT_TRUE(m.chunks.empty());
  ASSERT_FALSE(lab.wire.empty());
  EXPECT_EQ(std::get<SnapshotReply>(lab.wire.back().payload).next, 3u);
  chunk(3, true);
  ASSERT_EQ(m.chunks.size(), 1u);
  lab.core(2).chunk_stored(node(1), 1, 3);
  EXPECT_EQ(lab.core(2).log().base_index(), 50u);
  m.staged->next = 4;
  lab.crash(2);
  chunk(3, true);
  EXPECT_TRUE(m.chunks.empty() || m.chunks.size() == 1u) << "nothing is stored again";
  EXPECT_EQ(lab.core(2).log().base_index(), 50u) << "all of it was on disc before the crash";
  m.staged->term = 4;
  lab.crash(2);
  chunk(3, true);
  EXPECT_EQ(std::get<SnapshotReply>(lab.wire.back().payload).next, 0u) << "of a leader that is gone";
}

TEST(MembershipTest, TheLeaderOfTwoMayLeave) {  // 4.2.2 with the smallest majority
  Lab lab(2);
  lab.elect(1);
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(2)})));
  lab.run(1'500);
  EXPECT_EQ(lab.core(2).role(), Role::leader);
  EXPECT_TRUE(lab.core(2).effective());
  EXPECT_EQ(lab.core(1).role(), Role::follower);
  lab.isolate(1);
  ASSERT_TRUE(lab.propose(2, "alone"));
  lab.run(100);
  EXPECT_EQ(lab.at(2).applied.back(), "alone");
}

TEST(MembershipTest, WhoIsLeftOutStillStandsUntilThatIsCommitted) {  // 4.2.2
  Lab lab(2);
  lab.elect(1);
  for (std::uint64_t id : {3, 4}) lab.add(node(id), LogBase{1, 1, {}, 1});
  // The joint membership commits; the one behind it, without 1, reaches only the disc of 1.
  ASSERT_TRUE(lab.core(1).change_config(lab.core(1).term(), make_config({node(2), node(3), node(4)})));
  for (int i = 0; i < 1'000 && lab.core(1).config().joint(); ++i) {
    lab.collect(lab.at(1));
    while (!lab.at(1).unwritten.empty()) lab.sync_one(lab.at(1)), lab.collect(lab.at(1));
    if (!lab.core(1).config().joint()) break;
    if (lab.wire.empty()) {  // new members are probed with the next heartbeat
      lab.now += 10;
      lab.core(1).tick(lab.now);
      continue;
    }
    Message next = std::move(lab.wire.front());
    lab.wire.pop_front();
    Member& to = lab.at(static_cast<int>(next.to.value));
    lab.deliver(std::move(next));
    lab.collect(to);
    while (!to.unwritten.empty()) lab.sync_one(to), lab.collect(to);
  }
  ASSERT_FALSE(lab.core(1).config().joint());
  lab.wire.clear();
  while (!lab.at(1).unwritten.empty()) lab.sync_one(lab.at(1));
  for (int id = 1; id <= 4; ++id) lab.crash(id);
  lab.wire.clear();
  ASSERT_TRUE(lab.core(2).config().joint());
  ASSERT_FALSE(lab.core(1).config().is_voter(node(1)));
  lab.run(4'000);
  EXPECT_EQ(lab.leader_count(), 1) << "2 needs the vote of 1, whose log is ahead";
  EXPECT_EQ(lab.core(2).config(), make_config({node(2), node(3), node(4)}));
  EXPECT_NE(lab.core(1).role(), Role::leader);
}

TEST(MembershipTest, TwoVotersNeedEachOther) {
  Lab lab(2);
  lab.elect(1);
  lab.isolate(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  EXPECT_TRUE(lab.core(1).lease_valid());
  lab.run(310);
  EXPECT_FALSE(lab.core(1).lease_valid());
  lab.run(5'000);
  EXPECT_EQ(lab.leader_count(), 0) << "half is no majority";
  Term before = std::max(lab.core(1).term(), lab.core(2).term());
  lab.heal();
  lab.run(1'700);
  EXPECT_EQ(lab.leader_count(), 1);
  EXPECT_LE(std::max(lab.core(1).term(), lab.core(2).term()), before + 2) << "pre-votes cost no terms";
  EXPECT_EQ(lab.at(2).applied, std::vector<std::string>{"x"}) << "only the holder of x can win";
}

TEST(SnapshotTest, ASnapshotNeverDiscardsEntriesThatAgreeWithIt) {  // 5.2, restart with old commit
  Lab lab(3);
  lab.core(2).step(message(1, 2, 2, append(1, 1, 1, {data(2, 2, "a"), data(3, 2, "b")})));
  lab.settle();
  LogBase base{2, 2, make_config({node(1), node(2), node(3)}), 1};
  lab.core(2).step(message(1, 2, 2, SnapshotChunk{1, 0, true, base, {}}));
  EXPECT_EQ(lab.core(2).log().last_index(), 3u) << "entry 3 was acknowledged";
  EXPECT_EQ(lab.core(2).commit_index(), 2u);
}

TEST(SnapshotTest, TheOldLogCountsUntilTheSwitchIsDurable) {  // B.9-6
  Lab lab(3);
  LogBase base{50, 4, make_config({node(1), node(2), node(3)}), 1};
  lab.core(2).step(message(1, 2, 5, SnapshotChunk{1, 0, false, base, Slice::of("part")}));
  lab.settle();
  EXPECT_EQ(lab.core(2).log().last_index(), 1u);
  lab.core(2).peer_suspected(NodeId(1), 10);
  lab.run(20);
  bool asked = false;
  for (auto& [id, m] : lab.members) asked |= m.core->leader() == node(2);
  EXPECT_TRUE(asked) << "its right to stand with its old log remains";
  EXPECT_EQ(lab.core(2).log().base_index(), 1u);
}

TEST(SnapshotTest, ChunksOfAnOlderTransferAreIgnored) {
  Lab lab(3);
  LogBase base{50, 4, make_config({node(1), node(2), node(3)}), 1};
  lab.core(2).step(message(1, 2, 5, SnapshotChunk{1, 0, false, base, {}}));
  lab.core(2).chunk_stored(node(1), 1, 0);
  lab.core(2).step(message(1, 2, 5, SnapshotChunk{2, 0, false, base, {}}));
  lab.core(2).chunk_stored(node(1), 1, 0);
  lab.core(2).step(message(1, 2, 5, SnapshotChunk{1, 1, true, base, {}}));
  lab.core(2).chunk_stored(node(1), 1, 1);
  EXPECT_EQ(lab.core(2).log().base_index(), 1u);
}

}  // namespace
}  // namespace warren::raft::testing
