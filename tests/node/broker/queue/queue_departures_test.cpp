// What leaves a queue without being consumed: TTL, x-expires, length limits, dead letters.
#include "tests/node/broker/queue/queue_fixture.h"

namespace warren::broker::test {
namespace {

class QueueDepartures : public QueueTest {
 protected:
  static QueueSettings ttl(std::int64_t ms) {
    QueueSettings s;
    s.message_ttl_ms = ms;
    s.dead_letter_exchange = "dlx";
    return s;
  }
  static QueueSettings limit(std::int64_t n, Overflow overflow = Overflow::drop_head) {
    QueueSettings s;
    s.max_length = n;
    s.overflow = overflow;
    s.dead_letter_exchange = "dlx";
    return s;
  }
  Bodies dead_bodies() const {
    Bodies out;
    for (const Dead& d : host_.dead) out.push_back(d.body);
    return out;
  }
};

TEST_F(QueueDepartures, QUE11_MessagesExpireAtTheirTime) {
  make(transient, ttl(500));
  publish({"a"});
  run();
  advance(200);
  publish({"b"});
  run();
  advance(299);
  EXPECT_EQ(ready(), 2u);
  advance(1);
  EXPECT_EQ(ready(), 1u);
  EXPECT_EQ(host_.dead, (std::vector<Dead>{{"a", DeathReason::expired}}));
  advance(200);
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(queue_->stats().counters.dead_letter_expired, 2u);
}

TEST_F(QueueDepartures, QUE11_ExpiredIsNeverDelivered) {
  make(transient, ttl(500));
  publish({"a"});
  host_.clock.advance(500);
  FakeSink& sink = consume(1, auto_ack());
  publish({"b"});
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"b"}));
  publish({"c"});
  host_.clock.advance(500);
  EXPECT_EQ(get(), std::nullopt);
}

TEST_F(QueueDepartures, QUE11_ZeroIsDroppedUnlessDeliveredAtOnce) {
  make(transient, ttl(0));
  publish({"a"});
  run();
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(dead_bodies(), (Bodies{"a"}));
  FakeSink& sink = consume(1, prefetch(1));
  publish({"b", "c"});
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"b"}));
  EXPECT_EQ(dead_bodies(), (Bodies{"a", "c"}));
}

TEST_F(QueueDepartures, QUE12_TheLowerWinsAndOnlyTheHeadLeaves) {
  make(transient, ttl(1000));
  publish({{"long"}, {"short", true, 0, 100}});
  run();
  advance(500);
  EXPECT_EQ(ready(), 2u) << "the short one is behind the long one";
  advance(500);
  EXPECT_EQ(dead_bodies(), (Bodies{"long", "short"}));
  publish({{"a", true, 0, 100}});
  run();
  advance(100);
  EXPECT_EQ(ready(), 0u);
}

TEST_F(QueueDepartures, QUE12_PerMessageTtlWithoutQueueTtlSurvivesARestart) {
  make(durable);
  publish({{"a", true, 0, 100}});
  run();
  queue_->checkpoint();
  restart();
  run();
  EXPECT_EQ(ready(), 1u);
  advance(100);
  EXPECT_EQ(ready(), 0u);
  restart();
  EXPECT_EQ(ready(), 0u);
}

TEST_F(QueueDepartures, RequeuedMessagesKeepTheirClock) {
  make(transient, ttl(500));
  publish({"a"});
  FakeSink& sink = consume(1, prefetch(1));
  run();
  advance(600);
  EXPECT_EQ(host_.dead.size(), 0u) << "held messages do not expire";
  sink.room = 0;
  settle(1, sink.positions(), Settle::requeue);
  run();
  EXPECT_EQ(dead_bodies(), (Bodies{"a"}));
}

TEST_F(QueueDepartures, QUE13_UnusedQueuesExpire) {
  QueueSettings s;
  s.expires_ms = 1000;
  make(transient, s);
  run();
  advance(900);
  get();
  advance(900);
  EXPECT_EQ(host_.deletes_wanted, 0);
  queue_->touched();
  advance(900);
  EXPECT_EQ(host_.deletes_wanted, 0);
  consume(1);
  advance(5000);
  EXPECT_EQ(host_.deletes_wanted, 0);
  queue_->unsubscribe(1);
  run();
  advance(999);
  EXPECT_EQ(host_.deletes_wanted, 0);
  advance(1);
  EXPECT_EQ(host_.deletes_wanted, 1);
}

