// Claims about replication, commit, reads and damage from peers. Sections of the Raft thesis.
#include "lab.h"

namespace warren::raft::testing {
namespace {

TEST(ReplicationTest, ACommittedEntryReachesEveryMember) {  // 3.5
  Lab lab(3);
  lab.elect(1);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(lab.propose(1, std::to_string(i)));
  lab.run(300);
  for (auto& [id, m] : lab.members) {
    ASSERT_EQ(m.applied.size(), 20u) << id;
    EXPECT_EQ(m.applied[19], "19");
  }
}

TEST(ReplicationTest, NothingCommitsWithoutAMajorityOnDisc) {  // 3.5, B.9-4
  Lab lab(3);
  lab.elect(1);
  Index before = lab.core(1).commit_index();
  lab.at(2).disc_holds = lab.at(3).disc_holds = true;
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before);
  lab.at(2).disc_holds = false;
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before + 1);
}

TEST(ReplicationTest, ALateMemberHearsOfTheCommitWithoutAHeartbeat) {
  Options options;
  options.prompt_commit = true;
  Lab lab(3, 1, options);
  lab.elect(1);
  lab.settle();
  Index before = lab.core(1).commit_index();
  lab.at(3).disc_holds = true;
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  for (const int id : {1, 2, 4}) EXPECT_EQ(lab.core(id).commit_index(), before + 1) << id;
  EXPECT_EQ(lab.core(3).commit_index(), before) << "it was not there when the commit was told";
  lab.at(3).disc_holds = false;
  lab.settle();
  EXPECT_EQ(lab.core(3).commit_index(), before + 1);
}

TEST(ReplicationTest, TheLeadersOwnDiscCountsLikeAnyOther) {  // 10.2.1
  Lab lab(3);
  lab.elect(1);
  Index before = lab.core(1).commit_index();
  lab.at(1).disc_holds = true;
  lab.cut(1, 3);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), before) << "only one disc holds it";
  lab.heal();
  lab.run(300);
  EXPECT_EQ(lab.core(1).commit_index(), before + 1) << "two followers are a majority";
  EXPECT_LT(lab.at(1).applied_index, before + 1) << "not applied before it is on the own disc";
}

TEST(ReplicationTest, EntriesOfFormerTermsNeverCommitByCounting) {  // 3.6.2, figure 3.7, B.9-1
  Lab lab(5);
  lab.elect(1);
  lab.cut(1, 3), lab.cut(1, 4), lab.cut(1, 5);
  ASSERT_TRUE(lab.propose(1, "X"));
  lab.settle();
  Index x = lab.core(1).log().last_index();
  ASSERT_EQ(lab.core(2).log().last_index(), x);
  // 1 is re-elected in a later term; 3 gets X, but not the entry of the new term.
  lab.heal();
  lab.core(1).step_down(0);
  lab.isolate(1);
  lab.elect(5);
  ASSERT_NE(lab.core(1).role(), Role::leader);
  EXPECT_LT(lab.core(5).log().last_term(), lab.core(5).term() + 1);
  lab.heal();
  lab.run(500);
  // 5 never saw X, so X is gone everywhere, and was applied nowhere.
  for (auto& [id, m] : lab.members) {
    for (const std::string& text : m.applied) EXPECT_NE(text, "X");
  }
}

TEST(ReplicationTest, AFollowerCommitsOnlyWhatItMatched) {  // B.9-3
  Lab lab(3);
  lab.core(2).step(message(1, 2, 3, append(1, 1, 1, {data(2, 2, "a"), data(3, 2, "b")})));
  lab.settle();
  lab.core(2).step(message(1, 2, 3, append(1, 1, 3, {})));
  EXPECT_EQ(lab.core(2).commit_index(), 1u) << "entries behind prev may be obsolete";
  lab.core(2).step(message(1, 2, 3, append(2, 2, 3, {})));
  EXPECT_EQ(lab.core(2).commit_index(), 2u);
}

TEST(ReplicationTest, AConflictReplacesTheTail) {  // 3.5, log matching
  Lab lab(3);
  lab.core(2).step(message(1, 2, 2, append(1, 1, 1, {data(2, 2, "old"), data(3, 2, "old")})));
  lab.settle();
  lab.core(2).step(message(3, 2, 3, append(1, 1, 1, {data(2, 3, "new")})));
  lab.settle();
  EXPECT_EQ(lab.core(2).log().last_index(), 2u);
  EXPECT_EQ(lab.at(2).durable.at(2).body.bytes, "new");
  EXPECT_FALSE(lab.at(2).durable.contains(3));
}

