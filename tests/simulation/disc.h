#pragma once
// A simulated disc: a store and its committer, in virtual time, over a medium that keeps the rows.
// Writes become visible and durable when their sync ends; a crash decides the one in flight by chance and
// forgets what was queued behind it.

#include "storage/api/committer.h"
#include "tests/simulation/medium.h"
#include "tests/simulation/world.h"

#include <deque>
#include <memory>
#include <vector>

namespace warren::simulation {

class Disc final : public storage::Store, public storage::Committer {
 public:
  Disc(World& world, StoreKind kind);

  // Store
  Result<void> write(const storage::WriteBatch& batch, storage::Durability durability) override {
    return medium_->apply(batch, durability);
  }
  Result<std::optional<std::string>> get(storage::Keyspace space, std::string_view key) const override {
    return medium_->get(space, key);
  }
  Result<std::unique_ptr<storage::Iterator>> scan(storage::Keyspace space, std::string_view from,
                                                  std::string_view to) const override {
    return medium_->scan(space, from, to);
  }
  void set_floor(storage::GroupUid uid, storage::Floor floor) override {
    medium_->set_floor(uid, std::move(floor));
  }
  void retire(storage::GroupUid uid) override { medium_->retire(uid); }
  void floors_loaded() override { medium_->floors_loaded(); }
  storage::StoreStats stats() const override { return stats_; }
  void close() override {}

  // Committer
  void submit(storage::WriteBatch batch, storage::Durability durability, Done done) override;
  std::int64_t stalled_ms() const override;
  void stop() override {}

  /// Before the first use and after every crash.
  Result<void> open() { return medium_->open(); }

  // Faults
  /// The process died: the sync in flight may or may not have reached the disc.
  void crash();
  /// No room for `length`: writes fail, also after a restart.
  void fill(Micros length) { full_until_ = world_.now() + length; }
  void stall(Micros extra) { stall_until_ = std::max(stall_until_, world_.now() + extra); }
  void fail_next() { fail_next_ = true; }
  void heal() {
    fail_next_ = false;
    stall_until_ = 0;
    full_until_ = 0;
    if (!inflight_.empty()) finish_at(world_.now() + 1'000);
  }
  // Of the medium.
  bool tidy() { return broken_ || medium_->tidy(); }
  bool rot() { return medium_->rot(); }
  bool rotten() const { return medium_->rotten(); }
  void age(storage::GroupUid group) { medium_->age(group); }
  bool damage(storage::GroupUid group) { return medium_->damage(group); }
  void wipe() { medium_->wipe(); }
  bool holds(storage::GroupUid group, std::uint64_t index) const { return medium_->holds(group, index); }

 private:
  struct Pending {
    storage::WriteBatch batch;
    storage::Durability durability;
    Done done;
  };
  /// All of them as one, as group commit writes them.
  static storage::WriteBatch grouped(std::vector<Pending>& all);
  void kick();
  void finish_at(Micros when);
  void finish();

  World& world_;
  std::unique_ptr<Medium> medium_;
  std::deque<Pending> queue_;
  std::vector<Pending> inflight_;
  Micros inflight_since_{0};
  Micros stall_until_{0};
  Micros full_until_{0};
  bool fail_next_{false};
  bool broken_{false};
  std::uint64_t sync_{0};  ///< the one in flight; an event of another is out of date
  storage::StoreStats stats_;
};

}  // namespace warren::simulation
