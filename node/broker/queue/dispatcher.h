#pragma once
// The dispatcher of a queue: who gets which message when, and what leaves without being consumed
// (expiry, length limit, rejection). What must survive it tells the Ledger.
// Owner: the queue's thread. Pure: time comes from the host.

#include "node/broker/queue/consumers.h"
#include "node/broker/queue/ledger.h"
#include "node/broker/queue/ready_index.h"
#include "node/broker/queue_api.h"

#include <functional>
#include <list>
#include <map>
#include <set>
#include <vector>

namespace warren::broker {

/// The timestamp property in encoded properties (flags and values); nothing when absent.
std::optional<std::uint64_t> timestamp_property(std::string_view props);

/// Invariants: 1. every live message is in exactly one of: ready, held by one holder, dying;
/// 2. ready_, unacked_ and persistent_ add up what these hold; 3. nothing is delivered whose
/// delivery could be forgotten (Ledger::may_deliver).
class Dispatcher final : public LiveSource {
 public:
  Dispatcher(const metadata::QueueDef& def, const KeptSettings& settings, QueueHost& host,
             Ledger& ledger, QueueEndpoint& queue);

  // ---- messages come
  /// Takes the records that the limits admit; rejects the others in the batch. Returns the log
  /// index to wait for, 0 = none.
  LogIndex publish(PublishBatch& batch, std::span<const RecordRef> records);
  void recovered(const IntervalSet& live);

  // ---- consumers
  QueueError subscribe(ConsumerSpec spec, ConsumerSink& sink);
  void unsubscribe(HolderId holder);
  void resume(HolderId holder);
  void get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done);
  void settle(HolderId holder, std::span<const Position> positions, Settle how);
  void release(HolderId holder);
  void release_range(HolderId first, HolderId end);
  std::uint64_t purge();
  /// Cancels every consumer and answers every waiting get: the queue is gone.
  void close();

  // ---- turns
  /// Expires, delivers, drops; true when it stopped at a bound and wants another turn.
  bool pump();
  /// No deliveries to consumers until resumed (QUE-35); basic.get goes on.
  void set_paused(bool paused) {
    paused_ = paused;
    wants_pump_ = true;
  }
  bool paused() const { return paused_; }
  /// The steady time at which on_timer is due next; 0 = never.
  Millis next_timer();
  void on_timer();
  void touched();
  /// True when a pump would find something to do.
  bool wants_pump() const { return wants_pump_; }
  void ask_pump() { wants_pump_ = true; }
  void settings_changed();
  /// A body that was asked for is here, or more may be delivered.
  void on_progress();
  void on_dead_letter(Position p, bool accepted);

  // ---- looking
  std::uint64_t ready_count() const { return ready_.count(); }
  /// Ready messages as queue.declare-ok tells them.
  std::uint64_t visible_ready() const;
  const Consumers& consumers() const { return consumers_; }
  void fill(QueueStats& stats);
  std::vector<ConsumerInfo> consumer_infos() const;
  std::uint64_t reader_run() const { return cursors_[0].run_id; }
  void live_in(Position first, Position end, std::vector<Range>& out) override;
  void check_invariants() const;

 private:
  enum class Step { done, waits, bound };
  struct PendingGet {
    HolderId holder;
    bool no_ack;
    std::function<void(const GetResult&)> done;
  };
  struct Dying {
    Held held;
    DeathReason reason;
    bool asked{false};             ///< at-least-once: the host has it and will answer
    std::uint8_t failed_times{0};  ///< saturates
  };

  // dispatcher.cpp
  void add_run(PublishBatch& batch, std::span<const RecordRef> records, LogIndex& index);
  bool deliver_stretch();
  bool try_get(PendingGet& get);
  void serve_gets();
  Holder& holder_of(HolderId id);
  void drop_holder_if_idle(HolderId id);
  void let_go(const Held& held);
  void give_back(const Held& held, bool count_failure);
  void consumer_left();
  Held held_of(const MessageView& m, Position p, unsigned level) const;
  bool counts_failures() const;
  // departures.cpp
  bool ttl_active() const { return settings_->message_ttl_ms.has_value() || ledger_.any_expiration(); }
  /// The wall time at which a message dies; kNever.
  Millis expiry(const MessageView& m) const;
  bool expired(const MessageView& m, Position p) const;
  Step expire_heads();
  bool over_length(std::uint64_t extra_count, std::uint64_t extra_bytes) const;
  Step enforce_length();
  void bury_head(const ReadyIndex::Head& head, const Run& run, const Cursor& cursor,
                 DeathReason reason);
  void bury(const Held& held, DeathReason reason);
  void count_death(DeathReason reason);
  void bury_waiting();
  void bury_kept();
  void buried(const Dying& dying);
  void keep_dying(const Held& held, DeathReason reason);
  std::map<Position, Dying>::iterator forget_dying(std::map<Position, Dying>::iterator it);
  bool keeps_dead_letters() const { return settings_->dead_letter_at_least_once; }
  std::vector<RecordRef> admit(PublishBatch& batch, std::span<const RecordRef> records);

  static constexpr Millis kNever = INT64_MAX;
  static constexpr std::uint32_t kBuryPerPump = 4096;  ///< dropped in one turn; then others run
  static constexpr std::uint32_t kDeadLetterWindow = 32;   ///< kept and sent, not answered
  static constexpr Millis kDeadLetterRetry = 1'000;        ///< doubled each time, up to 64 s

  const metadata::QueueDef& def_;
  const KeptSettings& settings_;
  QueueHost& host_;
  Ledger& ledger_;
  QueueEndpoint& queue_;
  bool quorum_;
  bool paused_{false};
  bool wants_pump_{false};
  bool waits_{false};          ///< for a body or for durability; on_progress ends it
  bool had_consumer_{false};
  unsigned top_level_;         ///< highest priority level

  ReadyIndex ready_;
  std::vector<Cursor> cursors_;  ///< one per level
  Cursor side_;                  ///< for messages that are not at a head
  Consumers consumers_;
  std::map<HolderId, Holder> holders_;
  std::list<PendingGet> gets_;
  std::map<Position, Dying> dying_;  ///< to be dead-lettered once their bodies are read, or kept until then
  std::set<Position> unsent_;                       ///< of dying_, at-least-once: to be sent now
  std::multimap<Millis, Position> unsent_later_;    ///< the same, steady time: not before
  std::uint32_t asked_{0};                          ///< of dying_: under way
  std::uint64_t dying_bytes_{0};

  std::uint64_t ready_bytes_{0};
  Tally unacked_;
  Tally unacked_logged_;
  Tally persistent_;
  Tally persistent_unacked_;
  QueueCounters counters_;
  Position fresh_from_{1};   ///< below it, messages were there in an earlier turn
  Millis now_wall_{0};       ///< of this turn
  Millis now_steady_{0};
  Millis head_expiry_{kNever};
  Millis last_used_;         ///< steady
  std::uint32_t buried_{0};  ///< in this turn
};

}  // namespace warren::broker
