#pragma once
// Between the broker's thread and the committer: gathers what one loop turn wants durable into one
// write batch, and tells queues and metadata when it is.

#include "node/broker/broker.h"
#include "node/server/loop.h"
#include "storage/api/committer.h"
#include "storage/api/store.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace warren::server {

class Journal;

/// A durable queue's log on this node's store (durability "local").
/// Invariants: 1. indexes are given without gaps from 1; 2. `durable_` never exceeds what a completed
/// sync covers.
class LocalLog final : public broker::QueueLog {
 public:
  LocalLog(Journal& journal, storage::GroupUid uid) : journal_(journal), uid_(uid) {}

  broker::LogIndex append(std::string head, std::string_view tail, BlockRef keep) override;
  broker::LogIndex append_lazy(std::string head) override;
  void read(broker::LogIndex index) override;
  void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>> rows,
                  broker::LogIndex covers, std::vector<broker::LogIndex> live) override;

  storage::GroupUid uid() const { return uid_; }
  broker::LogIndex last() const { return next_ - 1; }
  void attach(const std::shared_ptr<broker::Queue>& queue) { queue_ = queue; }
  /// After recovery: the next record's index.
  void continue_at(broker::LogIndex next) { next_ = next; }
  /// Null once the queue is deleted.
  std::shared_ptr<broker::Queue> queue() const { return queue_.lock(); }
  bool in_batch{false};  ///< appended to the batch that is being gathered

 private:
  Journal& journal_;
  storage::GroupUid uid_;
  std::weak_ptr<broker::Queue> queue_;
  broker::LogIndex next_{1};
};

/// Owner: the broker's thread. Completions come back through the loop.
/// Errors: a failed write ends the process through `on_failure`; nothing is ever confirmed after it.
class Journal {
 public:
  Journal(Loop& loop, storage::Store& store, storage::Committer& committer,
          std::function<void(const Error&)> on_failure);

  void persist(std::vector<metadata::RowChange> rows, std::function<void()> done);
  /// `done` when all that was given to logs is durable; at once when nothing is under way.
  void when_durable(std::function<void()> done) { persist({}, std::move(done)); }
  LocalLog& open(storage::GroupUid uid);
  void close(storage::GroupUid uid, bool retire);
  LocalLog* find(storage::GroupUid uid) const;
  /// Start-up: brings a queue to where its checkpoint and the records behind it say, and its log to
  /// the end of both. Requires: open(uid), attached. Errors: corruption, unsupported, io.
  Result<void> recover(storage::GroupUid uid, broker::Queue& queue);
  /// Start-up: tells the store of deleted queues whose records it still holds, and forgets those
  /// of which nothing is left.
  Result<void> sweep_retired();
  /// Start-up: deletes logs of queues that are not `known` any more.
  Result<void> retire_others(const std::function<bool(storage::GroupUid)>& known);
  /// Hands the gathered batch to the committer. At the end of each turn.
  void flush();
  /// As flush, also when only lazy records wait. From a timer.
  void flush_lazy();
  std::uint64_t bytes_in_flight() const { return bytes_in_flight_ + batch_.bytes(); }
  bool idle() const { return in_flight_.empty() && batch_.empty(); }
  /// Whether the completion of something submitted is still to come.
  bool waiting() const { return !in_flight_.empty(); }
  bool lazy_waiting() const { return !batch_.empty() && !must_sync_; }
  /// Called behind each completion, on the loop's thread.
  void on_progress(std::function<void()> progress) { progress_ = std::move(progress); }

 private:
  friend class LocalLog;
  struct Floor {
    storage::GroupUid uid;
    storage::Floor floor;
  };
  /// What a submitted batch owes when it is durable.
  struct Ticket {
    std::uint64_t number;
    std::size_t bytes;
    std::vector<std::pair<std::shared_ptr<LocalLog>, broker::LogIndex>> logs;
    std::vector<std::function<void()>> done;
    std::vector<Floor> floors;
    std::vector<storage::GroupUid> retired;
  };

  void submit(storage::Durability durability);
  void completed(std::uint64_t number, const Result<void>& result);
  void note(LocalLog& log);
  Result<void> erase_state(storage::GroupUid uid);
  void read(storage::GroupUid uid, broker::LogIndex index);

  Loop& loop_;
  storage::Store& store_;
  storage::Committer& committer_;
  std::function<void(const Error&)> on_failure_;
  std::function<void()> progress_;
  std::map<storage::GroupUid, std::shared_ptr<LocalLog>> logs_;
  storage::WriteBatch batch_;
  Ticket open_{};
  std::vector<LocalLog*> open_logs_;
  bool must_sync_{false};
  std::deque<Ticket> in_flight_;
  std::uint64_t next_number_{1};
  std::uint64_t bytes_in_flight_{0};
};

/// Key of a queue's row in Keyspace::queue_state: uid, big-endian, then the queue's own suffix.
std::string queue_state_key(storage::GroupUid uid, std::string_view suffix);
/// Key of a queue's row in Keyspace::hard_state; its value is the checkpoint's log index (u64), or
/// "retired" for a deleted queue whose log may still lie on disc.
std::string hard_state_key(storage::GroupUid uid);
inline constexpr std::string_view kRetired = "retired";

}  // namespace warren::server
