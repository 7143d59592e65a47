#pragma once
// A simulated disc: a store and its committer. Writes become visible and durable when their sync
// ends; a crash decides the one in flight by chance and forgets what was queued behind it.

#include "storage/api/committer.h"
#include "tests/simulation/world.h"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::simulation {

class Disc final : public storage::Store, public storage::Committer {
 public:
  explicit Disc(World& world) : world_(world) {}

  // Store
  Result<void> write(const storage::WriteBatch& batch, storage::Durability) override;
  Result<std::optional<std::string>> get(storage::Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<storage::Iterator>> scan(storage::Keyspace space, std::string_view from,
                                                  std::string_view to) const override;
  void set_floor(storage::GroupUid uid, storage::Floor floor) override;
  void retire(storage::GroupUid uid) override;
  void floors_loaded() override {}
  storage::StoreStats stats() const override { return stats_; }
  void close() override {}

  // Committer
  void submit(storage::WriteBatch batch, storage::Durability, Done done) override;
  std::int64_t stalled_ms() const override;
  void stop() override {}

  // Faults
  /// The process died: the sync in flight may or may not have reached the disc.
  void crash();
  /// No room for `length`: writes fail, also after a restart.
  void fill(Micros length) { full_until_ = world_.now() + length; }
  /// Flips a bit in a row of a log or of a checkpoint; the store's checksums tell whoever reads it.
  bool rot();
  bool rotten() const { return !rotten_.empty(); }
  /// Rewrites a group's record as the first version wrote it: a node before its upgrade.
  void age(storage::GroupUid group);
  void stall(Micros extra) { stall_until_ = std::max(stall_until_, world_.now() + extra); }
  void fail_next() { fail_next_ = true; }
  void heal() {
    fail_next_ = false;
    stall_until_ = 0;
    full_until_ = 0;
    if (!inflight_.empty()) finish_at(world_.now() + 1'000);
  }
  /// Damages the record of a group so that reading it fails its checks; false if there is none.
  bool damage(storage::GroupUid group);
  void wipe();

  bool holds(storage::GroupUid group, std::uint64_t index) const;

 private:
  using Rows = std::map<std::string, std::string, std::less<>>;
  struct Pending {
    storage::WriteBatch batch;
    Done done;
  };
  struct Undo {
    storage::Keyspace space;
    std::string key;
    std::optional<std::string> before;
  };

  /// Where a group's log begins and ends, read from its record.
  struct Extent {
    storage::GroupUid log_uid;
    std::uint64_t base;
  };
  struct Key {
    storage::Keyspace space;
    std::string key;
    auto operator<=>(const Key&) const = default;
  };
  std::optional<Extent> extent(storage::GroupUid group) const;
  friend class RowsIterator;
  bool unreadable(storage::Keyspace space, std::string_view key) const {
    return !rotten_.empty() && rotten_.contains(Key{space, std::string(key)});
  }
  void drop(const std::string& key);
  void kick();
  void finish_at(Micros when);
  void finish();
  void apply(const storage::WriteBatch& batch);
  Rows& rows(storage::Keyspace space) { return spaces_[static_cast<std::size_t>(space)]; }
  const Rows& rows(storage::Keyspace space) const {
    return spaces_[static_cast<std::size_t>(space)];
  }

  World& world_;
  std::array<Rows, storage::kKeyspaceCount> spaces_;
  std::deque<Pending> queue_;
  std::vector<Pending> inflight_;
  Micros inflight_since_{0};
  Micros stall_until_{0};
  Micros full_until_{0};
  std::set<Key> rotten_;
  std::map<storage::GroupUid, storage::Floor> floors_;  ///< those that were carried out
  bool fail_next_{false};
  bool broken_{false};
  std::uint64_t sync_{0};  ///< the one in flight; an event of another is out of date
  storage::StoreStats stats_;
  std::deque<std::vector<Undo>> undo_;  ///< only for the mutant that forgets synced batches
};

}  // namespace warren::simulation
