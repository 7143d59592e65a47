#pragma once
// Sets of positions as disjoint ranges: a million neighbours cost as much as one.

#include "node/broker/queue_api.h"

#include <algorithm>
#include <map>

namespace warren::broker {

/// Positions [first, end).
struct Range {
  Position first{0};
  Position end{0};
  bool operator==(const Range&) const = default;
};

/// An ordered set of positions. Ranges never touch: neighbours are merged.
class IntervalSet {
 public:
  bool empty() const { return ranges_.empty(); }
  std::uint64_t count() const { return count_; }
  std::size_t range_count() const { return ranges_.size(); }
  Range front() const { return {ranges_.begin()->first, ranges_.begin()->second}; }
  void clear() {
    ranges_.clear();
    count_ = 0;
  }
  bool contains(Position p) const {
    auto it = ranges_.upper_bound(p);
    return it != ranges_.begin() && p < std::prev(it)->second;
  }

  /// Adds [first, end). Requires: none of it is there yet.
  void insert(Position first, Position end) {
    if (first >= end) return;
    count_ += end - first;
    auto next = ranges_.lower_bound(first);
    if (next != ranges_.begin()) {
      auto prev = std::prev(next);
      if (prev->second == first) {
        prev->second = end;
        if (next != ranges_.end() && next->first == end) {
          prev->second = next->second;
          ranges_.erase(next);
        }
        return;
      }
    }
    if (next != ranges_.end() && next->first == end) {
      const Position tail = next->second;
      auto hint = ranges_.erase(next);
      ranges_.emplace_hint(hint, first, tail);
      return;
    }
    ranges_.emplace_hint(next, first, end);
  }

  /// Takes away what is there of [first, end) and tells `gone(Range)` each piece, ascending.
  template <class Gone>
  void erase(Position first, Position end, Gone&& gone) {
    auto it = ranges_.upper_bound(first);
    if (it != ranges_.begin()) --it;
    while (it != ranges_.end() && it->first < end) {
      const Range piece{std::max(first, it->first), std::min(end, it->second)};
      if (piece.first >= piece.end) {
        ++it;
        continue;
      }
      const Range whole{it->first, it->second};
      it = ranges_.erase(it);
      if (piece.end < whole.end) it = ranges_.emplace_hint(it, piece.end, whole.end);
      if (whole.first < piece.first) ranges_.emplace_hint(it, whole.first, piece.first);
      count_ -= piece.end - piece.first;
      gone(piece);
    }
  }
  void erase(Position first, Position end) {
    erase(first, end, [](const Range&) {});
  }
  /// Takes the first `n` positions of the first range. Requires: it has as many.
  void pop_front(std::uint64_t n) {
    auto it = ranges_.begin();
    const Range whole{it->first, it->second};
    auto next = ranges_.erase(it);
    if (whole.first + n < whole.end) ranges_.emplace_hint(next, whole.first + n, whole.end);
    count_ -= n;
  }

  /// Calls `f(Range)` for every piece inside [first, end), ascending.
  template <class F>
  void each(Position first, Position end, F&& f) const {
    auto it = ranges_.upper_bound(first);
    if (it != ranges_.begin()) --it;
    for (; it != ranges_.end() && it->first < end; ++it) {
      const Range piece{std::max(first, it->first), std::min(end, it->second)};
      if (piece.first < piece.end) f(piece);
    }
  }
  template <class F>
  void each(F&& f) const {
    for (const auto& [first, end] : ranges_) f(Range{first, end});
  }

 private:
  std::map<Position, Position> ranges_;
  std::uint64_t count_{0};
};

}  // namespace warren::broker
