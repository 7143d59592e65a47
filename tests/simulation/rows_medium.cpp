// Rows in memory with the faults of a disc: the medium of nearly all runs.
#include "cluster/raft/mutant.h"
#include "tests/simulation/medium.h"

#include "base/bytes.h"

#include <deque>
#include <set>
#include <utility>
#include <vector>

namespace warren::simulation {
namespace {

using storage::Keyspace;

class RowsMedium final : public Medium {
 public:
  explicit RowsMedium(World& world) : world_(world) {}

  Result<void> open() override { return {}; }
  Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<storage::Iterator>> scan(Keyspace space, std::string_view from,
                                                  std::string_view to) const override;
  void set_floor(storage::GroupUid uid, storage::Floor floor) override;
  void retire(storage::GroupUid uid) override;
  void floors_loaded() override {}
  Result<void> apply(const storage::WriteBatch& group, storage::Durability) override;
  /// It may have reached the disc or not; here it did not.
  void apply_and_fail(const storage::WriteBatch&, bool) override {}
  void crash(const storage::WriteBatch* group) override;
  bool damage(storage::GroupUid group) override;
  bool rot() override;
  bool rotten() const override { return !rotten_.empty(); }
  void age(storage::GroupUid group) override;
  void wipe() override;
  bool holds(storage::GroupUid group, std::uint64_t index) const override { return rows_.holds(group, index); }

 private:
  struct Key {
    Keyspace space;
    std::string key;
    auto operator<=>(const Key&) const = default;
  };
  struct Undo {
    Keyspace space;
    std::string key;
    std::optional<std::string> before;
  };
  class Walk;
  bool unreadable(Keyspace space, std::string_view key) const {
    return !rotten_.empty() && rotten_.contains(Key{space, std::string(key)});
  }

  World& world_;
  Rows rows_;
  std::set<Key> rotten_;
  std::deque<std::vector<Undo>> undo_;  ///< only for the mutant that forgets synced batches
};

class RowsMedium::Walk final : public storage::Iterator {
 public:
  using At = Rows::Space::const_iterator;
  Walk(const RowsMedium& medium, Keyspace space, At at, At end)
      : medium_(medium), space_(space), at_(at), end_(end) {}
  bool valid() const override { return at_ != end_ && !medium_.unreadable(space_, at_->first); }
  void next() override { ++at_; }
  std::string_view key() const override { return at_->first; }
  std::string_view value() const override { return at_->second; }
  Result<void> status() const override {
    if (at_ == end_ || !medium_.unreadable(space_, at_->first)) return {};
    return make_error(Errc::corruption, "disc: checksum of a row");
  }

 private:
  const RowsMedium& medium_;
  Keyspace space_;
  At at_, end_;
};

Result<std::optional<std::string>> RowsMedium::get(Keyspace space, std::string_view key) const {
  const Rows::Space& in = rows_.of(space);
  auto found = in.find(key);
  if (found == in.end()) return std::optional<std::string>{};
  if (unreadable(space, key)) return make_error(Errc::corruption, "disc: checksum of a row");
  return std::optional<std::string>{found->second};
}

Result<std::unique_ptr<storage::Iterator>> RowsMedium::scan(Keyspace space, std::string_view from,
                                                            std::string_view to) const {
  const Rows::Space& in = rows_.of(space);
  auto end = to.empty() ? in.end() : in.lower_bound(to);
  return std::unique_ptr<storage::Iterator>(new Walk(*this, space, in.lower_bound(from), end));
}

void RowsMedium::set_floor(storage::GroupUid uid, storage::Floor floor) {
  // "May vanish at any time": mostly at once, sometimes later, so that nothing can rely on either.
  if (world_.prng.chance(1, 4)) return;
  rows_.set_floor(uid, std::move(floor), [this](const std::string& key) {
    if (!rotten_.empty()) rotten_.erase({Keyspace::log, key});
  });
}

void RowsMedium::retire(storage::GroupUid uid) {
  rows_.retire(uid);
  std::erase_if(rotten_, [&](const Key& at) {
    return at.space == Keyspace::log && load_be<std::uint64_t>(at.key.data()) == uid;
  });
}

Result<void> RowsMedium::apply(const storage::WriteBatch& group, storage::Durability) {
  bool remember = WARREN_MUTANT(17);
  if (remember || !rotten_.empty()) {
    std::vector<Undo> undo;
    for (const auto& op : group.ops()) {
      rotten_.erase({op.space, op.key});
      if (!remember) continue;
      const Rows::Space& in = rows_.of(op.space);
      auto found = in.find(op.key);
      undo.push_back({op.space, op.key, found == in.end() ? std::nullopt : std::optional(found->second)});
    }
    if (remember) undo_.push_back(std::move(undo));
    if (undo_.size() > 4) undo_.pop_front();
  }
  rows_.apply(group);
  return {};
}

void RowsMedium::crash(const storage::WriteBatch* group) {
  rows_.forget_floors();
  if (group && world_.prng.chance(1, 2)) (void)apply(*group, storage::Durability::synced);
  for (; WARREN_MUTANT(17) && !undo_.empty(); undo_.pop_back()) {
    for (auto u = undo_.back().rbegin(); u != undo_.back().rend(); ++u) {
      if (u->before) {
        rows_.of(u->space)[u->key] = *u->before;
      } else {
        rows_.of(u->space).erase(u->key);
      }
    }
  }
}

bool RowsMedium::damage(storage::GroupUid group) {
  std::string* record = rows_.record(group);
  if (record) record->resize(record->size() / 2);
  return record != nullptr;
}

bool RowsMedium::rot() {
  std::vector<Key> all;
  for (Keyspace space : {Keyspace::log, Keyspace::queue_state}) {
    for (const auto& [key, value] : rows_.of(space)) all.push_back({space, key});
  }
  if (all.empty()) return false;
  rotten_.insert(all[world_.prng.below(all.size())]);
  return true;
}

void RowsMedium::age(storage::GroupUid group) {
  std::string* record = rows_.record(group);
  if (!record) return;
  if (auto aged = aged_record(*record)) *record = std::move(*aged);
}

void RowsMedium::wipe() {
  rows_.clear();
  rotten_.clear();
  undo_.clear();
}

}  // namespace

std::unique_ptr<Medium> make_rows_medium(World& world) { return std::make_unique<RowsMedium>(world); }

}  // namespace warren::simulation
