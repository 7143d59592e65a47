// Group commit: order, grouping, failure, bounds. The thread is held inside the store's write with
// a gate, so nothing here depends on timing.

#include "storage/faulty/faulty_store.h"
#include "storage/journal/inline_committer.h"
#include "storage/journal/thread_committer.h"
#include "storage/memory/memory_store.h"
#include "tests/storage/store_support.h"

#include <atomic>
#include <condition_variable>
#include <future>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace warren::storage {
namespace {

constexpr auto kMeta = Keyspace::meta;

/// Lets a write begin only when the test says so.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_ || tickets_ > 0; });
    if (!open_) --tickets_;
  }
  void wait_for_arrivals(int n) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= n; });
  }
  void let_one() {
    std::lock_guard lock(mutex_);
    ++tickets_;
    changed_.notify_all();
  }
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_{0};
  int tickets_{0};
  bool open_{false};
};

class ThreadCommitterTest : public testing::Test {
 protected:
  ~ThreadCommitterTest() override { gate_.open(); }
  void hold_writes() {
    store_.on_write([this] { gate_.pass(); });
  }
  static WriteBatch put(int n) { return one_put(kMeta, std::to_string(n), "value"); }

  MemoryStore memory_;
  FaultyStore store_{memory_};
  NullLogger log_;
  Gate gate_;
};

TEST_F(ThreadCommitterTest, MakesABatchDurableBeforeItSaysSo) {
  ThreadCommitter committer(store_, {}, log_);
  std::promise<std::size_t> unsynced;
  committer.submit(put(1), Durability::synced, [&](Result<void> outcome) {
    EXPECT_TRUE(outcome.has_value());
    unsynced.set_value(store_.unsynced_batches());
  });
  EXPECT_EQ(unsynced.get_future().get(), 0u);
  store_.crash();
  EXPECT_EQ(read(store_, kMeta, "1"), "value");
}

TEST_F(ThreadCommitterTest, TakesAllThatGatheredDuringOneSyncAsTheNext) {
  hold_writes();
  ThreadCommitter committer(store_, {}, log_);
  std::vector<int> order;
  committer.submit(put(0), Durability::synced, [&](Result<void>) { order.push_back(0); });
  gate_.wait_for_arrivals(1);
  for (int i = 1; i <= 50; ++i) {
    committer.submit(put(i), i % 3 == 0 ? Durability::synced : Durability::buffered,
                     [&order, i](Result<void>) { order.push_back(i); });
  }
  gate_.open();
  committer.stop();
  ASSERT_EQ(order.size(), 51u);
  for (int i = 0; i <= 50; ++i) EXPECT_EQ(order[static_cast<std::size_t>(i)], i);
  EXPECT_EQ(store_.writes(), 2u);
  const auto stats = committer.stats();
  EXPECT_EQ(stats.submissions, 51u);
  EXPECT_EQ(stats.syncs, 2u);
  EXPECT_LE(stats.wakes, 1u) << "a busy thread must not be woken";
}

TEST_F(ThreadCommitterTest, SplitsAGroupThatIsTooLargeForOneWrite) {
  hold_writes();
  CommitterOptions options;
  options.max_write_bytes = 1000;
  ThreadCommitter committer(store_, options, log_);
  int done = 0;
  committer.submit(put(0), Durability::synced, [&](Result<void>) { ++done; });
  gate_.wait_for_arrivals(1);
  for (int i = 1; i <= 4; ++i) {
    committer.submit(one_put(kMeta, "k", std::string(400, 'x')), Durability::synced,
                     [&](Result<void>) { ++done; });
  }
  committer.submit(one_put(kMeta, "k", std::string(5000, 'x')), Durability::synced,
                   [&](Result<void>) { ++done; });
  gate_.open();
  committer.stop();
  EXPECT_EQ(done, 6);
  EXPECT_EQ(store_.writes(), 4u);  // 1, then 2 + 2 + the large one
}