TEST(ReplicationTest, AnOldShorterAppendDoesNotTruncate) {  // 3.5, idempotence
  Lab lab(3);
  lab.core(2).step(message(1, 2, 2, append(1, 1, 1, {data(2, 2, "a"), data(3, 2, "b")})));
  lab.core(2).step(message(1, 2, 2, append(1, 1, 1, {data(2, 2, "a")})));
  EXPECT_EQ(lab.core(2).log().last_index(), 3u);
}

TEST(ReplicationTest, AWriteOfAnOldTermConfirmsNothingNew) {  // B.9-7
  Lab lab(3);
  Member& m = lab.at(2);
  lab.core(2).step(message(1, 2, 2, append(1, 1, 1, {data(2, 2, "old"), data(3, 2, "old")})));
  lab.collect(m);
  lab.core(2).step(message(3, 2, 3, append(1, 1, 1, {data(2, 3, "new"), data(3, 3, "new")})));
  lab.collect(m);
  ASSERT_EQ(m.unwritten.size(), 2u);
  lab.sync_one(m);
  EXPECT_EQ(lab.core(2).durable_index(), 1u);
  for (const Message& sent : lab.wire) EXPECT_EQ(sent.term, 2u);
  lab.sync_one(m);
  EXPECT_EQ(lab.core(2).durable_index(), 3u);
}

