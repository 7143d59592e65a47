#pragma once
// The stamp that leads every batch in the write-ahead log: its running number, up to which batch
// everything was synced when it was written, and a check over the end of the batch before it. So
// a missing file, a cut between files and damage to acknowledged data can be told apart from the
// torn tail of a crash.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::storage {

struct BatchStamp {
  std::uint64_t number{0};          ///< 1, 2, 3, ... over the life of the store
  std::uint64_t synced_through{0};  ///< batches up to this one were on disc
  std::uint32_t previous{0};        ///< `stamp_check` of batch number - 1, 0 for the first

  std::string encode() const;
  /// Reads the stamp from the first bytes of a batch as the log holds it.
  static std::optional<BatchStamp> decode(std::string_view batch_head);
};

/// Enough of a batch to `decode` its stamp.
inline constexpr std::size_t kStampHeadBytes = 12 + 2 + 24;

/// Binds a batch to the one before it: over its length and last bytes, not all of it, because the
/// log has its own checksum on every byte and this is paid for on every commit.
std::uint32_t stamp_check(std::string_view batch);

}  // namespace warren::storage
