// Dead letters that a queue keeps until they have arrived (QUE-21, DLX-07, DLX-08).
#include "tests/node/broker/queue/queue_fixture.h"

namespace warren::broker::test {
namespace {

class QueueDeadLetters : public QueueTest {
 protected:
  Queue& make_kept(std::optional<std::int64_t> ttl = {}) {
    def_.type = metadata::QueueType::quorum;
    QueueSettings s;
    s.dead_letter_exchange = "dlx";
    s.overflow = Overflow::reject_publish;
    s.dead_letter_at_least_once = true;
    s.message_ttl_ms = ttl;
    return make(durable, s);
  }
  void answer(bool accepted) {
    const auto kept = std::exchange(host_.kept, {});
    for (const auto& k : kept) queue_->on_dead_letter(k.position, accepted);
    run();
  }
  std::vector<std::string> kept_bodies() const {
    std::vector<std::string> out;
    for (const auto& k : host_.kept) out.push_back(k.body);
    return out;
  }
  void reject_all(FakeSink& sink) { settle(1, sink.positions(), Settle::reject); }
  void take_and_reject() {
    FakeSink& sink = consume(1);
    run();
    reject_all(sink);
    run();
  }
};

TEST_F(QueueDeadLetters, DLX07_StaysUntilItHasArrived) {
  make_kept();
  publish({"a", "b"});
  take_and_reject();
  EXPECT_EQ(kept_bodies(), (Bodies{"a", "b"}));
  EXPECT_EQ(host_.kept[0].reason, DeathReason::rejected);
  EXPECT_TRUE(host_.dead.empty());
  EXPECT_EQ(unacked(), 2u);
  EXPECT_EQ(ready(), 0u) << "nobody gets it meanwhile";
  EXPECT_EQ(queue_->stats().counters.dead_letter_rejected, 0u);
  queue_->check_invariants();
  answer(true);
  EXPECT_EQ(unacked(), 0u);
  EXPECT_EQ(queue_->stats().counters.dead_letter_rejected, 2u);
  EXPECT_EQ(queue_->stats().persistent, 0u);
  restart();
  EXPECT_EQ(ready(), 0u);
}

TEST_F(QueueDeadLetters, DLX07_IsTriedAgainFromItsPlace) {
  make_kept();
  publish({"a"});
  take_and_reject();
  answer(false);
  EXPECT_TRUE(host_.kept.empty()) << "not at once";
  EXPECT_EQ(unacked(), 1u);
  advance(1'000);
  ASSERT_EQ(kept_bodies(), Bodies{"a"});
  EXPECT_TRUE(host_.kept[0].again);
  answer(true);
  EXPECT_EQ(unacked(), 0u);
}

TEST_F(QueueDeadLetters, DLX07_ACrashBeforeTheAnswerLosesNothing) {
  make_kept();
  publish({"a"});
  sync();
  take_and_reject();
  EXPECT_EQ(host_.kept.size(), 1u);
  crash();
  EXPECT_EQ(ready(), 1u);
  queue_->on_dead_letter(1, true);  // of the former life: asked for nothing
  EXPECT_EQ(ready(), 1u);
}

TEST_F(QueueDeadLetters, DLX07_ExpiredOnes) {
  make_kept(100);
  publish({"a", "b"});
  run();
  advance(100);
  EXPECT_EQ(kept_bodies(), (Bodies{"a", "b"}));
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(unacked(), 2u);
  queue_->check_invariants();
  answer(true);
  EXPECT_EQ(unacked(), 0u);
  EXPECT_EQ(queue_->stats().counters.dead_letter_expired, 2u);
  EXPECT_EQ(queue_->stats().persistent, 0u);
}

TEST_F(QueueDeadLetters, DLX08_AWindowIsUnderWay) {
  make_kept(100);
  publish_numbered(0, 100);
  run();
  advance(100);
  EXPECT_EQ(host_.kept.size(), 32u);
  std::size_t seen = 0;
  while (!host_.kept.empty()) {
    EXPECT_LE(host_.kept.size(), 32u);
    seen += host_.kept.size();
    answer(true);
    queue_->check_invariants();
  }
  EXPECT_EQ(seen, 100u);
  EXPECT_EQ(unacked(), 0u);
}

TEST_F(QueueDeadLetters, DLX08_WhoFailsDoesNotHoldUpOthers) {
  make_kept(100);
  publish_numbered(0, 100);
  run();
  advance(100);
  ASSERT_EQ(host_.kept.size(), 32u);
  answer(false);  // the oldest cannot go now
  ASSERT_EQ(host_.kept.size(), 32u);
  EXPECT_EQ(host_.kept.front().body, "32");
  answer(true);
  answer(true);
  answer(true);
  EXPECT_EQ(unacked(), 32u);
  queue_->check_invariants();
  advance(1'000);
  EXPECT_EQ(host_.kept.size(), 32u);
  answer(true);
  EXPECT_EQ(unacked(), 0u);
}

TEST_F(QueueDeadLetters, QUE14_KeptOnesCountTowardsTheLimit) {
  make_kept();
  QueueSettings s = settings_;
  s.max_length = 2;
  queue_->apply_settings(s);
  publish({"a", "b"});
  FakeSink& sink = consume(1);
  run();
  queue_->unsubscribe(1);
  reject_all(sink);
  run();
  publish({{"c"}}, 7);
  EXPECT_EQ(publisher_.rejected[7], (std::vector<std::uint32_t>{0}));
  answer(true);
  publish({{"d"}}, 8);
  EXPECT_TRUE(publisher_.rejected[8].empty());
}

TEST_F(QueueDeadLetters, QUE21_APolicyMayBeginIt) {
  make_kept();
  QueueSettings off = settings_, on = settings_;
  off.dead_letter_at_least_once = false;
  queue_->apply_settings(off);
  options_.resident_bytes_max = options_.resident_bytes_min = 0;
  publish({"a"});
  FakeSink& sink = consume(1);
  run();
  log_->reads.clear();
  reject_all(sink);  // its body may have to be read first
  queue_->apply_settings(on);
  run();
  run();
  EXPECT_EQ(host_.kept.size() + host_.dead.size(), 1u);
}

TEST_F(QueueDeadLetters, QUE21_APolicyMayEndIt) {
  make_kept();
  publish({"a", "b"});
  take_and_reject();
  queue_->on_dead_letter(host_.kept[0].position, false);
  QueueSettings s = settings_;
  s.dead_letter_at_least_once = false;
  queue_->apply_settings(s);
  run();
  EXPECT_EQ(host_.dead, (std::vector<Dead>{{"a", DeathReason::rejected}})) << "the other one is under way";
  queue_->on_dead_letter(host_.kept[1].position, true);
  run();
  EXPECT_EQ(unacked(), 0u);
}

TEST_F(QueueDeadLetters, DeletedMeanwhile) {
  make_kept();
  publish({"a"});
  take_and_reject();
  const Position position = host_.kept.at(0).position;
  queue_->on_deleted();
  queue_->on_dead_letter(position, false);
  advance(60'000);
  EXPECT_EQ(host_.kept.size(), 1u) << "not sent again";
}

}  // namespace
}  // namespace warren::broker::test
