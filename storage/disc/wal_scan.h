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
  /// A file that ends, behind its last intact batch, in bytes that nobody was told are safe.
  struct Cut {
    std::string file;
    std::uint64_t offset{0};
    std::uint64_t bytes{0};
    bool reused{false};  ///< leftovers of the file's earlier life are to be expected there
  };

  /// Number and check of the last intact batch; 0 when there is none.
  std::uint64_t last_number{0};
  std::uint32_t last_check{0};
  std::uint64_t batches{0};
  std::uint64_t bytes{0};
  /// To be cut before RocksDB opens; nothing acknowledged is in them.
  std::vector<Cut> cuts;
};

/// Walks all log files of a directory in order (marks of reused ones considered, see LogFiles), checking every record, and syncs them, because a
/// later sync of a new file would not cover them.
/// Errors: corruption when damage lies before a batch that says the damaged one was synced, or
/// where that cannot be excluded (text names file and offset); io when a file cannot be read.
/// Source: RocksDB log format: 32 KiB blocks of fragments: masked CRC-32C (4), length (2, little
/// endian), type (1), payload; a batch is one full fragment or first, middle..., last.
Result<WalScan> scan_wal(const std::string& directory);

}  // namespace warren::storage
