#pragma once
// Gives the space of dead log rows back when nobody writes any more: a drained backlog would
// otherwise lie in its table files until the daily compaction.
// Owner: DiscStore, which stops it before the database closes.

#include "base/log.h"
#include "storage/disc/floor_table.h"
#include "storage/disc/table_census.h"

#include <rocksdb/db.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace warren::storage {

/// Compacts the log files of which more than half is dead, one span at a time on a thread of its
/// own; the filter skips the dead rows without reading them. Bound: what it writes is less than
/// what it frees.
class Reclaimer {
 public:
  /// Requires: `db`, `floors` and `log` outlive this.
  Reclaimer(rocksdb::DB& db, rocksdb::ColumnFamilyHandle& family, const FloorTable& floors,
            std::chrono::milliseconds interval, Logger& log);
  ~Reclaimer();
  Reclaimer(const Reclaimer&) = delete;
  Reclaimer& operator=(const Reclaimer&) = delete;

  /// One round, on the caller's thread; returns how many files were rewritten.
  std::size_t run_once();
  /// Gives up a compaction that runs; idempotent.
  void stop();

 private:
  struct File {
    std::string smallest;
    std::string largest;
  };
  void run();
  std::vector<File> mostly_dead();
  void learn_files();

  rocksdb::DB& db_;
  rocksdb::ColumnFamilyHandle& family_;
  const FloorTable& floors_;
  const std::chrono::milliseconds interval_;
  Logger& log_;

  std::mutex work_mutex_;  // one round at a time
  std::map<std::string, std::vector<GroupRows>> census_;  // by file name; under work_mutex_
  std::uint64_t seen_changes_{0};                         // under work_mutex_

  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace warren::storage
