#include "node/broker/queue/run_table.h"

namespace warren::broker {

std::uint32_t offset_of(Run& run, std::uint32_t ordinal) {
  constexpr std::uint32_t kWalk = 16;
  if (run.extra && !run.extra->offsets.empty()) return run.extra->offsets[ordinal];
  const char* data = run.block->data();
  std::uint32_t offset = run.base;
  if (ordinal <= kWalk) {
    for (std::uint32_t i = 0; i < ordinal; ++i)
      offset += static_cast<std::uint32_t>(MessageView(data + offset).record_size());
    return offset;
  }
  if (!run.extra) run.extra = std::make_unique<RunExtra>();
  auto& offsets = run.extra->offsets;
  offsets.reserve(run.count);
  for (std::uint32_t i = 0; i < run.count; ++i) {
    offsets.push_back(offset);
    offset += static_cast<std::uint32_t>(MessageView(data + offset).record_size());
  }
  return offsets[ordinal];
}

std::uint64_t RunTable::search(Position p) const {
  std::uint64_t lo = ring_.front_id(), hi = ring_.end_id();
  while (lo < hi) {
    const std::uint64_t mid = lo + (hi - lo) / 2;
    if (ring_.at(mid).end() <= p) lo = mid + 1; else hi = mid;
  }
  return lo;
}

void RunTable::compact(std::span<std::uint64_t* const> marks) {
  std::uint64_t to = ring_.front_id();
  std::vector<std::uint64_t> moved(marks.size(), 0);
  std::vector<bool> done(marks.size(), false);
  for (std::size_t i = 0; i < marks.size(); ++i) {
    done[i] = *marks[i] == ~std::uint64_t{0};  // "none" stays
    if (done[i]) moved[i] = *marks[i];
  }
  for (std::uint64_t from = ring_.front_id(); from < ring_.end_id(); ++from) {
    if (ring_.at(from).live == 0) continue;
    for (std::size_t i = 0; i < marks.size(); ++i)
      if (!done[i] && *marks[i] <= from) {
        moved[i] = to;
        done[i] = true;
      }
    if (to != from) ring_.at(to) = std::move(ring_.at(from));
    ++to;
  }
  while (ring_.end_id() > to) ring_.pop_back();
  for (std::size_t i = 0; i < marks.size(); ++i) *marks[i] = done[i] ? moved[i] : to;
  dead_ = 0;
}

void RunTable::check_invariants() const {
  std::uint64_t dead = 0;
  Position end = 0;
  LogIndex index = 0;
  for (std::uint64_t id = ring_.front_id(); id < ring_.end_id(); ++id) {
    const Run& run = ring_.at(id);
    WARREN_ASSERT(run.count > 0 && run.first >= end && run.live <= run.count);
    end = run.end();
    if (run.logged()) {
      WARREN_ASSERT(run.index > index);
      index = run.index;
    }
    if (run.live == 0) {
      ++dead;
      WARREN_ASSERT(!run.block && run.paged == 0 && run.paging == 0);
    } else {
      WARREN_ASSERT(run.block || run.index != 0);
      WARREN_ASSERT(run.paging == 0 || (run.block && run.index == 0));
      WARREN_ASSERT(!run.sparse || (run.extra && run.extra->offsets.size() == run.count));
    }
  }
  WARREN_ASSERT(dead == dead_);
  WARREN_ASSERT(ring_.empty() || ring_.front().live != 0);
}

}  // namespace warren::broker
