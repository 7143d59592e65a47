#pragma once
// The store of a disc node, on RocksDB; this folder is the only one that sees RocksDB.
// Owner: node/main opens it; the committer's thread is the only one that writes.

#include "base/log.h"
#include "storage/api/store.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace warren::storage {

struct DiscOptions {
  /// The directory of the store; made when absent. One process at a time.
  std::string path;
  /// Log bytes gathered in memory before they are sealed; two sealed ones are flushed together.
  std::size_t log_write_buffer_bytes{64u << 20};
  /// All write-ahead files together; bounds the replay after a crash.
  std::uint64_t wal_bytes_max{256u << 20};
  /// Write-ahead files kept to be written over again: a sync then costs a third less.
  std::size_t spare_logs_max{2};
  /// Threads for flush and compaction, started when first needed.
  int background_jobs{2};
  std::size_t block_cache_bytes{8u << 20};
  /// Table files held open at a time.
  int open_files_max{256};
  /// How long a flush waits for the floors it asked for (see Store::on_floors_wanted).
  std::chrono::milliseconds floors_wait{250};
  /// How often to look for table files that are mostly dead; 0 = never.
  std::chrono::milliseconds reclaim_interval{15'000};
  /// Called once, from any thread, when the store breaks: the node must stop.
  std::function<void(const std::string& why)> on_broken;
};

/// Opens or makes the store of a disc node.
/// Errors: conflict when another process holds the directory (the text names it); corruption when
/// data that may have been acknowledged is damaged (the text names file and offset; nothing was
/// changed): set the directory aside and rejoin as a new member; io for all else.
/// Repeat: a torn, unacknowledged tail of the write-ahead log is cut off, logged and then gone.
Result<std::unique_ptr<Store>> open_disc_store(DiscOptions options, Logger& log);

/// Renames a damaged directory to `<path>.damaged-<n>`, so that a fresh one can take its place;
/// returns the new name. Requires: no store is open on it.
Result<std::string> set_aside_damaged_store(const std::string& path);

}  // namespace warren::storage