TEST(ReplicationTest, AFailedWriteSilencesTheMember) {  // B.9-8
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.core(1).write_failed();
  lab.wire.clear();
  lab.core(1).tick(lab.now + 10'000);
  lab.core(1).step(message(2, 1, 90, Vote{100, 89, false}));
  Output out = lab.core(1).take();
  EXPECT_TRUE(out.now.empty() && out.held.empty() && out.writes.empty());
  EXPECT_EQ(lab.core(1).role(), Role::stopped);
  EXPECT_FALSE(lab.propose(1, "y"));
}

TEST(ReplicationTest, ALaggardIsFoundInFewSteps) {  // 5.3 of the paper, accelerated backtracking
  Lab lab(3);
  lab.elect(1);
  lab.isolate(3);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(lab.propose(1, "e"));
  lab.run(200);
  lab.heal();
  lab.run(400);
  EXPECT_EQ(lab.core(3).log().last_index(), lab.core(1).log().last_index());
}

TEST(ReplicationTest, PipelinesWithoutWaitingAndWithinBounds) {  // 10.2.1
  Options options;
  options.inflight.count = 8;
  options.max_append_bytes = 200;
  Lab lab(3, 0, options);
  lab.elect(1);
  lab.isolate(3);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(lab.propose(1, std::string(100, 'x')));
  EXPECT_EQ(lab.core(1).progress(NodeId(2))->inflight_count(), 8u);
  lab.settle();
  EXPECT_EQ(lab.core(1).commit_index(), lab.core(1).log().last_index())
      << "a member that is away holds nobody up";
  EXPECT_LE(lab.core(1).progress(NodeId(3))->inflight_count(), 8u);
}

TEST(ReplicationTest, LostMessagesAreMadeGood) {
  Lab lab(3);
  lab.elect(1);
  lab.isolate(2), lab.isolate(3);
  ASSERT_TRUE(lab.propose(1, "lost on the way"));
  lab.settle();
  lab.heal();
  lab.run(400);
  EXPECT_EQ(lab.at(3).applied.size(), 1u);
}

TEST(ReplicationTest, UncommittedBytesAreCapped) {
  Options options;
  options.max_uncommitted_bytes = 1'000;
  Lab lab(3, 0, options);
  lab.elect(1);
  lab.isolate(1);
  int taken = 0;
  while (lab.propose(1, std::string(100, 'x'))) ASSERT_LT(++taken, 100);
  EXPECT_EQ(lab.propose(1, "x").error().code, Errc::exhausted);
  lab.heal();
  lab.run(400);
  EXPECT_TRUE(lab.propose(1, "x"));
}

TEST(ReplicationTest, AProposalOfAnOldLeadershipIsRefused) {  // B.9-12
  Lab lab(3);
  lab.elect(1);
  Term old_term = lab.core(1).term();
  lab.elect(2);
  lab.elect(1);
  EXPECT_EQ(lab.core(1).propose(old_term, {Slice::of("x")}).error().code, Errc::conflict);
}

TEST(ReplicationTest, AReadIsConfirmedByAMajorityFirst) {  // 6.4
  Lab lab(3);
  lab.elect(1);
  lab.isolate(1);
  lab.core(1).read(7);
  lab.settle();
  EXPECT_TRUE(lab.at(1).reads.empty());
  lab.heal();
  lab.run(200);
  ASSERT_EQ(lab.at(1).reads.size(), 1u);
  EXPECT_TRUE(lab.at(1).reads[0].ok);
  EXPECT_EQ(lab.at(1).reads[0].index, lab.core(1).commit_index());
}

TEST(ReplicationTest, AFollowerReadsThroughTheLeader) {  // 6.4
  Lab lab(3);
  lab.elect(1);
  ASSERT_TRUE(lab.propose(1, "x"));
  lab.settle();
  lab.core(2).read(9);
  lab.settle();
  ASSERT_EQ(lab.at(2).reads.size(), 1u);
  EXPECT_TRUE(lab.at(2).reads[0].ok);
  EXPECT_EQ(lab.at(2).reads[0].index, lab.core(1).commit_index());
}

TEST(ReplicationTest, ReadsOfADeposedLeaderFail) {  // B.9-16
  Lab lab(3);
  lab.elect(1);
  lab.isolate(1);
  lab.core(1).read(7);
  lab.run(2'000);
  ASSERT_EQ(lab.at(1).reads.size(), 1u);
  EXPECT_FALSE(lab.at(1).reads[0].ok);
}

TEST(ReplicationTest, NonsenseFromAPeerIsCountedAndChangesNothing) {
  Lab lab(3);
  lab.elect(1);
  Core& core = lab.core(1);
  Index last = core.log().last_index();
  core.step(message(2, 1, core.term(), AppendReply{true, last + 1000, 0, 0, 0, 0, {}}));
  EXPECT_EQ(core.refused(Refusal::impossible_index), 1u);
  core.step(message(9, 1, core.term(), AppendReply{true, last, 0, 0, 0, 0, {}}));
  EXPECT_EQ(core.refused(Refusal::not_member), 1u);
  core.step(message(2, 1, core.term(), append(1, 1, 1, {})));
  EXPECT_EQ(core.refused(Refusal::second_leader), 1u);
  Core& other = lab.core(2);
  Term term = other.term();
  other.step(message(1, 2, term, Append{1, 1, 9, 1, {}, {}}));
  EXPECT_EQ(other.refused(Refusal::not_contiguous), 1u);
  other.step(message(1, 2, term, append(last, term, 1, {data(last + 1, term + 5, "x")})));
  EXPECT_EQ(other.refused(Refusal::wrong_term), 1u);
  Entry config{last + 1, term, EntryKind::config, Slice::of("junk")};
  other.step(message(1, 2, term, append(last, term, 1, {config})));
  EXPECT_EQ(other.refused(Refusal::bad_config), 1u);
  other.step(message(1, 2, term, append(1, 1, 1, {data(2, 1, "not the committed one")})));
  EXPECT_EQ(core.log().last_index(), last);
  EXPECT_EQ(other.log().last_index(), last);
}

TEST(ReplicationTest, DamagedStateIsRefusedNotForgotten) {  // B.9-18
  FlatSizes sizes;
  HandLiveness liveness;
  LogBase base{1, 1, make_config({NodeId(1)}), 1};
  auto restore = [&](HardState hard, std::vector<Term> terms) {
    Options options;
    options.self = NodeId(1);
    return Core::restore(options, sizes, liveness, {hard, base, terms, {}}, 0);
  };
  EXPECT_TRUE(restore({3, NodeId(1), 2}, {2, 3}));
  EXPECT_FALSE(restore({3, NodeId(1), 9}, {2, 3})) << "log shorter than the commit hint";
  EXPECT_FALSE(restore({2, NodeId(1), 1}, {2, 3})) << "log newer than the hard state";
  EXPECT_FALSE(restore({3, NodeId(1), 1}, {3, 2})) << "terms run backwards";
}

}  // namespace
}  // namespace warren::raft::testing
