#include "base/bytes.h"
#include "storage/disc/batch_stamp.h"
#include "storage/disc/disc_store_impl.h"

#include <rocksdb/convenience.h>

#include <utility>

namespace warren::storage {
namespace {

constexpr std::string_view kRetiredRow = "retired.";
constexpr std::string_view kClosedRow = "closed";
constexpr std::size_t kBatchOverhead = 256;
constexpr std::size_t kOpOverhead = 16;
constexpr std::size_t kKeptBatchBytes = 16u << 20;

rocksdb::Slice slice(std::string_view bytes) { return {bytes.data(), bytes.size()}; }
std::string_view view(const rocksdb::Slice& bytes) { return {bytes.data(), bytes.size()}; }

std::string retired_key(GroupUid uid) {
  std::string key(kRetiredRow);
  key.resize(key.size() + 8);
  store_be(key.data() + kRetiredRow.size(), uid);
  return key;
}

/// Holds the database open as long as it lives.
class DiscIterator final : public Iterator {
 public:
  DiscIterator(std::shared_ptr<OpenDatabase> open, Keyspace space, std::string_view from,
               std::string_view to)
      : open_(std::move(open)), to_(to), bound_(slice(to_)) {
    rocksdb::ReadOptions read;
    read.total_order_seek = true;
    read.fill_cache = false;  // a walk reads every row once
    if (!to_.empty()) read.iterate_upper_bound = &bound_;
    at_.reset(open_->db->NewIterator(read, open_->families[static_cast<std::size_t>(space)]));
    at_->Seek(slice(from));
  }

  bool valid() const override { return at_->Valid(); }
  void next() override { at_->Next(); }
  std::string_view key() const override { return view(at_->key()); }
  std::string_view value() const override { return view(at_->value()); }
  Result<void> status() const override {
    const auto status = at_->status();
    if (status.ok()) return {};
    open_->health.report("scan: " + status.ToString());
    return make_error(Errc::io, status.ToString());
  }

