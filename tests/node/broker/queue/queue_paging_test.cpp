// Messages that are not logged, beyond the memory that queues may have: in pages and back.
#include "tests/node/broker/queue/queue_fixture.h"

namespace warren::broker::test {
namespace {

class QueuePaging : public QueueTest {
 protected:
  static constexpr std::size_t kBudget = 4096;

  QueuePaging() {
    host_.scratch = &pages_;
    budget_ = MemoryBudget(kBudget);
    options_.resident_bytes_max = 2048;
    options_.resident_bytes_min = 1024;
    options_.read_ahead_bytes = 1024;
  }
  ~QueuePaging() override { queue_.reset(); }

  std::string body(int i) { return std::to_string(i) + std::string(100, '.'); }
  void publish_one(int i, bool persistent = false) { publish({Message{body(i), persistent}}); }
  /// A turn in which the disc keeps up. Only a queue that asked for it is pumped.
  void turn() {
    if (std::exchange(host_.pumps_wanted, 0) != 0) queue_->pump();
    while (!pages_.pending.empty()) {
      while (!pages_.pending.empty()) pages_.answer_write(*queue_, true);
      queue_->trim();
    }
    while (!pages_.reads.empty()) pages_.answer_read(*queue_, 0);
    queue_->check_invariants();
  }
  /// basic.get of a message whose body may have to be read first.
  std::optional<std::string> get_paged() {
    std::optional<std::string> got;
    queue_->get(99, true, [&](const GetResult& r) {
      if (r.delivery) got = std::string(r.delivery->message.body());
    });
    for (int step = 0; step < 10 && !got; ++step) {
      turn();
      run();
    }
    return got;
  }
  void settle_all(FakeSink& sink, std::size_t& seen) {
    std::vector<Position> positions;
    for (; seen < sink.got.size(); ++seen) positions.push_back(sink.got[seen].position);
    settle(1, positions);
  }

