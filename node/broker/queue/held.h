#pragma once
// What consumers hold: delivered and not yet settled. Owned by a queue's Dispatcher.

#include "node/broker/queue/chunk_ring.h"
#include "node/broker/queue/interval_set.h"

#include <cstdint>
#include <map>
#include <optional>

namespace warren::broker {

/// One unsettled delivery. Positions fit in 48 bits (see README, Decisions).
struct Held {
  std::uint64_t position : 48;
  std::uint64_t level : 8;
  std::uint64_t persistent : 1;
  std::uint64_t logged : 1;
  std::uint64_t settled : 1;  ///< a tombstone inside the ring
  std::uint32_t body_bytes;
};
static_assert(sizeof(Held) == 16);

/// The unsettled deliveries of one holder, in order of position. Deliveries mostly go up and are
/// mostly settled in order: a ring with tombstones; what arrives below its end goes to a map.
/// Invariants: 1. the ring ascends; 2. neither its front is a tombstone, nor are most of it;
/// 3. size() counts what is not settled.
class HeldRing {
 public:
  bool empty() const { return size_ == 0; }
  std::uint64_t size() const { return size_; }

  void add(Held held) {
    ++size_;
    if (ring_.empty() || ring_.back().position < held.position) {
      ring_.push_back(held);
    } else {
      late_.emplace(Position{held.position}, held);
    }
  }
  /// Takes a delivery out; nothing when the holder does not hold it.
  std::optional<Held> take(Position p) {
    if (!ring_.empty() && ring_.front().position == p) {
      const Held held = ring_.front();
      ring_.pop_front();
      --size_;
      trim();
      return held;
    }
    return take_slow(p);
  }
  /// Calls `f(Held)` for each, ascending.
  template <class F>
  void each(F&& f) const {
    auto late = late_.begin();
    for (std::uint64_t id = ring_.front_id(); id < ring_.end_id(); ++id) {
      const Held& held = ring_.at(id);
      for (; late != late_.end() && late->first < held.position; ++late) f(late->second);
      if (!held.settled) f(held);
    }
    for (; late != late_.end(); ++late) f(late->second);
  }
  /// The same for those in [first, end), in any order.
  template <class F>
  void each_in(Position first, Position end, F&& f) const {
    std::uint64_t lo = ring_.front_id(), hi = ring_.end_id();
    while (lo < hi) {
      const std::uint64_t mid = lo + (hi - lo) / 2;
      if (ring_.at(mid).position < first) lo = mid + 1; else hi = mid;
    }
    for (; lo < ring_.end_id() && ring_.at(lo).position < end; ++lo)
      if (!ring_.at(lo).settled) f(ring_.at(lo));
    for (auto it = late_.lower_bound(first); it != late_.end() && it->first < end; ++it)
      f(it->second);
  }
  void clear() {
    ring_.clear();
    late_.clear();
    size_ = dead_ = 0;
  }
  std::size_t memory_bytes() const { return ring_.memory_bytes() + late_.size() * 64; }
  void check_invariants() const;

 private:
  std::optional<Held> take_slow(Position p);
  void trim() {
    while (dead_ > 0 && !ring_.empty() && ring_.front().settled) {
      ring_.pop_front();
      --dead_;
    }
  }

  ChunkRing<Held> ring_;
  std::map<Position, Held> late_;
  std::uint64_t size_{0};
  std::uint64_t dead_{0};  ///< tombstones in the ring
};

}  // namespace warren::broker
