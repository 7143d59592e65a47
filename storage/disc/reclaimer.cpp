#include "storage/disc/reclaimer.h"

#include <rocksdb/metadata.h>

#include <filesystem>
#include <utility>

namespace warren::storage {

Reclaimer::Reclaimer(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family, const FloorTable& floors,
                     std::chrono::milliseconds interval, Logger& log)
    : db_(db), family_(family), floors_(floors), interval_(interval), log_(log) {
  if (interval_.count() > 0) thread_ = std::thread([this] { run(); });
}

Reclaimer::~Reclaimer() { stop(); }

void Reclaimer::stop() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Reclaimer::run() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, interval_, [&] { return stopping_.load(); })) {
    lock.unlock();
    run_once();
    lock.lock();
  }
}

/// Reads the census of the files it does not know yet and forgets those that are gone.
void Reclaimer::learn_files() {
  rocksdb::TablePropertiesCollection tables;
  if (!db_.GetPropertiesOfAllTables(&family_, &tables).ok()) return;
  std::map<std::string, std::vector<GroupRows>> fresh;
  for (const auto& [path, table] : tables) {
    const std::string name = "/" + std::filesystem::path(path).filename().string();
    const auto& properties = table->user_collected_properties;
    const auto at = properties.find(kCensusProperty);
    if (at == properties.end()) continue;
    if (auto groups = decode_census(at->second)) fresh.emplace(name, std::move(*groups));
  }
  census_ = std::move(fresh);
}

std::vector<Reclaimer::File> Reclaimer::mostly_dead() {
  rocksdb::ColumnFamilyMetaData family;
  db_.GetColumnFamilyMetaData(&family_, &family);
  bool unknown = false;
  for (const auto& level : family.levels) {
    for (const auto& file : level.files) unknown = unknown || !census_.contains(file.name);
  }
  if (unknown) learn_files();
  const auto floors = floors_.snapshot();
  std::vector<File> out;
  for (const auto& level : family.levels) {
    for (const auto& file : level.files) {
      const auto at = census_.find(file.name);
      if (at == census_.end() || file.being_compacted) continue;
      std::uint64_t bytes = 0;
      for (const auto& rows : at->second) bytes += rows.bytes;
      if (dead_bytes(at->second, floors) * 2 > bytes) out.push_back({file.smallestkey, file.largestkey});
    }
  }
  return out;
}

std::size_t Reclaimer::run_once() {
  std::lock_guard lock(work_mutex_);
  if (!floors_.is_loaded() || floors_.changes() == seen_changes_) return 0;
  seen_changes_ = floors_.changes();
  const auto files = mostly_dead();
  std::size_t done = 0;
  for (const auto& file : files) {
    if (stopping_) break;
    rocksdb::CompactRangeOptions how;
    how.exclusive_manual_compaction = false;
    how.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
    how.allow_write_stall = false;
    how.canceled = &stopping_;
    const rocksdb::Slice begin = file.smallest;
    const rocksdb::Slice end = file.largest;
    const auto status = db_.CompactRange(how, &family_, &begin, &end);
    if (!status.ok()) {
      if (!stopping_) log_.warning(LogArea::storage, "reclaiming failed error={}", status.ToString());
      break;
    }
    ++done;
  }
  if (done > 0) log_.info(LogArea::storage, "reclaimed log files count={}", done);
  return done;
}

}  // namespace warren::storage