TEST_F(ThreadCommitterTest, WritesBufferedBatchesWithoutASync) {
  CommitterOptions options;
  options.buffered_wait_us = 1;
  ThreadCommitter committer(store_, options, log_);
  std::promise<void> done;
  committer.submit(put(1), Durability::buffered, [&](Result<void> outcome) {
    EXPECT_TRUE(outcome.has_value());
    done.set_value();
  });
  done.get_future().wait();
  EXPECT_EQ(committer.stats().syncs, 0u);
  EXPECT_EQ(read(store_, kMeta, "1"), "value");
  store_.crash();
  EXPECT_EQ(read(store_, kMeta, "1"), std::nullopt);
}

TEST_F(ThreadCommitterTest, LetsABufferedBatchRideWithASync) {
  CommitterOptions options;
  options.buffered_wait_us = 3'600'000'000;  // never by itself
  ThreadCommitter committer(store_, options, log_);
  std::promise<void> done;
  committer.submit(put(1), Durability::buffered, [](Result<void>) {});
  committer.submit(put(2), Durability::synced, [&](Result<void>) { done.set_value(); });
  done.get_future().wait();
  store_.crash();
  EXPECT_EQ(read(store_, kMeta, "1"), "value");
  EXPECT_EQ(read(store_, kMeta, "2"), "value");
}

TEST_F(ThreadCommitterTest, FailsEverythingAfterAFailure) {
  hold_writes();
  ThreadCommitter committer(store_, {}, log_);
  store_.fail_nth_write(2);
  std::vector<Errc> outcomes;
  const auto note = [&](Result<void> outcome) {
    outcomes.push_back(outcome ? Errc{} : outcome.error().code);
  };
  committer.submit(put(1), Durability::synced, note);
  gate_.wait_for_arrivals(1);
  committer.submit(put(2), Durability::synced, note);
  committer.submit(put(3), Durability::synced, note);
  gate_.let_one();
  gate_.wait_for_arrivals(2);
  committer.submit(put(4), Durability::buffered, note);
  gate_.open();
  committer.stop();
  EXPECT_EQ(outcomes, (std::vector<Errc>{Errc{}, Errc::io, Errc::io, Errc::io}));
  store_.crash();
  EXPECT_EQ(read(store_, kMeta, "4"), std::nullopt) << "nothing may be written after a failure";
}

TEST_F(ThreadCommitterTest, ReportsAStalledDisc) {
  hold_writes();
  ThreadCommitter committer(store_, {}, log_);
  EXPECT_EQ(committer.stalled_ms(), 0);
  committer.submit(put(1), Durability::synced, [](Result<void>) {});
  gate_.wait_for_arrivals(1);
  while (committer.stalled_ms() == 0) std::this_thread::yield();
  EXPECT_GT(committer.stalled_ms(), 0);
  gate_.open();
  committer.stop();
  EXPECT_EQ(committer.stalled_ms(), 0);
}

TEST_F(ThreadCommitterTest, BlocksSubmittersBeyondItsBound) {
  hold_writes();
  CommitterOptions options;
  options.max_queued_bytes = 1000;
  ThreadCommitter committer(store_, options, log_);
  committer.submit(put(0), Durability::synced, [](Result<void>) {});
  gate_.wait_for_arrivals(1);
  committer.submit(one_put(kMeta, "big", std::string(2000, 'x')), Durability::synced, nullptr);
  EXPECT_GE(committer.queued_bytes(), 2000u);
  std::atomic<bool> through{false};
  std::thread late([&] {
    committer.submit(put(2), Durability::synced, nullptr);
    through = true;
  });
  gate_.let_one();
  gate_.wait_for_arrivals(2);  // the thread took what was queued, so there is room again
  late.join();
  EXPECT_TRUE(through);
  gate_.open();
  committer.stop();
  EXPECT_EQ(committer.queued_bytes(), 0u);
  EXPECT_EQ(read(store_, kMeta, "2"), "value");
}

