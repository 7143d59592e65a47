#include "storage/memory/memory_store.h"

#include "base/bytes.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <utility>

namespace warren::storage {
namespace {

std::uint64_t row_bytes(std::string_view key, std::string_view value) {
  return key.size() + value.size();
}

Error closed_error() { return make_error(Errc::io, "the memory store is closed"); }

}  // namespace

/// Steps by key, so that it needs no lock between steps and pins no rows; a row written or dropped
/// behind the walk's back may or may not be seen.
class MemoryStore::Walk final : public Iterator {
 public:
  Walk(const MemoryStore& store, Keyspace space, std::string_view from, std::string_view to)
      : store_(store), space_(space), to_(to) {
    std::shared_lock lock(store_.mutex_);
    const auto& rows = store_.spaces_[static_cast<std::size_t>(space_)];
    load(rows, rows.lower_bound(from));
  }

  bool valid() const override { return valid_; }
  void next() override {
    std::shared_lock lock(store_.mutex_);
    const auto& rows = store_.spaces_[static_cast<std::size_t>(space_)];
    load(rows, rows.upper_bound(key_));
  }
  std::string_view key() const override { return key_; }
  std::string_view value() const override { return value_; }
  Result<void> status() const override { return {}; }

 private:
  void load(const Rows& rows, Rows::const_iterator at) {
    valid_ = at != rows.end() && (to_.empty() || at->first < to_);
    if (!valid_) return;
    key_ = at->first;
    value_ = at->second;
  }

  const MemoryStore& store_;
  Keyspace space_;
  std::string to_;
  std::string key_;
  std::string value_;
  bool valid_{false};
};

Result<void> MemoryStore::write(const WriteBatch& batch, Durability durability) {
  std::unique_lock lock(mutex_);
  if (closed_) return closed_error();
  for (const auto& op : batch.ops()) {
    auto& rows = spaces_[static_cast<std::size_t>(op.space)];
    auto at = rows.lower_bound(op.key);
    const bool found = at != rows.end() && at->first == op.key;
    if (op.erase) {
      if (found) erase_row(rows, at);
      continue;
    }
    std::string value;
    value.reserve(op.head.size() + op.tail.size());
    value.append(op.head).append(op.tail);
    if (found) {
      stats_.disc_bytes += value.size();
      stats_.disc_bytes -= at->second.size();
      at->second = std::move(value);
    } else {
      stats_.disc_bytes += row_bytes(op.key, value);
      rows.emplace_hint(at, op.key, std::move(value));
    }
  }
  stats_.bytes_written += batch.bytes();
  if (durability == Durability::synced) ++stats_.syncs;
  return {};
}

Result<std::optional<std::string>> MemoryStore::get(Keyspace space, std::string_view key) const {
  std::shared_lock lock(mutex_);
  if (closed_) return closed_error();
  const auto& rows = spaces_[static_cast<std::size_t>(space)];
  const auto at = rows.find(key);
  if (at == rows.end()) return std::optional<std::string>{};
  return std::optional<std::string>{at->second};
}

Result<std::unique_ptr<Iterator>> MemoryStore::scan(Keyspace space, std::string_view from,
                                                    std::string_view to) const {
  {
    std::shared_lock lock(mutex_);
    if (closed_) return closed_error();
  }
  return std::unique_ptr<Iterator>(std::make_unique<Walk>(*this, space, from, to));
}

void MemoryStore::set_floor(GroupUid uid, Floor floor) {
  std::unique_lock lock(mutex_);
  auto& group = floors_[uid];
  if (group.retired || floor.checkpoint < group.floor.checkpoint) return;
  group.floor = std::move(floor);
  if (floors_loaded_) drop_dead(uid, group);
}

void MemoryStore::retire(GroupUid uid) {
  std::unique_lock lock(mutex_);
  auto& group = floors_[uid];
  group.retired = true;
  group.floor = {};
  if (floors_loaded_) drop_dead(uid, group);
}

void MemoryStore::floors_loaded() {
  std::unique_lock lock(mutex_);
  floors_loaded_ = true;
  for (const auto& [uid, group] : floors_) drop_dead(uid, group);
}

StoreStats MemoryStore::stats() const {
  std::shared_lock lock(mutex_);
  return stats_;
}

void MemoryStore::close() {
  std::unique_lock lock(mutex_);
  closed_ = true;
}

void MemoryStore::drop_dead(GroupUid uid, const GroupFloor& group) {
  const std::uint64_t last =
      group.retired ? std::numeric_limits<std::uint64_t>::max() : group.floor.checkpoint;
  auto& rows = spaces_[static_cast<std::size_t>(Keyspace::log)];
  const std::string end = log_key(uid, last);
  for (auto at = rows.lower_bound(log_key(uid, 0)); at != rows.end() && at->first <= end;) {
    const auto next = std::next(at);
    const auto index = load_be<std::uint64_t>(at->first.data() + 8);
    const auto* live = group.floor.live.get();
    if (live == nullptr || !std::binary_search(live->begin(), live->end(), index)) {
      erase_row(rows, at);
    }
    at = next;
  }
}

void MemoryStore::erase_row(Rows& rows, Rows::iterator at) {
  stats_.disc_bytes -= row_bytes(at->first, at->second);
  rows.erase(at);
}

}  // namespace warren::storage
