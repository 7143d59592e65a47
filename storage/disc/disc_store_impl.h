#pragma once
// The store itself, behind open_disc_store; also what tests need to open it on a file system that
// fails on purpose. Owner: the Store handed out.

#include "storage/disc/chain_check.h"
#include "storage/disc/directory.h"
#include "storage/disc/disc_store.h"
#include "storage/disc/floor_table.h"
#include "storage/disc/log_files.h"
#include "storage/disc/reclaimer.h"
#include "storage/disc/watch.h"

#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace warren::storage {

/// As `open_disc_store`, with RocksDB's files on `env` (null: the machine's).
Result<std::unique_ptr<Store>> open_disc_store_on(rocksdb::Env* env, DiscOptions options,
                                                  Logger& log);

/// What stays alive while an iterator does, even after `close`.
/// Invariant: members are destroyed from the bottom: handles before the database, the database
/// before what its threads report to and before the lock.
struct OpenDatabase {
  OpenDatabase(DirectoryLock held, std::function<void(const std::string&)> on_broken, Logger& log)
      : lock(std::move(held)), health(std::move(on_broken), log) {}
  ~OpenDatabase();
  OpenDatabase(const OpenDatabase&) = delete;
  OpenDatabase& operator=(const OpenDatabase&) = delete;

  DirectoryLock lock;
  Health health;
  std::shared_ptr<FloorTable> floors = std::make_shared<FloorTable>();
  std::shared_ptr<Watch> watch;
  ChainCheck chain;  // RocksDB keeps a pointer to it
  std::shared_ptr<LogFiles> log_files;
  std::unique_ptr<rocksdb::Env> env;
  std::unique_ptr<rocksdb::DB> db;
  std::unique_ptr<Reclaimer> reclaimer;
  std::vector<rocksdb::ColumnFamilyHandle*> families;  // by keyspace, then the store's own

  rocksdb::ColumnFamilyHandle* own() const { return families.back(); }
};

/// Thread safety and errors: as Store. Any failed read, too, breaks it: the bytes that could not
/// be read may be needed for a vote.
class DiscStore final : public Store {
 public:
  DiscStore(std::shared_ptr<OpenDatabase> open, std::string path, Logger& log,
            std::uint64_t last_number, std::uint32_t last_check);
  ~DiscStore() override;

  Result<void> write(const WriteBatch& batch, Durability durability) override;
  Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<Iterator>> scan(Keyspace space, std::string_view from,
                                         std::string_view to) const override;
  void set_floor(GroupUid uid, Floor floor) override;
  void retire(GroupUid uid) override;
  void floors_loaded() override;
  void on_floors_wanted(std::function<void()> ask) override;
  void floors_current() override;
  StoreStats stats() const override;
  void close() override;

  /// Reads the retired groups back; forgets those of which no row is left. Called once, on open.
  Result<void> load_retired();
  /// For tests: writes what is in memory to tables, through the filter.
  Result<void> flush_log();
  Result<void> flush_all();
  Result<void> compact_log();
  /// One round of the reclaimer; how many files it rewrote.
  std::size_t reclaim();
  /// How many log files were made out of old ones.
  std::uint64_t reused_logs() const;
  /// Retired groups that are still remembered.
  std::size_t retired_count() const;

 private:
  Result<std::shared_ptr<OpenDatabase>> usable() const;
  void begin_batch(std::size_t bytes);
  Result<void> commit_batch(OpenDatabase& open, Durability durability);
  void add_retired();

  mutable std::mutex open_mutex_;
  std::shared_ptr<OpenDatabase> open_;  // null once closed
  const std::string path_;
  Logger& log_;

  // The writer's own.
  rocksdb::WriteBatch batch_;
  std::size_t batch_capacity_{0};
  std::uint64_t number_;
  std::uint64_t synced_through_;
  std::uint32_t check_;

  std::mutex retired_mutex_;
  std::vector<GroupUid> retired_;    // to be written with the next batch
  std::vector<GroupUid> forgotten_;  // their rows are gone: to be erased with the next batch

  std::atomic<std::uint64_t> bytes_written_{0};
  std::atomic<std::uint64_t> syncs_{0};
};

}  // namespace warren::storage
