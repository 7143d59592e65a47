#include "storage/journal/thread_committer.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace warren::storage {

ThreadCommitter::ThreadCommitter(Store& store, CommitterOptions options, Logger& log)
    : store_(store), options_(options), log_(log), thread_([this] { run(); }) {}

ThreadCommitter::~ThreadCommitter() { stop(); }

std::int64_t ThreadCommitter::now_us() {
  using namespace std::chrono;
  return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

void ThreadCommitter::submit(WriteBatch batch, Durability durability, Done done) {
  const std::size_t bytes = batch.bytes();
  bool wake = false;
  {
    std::unique_lock lock(mutex_);
    if (queue_bytes_ >= options_.max_queued_bytes && std::this_thread::get_id() != thread_.get_id()) {
      room_.wait(lock, [&] { return queue_bytes_ < options_.max_queued_bytes || stopping_; });
    }
    if (stopping_) {
      lock.unlock();
      if (done) done(make_error(Errc::cancelled, "the committer has stopped"));
      return;
    }
    const bool sync = durability == Durability::synced;
    queue_.push_back(Item{std::move(batch), durability, std::move(done)});
    queue_bytes_ += bytes;
    queue_has_sync_ = queue_has_sync_ || sync;
    queued_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    ++submissions_;
    // The wake-up is the dear part, so only the first one of a sleep pays for it.
    const bool full = queue_bytes_ >= options_.max_write_bytes;
    wake = sleep_ == Sleep::until_work || (sleep_ == Sleep::until_sync && (sync || full)) ||
           (sleep_ == Sleep::until_full && queue_bytes_ >= options_.gather_bytes);
    if (wake) {
      sleep_ = Sleep::awake;
      ++wakes_;
    }
  }
  if (wake) work_.notify_one();
}

std::int64_t ThreadCommitter::stalled_ms() const {
  const std::int64_t began = write_began_us_.load(std::memory_order_relaxed);
  return began == 0 ? 0 : std::max<std::int64_t>(0, (now_us() - began) / 1000);
}

void ThreadCommitter::stop() {
  std::lock_guard once(stop_mutex_);
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
    sleep_ = Sleep::awake;
  }
  work_.notify_one();
  room_.notify_all();
  if (thread_.joinable()) thread_.join();
}

CommitterStats ThreadCommitter::stats() const {
  std::lock_guard lock(mutex_);
  return CommitterStats{submissions_, writes_.load(), syncs_.load(), wakes_};
}

void ThreadCommitter::run() {
  std::vector<Item> items;
  std::unique_lock lock(mutex_);
  while (wait_for_work(lock)) {
    gather(lock);
    items.swap(queue_);
    queue_bytes_ = 0;
    queue_has_sync_ = false;
    lock.unlock();
    room_.notify_all();
    commit(items);
    items.clear();
    lock.lock();
  }
}

/// Returns with something queued, or false when all is done and the committer stops.
bool ThreadCommitter::wait_for_work(std::unique_lock<std::mutex>& lock) {
  if (queue_.empty()) last_group_ = 0;
  while (queue_.empty()) {
    if (stopping_) return false;
    sleep_ = Sleep::until_work;
    work_.wait(lock, [&] { return sleep_ == Sleep::awake; });
  }
  if (queue_has_sync_ || stopping_ || queue_bytes_ >= options_.max_write_bytes) return true;
  sleep_ = Sleep::until_sync;
  work_.wait_for(lock, std::chrono::microseconds(options_.buffered_wait_us),
                 [&] { return sleep_ == Sleep::awake; });
  sleep_ = Sleep::awake;
  return true;
}

/// Under load only, that is when the last turn had company: lets a thin group grow.
void ThreadCommitter::gather(std::unique_lock<std::mutex>& lock) {
  if (options_.gather_us <= 0 || last_group_ < 2 || stopping_) return;
  if (queue_bytes_ >= options_.gather_bytes) return;
  sleep_ = Sleep::until_full;
  work_.wait_for(lock, std::chrono::microseconds(options_.gather_us),
                 [&] { return sleep_ == Sleep::awake; });
  sleep_ = Sleep::awake;
}

void ThreadCommitter::commit(std::vector<Item>& items) {
  last_group_ = items.size();
  std::size_t begin = 0;
  while (begin < items.size()) {
    std::size_t end = begin;
    std::size_t bytes = 0;
    while (end < items.size() &&
           (end == begin || bytes + items[end].batch.bytes() <= options_.max_write_bytes)) {
      bytes += items[end++].batch.bytes();
    }
    commit_group(items, begin, end);
    queued_bytes_.fetch_sub(bytes, std::memory_order_relaxed);
    begin = end;
  }
}

void ThreadCommitter::commit_group(std::vector<Item>& items, std::size_t begin, std::size_t end) {
  auto durability = Durability::buffered;
  WriteBatch group = std::move(items[begin].batch);
  for (std::size_t i = begin; i < end; ++i) {
    if (items[i].durability == Durability::synced) durability = Durability::synced;
    if (i > begin) group.append(std::move(items[i].batch));
  }
  Result<void> outcome;
  if (failed_) {
    outcome = make_error(Errc::io, failure_);
  } else {
    write_began_us_.store(now_us(), std::memory_order_relaxed);
    outcome = store_.write(group, durability);
    write_began_us_.store(0, std::memory_order_relaxed);
    writes_.fetch_add(1, std::memory_order_relaxed);
    if (durability == Durability::synced) syncs_.fetch_add(1, std::memory_order_relaxed);
    if (!outcome) {
      failed_ = true;
      failure_ = "the store is broken: " + outcome.error().text;
      log_.error(LogArea::storage, "commit failed error={}", outcome.error().text);
      outcome = make_error(Errc::io, failure_);
    }
  }
  group.clear();
  for (std::size_t i = begin; i < end; ++i) {
    if (items[i].done) items[i].done(outcome);
    items[i].done = nullptr;
  }
}

}  // namespace warren::storage
