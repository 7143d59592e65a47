#include "storage/disc/watch.h"

#include <cstdio>

namespace warren::storage {

std::string Health::why() const {
  std::lock_guard lock(mutex_);
  return why_;
}

void Health::report(const std::string& why) {
  {
    std::lock_guard lock(mutex_);
    if (broken_.load(std::memory_order_relaxed)) return;
    why_ = why;
    broken_.store(true, std::memory_order_release);
  }
  log_.error(LogArea::storage, "store broken why={}", why);
  if (on_broken_) on_broken_(why);
}

void Watch::OnBackgroundError(rocksdb::BackgroundErrorReason reason, rocksdb::Status* status) {
  health_.report("background error " + std::to_string(static_cast<int>(reason)) + ": " +
                 (status != nullptr ? status->ToString() : std::string()));
}

void Watch::OnFlushCompleted(rocksdb::DB*, const rocksdb::FlushJobInfo& info) {
  if (info.cf_name != "log") return;
  const auto& table = info.table_properties;
  log_bytes_flushed_.fetch_add(table.raw_key_size + table.raw_value_size, std::memory_order_relaxed);
}

void RocksLog::Logv(const char* format, va_list arguments) {
  char line[512];
  std::vsnprintf(line, sizeof line, format, arguments);
  log_.debug(LogArea::storage, "rocksdb: {}", line);
}

}  // namespace warren::storage
