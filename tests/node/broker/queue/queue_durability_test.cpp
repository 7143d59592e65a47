// What a confirm means, and what comes back after a crash.
#include "tests/node/broker/queue/queue_fixture.h"

namespace warren::broker::test {
namespace {

class QueueDurability : public QueueTest {};

TEST_F(QueueDurability, PUB03_TransientIsConfirmedAtOnce) {
  make();
  publish({{"a"}}, 1);
  EXPECT_TRUE(publisher_.is_settled(1));
}

TEST_F(QueueDurability, PUB03_NonPersistentOnDurableIsConfirmedAtOnceAndNotLogged) {
  make(durable);
  publish({{"a", false}}, 1);
  EXPECT_TRUE(publisher_.is_settled(1));
  EXPECT_EQ(log_->appends, 0);
}

TEST_F(QueueDurability, PUB03_PersistentIsConfirmedOnlyWhenDurable) {
  make(durable);
  publish({{"a"}}, 1);
  publish({{"b"}, {"c"}}, 2);
  FakeSink& sink = consume(1, auto_ack());
  queue_->pump();
  EXPECT_EQ(sink.got.size(), 0u) << "a delivery that a crash would forget";
  EXPECT_TRUE(publisher_.settled.empty());
  queue_->on_durable(1);
  EXPECT_EQ(publisher_.settled, (std::vector<std::uint64_t>{1}));
  run();
  EXPECT_EQ(publisher_.settled, (std::vector<std::uint64_t>{1, 2}));
  EXPECT_EQ(sink.got.size(), 3u);
}

TEST_F(QueueDurability, ConsumedBeforeDurable) {
  make(durable);
  FakeSink& sink = consume(1, auto_ack());
  publish({{"a"}}, 1);
  queue_->pump();
  EXPECT_EQ(sink.got.size(), 1u) << "its own log entry lifts the watermark";
  EXPECT_FALSE(publisher_.is_settled(1));
  run();
  EXPECT_TRUE(publisher_.is_settled(1));
  restart();
  EXPECT_EQ(ready(), 0u);
}

TEST_F(QueueDurability, QUE36_PersistentSurviveOthersDoNot) {
  make(durable);
  publish({{"p1", true}, {"n1", false}, {"p2", true}});
  publish({{"n2", false}});
  restart();
  EXPECT_EQ(ready(), 2u);
  EXPECT_EQ(queue_->stats().ready_bytes, 4u);
  EXPECT_EQ(get(), "p1");
  EXPECT_EQ(get(), "p2");
  EXPECT_EQ(get(), std::nullopt);
  EXPECT_EQ(queue_->stats().persistent, 0u);
}

TEST_F(QueueDurability, QUE36_QuorumKeepsEverything) {
  def_.type = metadata::QueueType::quorum;
  make(durable);
  publish({{"n", false}}, 1);
  EXPECT_FALSE(publisher_.is_settled(1));
  restart();
  EXPECT_EQ(get(), "n");
}

TEST_F(QueueDurability, UnsyncedIsLostSyncedIsNot) {
  make(durable);
  publish({"a", "b"});
  sync();
  publish({"c"});
  crash();
  EXPECT_EQ(ready(), 2u);
  publish({"d"});
  FakeSink& sink = consume(1, auto_ack());
  run();
  EXPECT_EQ(sink.bodies(), (Bodies{"a", "b", "d"}));
}

TEST_F(QueueDurability, CNS17_RedeliveredAfterACrashOnlyIfMaybeDelivered) {
  make(durable);
  options_.watermark_reserve = 2;
  publish_numbered(0, 10);
  sync();
  FakeSink& sink = consume(1, prefetch(1));
  run();
  ASSERT_EQ(sink.got.size(), 1u);
  crash();
  FakeSink& again = consume(2, auto_ack());
  run();
  ASSERT_EQ(again.got.size(), 10u);
  EXPECT_TRUE(again.got[0].redelivered);
  EXPECT_FALSE(again.got[9].redelivered);
}

TEST_F(QueueDurability, NeverDeliveredIsNeverFlagged) {
  make(durable);
  publish_numbered(0, 5);
  restart();
  FakeSink& sink = consume(1, auto_ack());
  run();
  for (const Got& g : sink.got) EXPECT_FALSE(g.redelivered);
  EXPECT_EQ(sink.got.size(), 5u);
}

TEST_F(QueueDurability, RemovalsOfATurnAreOneRecord) {
  make(durable);
  consume(1, auto_ack());
  publish_numbered(0, 100);
  publish_numbered(100, 100);
  run();
  EXPECT_EQ(log_->appends, 2);
  EXPECT_EQ(log_->lazy, 1);
}

TEST_F(QueueDurability, ACheckpointStandsForEverythingBefore) {
  make(durable);
  publish_numbered(0, 10);
  publish_numbered(10, 10);
  FakeSink& sink = consume(1, prefetch(15));
  run();
  const auto p = sink.positions();
  settle(1, {p[0], p[1], p[5], p[12]});
  run();
  queue_->checkpoint();
  settle(1, {p[6]});
  run();
  restart();
  EXPECT_EQ(replayed_, 1) << "only the record behind the checkpoint";
  EXPECT_EQ(ready(), 15u);
  EXPECT_TRUE(log_->reads.empty()) << "no body is read at start";
  EXPECT_EQ(queue_->stats().ready_bytes, 6u + 2u * 9u) << "2 3 4 7 8 9, and nine of two digits";
}

TEST_F(QueueDurability, CheckpointsAreWrittenByVolume) {
  options_.checkpoint_bytes = 4096;
  make(durable);
  consume(1, auto_ack());
  for (int i = 0; i < 100; ++i) {
    publish({{std::string(100, 'x')}});
    run();
  }
  EXPECT_GE(log_->checkpoints, 3);
  EXPECT_LE(log_->records.size(), 80u) << "consumed entries are dead";
  restart();
  EXPECT_EQ(ready(), 0u);
}

TEST_F(QueueDurability, BacklogLeavesMemoryAndComesBack) {
  options_.resident_bytes_max = 8192;
  options_.resident_bytes_min = 1024;
  options_.read_ahead_bytes = 1024;
  make(durable);
  Bodies expected;
  for (int i = 0; i < 200; ++i) {
    const std::string body = std::to_string(i) + std::string(100, '.');
    expected.push_back(body);
    publish({{body}});
    run();
    EXPECT_LE(budget_.used(), 8192u + 200u);
  }
  EXPECT_EQ(ready(), 200u);
  FakeSink& sink = consume(1, prefetch(20));
  std::size_t seen = 0;
  for (int i = 0; i < 400 && seen < 200; ++i) {
    run();
    EXPECT_LE(budget_.used(), 8192u + 200u);
    std::vector<Position> positions;
    for (; seen < sink.got.size(); ++seen) positions.push_back(sink.got[seen].position);
    settle(1, positions);
  }
  EXPECT_EQ(sink.bodies(), expected);
  run();
  EXPECT_EQ(budget_.used(), 0u);
}

TEST_F(QueueDurability, UnackedBodiesLeaveMemoryToo) {
  options_.resident_bytes_max = 4096;
  make(durable);
  FakeSink& sink = consume(1);
  Bodies expected;
  for (int i = 0; i < 200; ++i) {
    expected.push_back(std::to_string(i) + std::string(100, '.'));
    publish({{expected.back()}});
    run();
    EXPECT_LE(budget_.used(), 4096u + 200u);
  }
  EXPECT_EQ(sink.got.size(), 200u);
  queue_->release(1);
  FakeSink& again = consume(2, prefetch(0));
  for (int i = 0; i < 200; ++i) run();
  EXPECT_EQ(again.bodies(), expected);
  EXPECT_LE(budget_.used(), 4096u + 200u);
}

TEST_F(QueueDurability, AnIdleQueueIsSmall) {
  make(durable);
  EXPECT_LE(queue_->stats().memory_bytes, 2048u);
  FakeSink& sink = consume(1, prefetch(100));
  for (int i = 0; i < 100; ++i) publish_numbered(i, 10);
  run();
  for (int i = 0; i < 10; ++i) {
    std::vector<Position> all = sink.positions();
    settle(1, all);
    run();
  }
  queue_->release(1);
  run();
  EXPECT_EQ(ready(), 0u);
  EXPECT_LE(queue_->stats().memory_bytes, 4096u);
}

TEST_F(QueueDurability, DamagedBodiesStopTheQueue) {
  make(durable);
  publish({"a"});
  restart();
  log_->records.begin()->second.back() ^= 1;
  log_->records.begin()->second.pop_back();
  consume(1);
  run();
  EXPECT_EQ(queue_->stats().state, "crashed");
}

TEST_F(QueueDurability, DamagedRecordsAreRefused) {
  make(durable);
  publish({"a", "b"});
  sync();
  const std::string good = log_->records.begin()->second;
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    Queue fresh(def_, settings_, host_, log_.get(), budget_, options_);
    EXPECT_FALSE(fresh.replay(1, std::string_view(good).substr(0, cut), nullptr)) << cut;
  }
}

}  // namespace
}  // namespace warren::broker::test
