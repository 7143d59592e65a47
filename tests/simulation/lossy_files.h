#pragma once
// Files below the shipped store that know what was synced: a crash may cut each of them back to that, at
// any byte behind it. What was written over an older file shows the older bytes again.
// Owner: a store medium, one for each opening of its store; RocksDB's threads call it.

#include <rocksdb/file_system.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>

namespace warren::simulation {

class LossyFiles final : public rocksdb::FileSystemWrapper {
 public:
  LossyFiles();
  const char* Name() const override { return "lossy"; }

  /// The next write to a log file fails; some of its bytes, a share of 256, are written all the same.
  void fail_next_append(bool full, std::uint8_t share);
  /// The machine dies at its n-th operation from now.
  void die_in(std::int64_t n) { left_.store(n); }
  /// From now on nothing reaches the disc, and everybody is told so.
  void die() { left_.store(0); }
  bool dead() const { return left_.load() <= 0; }
  /// Syncs answer, but what is written stays unsynced: the machine is about to die.
  void stop_syncing() { syncing_ = false; }
  /// Cuts the files as the crash left them; `random` decides how. Requires: all of them are closed.
  void lose(std::uint64_t random, bool power);

  struct Position {
    std::string file;
    std::uint64_t offset{0};
  };
  /// Where the next batch will begin: the end of the newest log file.
  Position log_end() const;

  rocksdb::IOStatus NewWritableFile(const std::string& name, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* result,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& name, const std::string& old,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* result,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& name, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* result,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options, rocksdb::IODebugContext* debug) override;

 private:
  class File;
  class Directory;
  /// One file that was opened for writing.
  struct State {
    std::string older;         ///< what was in it before it was used again
    std::uint64_t written{0};
    std::uint64_t synced{0};
    bool named{false};         ///< its name is on the disc
  };
  rocksdb::IOStatus step();
  void track(const std::string& name, std::string older, bool named,
             std::unique_ptr<rocksdb::FSWritableFile>* file);

  std::atomic<std::int64_t> left_{INT64_MAX};
  std::atomic<bool> syncing_{true};
  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<State>> files_;  // under mutex_
  bool fail_append_{false};                              // under mutex_
  bool fail_full_{false};                                // under mutex_
  std::uint8_t fail_share_{0};                           // under mutex_
};

}  // namespace warren::simulation
