#pragma once
// Which bodies of a queue are in memory. Beyond a budget logged runs give up their blocks, others go
// into pages first; both are read back before the dispatcher needs them. Owned by a queue's Ledger.

#include "node/broker/queue/options.h"
#include "node/broker/queue/run_table.h"

#include <cstdint>
#include <deque>
#include <vector>

namespace warren::broker {

/// From the boundary on, runs are dropped from memory as soon as they are durable; below it they
/// stay, or are being read. Reading ahead moves the boundary up, running full sets it to the end.
/// Runs that are not logged go into pages, but only while the shard is over its budget: their bytes
/// would otherwise never see a disc.
/// Invariants: 1. resident_bytes() adds up the bytes of the runs with a block; 2. a run is in
/// reading_ or writing_ if and only if its bit says so; 3. what is neither durable nor in a page is
/// never dropped; 4. a page is released once, when its run is dead or forgotten.
class Pager {
 public:
  /// `log` and `pages` may be null: nothing is logged, nothing leaves memory unlogged.
  Pager(RunTable& runs, QueueLog* log, QueuePages* pages, metadata::QueueUid queue,
        const QueueOptions& options, MemoryBudget& budget)
      : runs_(runs), log_(log), pages_(pages), queue_(queue), options_(options), budget_(budget) {}

  /// A run with a block was added at the end.
  void added(std::uint64_t run_id);
  /// `n` messages of a run went; the run is dead afterwards when `last`.
  void removed(Run& run, std::uint64_t n, bool last);
  /// The log is durable up to here; `reader` = run of the next fresh message.
  void trim(LogIndex durable, std::uint64_t reader);
  /// Asks for one run now. Requires: it has no block.
  void request(std::uint64_t run_id);
  /// Asks for the runs behind what is here, as far as the bounds allow.
  void read_ahead();
  /// Puts a block that was read in its run: true when a run was waiting for it.
  bool arrived(LogIndex index, BlockRef block, bool* damaged);
  bool page_arrived(PageId page, BlockRef block, bool* damaged);
  /// The oldest write that was not answered ended; without success its run stays in memory.
  void page_written(PageId page, bool success);
  /// A run that is not logged had better be one piece of memory: it may have to leave.
  bool wants_whole_runs() const { return pages_ != nullptr && budget_.over(); }
  /// Whether anybody reads this queue: without, only the floor stays in memory.
  void set_active(bool active) {
    if (active_ && !active && resident_bytes_ > options_.resident_bytes_min) start_cold();
    active_ = active;
  }
  /// Nothing of what is in the table has to stay in memory.
  void start_cold() {
    if (!runs_.empty()) boundary_ = trimmed_ = paged_out_ = runs_.front_id();
  }

  std::uint64_t* boundary_mark() { return &boundary_; }
  std::uint64_t* trimmed_mark() { return &trimmed_; }
  std::uint64_t* behind_mark() { return &behind_; }
  std::uint64_t* paged_out_mark() { return &paged_out_; }
  std::uint64_t* paged_behind_mark() { return &paged_behind_; }
  std::size_t resident_bytes() const { return resident_bytes_; }
  std::uint64_t resident_messages() const { return resident_messages_; }
  bool reading() const { return !reading_.empty(); }
  void check_invariants() const;

 private:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  bool full() const {
    return resident_bytes_ > options_.resident_bytes_max ||
           (resident_bytes_ > options_.resident_bytes_min && (!active_ || budget_.over()));
  }
  void keep(Run& run, BlockRef block);
  void evict(Run& run);
  static bool can_leave(const Run& run, LogIndex durable) {
    return run.paged != 0 || (run.index != 0 && run.index <= durable);
  }
  void page_out(std::uint64_t reader);
  bool page_one(std::uint64_t run_id);
  Run* take_reading(LogIndex index, bool paged);

  RunTable& runs_;
  QueueLog* log_;
  QueuePages* pages_;
  const metadata::QueueUid queue_;
  const QueueOptions& options_;
  MemoryBudget& budget_;
  bool active_{false};
  std::size_t resident_bytes_{0};
  std::uint64_t resident_messages_{0};
  std::uint64_t boundary_{kNone};  ///< first run that does not stay; kNone = all stay
  std::uint64_t trimmed_{0};       ///< below it, from the boundary on, nothing durable has a block
  std::uint64_t behind_{0};        ///< below it, runs already delivered gave up their blocks
  std::uint64_t paged_out_{0};     ///< below it, from the boundary on, all is in pages or on its way
  std::uint64_t paged_behind_{0};  ///< the same of what is delivered and below the boundary
  std::size_t paged_here_{0};      ///< runs in a page that have a block too
  struct Reading {
    LogIndex index;  ///< or a page
    bool paged;
    std::uint64_t run_id;  ///< then; a hint
    Position first;
    std::size_t bytes;
  };
  std::vector<Reading> reading_;  ///< asked of the log, not answered; few, answered mostly in order
  std::size_t reading_bytes_{0};
  struct Writing {
    PageId page;
    std::uint64_t run_id;  ///< then; a hint
    Position first;
    std::uint32_t bytes;
  };
  std::deque<Writing> writing_;
};

}  // namespace warren::broker
