#include "storage/disc/rocks_options.h"

#include "base/crc32c.h"
#include "storage/disc/table_census.h"

#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

namespace warren::storage {
namespace {

constexpr std::size_t kMiB = 1u << 20;

std::shared_ptr<rocksdb::TableFactory> table_format(const std::shared_ptr<rocksdb::Cache>& cache,
                                                    std::size_t block_size) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.block_size = block_size;
  table.cache_index_and_filter_blocks = true;  // bounded by the cache, not by the number of files
  table.checksum = rocksdb::kCRC32c;
  return std::shared_ptr<rocksdb::TableFactory>(rocksdb::NewBlockBasedTableFactory(table));
}

rocksdb::ColumnFamilyOptions small_family(const std::shared_ptr<rocksdb::Cache>& cache,
                                          std::size_t write_buffer) {
  rocksdb::ColumnFamilyOptions out;
  out.write_buffer_size = write_buffer;
  out.max_write_buffer_number = 4;
  out.target_file_size_base = 32 * kMiB;
  out.compression = rocksdb::kNoCompression;
  out.table_factory = table_format(cache, 8 * 1024);
  // A stopped write is a stopped node (and 7.8 can forget to schedule the compaction that would
  // end it, rocksdb#10257): triggers far away.
  out.level0_slowdown_writes_trigger = 64;
  out.level0_stop_writes_trigger = 128;
  out.soft_pending_compaction_bytes_limit = 0;
  out.hard_pending_compaction_bytes_limit = 0;
  return out;
}

rocksdb::ColumnFamilyOptions log_family(const DiscOptions& options,
                                        std::shared_ptr<LogFilterFactory> filter,
                                        const std::shared_ptr<rocksdb::Cache>& cache) {
  auto out = small_family(cache, options.log_write_buffer_bytes);
  // Two sealed buffers are flushed as one: what the second one's checkpoints declare dead in the
  // first never reaches a file.
  out.min_write_buffer_number_to_merge = 2;
  // Six more take the writes while a flush waits for floors: 96 MiB, a good third of a second.
  out.max_write_buffer_number = 8;
  out.target_file_size_base = 64 * kMiB;
  out.max_bytes_for_level_base = 512 * kMiB;
  out.level0_file_num_compaction_trigger = 8;
  out.compression_per_level = {rocksdb::kNoCompression, rocksdb::kLZ4Compression};
  out.compaction_filter_factory = std::move(filter);
  out.table_properties_collector_factories.push_back(std::make_shared<CensusFactory>());
  out.periodic_compaction_seconds = 24 * 3600;  // the safety net below the reclaiming of dead rows
  out.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(8));
  out.table_factory = table_format(cache, 32 * 1024);
  return out;
}

}  // namespace

rocksdb::DBOptions database_options(const DiscOptions& options, bool fresh) {
  rocksdb::DBOptions out;
  // Only for a directory in which no store was ever completed: a missing file must not become an
  // empty store.
  out.create_if_missing = fresh;
  out.create_missing_column_families = fresh;

  // Recovery. The default mode drops acknowledged batches without a word (reliability E.3).
  out.wal_recovery_mode = rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.avoid_flush_during_recovery = true;
  out.avoid_flush_during_shutdown = true;
  out.recycle_log_file_num = 0;                   // cannot be told from damage
  out.track_and_verify_wals_in_manifest = false;  // blocks opening without cause before 7.10
  out.paranoid_checks = true;
  out.max_bgerror_resume_count = 0;  // any background error ends the node
  out.atomic_flush = false;
  out.manual_wal_flush = false;

  // One writer: no write groups, no second queue, nothing to yield to.
  out.allow_concurrent_memtable_write = false;
  out.enable_write_thread_adaptive_yield = false;
  out.two_write_queues = false;
  out.unordered_write = false;
  out.enable_pipelined_write = false;

  out.max_total_wal_size = options.wal_bytes_max;
  out.bytes_per_sync = kMiB;
  out.max_background_jobs = options.background_jobs;
  out.max_subcompactions = 1;
  out.avoid_unnecessary_blocking_io = true;

  // An idle node is small and quiet, and opening does not read the tables.
  out.max_open_files = options.open_files_max;
  out.max_file_opening_threads = 1;
  out.skip_stats_update_on_db_open = true;
  out.skip_checking_sst_file_sizes_on_db_open = true;
  out.stats_dump_period_sec = 0;
  out.stats_persist_period_sec = 0;
  out.max_manifest_file_size = 16 * kMiB;
  return out;
}

std::vector<rocksdb::ColumnFamilyDescriptor> column_families(
    const DiscOptions& options, std::shared_ptr<LogFilterFactory> log_filter,
    const std::shared_ptr<rocksdb::Cache>& cache) {
  return {
      {"hs", small_family(cache, 4 * kMiB)},
      {"log", log_family(options, std::move(log_filter), cache)},
      {"qs", small_family(cache, 8 * kMiB)},
      {"meta", small_family(cache, 4 * kMiB)},
      {rocksdb::kDefaultColumnFamilyName, small_family(cache, kMiB)},
  };
}

}  // namespace warren::storage

// RocksDB's own function of this name, which it calls through the dynamic linker: ours takes its
// place in this program. Debian builds RocksDB without the CRC instruction, and then the checksum
// is the largest single cost of a write (0.6 of 1.8 CPU-seconds per GB). Same result, same format;
// where the library is linked otherwise, its own function stays in use and nothing changes.
namespace rocksdb::crc32c {
__attribute__((visibility("default"))) std::uint32_t Extend(std::uint32_t crc, const char* data,
                                                            std::size_t n);
std::uint32_t Extend(std::uint32_t crc, const char* data, std::size_t n) {
  return warren::crc32c(crc, {data, n});
}
}  // namespace rocksdb::crc32c
