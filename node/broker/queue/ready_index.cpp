#include "node/broker/queue/ready_index.h"

namespace warren::broker {

void ReadyIndex::put_back(unsigned level, Position p) { put_back(level, Range{p, p + 1}); }

void ReadyIndex::put_back(unsigned level, Range r) {
  Level& l = levels_[level];
  if (returns_first_) {
    if (!l.returned_order.empty() && l.returned_order.back().end == r.first) {
      l.returned_order.back().end = r.end;
    } else {
      l.returned_order.push_back(r);
    }
  } else {
    l.returned.insert(r.first, r.end);
  }
  added(level, r.end - r.first);
}

ReadyIndex::Head ReadyIndex::head_of(unsigned level) const {
  const Level& l = levels_[level];
  if (!l.returned_order.empty()) {
    const Range r = l.returned_order.front();
    return {level, r.first, r.end, true};
  }
  if (l.returned.empty()) {
    const Range f = l.fresh.front();
    return {level, f.first, f.end, false};
  }
  const Range r = l.returned.front();
  if (l.fresh.empty() || r.first < l.fresh.front().first) return {level, r.first, r.end, true};
  const Range f = l.fresh.front();
  return {level, f.first, std::min(f.end, r.first), false};
}

void ReadyIndex::consume(const Head& head, std::uint64_t n) {
  Level& l = levels_[head.level];
  if (!head.returned) {
    Range& f = l.fresh.front();
    f.first += n;
    if (f.first == f.end) l.fresh.pop_front();
  } else if (returns_first_) {
    Range& r = l.returned_order.front();
    r.first += n;
    if (r.first == r.end) l.returned_order.pop_front();
  } else {
    l.returned.pop_front(n);
  }
  l.count -= n;
  count_ -= n;
  if (l.count == 0) mask_[head.level / 64] &= ~(std::uint64_t{1} << (head.level % 64));
}

void ReadyIndex::clear() {
  for (Level& l : levels_) {
    l.fresh.clear();
    l.returned.clear();
    l.returned_order.clear();
    l.count = 0;
  }
  mask_.fill(0);
  count_ = 0;
}

std::size_t ReadyIndex::memory_bytes() const {
  std::size_t bytes = levels_.capacity() * sizeof(Level);
  for (const Level& l : levels_)
    bytes += l.fresh.memory_bytes() + l.returned.range_count() * 64 +
             l.returned_order.memory_bytes();
  return bytes;
}

void ReadyIndex::check_invariants() const {
  IntervalSet seen;
  std::uint64_t total = 0;
  for (unsigned level = 0; level < levels(); ++level) {
    const Level& l = levels_[level];
    Position last_end = 0;
    std::uint64_t n = 0;
    for (std::uint64_t id = l.fresh.front_id(); id < l.fresh.end_id(); ++id) {
      const Range r = l.fresh.at(id);
      WARREN_ASSERT(r.first < r.end && (n == 0 || r.first > last_end));
      last_end = r.end;
      n += r.end - r.first;
    }
    for (std::uint64_t id = l.returned_order.front_id(); id < l.returned_order.end_id(); ++id)
      n += l.returned_order.at(id).end - l.returned_order.at(id).first;
    n += l.returned.count();
    WARREN_ASSERT(n == l.count);
    WARREN_ASSERT((n != 0) == ((mask_[level / 64] >> (level % 64)) & 1));
    total += n;
  }
  WARREN_ASSERT(total == count_);
  each([&](unsigned, const Range& r, bool) {
    seen.each(r.first, r.end, [](const Range&) { WARREN_ASSERT(false); });
    seen.insert(r.first, r.end);
  });
}

}  // namespace warren::broker