 private:
  std::shared_ptr<OpenDatabase> open_;
  std::string to_;
  rocksdb::Slice bound_;
  std::unique_ptr<rocksdb::Iterator> at_;
};

}  // namespace

OpenDatabase::~OpenDatabase() {
  if (db == nullptr) return;
  reclaimer.reset();
  for (auto* family : families) db->DestroyColumnFamilyHandle(family);
  families.clear();
  db->Close();
}

DiscStore::DiscStore(std::shared_ptr<OpenDatabase> open, std::string path, Logger& log,
                     std::uint64_t last_number, std::uint32_t last_check)
    : open_(std::move(open)), path_(std::move(path)), log_(log), number_(last_number),
      synced_through_(last_number), check_(last_check) {}

DiscStore::~DiscStore() { close(); }

Result<std::shared_ptr<OpenDatabase>> DiscStore::usable() const {
  std::shared_ptr<OpenDatabase> open;
  {
    std::lock_guard lock(open_mutex_);
    open = open_;
  }
  if (open == nullptr) return make_error(Errc::io, "the store " + path_ + " is closed");
  if (open->health.broken()) return make_error(Errc::io, open->health.why());
  return open;
}

void DiscStore::begin_batch(std::size_t bytes) {
  if (batch_capacity_ > kKeptBatchBytes || bytes > batch_capacity_) {
    batch_ = rocksdb::WriteBatch(bytes);
    batch_capacity_ = bytes;
  }
  batch_.Clear();
  batch_.PutLogData(BatchStamp{number_ + 1, synced_through_, check_}.encode());
}

Result<void> DiscStore::commit_batch(OpenDatabase& open, Durability durability) {
  rocksdb::WriteOptions how;
  how.sync = durability == Durability::synced;
  const auto status = open.db->Write(how, &batch_);
  if (!status.ok()) {
    open.health.report("write: " + status.ToString());
    return make_error(Errc::io, open.health.why());
  }
  ++number_;
  open.log_files->set_last_number(number_);
  check_ = stamp_check(batch_.Data());
  if (how.sync) {
    synced_through_ = number_;
    syncs_.fetch_add(1, std::memory_order_relaxed);
  }
  return {};
}

void DiscStore::add_retired() {
  auto* own = open_->own();
  std::lock_guard lock(retired_mutex_);
  for (const auto uid : retired_) batch_.Put(own, retired_key(uid), rocksdb::Slice());
  for (const auto uid : forgotten_) batch_.Delete(own, retired_key(uid));
  retired_.clear();
  forgotten_.clear();
}

Result<void> DiscStore::write(const WriteBatch& batch, Durability durability) {
  auto open = usable();
  if (!open) return open.error();
  begin_batch(batch.bytes() + batch.ops().size() * kOpOverhead + kBatchOverhead);
  for (const auto& op : batch.ops()) {
    auto* family = (*open)->families[static_cast<std::size_t>(op.space)];
    if (op.erase) {
      batch_.Delete(family, op.key);
      continue;
    }
    const rocksdb::Slice key = op.key;
    const rocksdb::Slice value[2] = {op.head, slice(op.tail)};
    batch_.Put(family, rocksdb::SliceParts(&key, 1), rocksdb::SliceParts(value, 2));
  }
  add_retired();
  bytes_written_.fetch_add(batch.bytes(), std::memory_order_relaxed);
  return commit_batch(**open, durability);
}

Result<std::optional<std::string>> DiscStore::get(Keyspace space, std::string_view key) const {
  auto open = usable();
  if (!open) return open.error();
  std::string value;
  const auto status = (*open)->db->Get(
      rocksdb::ReadOptions(), (*open)->families[static_cast<std::size_t>(space)], slice(key), &value);
  if (status.ok()) return std::optional<std::string>(std::move(value));
  if (status.IsNotFound()) return std::optional<std::string>{};
  (*open)->health.report("read: " + status.ToString());
  return make_error(Errc::io, (*open)->health.why());
}

Result<std::unique_ptr<Iterator>> DiscStore::scan(Keyspace space, std::string_view from,
                                                  std::string_view to) const {
  auto open = usable();
  if (!open) return open.error();
  return std::unique_ptr<Iterator>(
      std::make_unique<DiscIterator>(std::move(*open), space, from, to));
}

void DiscStore::set_floor(GroupUid uid, Floor floor) {
  if (auto open = usable()) (*open)->floors->set(uid, std::move(floor));
}

void DiscStore::retire(GroupUid uid) {
  auto open = usable();
  if (!open || !(*open)->floors->retire(uid)) return;
  std::lock_guard lock(retired_mutex_);
  retired_.push_back(uid);
}

void DiscStore::floors_loaded() {
  if (auto open = usable()) (*open)->floors->loaded();
}

void DiscStore::on_floors_wanted(std::function<void()> ask) {
  std::shared_ptr<OpenDatabase> open;
  {
    std::lock_guard lock(open_mutex_);
    open = open_;
  }
  // Also when the store is broken: the caller's `ask` must be let go of.
  if (open) open->floors->on_wanted(std::move(ask));
}

void DiscStore::floors_current() {
  if (auto open = usable()) (*open)->floors->current();
}

Result<void> DiscStore::load_retired() {
  const auto& open = *open_;
  rocksdb::ReadOptions read;
  read.total_order_seek = true;
  std::unique_ptr<rocksdb::Iterator> rows(open.db->NewIterator(read, open.own()));
  std::unique_ptr<rocksdb::Iterator> log(
      open.db->NewIterator(read, open.families[static_cast<std::size_t>(Keyspace::log)]));
  for (rows->Seek(slice(kRetiredRow)); rows->Valid(); rows->Next()) {
    const auto key = view(rows->key());
    if (!key.starts_with(kRetiredRow) || key.size() != kRetiredRow.size() + 8) break;
    const auto uid = load_be<GroupUid>(key.data() + kRetiredRow.size());
    const std::string first = log_key(uid, 0);
    log->Seek(first);
    const bool has_rows = log->Valid() && log->key().starts_with(slice(first).ToString().substr(0, 8));
    if (!has_rows && log->status().ok()) {
      forgotten_.push_back(uid);
    } else {
      open.floors->retire(uid);
    }
  }
  if (!rows->status().ok() || !log->status().ok()) {
    return make_error(Errc::corruption, "cannot read the store's own rows: " +
                                            rows->status().ToString() + " " + log->status().ToString());
  }
  return {};
}

Result<void> DiscStore::flush_log() {
  auto open = usable();
  if (!open) return open.error();
  const auto status = (*open)->db->Flush(rocksdb::FlushOptions(),
                                         (*open)->families[static_cast<std::size_t>(Keyspace::log)]);
  if (!status.ok()) return make_error(Errc::io, status.ToString());
  return {};
}

Result<void> DiscStore::flush_all() {
  auto open = usable();
  if (!open) return open.error();
  const auto status = (*open)->db->Flush(rocksdb::FlushOptions(), (*open)->families);
  if (!status.ok()) return make_error(Errc::io, status.ToString());
  return {};
}

Result<void> DiscStore::compact_log() {
  auto open = usable();
  if (!open) return open.error();
  rocksdb::CompactRangeOptions how;
  how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForce;
  const auto status = (*open)->db->CompactRange(
      how, (*open)->families[static_cast<std::size_t>(Keyspace::log)], nullptr, nullptr);
  if (!status.ok()) return make_error(Errc::io, status.ToString());
  return {};
}

std::size_t DiscStore::reclaim() {
  auto open = usable();
  return open ? (*open)->reclaimer->run_once() : 0;
}

std::uint64_t DiscStore::reused_logs() const {
  auto open = usable();
  return open ? (*open)->log_files->reused() : 0;
}

std::size_t DiscStore::retired_count() const {
  auto open = usable();
  if (!open) return 0;
  std::unique_ptr<rocksdb::Iterator> rows(
      (*open)->db->NewIterator(rocksdb::ReadOptions(), (*open)->own()));
  std::size_t count = 0;
  for (rows->Seek(slice(kRetiredRow)); rows->Valid(); rows->Next()) {
    if (rows->key().starts_with(slice(kRetiredRow))) ++count;
  }
  return count;
}

StoreStats DiscStore::stats() const {
  StoreStats out;
  out.bytes_written = bytes_written_.load(std::memory_order_relaxed);
  out.syncs = syncs_.load(std::memory_order_relaxed);
  if (auto open = usable()) out.log_bytes_flushed = (*open)->watch->log_bytes_flushed();
  out.disc_bytes = directory_bytes(path_);
  return out;
}

void DiscStore::close() {
  auto open = usable();
  if (open) {
    // The last batch says that everything before it is on disc, so that damage to it is noticed.
    begin_batch(kBatchOverhead);
    batch_.Put((*open)->own(), slice(kClosedRow), rocksdb::Slice());
    add_retired();
    if (!commit_batch(**open, Durability::synced)) {
      log_.error(LogArea::storage, "store closed after a failed write path={}", path_);
    }
  }
  std::shared_ptr<OpenDatabase> last;
  {
    std::lock_guard lock(open_mutex_);
    last = std::move(open_);
    open_ = nullptr;
  }
  if (!last) return;
  last->floors->on_wanted(nullptr);
  last->reclaimer->stop();
  rocksdb::CancelAllBackgroundWork(last->db.get(), true);
}

}  // namespace warren::storage
