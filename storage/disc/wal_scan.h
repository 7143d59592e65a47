#pragma once
// Reads the write-ahead log before RocksDB does and decides what damage in it means. RocksDB's own
// recovery modes either drop acknowledged data without a word or refuse an honest torn tail.
// Owner: open_disc_store. Changes nothing.

#include "base/result.h"

#include <cstdint>
#include <string>
#include <vector>

namespace warren::storage {

/// What the scan found.
struct WalScan {
  /// Number and check of the last intact batch; 0 when there is none.
  std::uint64_t last_number{0};
  std::uint32_t last_check{0};
  std::uint64_t batches{0};
  std::uint64_t bytes{0};
  /// Set when the log ends in something that nobody was told is safe: cut `torn_file` to
  /// `torn_offset` bytes and remove `later_files` (nothing in them was acknowledged).
  std::string torn_file;
  std::vector<std::string> later_files;
  std::uint64_t torn_offset{0};
  std::uint64_t torn_bytes{0};
};

/// Walks all log files of a directory in order, checking every record, and syncs them, because a
/// later sync of a new file would not cover them.
/// Errors: corruption when damage lies before a batch that says the damaged one was synced, or
/// where that cannot be excluded (text names file and offset); io when a file cannot be read.
/// Source: RocksDB log format: 32 KiB blocks of fragments: masked CRC-32C (4), length (2, little
/// endian), type (1), payload; a batch is one full fragment or first, middle..., last.
Result<WalScan> scan_wal(const std::string& directory);

}  // namespace warren::storage
