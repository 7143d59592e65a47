#pragma once
// The ledger of a queue: which messages there are, where their bytes are, and the log records that
// make them survive. It decides nothing: the Dispatcher tells it what came and what went.
// Owner: the queue's thread. Pure.

#include "node/broker/queue/log_codec.h"
#include "node/broker/queue/options.h"
#include "node/broker/queue/pager.h"
#include "node/broker/queue/run_table.h"

#include <map>
#include <set>
#include <span>
#include <utility>
#include <vector>

namespace warren::broker {

struct Tally {
  std::uint64_t count{0};
  std::uint64_t bytes{0};
  void add(std::uint64_t n, std::uint64_t b) {
    count += n;
    bytes += b;
  }
  void sub(std::uint64_t n, std::uint64_t b) {
    count -= n;
    bytes -= b;
  }
};

/// What one look over the records of a publish tells.
struct Scan {
  Tally bodies;
  Tally persistent;
  std::uint32_t record_bytes{0};
  bool contiguous{true};
  bool expiration{false};  ///< any record has one
};
Scan scan_records(const Block& block, std::span<const RecordRef> records);

/// Where a reader stands in the runs; good for the next position after the last one read.
struct Cursor {
  std::uint64_t run_id{0};
  Position position{0};
  std::uint32_t offset{0};  ///< of the record at `position`, from the run's base
};

/// Tells a checkpoint which messages live; the Dispatcher.
class LiveSource {
 public:
  virtual ~LiveSource() = default;
  /// Appends the live positions of [first, end), in any order.
  virtual void live_in(Position first, Position end, std::vector<Range>& out) = 0;
};

/// Invariants: 1. a message is removed once; 2. records are appended in the order of what happened;
/// 3. a run without a block is in the log or in a page; 4. log == nullptr: nothing is logged, ever.
class Ledger {
 public:
  Ledger(QueueLog* log, QueuePages* pages, metadata::QueueUid queue, const QueueOptions& options,
         MemoryBudget& budget, bool all_logged);
  ~Ledger();
  Ledger(const Ledger&) = delete;
  Ledger& operator=(const Ledger&) = delete;

  // ---- messages come
  /// Adds one run; at most Run::kMaxCount records. `deliverable` = a consumer may get them before
  /// anything else is logged. Returns the index to wait for, 0 = none.
  LogIndex append(const PublishBatch& batch, std::span<const RecordRef> records, const Scan& scan,
                  std::vector<std::uint8_t> levels, bool deliverable);
  Position next() const { return next_; }
  /// Answers the batch when the log is durable up to `index`.
  void answer_at(LogIndex index, PublishBatch& batch);

  // ---- messages are read
  /// The run with `p` when its bytes are here, the cursor set on `p`; else asks the log for it.
  /// Requires: `p` lives.
  Run* open(Cursor& cursor, Position p);
  /// True when a delivery of `p` cannot be forgotten; else reserves that many positions, and
  /// on_durable will tell.
  bool may_deliver(const Run& run, Position p, std::uint32_t reserve);
  Position deliverable_end(const Run& run) const {
    return !run.logged() || run.covered ? run.end() : watermark_durable_;
  }
  /// Asks the log for what a reader at this run needs next.
  void read_ahead() { pager_.read_ahead(); }

  // ---- messages go
  /// Removes one message. Requires: it lives.
  void remove(Position p, std::uint32_t body_bytes);
  /// Removes neighbours. Requires: they live, and are all logged or all not.
  void remove_range(Position first, Position end, std::uint64_t body_bytes);
  /// Removes neighbours inside one run. Requires: they live.
  void remove_span(std::uint64_t run_id, Position first, std::uint64_t n, std::uint64_t body_bytes);
  /// Removes whatever ranges, which hold `bytes` of bodies in logged runs.
  void purge(const std::vector<Range>& ranges, std::uint64_t logged_bytes);
  /// True when `p` is in the log.
  bool logged(Position p) const;

  // ---- failed deliveries (only of queues that count them)
  std::uint32_t failures(Position p) const;
  void set_failures(Position p, std::uint32_t count);