  FakePages pages_;
};

TEST_F(QueuePaging, TransientBacklogLeavesMemoryAndComesBack) {
  make(transient);
  Bodies expected;
  for (int i = 0; i < 300; ++i) {
    publish_one(i);
    expected.push_back(body(i));
    turn();
    EXPECT_LE(budget_.used(), kBudget + 300u);
  }
  EXPECT_GT(pages_.written, 200);
  FakeSink& sink = consume(1, prefetch(20));
  std::size_t seen = 0;
  for (int i = 0; i < 1000 && seen < 300; ++i) {
    turn();
    settle_all(sink, seen);
    EXPECT_LE(budget_.used(), kBudget + 300u);
  }
  EXPECT_EQ(sink.bodies(), expected);
  turn();
  EXPECT_EQ(budget_.used(), 0u);
  EXPECT_TRUE(pages_.pages.empty());
}

TEST_F(QueuePaging, BelowTheBudgetNothingIsWritten) {
  budget_ = MemoryBudget(1 << 20);
  make(transient);
  for (int i = 0; i < 300; ++i) {
    publish_one(i);
    turn();
  }
  EXPECT_EQ(pages_.last, 0u);
}

TEST_F(QueuePaging, TransientMessagesOfADurableQueueTooAndOnlyThose) {
  make(durable);
  for (int i = 0; i < 200; ++i) {
    publish_one(i, i % 2 == 0);
    turn();
    sync();
  }
  EXPECT_GT(pages_.written, 60);
  EXPECT_LE(pages_.written, 100);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(get_paged(), body(i));
  EXPECT_TRUE(pages_.pages.empty());
}

TEST_F(QueuePaging, WhatConsumersHoldLeavesMemoryToo) {
  make(transient);
  FakeSink& sink = consume(1);
  for (int i = 0; i < 200; ++i) {
    publish_one(i);
    turn();
  }
  EXPECT_EQ(sink.got.size(), 200u);
  EXPECT_LE(budget_.used(), kBudget + 300u);
  queue_->release(1);
  FakeSink& again = consume(2, prefetch(10));
  std::size_t seen = 0;
  for (int i = 0; i < 1000 && seen < 200; ++i) {
    turn();
    std::vector<Position> positions;
    for (; seen < again.got.size(); ++seen) positions.push_back(again.got[seen].position);
    settle(2, positions);
  }
  ASSERT_EQ(again.got.size(), 200u);
  for (int i = 0; i < 200; ++i) EXPECT_EQ(again.got[static_cast<std::size_t>(i)].body, body(i));
}

TEST_F(QueuePaging, AnIdleQueueMakesRoomWhenAnotherNeedsIt) {
  make(transient);
  FakeSink& sink = consume(1);  // takes nothing: what waits may stay
  sink.room = 0;
  for (int i = 0; i < 25; ++i) {
    publish_one(i);
    turn();
  }
  queue_->unsubscribe(1);
  turn();
  EXPECT_EQ(pages_.last, 0u);
  budget_.add(kBudget);  // another queue's
  for (int i = 0; i < 30; ++i) {
    queue_->trim();
    turn();
  }
  EXPECT_LE(budget_.used(), kBudget + 1024 + 300u);
  budget_.sub(kBudget);
}

TEST_F(QueuePaging, AFullDiscKeepsThemInMemory) {
  pages_.full = true;
  make(transient);
  for (int i = 0; i < 200; ++i) {
    publish_one(i);
    turn();
  }
  EXPECT_EQ(pages_.last, 0u);
  EXPECT_GT(budget_.used(), 200u * 100);
  pages_.full = false;
  for (int i = 0; i < 200; ++i) {
    publish_one(200 + i);
    turn();
  }
  EXPECT_LE(budget_.used(), kBudget + 300u) << "what could not leave leaves later";
}

TEST_F(QueuePaging, WhatCouldNotBeWrittenIsWrittenAgain) {
  make(transient);
  for (int i = 0; i < 100; ++i) publish_one(i);
  queue_->pump();
  ASSERT_FALSE(pages_.pending.empty());
  const std::size_t before = budget_.used();
  while (!pages_.pending.empty()) {
    pages_.full = true;
    pages_.answer_write(*queue_, false);
  }
  EXPECT_EQ(budget_.used(), before);
  EXPECT_TRUE(pages_.pages.empty());
  pages_.full = false;
  publish_one(100);
  turn();
  EXPECT_LE(budget_.used(), kBudget + 300u);
  for (int i = 0; i <= 100; ++i) EXPECT_EQ(get_paged(), body(i));
}

TEST_F(QueuePaging, ADamagedPageIsNeverDelivered) {
  make(transient);
  for (int i = 0; i < 100; ++i) {
    publish_one(i);
    turn();
  }
  FakeSink& sink = consume(1);
  for (int i = 0; i < 10; ++i) {
    if (std::exchange(host_.pumps_wanted, 0) != 0) queue_->pump();
    while (!pages_.reads.empty()) {
      const PageId page = pages_.reads.front();
      pages_.reads.pop_front();
      const std::string& bytes = pages_.pages.at(page);
      queue_->on_page_read(page, Block::copy_of(std::string_view(bytes).substr(0, bytes.size() / 2)), {});
    }
  }
  ASSERT_LT(sink.got.size(), 100u);
  for (std::size_t i = 0; i < sink.got.size(); ++i) EXPECT_EQ(sink.got[i].body, body(static_cast<int>(i)));
  EXPECT_EQ(queue_->stats().state, "crashed");
}

TEST_F(QueuePaging, PurgedAndDeletedPagesAreGivenBack) {
  make(transient);
  for (int i = 0; i < 100; ++i) publish_one(i);
  queue_->pump();
  EXPECT_FALSE(pages_.pending.empty());
  queue_->purge([](Asked<std::uint64_t>) {});
  while (!pages_.pending.empty()) pages_.answer_write(*queue_, true);
  EXPECT_TRUE(pages_.pages.empty());
  for (int i = 0; i < 100; ++i) {
    publish_one(i);
    turn();
  }
  EXPECT_FALSE(pages_.pages.empty());
  queue_->on_deleted();
  while (!pages_.pending.empty()) pages_.answer_write(*queue_, true);
  EXPECT_TRUE(pages_.pages.empty());
}

}  // namespace
}  // namespace warren::broker::test
