#pragma once
// The committer of a running node: one thread, one write and one sync at a time, for whatever
// gathered during the last one.
// Owner: node/main makes it and stops it; the thread inside owns all writing to the store.

#include "base/log.h"
#include "storage/api/committer.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

namespace warren::storage {

struct CommitterOptions {
  /// More than this waiting makes `submit` wait (not on the committer's own thread).
  std::size_t max_queued_bytes{256u << 20};
  /// One write takes no more than this, so that one sync stays short; a single batch may be larger.
  std::size_t max_write_bytes{8u << 20};
  /// How long a batch that asks for no sync may wait for one to ride along with.
  std::int64_t buffered_wait_us{2'000};
  /// Under load, how long to let more gather before the next sync when less than
  /// `gather_bytes` is waiting; 0 = never wait. Fewer syncs for a longer confirm.
  std::int64_t gather_us{0};
  std::size_t gather_bytes{256u << 10};
};

struct CommitterStats {
  std::uint64_t submissions{0};
  std::uint64_t writes{0};
  std::uint64_t syncs{0};
  std::uint64_t wakes{0};  ///< times the thread had to be woken
};

/// Group commit on one thread.
/// Invariants: 1. at most one write is in flight; 2. `done`s run in submission order, on the
/// committer's thread; 3. after a failed write nothing is written any more and every `done`,
/// also of what was queued, gets Errc::io.
/// Bounds: `max_queued_bytes`; beyond it `submit` blocks until the thread has taken what waits.
class ThreadCommitter final : public Committer {
 public:
  /// Requires: `store` and `log` outlive this; nobody else writes to `store`.
  ThreadCommitter(Store& store, CommitterOptions options, Logger& log);
  ~ThreadCommitter() override;

  void submit(WriteBatch batch, Durability durability, Done done) override;
  std::int64_t stalled_ms() const override;
  void stop() override;

  /// Bytes waiting or being written, for back-pressure further up.
  std::size_t queued_bytes() const { return queued_bytes_.load(std::memory_order_relaxed); }
  CommitterStats stats() const;

 private:
  struct Item {
    WriteBatch batch;
    Durability durability{};
    Done done;
  };
  enum class Sleep { awake, until_work, until_sync, until_full };

  void run();
  bool wait_for_work(std::unique_lock<std::mutex>& lock);
  void gather(std::unique_lock<std::mutex>& lock);
  void commit(std::vector<Item>& items);
  void commit_group(std::vector<Item>& items, std::size_t begin, std::size_t end);
  static std::int64_t now_us();

  Store& store_;
  const CommitterOptions options_;
  Logger& log_;

  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::vector<Item> queue_;         // under mutex_
  std::size_t queue_bytes_{0};      // under mutex_: of queue_ alone
  bool queue_has_sync_{false};      // under mutex_
  Sleep sleep_{Sleep::awake};       // under mutex_: what the thread waits for
  bool stopping_{false};            // under mutex_
  std::uint64_t wakes_{0};          // under mutex_
  std::uint64_t submissions_{0};    // under mutex_

  std::atomic<std::size_t> queued_bytes_{0};
  std::atomic<std::int64_t> write_began_us_{0};
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::uint64_t> syncs_{0};
  bool failed_{false};              // the thread's own
  std::string failure_;             // the thread's own
  std::size_t last_group_{0};       // the thread's own: submissions in the last turn
  std::mutex stop_mutex_;
  std::thread thread_;
};

}  // namespace warren::storage
