#pragma once
// What RocksDB tells us from its own threads: failures, flushed bytes, log lines.
// Owner: DiscStore, which outlives the database.

#include "base/log.h"

#include <rocksdb/env.h>
#include <rocksdb/listener.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>

namespace warren::storage {

/// Whether the store is broken, and why. Once broken it stays so.
class Health {
 public:
  Health(std::function<void(const std::string&)> on_broken, Logger& log)
      : on_broken_(std::move(on_broken)), log_(log) {}

  bool broken() const { return broken_.load(std::memory_order_acquire); }
  std::string why() const;
  /// Only the first report counts, is logged and calls `on_broken`.
  void report(const std::string& why);

 private:
  std::function<void(const std::string&)> on_broken_;
  Logger& log_;
  mutable std::mutex mutex_;
  std::string why_;
  std::atomic<bool> broken_{false};
};

class Watch final : public rocksdb::EventListener {
 public:
  explicit Watch(Health& health) : health_(health) {}

  void OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) override;
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status, bool* auto_recovery) override {
    *auto_recovery = false;
  }
  void OnFlushCompleted(rocksdb::DB* db, const rocksdb::FlushJobInfo& info) override;

  std::uint64_t log_bytes_flushed() const { return log_bytes_flushed_.load(std::memory_order_relaxed); }

 private:
  Health& health_;
  std::atomic<std::uint64_t> log_bytes_flushed_{0};
};

/// Passes RocksDB's warnings and errors on to our log.
class RocksLog final : public rocksdb::Logger {
 public:
  explicit RocksLog(warren::Logger& log)
      : rocksdb::Logger(rocksdb::InfoLogLevel::WARN_LEVEL), log_(log) {}
  using rocksdb::Logger::Logv;
  void Logv(const char* format, va_list arguments) override;

 private:
  warren::Logger& log_;
};

}  // namespace warren::storage