TEST_F(QueueDepartures, QUE14_DropHeadKeepsTheNewest) {
  make(transient, limit(10));
  publish_numbered(0, 15);
  EXPECT_EQ(queue_->depth().ready, 10u) << "also in the turn of the publish";
  run();
  EXPECT_EQ(ready(), 10u);
  EXPECT_EQ(dead_bodies(), (Bodies{"0", "1", "2", "3", "4"}));
  EXPECT_EQ(host_.dead[0].reason, DeathReason::maxlen);
  EXPECT_EQ(get(), "5");
}

TEST_F(QueueDepartures, QUE14_BytesOfBodiesCountAndUnackedDoNot) {
  QueueSettings s;
  s.max_length_bytes = 10;
  make(transient, s);
  publish({"aaaa", "bbbb"});
  FakeSink& sink = consume(1, prefetch(2));
  run();
  EXPECT_EQ(sink.got.size(), 2u);
  publish({"cccc", "dddd", "eeee"});
  run();
  EXPECT_EQ(ready(), 2u);
  EXPECT_EQ(queue_->stats().ready_bytes, 8u);
  EXPECT_EQ(queue_->stats().counters.dropped, 1u);
}

TEST_F(QueueDepartures, QUE14_WhatConsumersTakeDoesNotCount) {
  make(transient, limit(1));
  FakeSink& sink = consume(1, auto_ack());
  publish_numbered(0, 50);
  run();
  EXPECT_EQ(sink.got.size(), 50u);
  EXPECT_TRUE(host_.dead.empty());
}

TEST_F(QueueDepartures, PUB02_QUE15_RejectPublish) {
  make(durable, limit(2, Overflow::reject_publish));
  publish({{"a"}, {"b"}, {"c"}, {"d"}}, 1);
  run();
  EXPECT_EQ(publisher_.rejected[1], (std::vector<std::uint32_t>{2, 3}));
  EXPECT_EQ(ready(), 2u);
  EXPECT_TRUE(host_.dead.empty());
  EXPECT_EQ(get(), "a");
  publish({{"e"}}, 2);
  run();
  EXPECT_TRUE(publisher_.rejected[2].empty());
  publish({{"f"}}, 3);
  EXPECT_TRUE(publisher_.is_settled(3)) << "nothing to wait for";
  EXPECT_EQ(publisher_.rejected[3], (std::vector<std::uint32_t>{0}));
}

TEST_F(QueueDepartures, QUE15_RejectPublishCountsWhatConsumersTake) {
  make(transient, limit(1, Overflow::reject_publish));
  consume(1, prefetch(2));
  publish({{"a"}, {"b"}, {"c"}, {"d"}}, 1);
  run();
  EXPECT_EQ(publisher_.rejected[1], (std::vector<std::uint32_t>{3}));
}

TEST_F(QueueDepartures, QUE15_RejectPublishDlx) {
  make(transient, limit(1, Overflow::reject_publish_dlx));
  publish({{"a"}, {"b"}}, 1);
  EXPECT_EQ(host_.dead, (std::vector<Dead>{{"b", DeathReason::maxlen}}));
  EXPECT_EQ(publisher_.rejected[1], (std::vector<std::uint32_t>{1}));
}

TEST_F(QueueDepartures, QUE14_ALowerLimitAppliesAtOnce) {
  make(transient);
  publish_numbered(0, 5);
  queue_->apply_settings(limit(3));
  run();
  EXPECT_EQ(ready(), 3u);
}

TEST_F(QueueDepartures, DLX01_RejectedMessages) {
  QueueSettings s;
  s.dead_letter_exchange = "dlx";
  make(durable, s);
  publish({"a", "b"});
  FakeSink& sink = consume(1);
  run();
  const int lazy_before = log_->lazy;
  host_.on_dead = [&](const Delivery& d) {
    EXPECT_EQ(d.message.body(), "a");
    EXPECT_EQ(log_->lazy, lazy_before) << "dead-lettered before it is removed";
  };
  settle(1, {sink.got[0].position}, Settle::reject);
  run();
  EXPECT_EQ(host_.dead, (std::vector<Dead>{{"a", DeathReason::rejected}}));
  EXPECT_EQ(queue_->stats().counters.dead_letter_rejected, 1u);
  restart();
  EXPECT_EQ(ready(), 1u);
}

