#pragma once
// Write-ahead files are used again: writing over blocks that a file already has costs a sync a
// third less CPU and half the time, because its size and extents do not change.
// Owner: open_disc_store; RocksDB's threads call it.

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

namespace warren::storage {

/// Keeps deleted log files as spares and makes new log files out of them.
/// Invariant: before a spare becomes a log file, a synced empty file `<log>.base-<n>` beside it
/// says that what it holds of batches up to number n is left over from before (see scan_wal).
class LogFiles final : public rocksdb::FileSystemWrapper {
 public:
  /// `spares_max`: more than these are really deleted.
  LogFiles(std::shared_ptr<rocksdb::FileSystem> base, std::string directory, std::size_t spares_max);

  const char* Name() const override { return "warren.log_files"; }
  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

  /// Number of the last batch that was written; every batch in a spare is at most that.
  void set_last_number(std::uint64_t number) { last_number_.store(number, std::memory_order_relaxed); }
  std::uint64_t reused() const { return reused_.load(std::memory_order_relaxed); }

 private:
  std::string take_spare();
  bool mark_base(const std::string& log);

  const std::string directory_;
  const std::size_t spares_max_;
  std::atomic<std::uint64_t> last_number_{0};
  std::atomic<std::uint64_t> reused_{0};
  std::mutex mutex_;
  std::uint64_t next_spare_{0};  // under mutex_: names are never used twice in one run
};

/// The path of the mark.
std::string base_mark(const std::string& log, std::uint64_t base);
/// Reads the mark of `log` from the names in its directory; 0 when it has none.
std::uint64_t read_base(const std::string& log);
/// Removes every mark; synced when it returns. Requires: no log file holds leftovers any more.
bool clear_bases(const std::string& directory);
/// Removes the spares of an earlier run: which batches they hold is not known any more. When all that was
/// in the log has reached tables, an opening counts from 0, below what is left in them.
bool clear_spares(const std::string& directory);

}  // namespace warren::storage
