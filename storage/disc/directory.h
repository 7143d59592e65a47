#pragma once
// The directory of a store: who holds it, whether a store was ever made in it, cutting a torn log.
// Owner: open_disc_store and DiscStore.

#include "base/result.h"
#include "storage/disc/wal_scan.h"

#include <string>

namespace warren::storage {

/// Held while a store is open; the file names the holder for those who come second.
class DirectoryLock {
 public:
  /// Errors: conflict when another process (or store) holds it; io.
  static Result<DirectoryLock> take(const std::string& directory);
  DirectoryLock(DirectoryLock&& other) noexcept;
  DirectoryLock& operator=(DirectoryLock&&) = delete;
  ~DirectoryLock();

 private:
  explicit DirectoryLock(int fd) : fd_(fd) {}
  int fd_{-1};
};

/// Makes the directory and its parents, and syncs the parent when it is new.
Result<void> make_directory(const std::string& directory);

enum class DirectoryState { fresh, half_made, made };

/// Errors: corruption when a store was made here but its files are missing, io; unsupported when
/// it was made by a newer version.
Result<DirectoryState> inspect_directory(const std::string& directory);
/// Writes and syncs the mark that says that a store was made here completely.
Result<void> mark_made(const std::string& directory);

/// Cuts the log files where `scan` says. Synced when it returns.
Result<void> cut_log(const WalScan& scan);

/// Bytes of all files, as allocated.
std::uint64_t directory_bytes(const std::string& directory);

}  // namespace warren::storage