TEST_F(QueueDepartures, DLX01_RejectedWithItsBodyOnDisc) {
  options_.resident_bytes_max = 10;
  options_.resident_bytes_min = 0;
  QueueSettings s;
  s.dead_letter_exchange = "dlx";
  make(durable, s);
  FakeSink& sink = consume(1);
  for (int i = 0; i < 5; ++i) {
    publish_numbered(i, 1);
    run();
  }
  settle(1, {sink.got[0].position, sink.got[3].position}, Settle::reject);
  EXPECT_EQ(unacked(), 5u) << "still there until the exchange has it";
  queue_->check_invariants();
  queue_->checkpoint();
  run();
  EXPECT_EQ(dead_bodies(), (Bodies{"0", "3"}));
  EXPECT_EQ(unacked(), 3u);
  restart();
  EXPECT_EQ(ready(), 3u);
}

TEST_F(QueueDepartures, DeadLettersThatComeBackToTheSameQueue) {
  make(durable, ttl(100));
  host_.on_dead = [&](const Delivery& d) {
    if (d.message.body() == "again") publish({{"back"}});
  };
  publish({"again", "x"});
  run();
  advance(100);
  EXPECT_EQ(ready(), 1u);
  EXPECT_EQ(get(), "back");
}

TEST_F(QueueDepartures, QUE22_CNS18_DeliveryLimit) {
  def_.type = metadata::QueueType::quorum;
  QueueSettings s;
  s.delivery_limit = 2;
  s.dead_letter_exchange = "dlx";
  make(durable, s);
  publish({"a"});
  FakeSink& sink = consume(1, prefetch(1));
  run();
  for (int i = 0; i < 3; ++i) {
    settle(1, {sink.got.back().position}, Settle::requeue);
    run();
  }
  std::vector<std::uint32_t> counts;
  for (const Got& g : sink.got) counts.push_back(g.delivery_count);
  EXPECT_EQ(counts, (std::vector<std::uint32_t>{0, 1, 2})) << "N allows N + 1 attempts";
  EXPECT_EQ(host_.dead, (std::vector<Dead>{{"a", DeathReason::delivery_limit}}));
}

TEST_F(QueueDepartures, CNS18_CountsSurviveARestart) {
  def_.type = metadata::QueueType::quorum;
  make(durable);
  publish({"a", "b"});
  FakeSink& sink = consume(1, prefetch(1));
  run();
  settle(1, {sink.got.back().position}, Settle::requeue);
  run();
  restart();
  FakeSink& second = consume(2, prefetch(1));
  run();
  EXPECT_EQ(second.got[0].delivery_count, 1u);
  settle(2, {second.got[0].position}, Settle::requeue);
  run();
  queue_->checkpoint();
  restart();
  FakeSink& third = consume(3, prefetch(1));
  run();
  EXPECT_EQ(third.got[0].delivery_count, 2u);
}

TEST_F(QueueDepartures, QUE16_PrioritiesHighFirstFifoInside) {
  QueueSettings s;
  s.max_priority = 5;
  make(durable, s);
  publish({{"a0", true, 0}, {"b5", true, 5}, {"c9", true, 9}, {"d3", true, 3}, {"e5", true, 5}});
  run();
  restart();
  publish({{"f4", true, 4}, {"g0", true, 0}});
  queue_->checkpoint();
  restart();
  FakeSink& sink = consume(1, auto_ack());
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"b5", "c9", "e5", "f4", "d3", "a0", "g0"}));
}

TEST_F(QueueDepartures, QUE16_RequeuedKeepTheirLevelAndPlace) {
  QueueSettings s;
  s.max_priority = 2;
  make(transient, s);
  publish({{"l1", true, 0}, {"h1", true, 2}, {"l2", true, 0}, {"h2", true, 2}});
  FakeSink& sink = consume(1, prefetch(3));
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"h1", "h2", "l1"}));
  queue_->release(1);
  FakeSink& again = consume(2, auto_ack());
  run();
  EXPECT_EQ(again.bodies(), (Bodies{"h1", "h2", "l1", "l2"}));
}

TEST_F(QueueDepartures, ManyExpireInBoundedTurns) {
  make(transient, ttl(10));
  for (int i = 0; i < 10; ++i) publish_numbered(i * 1000, 1000);
  run();
  host_.clock.advance(10);
  host_.pumps_wanted = 0;
  queue_->pump();
  EXPECT_GT(ready(), 0u);
  EXPECT_EQ(host_.pumps_wanted, 1);
  run();
  EXPECT_EQ(ready(), 0u);
}

}  // namespace
}  // namespace warren::broker::test
