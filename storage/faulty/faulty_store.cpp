#include "storage/faulty/faulty_store.h"

#include <utility>
#include <vector>

namespace warren::storage {

/// The rows as they were when the walk began: tests have few.
class FaultyStore::Walk final : public Iterator {
 public:
  using Rows = std::vector<std::pair<std::string, std::string>>;
  explicit Walk(Rows rows) : rows_(std::move(rows)) {}

  bool valid() const override { return at_ < rows_.size(); }
  void next() override { ++at_; }
  std::string_view key() const override { return rows_[at_].first; }
  std::string_view value() const override { return rows_[at_].second; }
  Result<void> status() const override { return {}; }

 private:
  Rows rows_;
  std::size_t at_{0};
};

Result<void> FaultyStore::break_now(const std::string& why) const {
  broken_ = true;
  why_ = why;
  return make_error(Errc::io, why);
}

Result<void> FaultyStore::count_operation() const {
  if (broken_) return make_error(Errc::io, why_);
  ++operations_;
  if (fail_in_ != 0 && --fail_in_ == 0) {
    return break_now("injected: operation " + std::to_string(operations_) + " failed");
  }
  return {};
}

void FaultyStore::overlay(const WriteBatch& batch) {
  for (const auto& op : batch.ops()) {
    auto& row = overlay_[RowKey{op.space, op.key}];
    if (op.erase) {
      row.reset();
    } else {
      row = op.head;
      row->append(op.tail);
    }
  }
}

/// Hands the buffered batches and `last` to the inner store as one synced write.
Result<void> FaultyStore::write_inner(const WriteBatch* last, Durability durability) {
  WriteBatch all;
  for (auto& batch : unsynced_) all.append(std::move(batch));
  if (last != nullptr) {
    WriteBatch copy = *last;
    all.append(std::move(copy));
  }
  unsynced_.clear();
  overlay_.clear();
  return inner_.write(all, durability);
}

Result<void> FaultyStore::write(const WriteBatch& batch, Durability durability) {
  std::function<void()> hook;
  {
    std::lock_guard lock(mutex_);
    hook = hook_;
  }
  if (hook) hook();
  std::lock_guard lock(mutex_);
  if (broken_) return make_error(Errc::io, why_);
  ++writes_;
  if (tear_) {
    tear_ = false;
    (void)write_inner(nullptr, Durability::synced);
    return break_now("injected: the machine died inside write " + std::to_string(writes_));
  }
  const bool fails = fail_write_in_ != 0 && --fail_write_in_ == 0;
  if (fails) {
    if (failed_write_reaches_disc_) (void)write_inner(&batch, Durability::synced);
    return break_now("injected: write " + std::to_string(writes_) + " failed");
  }
  if (auto counted = count_operation(); !counted) return counted;
  if (durability == Durability::synced) return write_inner(&batch, durability);
  overlay(batch);
  // A deep copy: the owner may let go of shared bytes once the write has returned.
  WriteBatch kept;
  for (const auto& op : batch.ops()) {
    if (op.erase) {
      kept.erase(op.space, op.key);
    } else {
      kept.put(op.space, op.key, op.head + std::string(op.tail));
    }
  }
  unsynced_.push_back(std::move(kept));
  return {};
}

Result<std::optional<std::string>> FaultyStore::get(Keyspace space, std::string_view key) const {
  std::lock_guard lock(mutex_);
  if (auto counted = count_operation(); !counted) return counted.error();
  const auto at = overlay_.find(RowKey{space, std::string(key)});
  if (at != overlay_.end()) return at->second;
  return inner_.get(space, key);
}

Result<std::unique_ptr<Iterator>> FaultyStore::scan(Keyspace space, std::string_view from,
                                                    std::string_view to) const {
  std::lock_guard lock(mutex_);
  if (auto counted = count_operation(); !counted) return counted.error();
  std::map<std::string, std::string> rows;
  auto inner = inner_.scan(space, from, to);
  if (!inner) return inner.error();
  for (; (*inner)->valid(); (*inner)->next()) {
    rows.emplace((*inner)->key(), (*inner)->value());
  }
  if (auto ended = (*inner)->status(); !ended) return ended.error();
  for (auto at = overlay_.lower_bound(RowKey{space, std::string(from)});
       at != overlay_.end() && at->first.space == space && (to.empty() || at->first.key < to); ++at) {
    if (at->second) {
      rows[at->first.key] = *at->second;
    } else {
      rows.erase(at->first.key);
    }
  }
  return std::unique_ptr<Iterator>(
      std::make_unique<Walk>(Walk::Rows(rows.begin(), rows.end())));
}

void FaultyStore::set_floor(GroupUid uid, Floor floor) { inner_.set_floor(uid, std::move(floor)); }
void FaultyStore::retire(GroupUid uid) { inner_.retire(uid); }
void FaultyStore::floors_loaded() { inner_.floors_loaded(); }

StoreStats FaultyStore::stats() const {
  std::lock_guard lock(mutex_);
  auto out = inner_.stats();
  for (const auto& batch : unsynced_) out.bytes_written += batch.bytes();
  return out;
}

void FaultyStore::close() {
  std::lock_guard lock(mutex_);
  if (!broken_ && !unsynced_.empty()) (void)write_inner(nullptr, Durability::synced);
  broken_ = true;
  why_ = "the store is closed";
  inner_.close();
}

void FaultyStore::reset() {
  unsynced_.clear();
  overlay_.clear();
  fail_in_ = 0;
  fail_write_in_ = 0;
  tear_ = false;
  broken_ = false;
  why_.clear();
}

void FaultyStore::crash() { crash_keeping(0); }

void FaultyStore::crash_keeping(std::size_t batches) {
  std::lock_guard lock(mutex_);
  while (unsynced_.size() > batches) unsynced_.pop_back();
  if (!unsynced_.empty()) (void)write_inner(nullptr, Durability::synced);
  reset();
}

void FaultyStore::fail_nth(std::uint64_t n) {
  std::lock_guard lock(mutex_);
  fail_in_ = n;
}

void FaultyStore::fail_nth_write(std::uint64_t n, bool reaches_disc) {
  std::lock_guard lock(mutex_);
  fail_write_in_ = n;
  failed_write_reaches_disc_ = reaches_disc;
}

void FaultyStore::tear_next_write() {
  std::lock_guard lock(mutex_);
  tear_ = true;
}

void FaultyStore::on_write(std::function<void()> hook) {
  std::lock_guard lock(mutex_);
  hook_ = std::move(hook);
}

std::uint64_t FaultyStore::operations() const {
  std::lock_guard lock(mutex_);
  return operations_;
}

std::uint64_t FaultyStore::writes() const {
  std::lock_guard lock(mutex_);
  return writes_;
}

std::size_t FaultyStore::unsynced_batches() const {
  std::lock_guard lock(mutex_);
  return unsynced_.size();
}

}  // namespace warren::storage