  // ---- end of turn
  /// What just came may have to leave memory at the end of the turn.
  bool short_of_memory() const { return pager_.wants_whole_runs(); }
  bool has_pending() const { return !removed_.empty() || !counted_.empty(); }
  /// Appends the removals and returns of this turn; closes gaps; writes a checkpoint when due.
  void end_turn(LiveSource& live, std::uint64_t reader_run);
  /// Gives up bodies beyond the budget. `reader_run` = where fresh messages are delivered from.
  void set_active(bool active) { pager_.set_active(active); }
  void trim(std::uint64_t reader_run) { pager_.trim(durable_, reader_run); }
  void checkpoint(LiveSource& live);
  /// Something has been logged or removed since the last checkpoint.
  bool checkpoint_worth_it() const { return last_index_ != covers_ || !dirty_.empty(); }

  // ---- the log answers
  void on_durable(LogIndex up_to);
  /// True when a run of this queue was waiting for it. Sets failed() on damage.
  bool on_read(LogIndex index, BlockRef block, const Result<void>& result);
  bool on_page_read(PageId page, BlockRef block, const Result<void>& result);
  void on_page_written(PageId page, bool success) { pager_.page_written(page, success); }
  bool failed() const { return failed_; }
  /// Answers every batch still waiting, as accepted.
  void answer_all();
  /// The queue is deleted: lets go of every message, since channels may keep the queue for a while.
  void forget();

  // ---- recovery: restore, then replay in order, then recovered
  Result<void> restore(const std::vector<std::pair<std::string, std::string>>& rows);
  /// `levels` = priority levels of the queue.
  Result<void> replay(LogIndex index, std::string_view record, unsigned levels);
  /// Ends recovery and gives the live positions; those below watermark() may have been delivered.
  IntervalSet recovered();
  Position watermark() const { return watermark_; }
  bool any_expiration() const { return any_expiration_; }
  void no_expiration() { any_expiration_ = false; }

  const QueueOptions& options() const { return options_; }
  RunTable& runs() { return runs_; }
  const RunTable& runs() const { return runs_; }
  const Tally& logged_tally() const { return logged_; }
  std::size_t resident_bytes() const { return pager_.resident_bytes(); }
  std::uint64_t resident_messages() const { return pager_.resident_messages(); }
  std::size_t memory_bytes() const;
  void check_invariants() const;

 private:
  struct Waiting {
    LogIndex index{0};
    PublishBatchRef batch;
  };

  LogIndex append_record(std::string head, std::string_view tail, BlockRef keep);
  void gone(std::uint64_t run_id, Position first, std::uint64_t n, std::uint64_t body_bytes);
  void note_removed(Position first, Position end, std::uint64_t body_bytes);
  void touch_chunk(LogIndex index);
  void flush_removed(codec::Gone why = codec::Gone::settled);
  Result<void> restore_chunk(std::string_view value);
  Result<void> replay_enqueue(LogIndex index, std::string_view record, unsigned levels);
  void replay_remove(const codec::Remove& remove);
  void forget_recovered(Range piece);

  QueueLog* log_;
  const QueueOptions& options_;
  bool all_logged_;
  bool failed_{false};
  bool any_expiration_{false};
  bool removed_sorted_{true};

  RunTable runs_;
  Pager pager_;
  Position next_{1};
  std::uint64_t hint_{0};  ///< run of the last removal

  LogIndex last_index_{0};
  LogIndex durable_{0};
  ChunkRing<Waiting, 4> waiting_;
  Position watermark_{0};          ///< as appended
  Position watermark_durable_{0};
  ChunkRing<std::pair<LogIndex, Position>, 3> watermarks_;  ///< appended, not durable

  std::vector<Range> removed_;  ///< not yet in the log
  std::uint64_t removed_bytes_{0};
  std::map<Position, std::uint32_t> failures_;
  std::vector<std::pair<Position, std::uint32_t>> counted_;  ///< not yet in the log

  Tally logged_;  ///< live messages in logged runs
  std::set<std::uint64_t> dirty_;
  std::uint64_t dirty_last_{~std::uint64_t{0}};
  std::size_t log_bytes_{0};  ///< since the last checkpoint
  LogIndex covers_{0};
  IntervalSet recovering_;
};

}  // namespace warren::broker
