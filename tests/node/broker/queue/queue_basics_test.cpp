// The plain life of messages: publish, deliver, settle, get, purge.
#include "tests/node/broker/queue/queue_fixture.h"

namespace warren::broker::test {
namespace {

class QueueBasics : public QueueTest {};

TEST_F(QueueBasics, DeliversInOrderOfArrival) {
  make();
  publish({"a", "b"});
  FakeSink& sink = consume(1, auto_ack());
  EXPECT_TRUE(sink.got.empty()) << "deliveries begin with the next pump";
  publish({"c"});
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"a", "b", "c"}));
  EXPECT_FALSE(sink.got[0].redelivered);
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(unacked(), 0u);
}

TEST_F(QueueBasics, QUE01_DepthCountsReadyOnly) {
  make();
  publish({"a", "b", "c"});
  EXPECT_EQ(get(7, false), "a");
  EXPECT_EQ(queue_->depth(), (QueueDepth{2, 0}));
  consume(1, prefetch(1));
  EXPECT_EQ(queue_->depth().consumers, 1u);
}

TEST_F(QueueBasics, CNS07_PrefetchBoundsWhatAConsumerHolds) {
  make();
  publish_numbered(0, 10);
  FakeSink& sink = consume(1, prefetch(3));
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"0", "1", "2"}));
  EXPECT_EQ(unacked(), 3u);
  settle(1, {sink.got[1].position});
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"0", "1", "2", "3"}));
  settle(1, {sink.got[0].position, sink.got[2].position, sink.got[3].position});
  run();
  EXPECT_EQ(sink.got.size(), 7u);
}

TEST_F(QueueBasics, CNS13_SettlingTwiceOrUnknownIsIgnored) {
  make();
  publish({"a", "b"});
  FakeSink& sink = consume(1);
  run();
  const Position a = sink.got[0].position;
  settle(1, {a});
  settle(1, {a, 777});
  settle(5, {sink.got[1].position});
  EXPECT_EQ(unacked(), 1u);
  EXPECT_EQ(queue_->stats().counters.ack, 1u);
}

TEST_F(QueueBasics, CNS12_GetTellsWhatRemains) {
  make();
  EXPECT_EQ(get(), std::nullopt);
  publish({"a", "b", "c"});
  EXPECT_EQ(get(9, false), "a");
  EXPECT_EQ(got_remaining_, 2u);
  EXPECT_FALSE(got_redelivered_);
  settle(9, {got_position_}, Settle::requeue);
  EXPECT_EQ(get(9, true), "a");
  EXPECT_TRUE(got_redelivered_);
  const auto stats = queue_->stats();
  EXPECT_EQ(stats.counters.get, 1u);
  EXPECT_EQ(stats.counters.get_no_ack, 1u);
  EXPECT_EQ(stats.counters.get_empty, 1u);
  EXPECT_EQ(stats.counters.redeliver, 1u);
}

TEST_F(QueueBasics, CNS15_RequeuedMessagesTakeTheirOldPlace) {
  make();
  publish_numbered(0, 10);
  FakeSink& sink = consume(1, prefetch(10));
  run();
  const auto p = sink.positions();
  queue_->unsubscribe(1);
  settle(1, {p[7], p[2], p[4]}, Settle::requeue);
  FakeSink& again = consume(2, auto_ack());
  run();
  EXPECT_EQ(again.bodies(), (Bodies{"2", "4", "7"}));
  for (const Got& g : again.got) EXPECT_TRUE(g.redelivered);
  EXPECT_EQ(unacked(), 7u);
}

TEST_F(QueueBasics, CNS15_QuorumQueuesServeReturnsFirstInTheirOrder) {
  def_.type = metadata::QueueType::quorum;
  make();
  publish_numbered(0, 10);
  FakeSink& sink = consume(1, prefetch(5));
  run();
  const auto p = sink.positions();
  queue_->unsubscribe(1);
  settle(1, {p[4], p[1]}, Settle::requeue);
  FakeSink& again = consume(2, prefetch(3));
  run();
  EXPECT_EQ(again.bodies(), (Bodies{"4", "1", "5"}));
}

