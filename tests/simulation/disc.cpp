#include "tests/simulation/disc.h"

#include "cluster/raft/mutant.h"

#include <algorithm>
#include <iterator>

namespace warren::simulation {

Disc::Disc(World& world, StoreKind kind)
    : world_(world),
      medium_(kind == StoreKind::disc ? make_store_medium(world) : make_rows_medium(world)) {}

void Disc::submit(storage::WriteBatch batch, storage::Durability durability, Done done) {
  if (broken_) return done(make_error(Errc::io, "disc: broken"));
  queue_.push_back({std::move(batch), durability, std::move(done)});
  kick();
}

std::int64_t Disc::stalled_ms() const {
  return inflight_.empty() ? 0 : (world_.now() - inflight_since_) / 1000;
}

void Disc::kick() {
  if (!inflight_.empty() || queue_.empty()) return;
  std::move(queue_.begin(), queue_.end(), std::back_inserter(inflight_));
  queue_.clear();
  inflight_since_ = world_.now();
  Micros latency = world_.prng.between(200, 900);
  if (world_.prng.chance(1, 100)) latency += world_.prng.between(2'000, 20'000);
  Micros end = std::max(world_.now() + latency, stall_until_);
  finish_at(end);
}

void Disc::finish_at(Micros when) {
  world_.at(when, [this, sync = ++sync_] {
    if (sync == sync_) finish();
  });
}

storage::WriteBatch Disc::grouped(std::vector<Pending>& all) {
  storage::WriteBatch group = std::move(all.front().batch);
  for (std::size_t i = 1; i < all.size(); ++i) group.append(std::move(all[i].batch));
  return group;
}

void Disc::finish() {
  std::vector<Pending> done = std::exchange(inflight_, {});
  bool full = world_.now() < full_until_;
  storage::WriteBatch group = grouped(done);
  if (std::exchange(fail_next_, false) || full) {
    // The failed write may have reached the disc or not; nobody may rely on either.
    broken_ = !WARREN_MUTANT(8);
    medium_->apply_and_fail(group, full);
    std::move(queue_.begin(), queue_.end(), std::back_inserter(done));
    queue_.clear();
    for (Pending& p : done) p.done(make_error(Errc::io, full ? "disc: full" : "disc: write failed"));
    return;
  }
  bool sync = std::any_of(done.begin(), done.end(), [](const Pending& p) {
    return p.durability == storage::Durability::synced;
  });
  auto written = medium_->apply(group, sync ? storage::Durability::synced : storage::Durability::buffered);
  if (sync) ++stats_.syncs;
  for (Pending& p : done) p.done(written);
  kick();
}

void Disc::crash() {
  ++sync_;
  if (inflight_.empty()) {
    medium_->crash(nullptr);
  } else {
    storage::WriteBatch group = grouped(inflight_);
    medium_->crash(&group);
  }
  inflight_.clear();
  queue_.clear();
  broken_ = false;
  fail_next_ = false;
  stall_until_ = 0;
}

}  // namespace warren::simulation
