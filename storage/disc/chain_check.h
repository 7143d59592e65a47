#pragma once
// Checks during replay that no batch is missing between the log files that RocksDB reads.
// Owner: open_disc_store, for the time of one open; called on the opening thread.

#include <rocksdb/wal_filter.h>

#include <cstdint>
#include <string>

namespace warren::storage {

class ChainCheck final : public rocksdb::WalFilter {
 public:
  WalProcessingOption LogRecordFound(unsigned long long log_number, const std::string& file,
                                     const rocksdb::WriteBatch& batch, rocksdb::WriteBatch* new_batch,
                                     bool* batch_changed) override;
  const char* Name() const override { return "warren.chain_check"; }

  /// What was wrong, with the file; empty when nothing was.
  const std::string& failure() const { return failure_; }
  std::uint64_t last_number() const { return number_; }

 private:
  std::string failure_;
  std::uint64_t number_{0};
  std::uint32_t check_{0};
};

}  // namespace warren::storage