TEST_F(QueueBasics, CNS17_ReleaseReturnsEverythingAsRedelivered) {
  make();
  publish({"a", "b", "c"});
  consume(1, prefetch(2));
  run();
  queue_->release(1);
  EXPECT_EQ(ready(), 3u);
  EXPECT_EQ(unacked(), 0u);
  FakeSink& other = consume(2, auto_ack());
  run();
  EXPECT_EQ(other.bodies(), (Bodies{"a", "b", "c"}));
  EXPECT_TRUE(other.got[0].redelivered);
  EXPECT_TRUE(other.got[1].redelivered);
  EXPECT_FALSE(other.got[2].redelivered);
}

TEST_F(QueueBasics, CNS21_CancelledConsumersKeepWhatTheyHold) {
  make();
  publish({"a", "b"});
  FakeSink& sink = consume(1, prefetch(1));
  run();
  queue_->unsubscribe(1);
  run();
  EXPECT_EQ(unacked(), 1u);
  EXPECT_EQ(sink.got.size(), 1u);
  settle(1, {sink.got[0].position});
  run();
  EXPECT_EQ(unacked(), 0u);
  EXPECT_EQ(ready(), 1u);
}

TEST_F(QueueBasics, RoundRobinPerMessage) {
  make();
  std::vector<HolderId> order;
  for (HolderId h = 1; h <= 3; ++h) consume(h, auto_ack()).order = &order;
  publish_numbered(0, 7);
  run();
  EXPECT_EQ(order, (std::vector<HolderId>{1, 2, 3, 1, 2, 3, 1}));
}

TEST_F(QueueBasics, CNS06_HigherPriorityIsServedWhileItCan) {
  make();
  ConsumerSpec low = prefetch(10), high = prefetch(2);
  high.priority = 5;
  FakeSink& l = consume(1, low);
  FakeSink& h = consume(2, high);
  publish_numbered(0, 5);
  run();
  EXPECT_EQ(h.bodies(), (Bodies{"0", "1"}));
  EXPECT_EQ(l.bodies(), (Bodies{"2", "3", "4"}));
  settle(2, h.positions());
  publish_numbered(5, 1);
  run();
  EXPECT_EQ(h.bodies().back(), "5");
}

TEST_F(QueueBasics, CNS03_ExclusiveConsumers) {
  make();
  ConsumerSpec exclusive;
  exclusive.exclusive = true;
  consume(1);
  FakeSink sink;
  exclusive.holder = 2;
  EXPECT_EQ(queue_->subscribe(exclusive, sink), QueueError::exclusive_use);
  queue_->unsubscribe(1);
  EXPECT_EQ(queue_->subscribe(exclusive, sink), QueueError::none);
  ConsumerSpec plain;
  plain.holder = 3;
  EXPECT_EQ(queue_->subscribe(plain, sink), QueueError::exclusive_use);
  queue_->release(2);
  EXPECT_EQ(queue_->subscribe(plain, sink), QueueError::none);
}

TEST_F(QueueBasics, QUE18_SingleActiveConsumer) {
  QueueSettings settings;
  settings.single_active = true;
  make(transient, settings);
  FakeSink& a = consume(1, prefetch(2));
  FakeSink& b = consume(2);
  FakeSink& c = consume(3);
  publish_numbered(0, 4);
  run();
  EXPECT_EQ(a.bodies(), (Bodies{"0", "1"}));
  EXPECT_EQ(queue_->consumers()[0].activity_status, "single_active");
  EXPECT_EQ(queue_->consumers()[1].activity_status, "waiting");
  queue_->release(1);
  run();
  EXPECT_EQ(b.bodies(), (Bodies{"0", "1", "2", "3"}));
  queue_->unsubscribe(2);
  publish_numbered(4, 1);
  run();
  EXPECT_EQ(c.bodies(), (Bodies{"4"}));
  GetResult result;
  result.error = QueueError::gone;
  queue_->get(9, true, [&](const GetResult& r) { result.error = r.error; });
  run();
  EXPECT_EQ(result.error, QueueError::none) << "only a quorum queue refuses basic.get (CNS-12)";
}

TEST_F(QueueBasics, BlockedSinksWaitForResume) {
  make();
  FakeSink& sink = consume(1, auto_ack());
  sink.room = 2;
  publish_numbered(0, 5);
  run();
  EXPECT_EQ(sink.got.size(), 2u);
  publish_numbered(5, 1);
  run();
  EXPECT_EQ(sink.got.size(), 2u);
  sink.room = 100;
  queue_->resume(1);
  run();
  EXPECT_EQ(sink.got.size(), 6u);
}

