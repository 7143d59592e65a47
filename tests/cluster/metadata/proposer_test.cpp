#include "tests/cluster/metadata/group_model.h"

#include <gmock/gmock.h>

#include <cstdlib>

namespace warren::metadata::test {
namespace {

struct Answer {
  int calls{0};
  std::vector<Result<void>> results;
};

/// Remembers what became of a part.
ProposeDone into(Answer& answer) {
  return [&answer](std::vector<Result<void>> results) {
    ++answer.calls;
    answer.results = std::move(results);
  };
}

Command declare(std::string name) { return DeclareQueue{queue(std::move(name))}; }

TEST(Batch, bytes_and_back) {
  BatchHead head{7, 3, 9, 0, 0, 1};
  auto part = encode_part(5, {declare("q"), put_user("u")});
  EXPECT_EQ(part.declares, 1u);
  std::string bytes = encode_head(head) + part.bytes + encode_part(6, {}).bytes;
  stamp_batch(bytes, 100, 12345);
  auto batch = decode_batch(bytes);
  ASSERT_TRUE(batch) << batch.error().text;
  head.uid_base = 100;
  head.stamp_ms = 12345;
  EXPECT_EQ(batch->head, head);
  ASSERT_EQ(batch->parts.size(), 2u);
  EXPECT_EQ(batch->parts[0].number, 5u);
  EXPECT_EQ(batch->parts[0].commands.size(), 2u);
  for (std::size_t n = 0; n < bytes.size() - encode_part(6, {}).bytes.size(); ++n) {
    if (n == encode_head(head).size()) continue;
    EXPECT_FALSE(decode_batch(bytes.substr(0, n))) << n;
  }
  bytes[0] = 2;
  EXPECT_EQ(decode_batch(bytes).error().code, Errc::unsupported);
}

TEST(Proposer, alone_answers_when_committed) {
  Group group(1);
  Answer answer;
  auto& node = group.at(1);
  node.proposer.submit({declare("q")}, into(answer));
  node.proposer.flush();
  EXPECT_TRUE(group.log.empty()) << "nobody leads";
  group.elect(1, 0);
  node.proposer.flush();
  EXPECT_EQ(group.log.size(), 1u);
  EXPECT_EQ(answer.calls, 0);
  group.commit(1);
  ASSERT_EQ(answer.calls, 1);
  EXPECT_TRUE(answer.results.front());
  EXPECT_NE(node.catalogue().find_queue("/", "q"), nullptr);
  EXPECT_TRUE(node.proposer.idle());
}

TEST(Proposer, a_turn_is_one_entry_and_parts_fail_alone) {
  Group group(1);
  group.elect(1, 0);
  auto& node = group.at(1);
  Answer good, bad, behind;
  node.proposer.submit({declare("a"), declare("b")}, into(good));
  node.proposer.submit({DeleteUser{"nobody"}, declare("never")}, into(bad));
  node.proposer.submit({declare("c")}, into(behind));
  node.proposer.flush();
  ASSERT_EQ(group.log.size(), 1u);
  group.commit(1);
  EXPECT_TRUE(good.results[0] && good.results[1]);
  EXPECT_EQ(bad.results.at(0).error().code, Errc::not_found);
  EXPECT_EQ(bad.results.at(1).error().code, Errc::not_found) << "commands behind a failure are not tried";
  EXPECT_EQ(node.catalogue().find_queue("/", "never"), nullptr);
  EXPECT_TRUE(behind.results.at(0));
}

TEST(Proposer, a_follower_forwards) {
  Group group(3);
  group.elect(1, 0);
  Answer answer;
  group.at(2).proposer.submit({declare("q")}, into(answer));
  group.at(2).proposer.flush();
  EXPECT_TRUE(group.deliver(2, 1));
  ASSERT_EQ(group.log.size(), 1u);
  group.commit(1);
  EXPECT_EQ(answer.calls, 0) << "not carried out on the proposer's node yet";
  group.apply(group.at(2), 1);
  EXPECT_EQ(answer.calls, 1);
  group.apply(group.at(3), 1);
  EXPECT_EQ(group.at(3).catalogue(), group.at(2).catalogue());
  EXPECT_EQ(group.at(3).catalogue().find_queue("/", "q")->uid, group.at(1).catalogue().find_queue("/", "q")->uid);
}

TEST(Proposer, sent_twice_is_done_once) {
  Group group(2);
  group.elect(1, 0);
  auto& node = group.at(2);
  Answer answer;
  node.proposer.submit({declare("q")}, into(answer));
  node.proposer.flush();
  ASSERT_TRUE(group.deliver(2, 1));
  // Nothing is heard: it goes again, before and after the leader has it committed.
  group.now += 1'000;
  node.proposer.tick();
  node.proposer.flush();
  ASSERT_TRUE(group.deliver(2, 1));
  EXPECT_EQ(group.log.size(), 1u);
  group.commit(1);
  group.now += 1'000;
  node.proposer.tick();
  node.proposer.flush();
  ASSERT_TRUE(group.deliver(2, 1));
  EXPECT_EQ(group.log.size(), 1u);
  group.log.push_back(group.log.front());  // and even in the log itself
  group.commit(1);
  group.apply(node, 2);
  EXPECT_EQ(answer.calls, 1);
  EXPECT_EQ(node.made["q"], 1);
}

TEST(Proposer, what_a_deposed_leader_lost_goes_to_the_next) {
  Group group(3);
  group.elect(1, 0);
  auto& node = group.at(3);
  Answer first, second;
  node.proposer.submit({declare("first")}, into(first));
  node.proposer.flush();
  group.deliver(3, 1);
  node.proposer.submit({declare("second")}, into(second));
  node.proposer.flush();
  group.deliver(3, 1);
  ASSERT_EQ(group.log.size(), 2u);
  group.elect(2, 1);  // the first survives, the second does not
  group.settle();
  EXPECT_EQ(first.calls, 1);
  EXPECT_EQ(second.calls, 1);
  EXPECT_TRUE(first.results[0] && second.results[0]);
  EXPECT_EQ(node.made["first"], 1);
  EXPECT_EQ(node.made["second"], 1);
}

TEST(Proposer, a_lost_frame_leaves_no_gap) {
  Group group(2);
  group.elect(1, 0);
  auto& node = group.at(2);
  Answer lost, kept;
  node.proposer.submit({declare("lost")}, into(lost));
  node.proposer.flush();
  group.break_stream(2, 1);
  node.proposer.submit({declare("kept")}, into(kept));
  node.proposer.flush();  // sends both again, as the stream is up again
  group.settle();
  EXPECT_TRUE(lost.results.at(0) && kept.results.at(0));
  EXPECT_LT(group.at(1).catalogue().find_queue("/", "lost")->uid,
            group.at(1).catalogue().find_queue("/", "kept")->uid);
}

TEST(Proposer, CLU15_a_minority_says_so_in_time_and_heals) {
  Group group(3);
  group.elect(1, 0);
  auto& node = group.at(3);
  Answer sent, unsent, later;
  node.proposer.submit({declare("sent")}, into(sent));
  group.cut = true;
  node.proposer.flush();
  group.tell_nobody(node);
  node.proposer.submit({declare("unsent")}, into(unsent));
  for (int i = 0; i < 1'450; ++i) {
    group.now += 20;
    node.proposer.tick();
    node.proposer.flush();
  }
  EXPECT_EQ(sent.calls + unsent.calls, 0);
  for (int i = 0; i < 100; ++i) {
    group.now += 20;
    node.proposer.tick();
  }
  ASSERT_EQ(sent.calls, 1);
  ASSERT_EQ(unsent.calls, 1);
  EXPECT_EQ(sent.results[0].error().code, Errc::timeout);
  EXPECT_THAT(sent.results[0].error().text, testing::HasSubstr("no answer from b"));
  EXPECT_THAT(sent.results[0].error().text, testing::HasSubstr("not known"));
  EXPECT_THAT(unsent.results[0].error().text, testing::HasSubstr("nothing was changed"));
  node.proposer.submit({declare("later")}, into(later));
  group.tell(node);
  group.settle();
  EXPECT_TRUE(later.results.at(0));
  EXPECT_EQ(group.at(1).catalogue().find_queue("/", "sent"), nullptr) << "given up, so it must not come late";
  EXPECT_EQ(group.at(1).catalogue().find_queue("/", "unsent"), nullptr);
  EXPECT_EQ(sent.calls + unsent.calls, 2);
}

TEST(Proposer, too_much_waiting_is_refused) {
  ProposerOptions options;
  options.waiting_parts = 3;
  Group group(1, options);
  std::vector<Answer> answers(4);
  for (auto& answer : answers) group.at(1).proposer.submit({declare("q")}, into(answer));
  EXPECT_EQ(answers[3].results.at(0).error().code, Errc::exhausted);
  group.elect(1, 0);
  group.settle();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(answers[static_cast<std::size_t>(i)].calls, 1);
}

TEST(Proposer, a_boot_is_not_refused_because_much_waits) {
  ProposerOptions options;
  options.waiting_parts = 1;
  Group group(1, options);
  Answer first, boot;
  group.at(1).proposer.submit({declare("q")}, into(first));
  group.at(1).proposer.submit({DropTransient{1, false}}, into(boot), Deadline::none);
  EXPECT_EQ(boot.calls, 0);
  group.elect(1, 0);
  group.settle();
  ASSERT_EQ(boot.calls, 1);
  EXPECT_TRUE(boot.results.at(0));
}

TEST(Proposer, what_a_snapshot_hid_is_told_and_a_boot_goes_again) {
  Group group(3);
  group.elect(1, 0);
  Answer change, boot;
  Member& late = group.at(2);
  late.proposer.submit({declare("q")}, into(change));
  late.proposer.submit({DropTransient{2, false}}, into(boot), Deadline::none);
  late.proposer.flush();
  ASSERT_TRUE(group.deliver(2, 1));
  group.commit(10);
  group.apply(group.at(1), group.committed);
  group.install(late, group.at(1));
  ASSERT_EQ(change.calls, 1);
  EXPECT_EQ(change.results.at(0).error().code, Errc::unavailable);
  EXPECT_EQ(boot.calls, 0) << "whoever waits without limit wants to see it carried out";
  group.settle();
  ASSERT_EQ(boot.calls, 1);
  EXPECT_TRUE(boot.results.at(0));
  EXPECT_EQ(change.calls, 1);
  EXPECT_EQ(late.made["q"], 0) << "it came with the snapshot, not once more";
  EXPECT_NE(late.catalogue().find_queue("/", "q"), nullptr);
}

TEST(Proposer, a_full_leader_is_asked_again) {
  Group group(2);
  group.elect(1, 0);
  group.uncommitted_max = 0;
  Answer remote, local;
  group.at(2).proposer.submit({declare("remote")}, into(remote));
  group.at(1).proposer.submit({declare("local")}, into(local));
  group.at(1).proposer.flush();
  group.at(2).proposer.flush();
  group.deliver(2, 1);
  EXPECT_TRUE(group.log.empty());
  group.uncommitted_max = 100;
  group.settle();
  EXPECT_TRUE(remote.results.at(0));
  EXPECT_TRUE(local.results.at(0));
}

TEST(Proposer, a_restart_begins_anew_and_the_former_life_is_ignored) {
  Group group(2);
  group.elect(1, 0);
  Answer before, after;
  group.at(2).proposer.submit({declare("before")}, into(before));
  group.settle();
  const std::string old = group.log.back();
  group.start(2);
  group.tell(group.at(2));
  group.at(2).proposer.submit({declare("after")}, into(after));
  group.settle();
  EXPECT_TRUE(after.results.at(0));
  group.at(1).proposer.on_frame(raft::NodeId(2), std::string("\x01\x01", 2) + old);
  const std::size_t entries = group.log.size();
  group.settle();
  EXPECT_EQ(group.log.size(), entries);
  EXPECT_EQ(group.at(1).catalogue(), group.at(2).catalogue());
}

TEST(Proposer, foreign_frames_are_refused) {
  Group group(2);
  group.elect(1, 0);
  auto& leader = group.at(1).proposer;
  leader.on_frame(raft::NodeId(2), "");
  leader.on_frame(raft::NodeId(2), "\x01\x07");
  leader.on_frame(raft::NodeId(2), std::string("\x01\x01", 2) + "rubbish");
  BatchHead head{1, 1, 1, 0, 0, 0};  // in another's name
  leader.on_frame(raft::NodeId(2), std::string("\x01\x01", 2) + encode_head(head));
  EXPECT_EQ(leader.refused_frames(), 4u);
  EXPECT_TRUE(group.log.empty());
}

/// Random declares, deletes, leader changes, lost streams, restarts and snapshots.
void run(std::uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng random(seed);
  ProposerOptions options;
  options.timeout_ms = 3'000;
  options.in_flight = 1 + random.below(4);
  Group group(3, options);
  std::map<std::string, std::unique_ptr<Answer>> answers;
  std::map<std::string, std::uint64_t> asked_at;  // restarted members answer no more
  int number = 0;
  const auto any = [&]() -> Member& { return group.at(1 + random.below(3)); };
  for (int step = 0; step < 1'500; ++step) {
    group.now += static_cast<Millis>(random.below(15));
    Member& member = any();
    switch (random.below(16)) {
      case 0:
      case 1:
      case 2: {
        const std::string name = "q" + std::to_string(++number);
        auto& answer = answers[name] = std::make_unique<Answer>();
        asked_at[name] = member.id;
        member.proposer.submit({declare(name)}, into(*answer));
        break;
      }
      case 3:
        member.proposer.submit({DeleteQueue{"/", "q" + std::to_string(1 + random.below(40)), 0}},
                               [](const std::vector<Result<void>>&) {});
        break;
      case 4:
      case 5:
      case 6: member.proposer.flush(); break;
      case 7: member.proposer.tick(); break;
      case 8:
      case 9:
      case 10: (void)group.deliver(member.id, 1 + random.below(3)); break;
      case 11: group.commit(random.below(3)); break;
      case 12: group.apply(member, group.committed); break;
      case 13: group.checkpoint(member); break;
      case 14: group.break_stream(member.id, 1 + random.below(3)); break;
      default:
        if (random.chance(1, 4)) group.elect(1 + random.below(3), random.below(3));
        if (random.chance(1, 6)) group.tell_nobody(member);
        if (random.chance(1, 8)) group.install(member, any());
        if (random.chance(1, 20) && member.id != group.leader) {
          std::erase_if(asked_at, [&](const auto& item) { return item.second == member.id; });
          group.start(member.id);
        }
    }
  }
  group.elect(1 + random.below(3), random.below(3));
  group.settle();
  for (auto& [id, member] : group.members()) {
    EXPECT_TRUE(member->proposer.idle()) << id;
    EXPECT_EQ(member->catalogue(), group.at(1).catalogue()) << id;
    EXPECT_EQ(member->catalogue().check_invariants(), std::nullopt);
    group.checkpoint(*member);
    Catalogue back;
    for (const auto& [key, value] : member->rows.rows) {
      if (key.front() == '~') continue;
      ASSERT_TRUE(back.restore_row(key, value));
    }
    back.restored();
    EXPECT_EQ(back, member->catalogue()) << "rows of member " << id;
    for (const auto& [name, times] : member->made) EXPECT_LE(times, 1) << name << " at " << id;
  }
  int ok = 0;
  std::map<std::string, int> in_log;
  for (const std::string& bytes : group.log) {
    const auto batch = decode_batch(bytes);
    ASSERT_TRUE(batch);
    for (const BatchPart& part : batch->parts)
      for (const Command& command : part.commands)
        if (const auto* put = std::get_if<DeclareQueue>(&command)) ++in_log[put->def.name];
  }
  for (const auto& [name, answer] : answers) {
    EXPECT_LE(answer->calls, 1) << name;
    if (asked_at.contains(name)) {
      EXPECT_EQ(answer->calls, 1) << name;
    }
    if (answer->calls != 1 || !answer->results.at(0)) continue;
    ++ok;
    EXPECT_GE(in_log[name], 1) << name << " was called done and is not in the log";
  }
  EXPECT_GT(ok, 20);
}

TEST(ProposerModel, random_leaders_losses_and_restarts) {
  const char* given = std::getenv("WARREN_SEED");
  if (given != nullptr) return run(std::strtoull(given, nullptr, 10));
  for (std::uint64_t seed = 1; seed <= 60; ++seed) run(seed);
}

}  // namespace
}  // namespace warren::metadata::test
