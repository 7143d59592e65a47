#pragma once
// The bytes of a queue's log records and checkpoint rows, version 1. Described in README.md.
// Numbers are LEB128 varints. Decoders take bytes from disc or peers: they validate, never assert.

#include "base/result.h"
#include "node/broker/queue/interval_set.h"
#include "node/broker/queue/run_table.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::broker::codec {

inline constexpr std::uint8_t kVersion = 1;

enum class Kind : std::uint8_t {
  enqueue = 1,
  remove = 2,
  returned = 3,
  watermark = 4,
  settings = 5,  ///< reserved
};

/// Why messages left; kept for people who read logs, no behaviour depends on it.
/// What a row may say of a run's size; runs themselves saturate earlier.
inline constexpr std::uint64_t kMaxRecordBytes = (1u << 28) - 1;

enum class Gone : std::uint8_t { settled = 0, purged = 1 };

/// Messages [first, first + count); their records follow the head back to back.
struct Enqueue {
  Position first{0};
  std::uint32_t count{0};
  Position watermark{0};  ///< everything below may have been delivered
  std::size_t head_bytes{0};
};
struct Remove {
  Gone why{Gone::settled};
  std::uint64_t body_bytes{0};  ///< of all the messages named
  std::vector<Range> ranges;    ///< ascending
};
struct Returned {
  std::vector<std::pair<Position, std::uint32_t>> counts;  ///< failed deliveries so far
};

std::string encode_enqueue(Position first, std::uint32_t count, Position watermark);
std::string encode_remove(Gone why, std::uint64_t body_bytes, const std::vector<Range>& ranges);
std::string encode_returned(const std::vector<std::pair<Position, std::uint32_t>>& counts);
std::string encode_watermark(Position watermark);

/// The kind of a record. Errors: corruption, unsupported (a version or kind of the future).
Result<Kind> kind_of(std::string_view record);
/// Each requires the kind it is named after. Errors: corruption.
Result<Enqueue> decode_enqueue(std::string_view record);
Result<Remove> decode_remove(std::string_view record);
Result<Returned> decode_returned(std::string_view record);
Result<Position> decode_watermark(std::string_view record);

// ---- checkpoint rows --------------------------------------------------------------------------

inline constexpr unsigned kChunkBits = 8;  ///< log entries per chunk row: 256

/// The row that every checkpoint writes.
struct HeadRow {
  LogIndex covers{0};
  Position next{1};
  Position watermark{0};
  std::uint64_t live{0};
  std::uint64_t live_bytes{0};
  bool any_expiration{false};
};
/// One log entry that still holds messages.
struct EntryRow {
  LogIndex index{0};
  Position first{0};
  std::uint32_t count{0};
  std::uint32_t bytes{0};
  std::vector<Range> live;  ///< empty = all of them
  std::vector<std::uint8_t> levels;
  std::vector<TransientRecord> transients;
  std::vector<std::pair<Position, std::uint32_t>> counts;  ///< failed deliveries
};

inline std::string head_key() { return "h"; }
std::string chunk_key(std::uint64_t chunk);
std::string encode_head_row(const HeadRow& row);
Result<HeadRow> decode_head_row(std::string_view value);
/// Entries ascend by index.
std::string encode_chunk_row(const std::vector<EntryRow>& entries);
Result<std::vector<EntryRow>> decode_chunk_row(std::string_view value);

}  // namespace warren::broker::codec
