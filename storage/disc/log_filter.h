#pragma once
// Drops dead log rows while a table file is being made: on flush as well as on compaction, so that
// consumed messages die in memory and nobody ever writes a tombstone.
// Owner: RocksDB, one filter per table file and thread.

#include "storage/disc/floor_table.h"

#include <rocksdb/compaction_filter.h>

#include <chrono>
#include <memory>

namespace warren::storage {

/// Judges rows by the floors as they were when the filter was made. An older version of a dropped
/// row may show again; harmless, because a row below its floor is never read.
class LogFilter final : public rocksdb::CompactionFilter {
 public:
  explicit LogFilter(FloorSnapshot floors) : floors_(std::move(floors)) {}

  Decision FilterV2(int level, const rocksdb::Slice& key, ValueType type,
                    const rocksdb::Slice& value, std::string* new_value,
                    std::string* skip_until) const override;
  const char* Name() const override { return "warren.log_filter"; }

 private:
  FloorSnapshot floors_;
  // Rows come in order: the group of the last row is nearly always that of the next.
  mutable const FloorSnapshot::Group* group_{nullptr};
  mutable GroupUid group_uid_{0};
};

class LogFilterFactory final : public rocksdb::CompactionFilterFactory {
 public:
  /// `wait`: how long a flush waits for fresh floors.
  LogFilterFactory(std::shared_ptr<const FloorTable> floors, std::chrono::milliseconds wait)
      : floors_(std::move(floors)), wait_(wait) {}

  /// Never during recovery, and never before all floors are known.
  bool ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const override;
  std::unique_ptr<rocksdb::CompactionFilter> CreateCompactionFilter(
      const rocksdb::CompactionFilter::Context& context) override;
  const char* Name() const override { return "warren.log_filter_factory"; }

 private:
  std::shared_ptr<const FloorTable> floors_;
  std::chrono::milliseconds wait_;
};

}  // namespace warren::storage