TEST_F(ThreadCommitterTest, FinishesWhatWasSubmittedBeforeItStops) {
  ThreadCommitter committer(store_, {}, log_);
  int done = 0;
  for (int i = 0; i < 100; ++i) committer.submit(put(i), Durability::synced, [&](Result<void>) { ++done; });
  committer.stop();
  committer.stop();
  EXPECT_EQ(done, 100);
  Errc late{};
  committer.submit(put(1), Durability::synced, [&](Result<void> r) { late = r.error().code; });
  EXPECT_EQ(late, Errc::cancelled);
}

TEST_F(ThreadCommitterTest, MaySubmitFromDone) {
  ThreadCommitter committer(store_, {}, log_);
  std::promise<void> done;
  committer.submit(put(1), Durability::synced, [&](Result<void>) {
    committer.submit(put(2), Durability::synced, [&](Result<void>) { done.set_value(); });
  });
  done.get_future().wait();
  EXPECT_EQ(read(store_, kMeta, "2"), "value");
}

TEST_F(ThreadCommitterTest, KeepsEachThreadsOrder) {
  ThreadCommitter committer(store_, {}, log_);
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<std::vector<int>> seen(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        committer.submit(put(t * kEach + i), i % 2 == 0 ? Durability::synced : Durability::buffered,
                         [&seen, t, i](Result<void>) { seen[static_cast<std::size_t>(t)].push_back(i); });
      }
    });
  }
  for (auto& thread : threads) thread.join();
  committer.stop();
  for (const auto& order : seen) {
    ASSERT_EQ(order.size(), static_cast<std::size_t>(kEach));
    for (int i = 0; i < kEach; ++i) ASSERT_EQ(order[static_cast<std::size_t>(i)], i);
  }
  EXPECT_EQ(rows(memory_, kMeta).size(), static_cast<std::size_t>(kThreads * kEach));
}

TEST(InlineCommitterTest, CommitsAtOnceAndInOrder) {
  MemoryStore store;
  InlineCommitter committer(store);
  std::vector<int> order;
  committer.submit(one_put(kMeta, "1", "v"), Durability::synced, [&](Result<void>) {
    order.push_back(1);
    committer.submit(one_put(kMeta, "2", "v"), Durability::synced, [&](Result<void>) { order.push_back(2); });
    order.push_back(3);
  });
  EXPECT_EQ(order, (std::vector<int>{1, 3, 2}));
}

TEST(InlineCommitterTest, PumpsOneGroupWhenToldTo) {
  MemoryStore memory;
  FaultyStore store(memory);
  InlineCommitter committer(store, InlineCommitter::Mode::manual);
  int done = 0;
  for (int i = 0; i < 3; ++i) {
    committer.submit(one_put(kMeta, std::to_string(i), "v"), Durability::synced, [&](Result<void>) { ++done; });
  }
  EXPECT_EQ(done, 0);
  EXPECT_EQ(committer.pending(), 3u);
  EXPECT_EQ(committer.pending_bytes(), 6u);
  EXPECT_EQ(committer.pump(), 3u);
  EXPECT_EQ(done, 3);
  EXPECT_EQ(store.writes(), 1u);
  committer.submit(one_put(kMeta, "lost", "v"), Durability::synced, [&](Result<void>) { ++done; });
  committer.drop_pending();
  EXPECT_EQ(committer.pump(), 0u);
  EXPECT_EQ(done, 3);
}

TEST(InlineCommitterTest, FailsEverythingAfterAFailure) {
  MemoryStore memory;
  FaultyStore store(memory);
  InlineCommitter committer(store);
  store.fail_nth_write(1);
  Errc first{};
  Errc second{};
  committer.submit(one_put(kMeta, "1", "v"), Durability::synced, [&](Result<void> r) { first = r.error().code; });
  store.crash();
  committer.submit(one_put(kMeta, "2", "v"), Durability::synced, [&](Result<void> r) { second = r.error().code; });
  EXPECT_EQ(first, Errc::io);
  EXPECT_EQ(second, Errc::io);
}

}  // namespace
}  // namespace warren::storage
