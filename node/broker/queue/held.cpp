#include "node/broker/queue/held.h"

namespace warren::broker {

std::optional<Held> HeldRing::take_slow(Position p) {
  std::uint64_t lo = ring_.front_id(), hi = ring_.end_id();
  while (lo < hi) {
    const std::uint64_t mid = lo + (hi - lo) / 2;
    if (ring_.at(mid).position < p) lo = mid + 1; else hi = mid;
  }
  if (lo < ring_.end_id() && ring_.at(lo).position == p && !ring_.at(lo).settled) {
    const Held held = ring_.at(lo);
    ring_.at(lo).settled = 1;
    ++dead_;
    --size_;
    trim();
    if (dead_ > 64 && dead_ > ring_.size() / 2) {  // one stuck delivery must not keep the rest
      ChunkRing<Held> kept;
      for (std::uint64_t id = ring_.front_id(); id < ring_.end_id(); ++id)
        if (!ring_.at(id).settled) kept.push_back(ring_.at(id));
      ring_ = std::move(kept);
      dead_ = 0;
    }
    return held;
  }
  // A tombstone and a late entry may bear the same position: delivered, returned, delivered anew.
  const auto late = late_.find(p);
  if (late == late_.end()) return std::nullopt;
  const Held held = late->second;
  late_.erase(late);
  --size_;
  return held;
}

void HeldRing::check_invariants() const {
  std::uint64_t live = 0, dead = 0;
  for (std::uint64_t id = ring_.front_id(); id < ring_.end_id(); ++id) {
    const Held& held = ring_.at(id);
    WARREN_ASSERT(id == ring_.front_id() || ring_.at(id - 1).position < held.position);
    (held.settled ? dead : live) += 1;
  }
  WARREN_ASSERT(live + late_.size() == size_ && dead == dead_);
  WARREN_ASSERT(ring_.empty() || !ring_.front().settled);
}

}  // namespace warren::broker
