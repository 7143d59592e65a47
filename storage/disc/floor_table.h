#pragma once
// Which log rows are dead: the floors of all groups, and immutable snapshots of them for filters.
// Owner: DiscStore; internally locked.

#include "storage/api/store.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>
#include <vector>

namespace warren::storage {

/// The floors as they were at one moment, sorted by uid; never changes.
class FloorSnapshot {
 public:
  struct Group {
    GroupUid uid{};
    bool retired{false};
    Floor floor;
  };

  explicit FloorSnapshot(std::vector<Group> sorted) : groups_(std::move(sorted)) {}

  const Group* find(GroupUid uid) const;
  const std::vector<Group>& groups() const { return groups_; }

 private:
  std::vector<Group> groups_;
};

/// What is to become of one row.
struct Verdict {
  bool dead{false};
  /// When dead: every row from this one up to (excluding) `next_uid . next_index` is dead too.
  GroupUid next_uid{0};
  std::uint64_t next_index{0};
};

/// Judges log row (uid, index); `group` may be null (a group without a floor is all alive).
Verdict judge(const FloorSnapshot::Group* group, GroupUid uid, std::uint64_t index);

/// Thread safety: any thread.
class FloorTable {
 public:
  /// Ignored when lower than before, or after `retire`.
  void set(GroupUid uid, Floor floor);
  /// False when it was retired before.
  bool retire(GroupUid uid);
  void forget_retired(GroupUid uid);
  void loaded() { loaded_.store(true, std::memory_order_release); }
  /// Until true nothing may be dropped.
  bool is_loaded() const { return loaded_.load(std::memory_order_acquire); }
  FloorSnapshot snapshot() const;
  /// Grows whenever a floor rises or a group is retired.
  std::uint64_t changes() const { return changes_.load(std::memory_order_relaxed); }

  void on_wanted(std::function<void()> ask);
  /// Asks for fresh floors and waits for `current`, at most so long.
  void ask_and_wait(std::chrono::milliseconds at_most) const;
  void current();

 private:
  struct Entry {
    Floor floor;
    bool retired{false};
  };
  mutable std::mutex mutex_;
  std::unordered_map<GroupUid, Entry> groups_;
  std::atomic<bool> loaded_{false};
  std::atomic<std::uint64_t> changes_{0};

  // Held while asking, so that clearing waits for a call that runs.
  mutable std::mutex ask_mutex_;
  std::function<void()> ask_;
  mutable std::mutex answer_mutex_;
  mutable std::condition_variable answered_;
  mutable std::uint64_t asked_count_{0};
  std::uint64_t answered_count_{0};
  bool can_ask_{false};
};

}  // namespace warren::storage
