#pragma once
// Where the messages of a queue are: runs of neighbours that came in one publish, each in one block
// and, on a durable queue, in one log entry. Owned by a queue's Ledger.

#include "node/broker/queue/chunk_ring.h"
#include "node/broker/queue_api.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace warren::broker {

/// A message of a logged run that does not survive a restart (delivery mode 1).
struct TransientRecord {
  std::uint32_t ordinal;
  std::uint32_t body_bytes;
};

/// What few runs need.
struct RunExtra {
  std::vector<std::uint32_t> offsets;      ///< of every record in the block
  std::vector<std::uint8_t> levels;        ///< priority of every message; one value = all the same
  std::vector<TransientRecord> transients; ///< ascending
};

/// Messages [first, first + count). 40 bytes, which is also the price of a lone message.
struct Run {
  static constexpr std::uint32_t kMaxCount = 0xffff;
  static constexpr std::uint32_t kMaxBytes = (1u << 27) - 1;

  std::uint64_t first : 48;
  std::uint64_t count : 16;
  std::uint64_t index : 48;   ///< of the log entry, or the page when `paged`; 0 = only in memory
  std::uint64_t live : 16;    ///< messages not removed; 0 = the run is dead
  BlockRef block;             ///< nothing = only in the log, or in a page
  std::unique_ptr<RunExtra> extra;
  std::uint32_t base;         ///< where the first record begins in the block
  std::uint32_t bytes : 27;   ///< of the records; for bounds, saturates at 128 MiB
  std::uint32_t reading : 1;  ///< asked of the log or of the pages
  std::uint32_t sparse : 1;   ///< the records are not back to back: extra->offsets tells
  std::uint32_t covered : 1;  ///< its log entry, or one before it, lifts the watermark above it
  std::uint32_t paged : 1;    ///< not logged, but in a page
  std::uint32_t paging : 1;   ///< on its way into a page

  Run()
      : first(0), count(0), index(0), live(0), base(0), bytes(0), reading(0), sparse(0),
        covered(0), paged(0), paging(0) {}

  Position end() const { return first + count; }
  bool contains(Position p) const { return p >= first && p < first + count; }
  bool logged() const { return index != 0 && paged == 0; }
  unsigned level_of(std::uint32_t ordinal) const {
    if (!extra || extra->levels.empty()) return 0;
    return extra->levels[extra->levels.size() == 1 ? 0 : ordinal];
  }
};
static_assert(sizeof(Run) == 40);

/// The offset of a record. Requires: run.block. Builds the table of offsets when that pays.
std::uint32_t offset_of(Run& run, std::uint32_t ordinal);

/// The runs of a queue, in order of position and of log index.
/// Invariants: 1. runs ascend and do not overlap; 2. neither the front nor most of them are dead;
/// 3. a dead run holds no block.
class RunTable {
 public:
  bool empty() const { return ring_.empty(); }
  std::uint64_t front_id() const { return ring_.front_id(); }
  std::uint64_t end_id() const { return ring_.end_id(); }
  Run& at(std::uint64_t id) { return ring_.at(id); }
  const Run& at(std::uint64_t id) const { return ring_.at(id); }
  bool valid(std::uint64_t id) const { return id >= ring_.front_id() && id < ring_.end_id(); }

  std::uint64_t push(Run run) {
    ring_.push_back(std::move(run));
    return ring_.end_id() - 1;
  }
  /// The id of the run with position `p`, or of the first above it, or end_id(). `hint` is a guess
  /// that is tried first, and the one after it.
  std::uint64_t find(Position p, std::uint64_t hint) const {
    hint = std::max(hint, ring_.front_id());
    if (hint < ring_.end_id()) {
      if (ring_.at(hint).contains(p)) return hint;
      if (hint + 1 < ring_.end_id() && ring_.at(hint + 1).contains(p)) return hint + 1;
    }
    return search(p);
  }
  /// Forgets a run whose last message went.
  void drop(std::uint64_t id) {
    Run& run = ring_.at(id);
    run.block.reset();
    run.extra.reset();
    run.live = 0;
    run.paging = 0;
    ++dead_;
    while (!ring_.empty() && ring_.front().live == 0) {
      ring_.pop_front();
      --dead_;
    }
  }
  /// Forgets every run.
  void clear() {
    ring_.clear();
    dead_ = 0;
  }
  bool wants_compaction() const { return dead_ > 64 && dead_ > ring_.size() / 2; }
  /// Closes the gaps that dead runs left. Every id in `marks` goes on naming the same run, or the
  /// next one living.
  void compact(std::span<std::uint64_t* const> marks);

  std::size_t memory_bytes() const { return ring_.memory_bytes(); }
  void check_invariants() const;

 private:
  std::uint64_t search(Position p) const;

  ChunkRing<Run, 4> ring_;
  std::uint64_t dead_{0};
};

}  // namespace warren::broker
