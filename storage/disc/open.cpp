#include "storage/disc/disc_store_impl.h"
#include "storage/disc/rocks_options.h"
#include "storage/disc/wal_scan.h"

#include <rocksdb/cache.h>

#include <utility>

namespace warren::storage {
namespace {

/// Looks at the log before RocksDB does; cuts what is unacknowledged or left over from reuse.
Result<WalScan> check_log(const std::string& path, Logger& log) {
  auto scan = scan_wal(path);
  if (!scan) return scan;
  for (const auto& cut : scan->cuts) {
    if (cut.reused) {
      log.debug(LogArea::storage, "cutting the end of a reused log file={} offset={} last_batch={}",
                cut.file, cut.offset, scan->last_number);
    } else {
      log.warning(LogArea::storage,
                  "cutting a torn tail that was never acknowledged file={} offset={} bytes={} last_batch={}",
                  cut.file, cut.offset, cut.bytes, scan->last_number);
    }
  }
  if (auto cut = cut_log(*scan); !cut) return cut.error();
  if (!clear_bases(path)) return make_error(Errc::io, "cannot remove the marks of reused logs in " + path);
  if (!clear_spares(path)) return make_error(Errc::io, "cannot remove the spare logs in " + path);
  return scan;
}

Error open_error(const rocksdb::Status& status, const ChainCheck& chain, const std::string& path) {
  if (!chain.failure().empty()) return make_error(Errc::corruption, chain.failure());
  const bool damage = status.IsCorruption() || status.IsInvalidArgument() || status.IsPathNotFound();
  return make_error(damage ? Errc::corruption : Errc::io,
                    "cannot open the store in " + path + ": " + status.ToString());
}

}  // namespace

Result<std::unique_ptr<Store>> open_disc_store(DiscOptions options, Logger& log) {
  return open_disc_store_on(nullptr, std::move(options), log);
}

Result<std::unique_ptr<Store>> open_disc_store_on(rocksdb::Env* env, DiscOptions options,
                                                  Logger& log) {
  if (auto made = make_directory(options.path); !made) return made.error();
  auto lock = DirectoryLock::take(options.path);
  if (!lock) return lock.error();
  const auto state = inspect_directory(options.path);
  if (!state) return state.error();
  const auto scan = check_log(options.path, log);
  if (!scan) return scan.error();

  auto open = std::make_shared<OpenDatabase>(std::move(*lock), options.on_broken, log);
  open->watch = std::make_shared<Watch>(open->health);
  const auto cache = rocksdb::NewLRUCache(options.block_cache_bytes, 2);
  auto database = database_options(options, *state != DirectoryState::made);
  database.wal_filter = &open->chain;
  database.listeners.push_back(open->watch);
  database.info_log = std::make_shared<RocksLog>(log);
  auto* machine = env != nullptr ? env : rocksdb::Env::Default();
  open->log_files =
      std::make_shared<LogFiles>(machine->GetFileSystem(), options.path, options.spare_logs_max);
  open->log_files->set_last_number(scan->last_number);
  open->env = rocksdb::NewCompositeEnv(open->log_files);
  database.env = open->env.get();
  const auto families =
      column_families(options, std::make_shared<LogFilterFactory>(open->floors, options.floors_wait), cache);
  rocksdb::DB* db = nullptr;
  const auto status =
      rocksdb::DB::Open(database, options.path, families, &open->families, &db);
  if (!status.ok()) return open_error(status, open->chain, options.path);
  open->db.reset(db);
  if (*state != DirectoryState::made) {
    if (auto marked = mark_made(options.path); !marked) return marked.error();
  }
  open->reclaimer = std::make_unique<Reclaimer>(
      *db, *open->families[static_cast<std::size_t>(Keyspace::log)], *open->floors,
      options.reclaim_interval, log);
  auto store = std::make_unique<DiscStore>(open, options.path, log, scan->last_number,
                                           scan->last_check);
  if (auto loaded = store->load_retired(); !loaded) return loaded.error();
  log.info(LogArea::storage, "store opened path={} log_batches={} log_bytes={}", options.path,
           scan->batches, scan->bytes);
  return std::unique_ptr<Store>(std::move(store));
}

}  // namespace warren::storage
