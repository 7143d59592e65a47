#pragma once
// Which messages wait, and in which order they go. Owned by a queue's Dispatcher.

#include "node/broker/queue/chunk_ring.h"
#include "node/broker/queue/interval_set.h"

#include <array>
#include <cstdint>
#include <vector>

namespace warren::broker {

/// Ready positions by priority level: the highest level first, inside a level by position.
/// Fresh positions arrive in ascending order and are kept as ranges; returned ones (delivered
/// before) go back to their place, or, with `returns_first`, ahead of all fresh ones in the order
/// of their return.
/// Invariants: 1. no position is in twice; 2. fresh ranges of a level ascend and never touch;
/// 3. count() is the number of positions; 4. bit l of the mask is set when level l holds any.
class ReadyIndex {
 public:
  /// A stretch of positions at the head of a level, all fresh or all returned.
  struct Head {
    unsigned level{0};
    Position first{0};
    Position end{0};
    bool returned{false};
  };

  ReadyIndex(unsigned levels, bool returns_first) : levels_(levels), returns_first_(returns_first) {}

  bool empty() const { return count_ == 0; }
  std::uint64_t count() const { return count_; }
  unsigned levels() const { return static_cast<unsigned>(levels_.size()); }
  bool level_empty(unsigned level) const { return levels_[level].count == 0; }

  /// Adds [first, end) behind everything. Requires: above all fresh positions of the level.
  void push(unsigned level, Position first, Position end) {
    Level& l = levels_[level];
    if (!l.fresh.empty() && l.fresh.back().end == first) {
      l.fresh.back().end = end;
    } else {
      l.fresh.push_back({first, end});
    }
    added(level, end - first);
  }
  /// Gives a position back that was taken before.
  void put_back(unsigned level, Position p);
  /// The same for a stretch. Requires: none of it is in.
  void put_back(unsigned level, Range r);

  /// The head of the queue. Requires: !empty().
  Head head() const { return head_of(top_level()); }
  /// The head of one level. Requires: !level_empty(level).
  Head head_of(unsigned level) const;
  /// Takes the first `n` positions of a head just given. Requires: n <= head.end - head.first.
  void consume(const Head& head, std::uint64_t n);

  /// Calls `f(level, Range, returned)` for every stretch, level by level from the highest.
  template <class F>
  void each(F&& f) const {
    for (unsigned level = levels(); level-- > 0;) {
      const Level& l = levels_[level];
      l.returned.each([&](const Range& r) { f(level, r, true); });
      for (std::uint64_t id = l.returned_order.front_id(); id < l.returned_order.end_id(); ++id)
        f(level, l.returned_order.at(id), true);
      for (std::uint64_t id = l.fresh.front_id(); id < l.fresh.end_id(); ++id)
        f(level, l.fresh.at(id), false);
    }
  }
  /// Calls `f(Range)` for what is ready of [first, end), in no order.
  template <class F>
  void each_in(Position first, Position end, F&& f) const;

  void clear();
  std::size_t memory_bytes() const;
  /// Aborts when an invariant does not hold.
  void check_invariants() const;

 private:
  struct Level {
    ChunkRing<Range, 3> fresh;
    IntervalSet returned;
    ChunkRing<Range, 3> returned_order;  ///< used instead of `returned` with returns_first
    std::uint64_t count{0};
  };

  unsigned top_level() const {
    for (unsigned w = 4; w-- > 0;)
      if (mask_[w] != 0) return w * 64 + 63 - static_cast<unsigned>(__builtin_clzll(mask_[w]));
    return 0;
  }
  void added(unsigned level, std::uint64_t n) {
    levels_[level].count += n;
    count_ += n;
    mask_[level / 64] |= std::uint64_t{1} << (level % 64);
  }

  std::vector<Level> levels_;
  std::array<std::uint64_t, 4> mask_{};
  std::uint64_t count_{0};
  bool returns_first_;
};

template <class F>
void ReadyIndex::each_in(Position first, Position end, F&& f) const {
  const auto clip = [&](const Range& r) {
    const Range piece{std::max(first, r.first), std::min(end, r.end)};
    if (piece.first < piece.end) f(piece);
  };
  for (const Level& l : levels_) {
    if (l.count == 0) continue;
    l.returned.each(first, end, f);
    for (std::uint64_t id = l.returned_order.front_id(); id < l.returned_order.end_id(); ++id)
      clip(l.returned_order.at(id));
    std::uint64_t lo = l.fresh.front_id(), hi = l.fresh.end_id();
    while (lo < hi) {  // the first range that ends above `first`
      const std::uint64_t mid = lo + (hi - lo) / 2;
      if (l.fresh.at(mid).end <= first) lo = mid + 1; else hi = mid;
    }
    for (; lo < l.fresh.end_id() && l.fresh.at(lo).first < end; ++lo) clip(l.fresh.at(lo));
  }
}

}  // namespace warren::broker
