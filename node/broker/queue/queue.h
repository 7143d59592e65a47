#pragma once
// One queue: its Ledger (which messages there are) and its Dispatcher (who gets them) behind the
// seam that channels see. Owner: the queue's thread. Pure: the host gives it time and turns.

#include "node/broker/queue/dispatcher.h"
#include "node/broker/queue/ledger.h"
#include "node/broker/queue/options.h"
#include "node/broker/queue_api.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::broker {

/// Order of life: construct; with a log: restore (when there is a checkpoint), replay every record
/// behind it, recovered; then any call. After on_deleted every call is a no-op that answers at once.
class Queue final : public QueueEndpoint {
 public:
  /// `log` nullptr = transient. `host`, `log`, `budget` and `options` outlive the queue.
  Queue(metadata::QueueDef def, QueueSettings settings, QueueHost& host, QueueLog* log,
        MemoryBudget& budget, const QueueOptions& options);
  ~Queue() override;

  const metadata::QueueDef& def() const override { return def_; }
  const QueueSettings& settings() const { return *settings_; }
  void publish(PublishBatch& batch, std::span<const RecordRef> records) override;
  QueueError subscribe(ConsumerSpec spec, ConsumerSink& sink);
  void subscribe(ConsumerSpec spec, ConsumerSink& sink,
                 std::function<void(QueueError)> done) override {
    done(subscribe(std::move(spec), sink));
  }
  void unsubscribe(HolderId holder);
  void unsubscribe(HolderId holder, std::function<void()> done) override {
    unsubscribe(holder);
    done();
  }
  void resume(HolderId holder) override;
  void get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done) override;
  void settle(HolderId holder, std::span<const Position> positions, Settle how) override;
  void release(HolderId holder) override;
  /// Releases every holder of [first, end): a node is gone with all its clients.
  void release_range(HolderId first, HolderId end);
  void purge(std::function<void(Asked<std::uint64_t> removed)> done) override;
  QueueDepth depth() const;
  QueueStats stats() const;
  std::vector<ConsumerInfo> consumers() const;
  void ask_depth(std::function<void(Asked<QueueDepth>)> done) override { done({depth()}); }
  void ask_stats(std::function<void(Asked<QueueStats>)> done) override { done({stats()}); }
  void ask_consumers(std::function<void(Asked<std::vector<ConsumerInfo>>)> done) override {
    done({consumers()});
  }
  void touched() override;
  void set_paused(bool paused) override;

  // ---- called by the host
  /// Does the work of a loop turn: expires, delivers, drops, appends removals. See QueueHost.
  void pump();
  void on_timer();
  /// Everything the log was given up to this index survives a crash.
  void on_durable(LogIndex up_to);
  /// Answers QueueLog::read. Shape: `block` holds the record as it was appended, head and tail.
  void on_read(LogIndex index, BlockRef block, Result<void> result);
  /// Answers QueuePages::read.
  void on_page_read(PageId page, BlockRef block, Result<void> result);
  /// Answers QueuePages::write, in order; also of a queue that is deleted. Without success the
  /// bytes stay in memory.
  void on_page_written(PageId page, bool success);
  /// Gives up bodies beyond the budget, also while nothing else happens here.
  void trim();
  /// Answers QueueHost::dead_letter_kept: all who got the message have it, or it has to be sent again.
  void on_dead_letter(Position position, bool accepted);
  /// The policy changed. max_priority and single_active are fixed with the queue.
  void apply_settings(QueueSettings settings);
  /// The queue is deleted: cancels consumers, answers what waits (confirms as accepted).
  void on_deleted();
  /// Writes a checkpoint now, if anything changed since the last (orderly shutdown: the next start
  /// replays nothing).
  void checkpoint();

  // ---- recovery, before any other call
  /// Requires: rows of one checkpoint, all of them, in any order. Errors: corruption, unsupported.
  Result<void> restore(const std::vector<std::pair<std::string, std::string>>& rows);
  /// One record, in order of index; those that the checkpoint covers are ignored. The block is not
  /// kept: bodies are read again when they are needed. Errors: corruption, unsupported.
  Result<void> replay(LogIndex index, std::string_view record, const BlockRef& block);
  void recovered();

  /// Aborts when an invariant of the queue does not hold.
  void check_invariants() const;

 private:
  void after();

  const metadata::QueueDef def_;
  KeptSettings settings_;
  QueueHost& host_;
  Ledger ledger_;
  mutable Dispatcher dispatcher_;
  bool pump_wanted_{false};
  bool deleted_{false};
  Millis timer_at_{0};
  Millis idle_since_;
};

}  // namespace warren::broker
