#include "storage/disc/floor_table.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace warren::storage {

const FloorSnapshot::Group* FloorSnapshot::find(GroupUid uid) const {
  const auto at = std::lower_bound(groups_.begin(), groups_.end(), uid,
                                   [](const Group& g, GroupUid u) { return g.uid < u; });
  return at != groups_.end() && at->uid == uid ? &*at : nullptr;
}

Verdict judge(const FloorSnapshot::Group* group, GroupUid uid, std::uint64_t index) {
  constexpr auto kMax = std::numeric_limits<std::uint64_t>::max();
  if (group == nullptr) return {};
  if (group->retired) {
    if (uid == kMax) return Verdict{true, uid, kMax};
    return Verdict{true, uid + 1, 0};
  }
  if (index > group->floor.checkpoint) return {};
  const auto* live = group->floor.live.get();
  if (live != nullptr) {
    const auto at = std::lower_bound(live->begin(), live->end(), index);
    if (at != live->end()) {
      if (*at == index) return {};
      if (*at <= group->floor.checkpoint) return Verdict{true, uid, *at};
    }
  }
  if (group->floor.checkpoint == kMax) return Verdict{true, uid, kMax};
  return Verdict{true, uid, group->floor.checkpoint + 1};
}

void FloorTable::set(GroupUid uid, Floor floor) {
  std::lock_guard lock(mutex_);
  auto& entry = groups_[uid];
  if (entry.retired || floor.checkpoint < entry.floor.checkpoint) return;
  entry.floor = std::move(floor);
  changes_.fetch_add(1, std::memory_order_relaxed);
}

bool FloorTable::retire(GroupUid uid) {
  std::lock_guard lock(mutex_);
  auto& entry = groups_[uid];
  const bool first = !entry.retired;
  entry.retired = true;
  entry.floor = {};
  changes_.fetch_add(1, std::memory_order_relaxed);
  return first;
}

void FloorTable::forget_retired(GroupUid uid) {
  std::lock_guard lock(mutex_);
  const auto at = groups_.find(uid);
  if (at != groups_.end() && at->second.retired) groups_.erase(at);
}

FloorSnapshot FloorTable::snapshot() const {
  std::vector<FloorSnapshot::Group> groups;
  {
    std::lock_guard lock(mutex_);
    groups.reserve(groups_.size());
    for (const auto& [uid, entry] : groups_) groups.push_back({uid, entry.retired, entry.floor});
  }
  std::sort(groups.begin(), groups.end(),
            [](const auto& a, const auto& b) { return a.uid < b.uid; });
  return FloorSnapshot(std::move(groups));
}

void FloorTable::on_wanted(std::function<void()> ask) {
  std::lock_guard asking(ask_mutex_);
  std::lock_guard answering(answer_mutex_);
  ask_ = std::move(ask);
  can_ask_ = static_cast<bool>(ask_);
  answered_.notify_all();
}

void FloorTable::ask_and_wait(std::chrono::milliseconds at_most) const {
  std::uint64_t mine = 0;
  {
    std::lock_guard asking(ask_mutex_);
    if (!ask_) return;
    {
      std::lock_guard answering(answer_mutex_);
      mine = ++asked_count_;
    }
    ask_();
  }
  std::unique_lock lock(answer_mutex_);
  answered_.wait_for(lock, at_most, [&] { return answered_count_ >= mine || !can_ask_; });
}

void FloorTable::current() {
  std::lock_guard lock(answer_mutex_);
  answered_count_ = asked_count_;
  answered_.notify_all();
}

}  // namespace warren::storage