TEST_F(QueueBasics, QUE06_AutoDeleteWithTheLastConsumer) {
  def_.auto_delete = true;
  make();
  run();
  EXPECT_EQ(host_.deletes_wanted, 0) << "never had a consumer";
  consume(1);
  consume(2);
  queue_->unsubscribe(1);
  EXPECT_EQ(host_.deletes_wanted, 0);
  queue_->release(2);
  EXPECT_EQ(host_.deletes_wanted, 1);
}

TEST_F(QueueBasics, QUE31_PurgeTakesReadyOnly) {
  make(durable);
  publish_numbered(0, 6);
  FakeSink& sink = consume(1, prefetch(1));
  run();
  std::uint64_t removed = 0;
  queue_->purge([&](Asked<std::uint64_t> n) { removed = n.value; });
  EXPECT_EQ(removed, 5u);
  EXPECT_EQ(ready(), 0u);
  EXPECT_EQ(unacked(), 1u);
  run();
  restart();
  EXPECT_EQ(ready(), 1u);
  EXPECT_EQ(queue_->stats().ready_bytes, 1u);
  EXPECT_EQ(sink.got.size(), 1u);
}

TEST_F(QueueBasics, QUE32_DeletionCancelsAndAnswers) {
  make(durable);
  FakeSink& sink = consume(1);
  publish({{"a"}}, 5);
  EXPECT_FALSE(publisher_.is_settled(5));
  EXPECT_NE(budget_.used(), 0u);
  queue_->on_deleted();
  EXPECT_EQ(budget_.used(), 0u) << "a channel may keep the queue for long, but not its messages";
  EXPECT_TRUE(publisher_.is_settled(5));
  EXPECT_EQ(sink.cancels, 1);
  publish({{"b"}}, 6);
  EXPECT_TRUE(publisher_.is_settled(6));
  FakeSink late;
  EXPECT_EQ(queue_->subscribe({}, late), QueueError::gone);
}

TEST_F(QueueBasics, PartOfABlockIsEnough) {
  make();
  std::vector<RecordRef> refs;
  std::vector<Message> messages;
  for (int i = 0; i < 100; ++i) messages.push_back({std::to_string(i)});
  const PublishBatchRef batch = make_batch(publisher_, messages, 0, 0, refs);
  std::vector<RecordRef> even, tail(refs.begin() + 50, refs.end());
  for (std::size_t i = 0; i < refs.size(); i += 2) even.push_back(refs[i]);
  queue_->publish(*batch, even);
  queue_->publish(*batch, tail);
  queue_->publish(*batch, std::span(refs).subspan(40, 2));
  FakeSink& sink = consume(1, prefetch(3));
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"0", "2", "4"}));
  settle(1, {sink.got[1].position}, Settle::requeue);
  run();
  EXPECT_EQ(sink.bodies().back(), "2");
  queue_->release(1);
  FakeSink& rest = consume(2, auto_ack());
  run();
  Bodies expected;
  for (int i = 0; i < 100; i += 2) expected.push_back(std::to_string(i));
  for (int i = 50; i < 100; ++i) expected.push_back(std::to_string(i));
  expected.push_back("40");
  expected.push_back("41");
  EXPECT_EQ(rest.bodies(), expected);
}

TEST_F(QueueBasics, StatsAddUp) {
  make(durable);
  publish({{"aaaa", true}, {"bb", true}, {"ccc", true}});
  publish({{"dddd", false}});
  FakeSink& sink = consume(1, prefetch(1));
  run();
  auto s = queue_->stats();
  EXPECT_EQ(s.ready, 3u);
  EXPECT_EQ(s.ready_bytes, 9u);
  EXPECT_EQ(s.unacked, 1u);
  EXPECT_EQ(s.unacked_bytes, 4u);
  EXPECT_EQ(s.persistent, 3u);
  EXPECT_EQ(s.persistent_bytes, 9u);
  EXPECT_EQ(s.consumers, 1u);
  EXPECT_EQ(s.counters.publish, 4u);
  settle(1, sink.positions());
  run();
  s = queue_->stats();
  EXPECT_EQ(s.persistent, 2u);
  EXPECT_EQ(s.ready, 2u);
  EXPECT_EQ(s.unacked_bytes, 2u);
}

}  // namespace
}  // namespace warren::broker::test
