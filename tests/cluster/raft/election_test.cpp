// Claims about elections. Sections are those of the Raft thesis.
#include "lab.h"

namespace warren::raft::testing {
namespace {

TEST(ElectionTest, AClusterElectsExactlyOneLeader) {  // 3.4
  for (int size : {1, 2, 3, 5, 7}) {
    Lab lab(size);
    lab.run(3'000);
    EXPECT_EQ(lab.leader_count(), 1) << size;
  }
}

TEST(ElectionTest, TheLeaderKeepsItsTermWhileAllIsWell) {  // 3.4
  Lab lab(3);
  lab.elect(1);
  Term term = lab.core(1).term();
  lab.run(20'000);
  EXPECT_EQ(lab.core(1).role(), Role::leader);
  EXPECT_EQ(lab.core(1).term(), term);
}

TEST(ElectionTest, AVoterVotesOncePerTerm) {  // 3.4, election safety
  Lab lab(3);
  lab.core(1).step(message(2, 1, 5, Vote{1, 1, false}));
  lab.core(1).step(message(3, 1, 5, Vote{1, 1, false}));
  lab.collect(lab.at(1));
  ASSERT_EQ(lab.at(1).held.size(), 2u);
  EXPECT_TRUE(std::get<VoteReply>(lab.at(1).held[0].message.payload).granted);
  EXPECT_FALSE(std::get<VoteReply>(lab.at(1).held[1].message.payload).granted);
}

TEST(ElectionTest, AVoteSurvivesACrash) {  // 3.4, 3.8
  Lab lab(3);
  lab.core(1).step(message(2, 1, 5, Vote{1, 1, false}));
  lab.collect(lab.at(1));
  lab.sync_one(lab.at(1));
  lab.crash(1);
  lab.core(1).step(message(3, 1, 5, Vote{1, 1, false}));
  lab.collect(lab.at(1));
  EXPECT_FALSE(std::get<VoteReply>(lab.wire.back().payload).granted);
}

TEST(ElectionTest, NoVoteLeavesBeforeItIsDurable) {  // B.9-5
  Lab lab(3);
  lab.core(1).step(message(2, 1, 5, Vote{1, 1, false}));
  lab.collect(lab.at(1));
  EXPECT_TRUE(lab.wire.empty());
  lab.sync_one(lab.at(1));
  EXPECT_EQ(lab.wire.size(), 1u);
}

TEST(ElectionTest, ACandidateCountsItsOwnVoteOnlyOnceDurable) {  // B.9-5
  Lab lab(1);
  lab.at(1).disc_holds = true;
  lab.run(3'000);
  EXPECT_EQ(lab.leader_count(), 0);
  lab.at(1).disc_holds = false;
  lab.run(1'000);
  EXPECT_EQ(lab.leader_count(), 1);
}

TEST(ElectionTest, ALogThatIsBehindGetsNoVote) {  // 3.6.1
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  lab.core(2).peer_suspected(NodeId(1), 1'000);
  Term term = lab.core(2).term() + 1;
  lab.core(2).step(message(3, 2, term, Vote{1, 1, false}));
  lab.collect(lab.at(2));
  ASSERT_FALSE(lab.at(2).held.empty());
  EXPECT_FALSE(std::get<VoteReply>(lab.at(2).held.back().message.payload).granted);
}

TEST(ElectionTest, PreVoteChangesNothingAtTheReceiver) {  // 9.6, B.9-9
  Lab lab(3);
  Term term = lab.core(1).term();
  lab.core(1).step(message(2, 1, 1, PreVote{9, 5, 5}));
  EXPECT_EQ(lab.core(1).term(), term);
  EXPECT_EQ(lab.core(1).vote(), kNoNode);
  EXPECT_EQ(lab.core(1).role(), Role::follower);
  lab.collect(lab.at(1));
  EXPECT_TRUE(lab.at(1).unwritten.empty());
  EXPECT_TRUE(std::get<PreVoteReply>(lab.wire.back().payload).granted);
}

TEST(ElectionTest, AnIsolatedMemberDoesNotRaiseItsTerm) {  // 9.6
  Lab lab(3);
  lab.elect(1);
  Term term = lab.core(1).term();
  lab.isolate(3);
  lab.run(10'000);
  EXPECT_EQ(lab.core(3).term(), term);
  lab.heal();
  lab.run(1'000);
  EXPECT_EQ(lab.core(1).role(), Role::leader);
  EXPECT_EQ(lab.core(1).term(), term);
}

TEST(ElectionTest, WhoHearsALeaderSupportsNobodyElse) {  // 4.2.3
  Lab lab(3);
  lab.elect(1);
  Term term = lab.core(2).term();
  lab.core(2).step(message(3, 2, term + 7, Vote{100, term + 6, false}));
  EXPECT_EQ(lab.core(2).term(), term) << "a disruptive member moved the term";
  lab.core(2).step(message(3, 2, term, PreVote{term + 1, 100, term}));
  lab.collect(lab.at(2));
  EXPECT_FALSE(std::get<PreVoteReply>(lab.wire.back().payload).granted);
}

TEST(ElectionTest, ALeaderWithoutAMajorityStepsDown) {  // 6.2
  Lab lab(5);
  lab.elect(1);
  lab.cut(1, 2), lab.cut(1, 3), lab.cut(1, 4);
  lab.run(1'000);
  EXPECT_NE(lab.core(1).role(), Role::leader);
}

TEST(ElectionTest, TheLeaseEndsBeforeAnotherCanBeElected) {  // 6.4.1
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.core(1).lease_valid());
  lab.isolate(1);
  while (lab.core(2).role() != Role::leader && lab.core(3).role() != Role::leader) {
    ASSERT_LT(lab.now, 60'000);
    lab.run(10);
  }
  EXPECT_FALSE(lab.core(1).lease_valid());
}

TEST(ElectionTest, LeadershipIsHandedOverWithoutATimeout) {  // 3.10
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.core(1).transfer(NodeId(3)));
  EXPECT_FALSE(lab.propose(1, "refused meanwhile"));
  lab.settle();
  EXPECT_EQ(lab.core(3).role(), Role::leader);
  EXPECT_EQ(lab.core(1).role(), Role::follower);
}

TEST(ElectionTest, AFailedHandOverIsCalledOff) {  // 3.10
  Lab lab(3);
  lab.elect(1);
  lab.isolate(3);
  ASSERT_TRUE(lab.core(1).transfer(NodeId(3)));
  lab.run(600);
  EXPECT_TRUE(lab.propose(1, "accepted again"));
}

TEST(ElectionTest, AMemberThatForgetsNeitherVotesNorLeads) {
  Options options;
  options.may_vote = false;
  Lab lab(3, 0, options);
  lab.run(5'000);
  EXPECT_EQ(lab.leader_count(), 0);
  EXPECT_EQ(lab.core(1).term(), 1u);
}

TEST(ElectionTest, ElectedIsNotYetEffective) {  // 6.4, B.9-2
  Lab lab(3);
  lab.elect(1);
  lab.isolate(1);
  lab.run(900);
  lab.heal();
  lab.at(1).disc_holds = lab.at(2).disc_holds = lab.at(3).disc_holds = false;
  lab.elect(2);
  EXPECT_TRUE(lab.core(2).effective());
  lab.at(1).disc_holds = lab.at(2).disc_holds = lab.at(3).disc_holds = true;
  EXPECT_FALSE(lab.core(1).effective());
}

TEST(ElectionTest, ASuspectedLeaderIsReplacedAfterTheGivenDelay) {
  Lab lab(3);
  lab.elect(1);
  lab.isolate(1);
  lab.core(2).peer_suspected(NodeId(1), 20);
  lab.core(3).peer_suspected(NodeId(1), 60);
  lab.run(50);
  EXPECT_EQ(lab.core(2).role(), Role::leader);
}

TEST(ElectionTest, NodeHeartbeatsStandForTheGroups) {
  Options options;
  options.quiet = true;
  Lab lab(3, 0, options);
  lab.elect(1);
  lab.settle();
  std::size_t messages = 0;
  for (int i = 0; i < 500; ++i) {
    lab.now += 10;
    for (int id : {2, 3}) {
      lab.at(1).liveness.confirmed[NodeId(static_cast<std::uint64_t>(id))] = lab.now;
      lab.at(id).liveness.heard[NodeId(1)] = lab.now;
    }
    for (auto& [id, m] : lab.members) m.core->tick(lab.now), lab.collect(m);
    messages += lab.wire.size();
    lab.settle();
  }
  EXPECT_LE(messages, 4u);
  EXPECT_TRUE(lab.core(1).lease_valid());
}

}  // namespace
}  // namespace warren::raft::testing
