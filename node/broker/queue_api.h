#pragma once
// The seam between channels and queues, and between a queue and its surroundings. A channel holds
// QueueEndpoints: the queue itself when it lives here, a pipe when it lives on another node. Calls
// never block; answers come through the sinks. Everything happens on the owner's thread.

#include "base/clock.h"
#include "base/field_table.h"
#include "base/result.h"
#include "cluster/metadata/types.h"
#include "node/broker/message.h"
#include "node/broker/queue_settings.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker {

// ---- publishing -------------------------------------------------------------------------------

class PublishBatch;

/// Who hears how a batch ended; a channel. Called once per batch, never inside publish().
class Publisher {
 public:
  virtual ~Publisher() = default;
  virtual void on_settled(PublishBatch& batch) = 0;
};

/// What one channel published in one loop turn, for whichever queues: a block of records, and how
/// many queues still have to answer. Settled when every queue has accepted (transient), made
/// durable (persistent on a durable queue) or rejected its part.
/// Owner: the channel's thread. Reference counted: queues keep it until they answer.
class PublishBatch {
 public:
  explicit PublishBatch(Publisher* publisher) : publisher_(publisher) {}
  explicit PublishBatch(std::nullptr_t) {}
  /// For a publisher that nobody else owns: it goes with the batch, also with one never settled.
  explicit PublishBatch(std::shared_ptr<Publisher> publisher)
      : publisher_(publisher.get()), own_(std::move(publisher)) {}

  BlockRef block;
  std::uint64_t first_seq{0};   ///< confirm sequence number of the first record; 0 = no confirms
  std::uint32_t count{0};       ///< records in the block
  bool in_tx{false};            ///< part of a transaction's commit
  std::vector<std::uint32_t> rejected;  ///< record numbers [0, count) that some queue refused

  /// One more answer to wait for. The channel itself holds one until it has routed everything.
  void expect() { ++pending_; }
  /// One answer came. The last one settles the batch.
  void answered() {
    if (--pending_ == 0 && publisher_ != nullptr) publisher_->on_settled(*this);
  }
  bool settled() const { return pending_ == 0; }
  void reject(std::uint32_t record) { rejected.push_back(record); }
  /// The channel is gone: nobody listens any more.
  void abandon() { publisher_ = nullptr; }

  friend void intrusive_ptr_add_ref(PublishBatch* b) { ++b->refs_; }
  friend void intrusive_ptr_release(PublishBatch* b) {
    if (--b->refs_ == 0) delete b;
  }

 private:
  Publisher* publisher_{nullptr};
  std::shared_ptr<Publisher> own_;
  std::uint32_t pending_{0};
  std::uint32_t refs_{0};
};
using PublishBatchRef = boost::intrusive_ptr<PublishBatch>;

/// A record of a batch: its number, and where it begins in the block.
struct RecordRef {
  std::uint32_t number;
  std::uint32_t offset;
};

// ---- consuming --------------------------------------------------------------------------------

/// Position of a message in its queue: ascending in order of arrival, never reused in one
/// incarnation of the queue.
using Position = std::uint64_t;

/// Under whom deliveries are held until settled: one per consumer, one per channel for basic.get.
/// Unique in the node's life.
using HolderId = std::uint64_t;

struct Delivery {
  HolderId holder{};
  Position position{};
  MessageView message;
  const BlockRef* block{};         ///< keeps `message` alive; copy it to keep the bytes
  bool redelivered{false};
  std::uint32_t delivery_count{0};  ///< failed deliveries before this one (x-delivery-count)
};

/// A channel's side of a consumer.
class ConsumerSink {
 public:
  virtual ~ConsumerSink() = default;
  /// False while the connection's output is full or the channel's shared prefetch is used up; the
  /// sink then calls QueueEndpoint::resume(holder) when it can take more.
  virtual bool can_take() const = 0;
  /// Takes one message. Requires: can_take(). Must not call back into the queue.
  virtual void deliver(const Delivery& delivery) = 0;
  /// The queue cancelled the consumer (deleted, home node lost); the holder is gone already.
  virtual void cancelled() = 0;
};

struct ConsumerSpec {
  HolderId holder{};
  std::string tag;
  bool no_ack{false};
  bool exclusive{false};
  std::int32_t priority{0};
  std::uint32_t prefetch{0};       ///< 0 = no limit
  FieldTable arguments;
  std::string channel_name;        ///< "ip:port -> ip:port (1)", for listings
  std::string user;
  std::uint64_t connection{0};
  std::uint64_t node{0};           ///< member id of the client's node, 0 = this one
};

enum class Settle : std::uint8_t {
  ack,      ///< done with
  requeue,  ///< back to its place, counts as returned
  reject,   ///< dropped or dead-lettered (reason rejected)
  unseen,   ///< back to its place: the client never got it, so no failed delivery
};

/// Why an operation was refused; the channel turns it into a reply code.
/// in_use -> 403 (exclusive consumer) or 406, not_empty -> 406, gone -> 404, home_down -> 404 (QUE-04).
enum class QueueError : std::uint8_t {
  none, exclusive_use, in_use, not_empty, gone, unsupported, home_down
};

struct GetResult {
  std::optional<Delivery> delivery;   ///< valid only during the call
  std::uint32_t remaining{0};         ///< ready messages left
  QueueError error{QueueError::none};
};

struct ConsumerInfo {
  ConsumerSpec spec;
  bool active{true};
  std::string activity_status;  ///< up, single_active, waiting
  std::uint32_t unacked{0};
};

struct QueueCounters {
  std::uint64_t publish{0}, deliver{0}, deliver_no_ack{0}, get{0}, get_no_ack{0}, get_empty{0},
      redeliver{0}, ack{0}, dead_letter_expired{0}, dead_letter_maxlen{0}, dead_letter_rejected{0},
      dead_letter_limit{0}, dropped{0};
};

struct QueueStats {
  std::uint64_t ready{0}, unacked{0};
  std::uint64_t ready_bytes{0}, unacked_bytes{0};
  std::uint64_t persistent{0}, persistent_bytes{0};
  std::uint64_t ready_ram{0}, unacked_ram{0}, bytes_ram{0};
  std::uint64_t memory_bytes{0};        ///< index, buffers and bodies held
  std::uint64_t consumers{0};
  std::optional<std::uint64_t> head_timestamp;  ///< timestamp property of the first ready message
  std::string exclusive_consumer_tag, single_active_tag;
  std::string state{"running"};
  Millis idle_since{0};
  QueueCounters counters;
};

/// Ready messages and consumers, as queue.declare-ok tells them.
struct QueueDepth {
  std::uint64_t ready{0}, consumers{0};
  bool operator==(const QueueDepth&) const = default;
};

/// The answer of a queue: a value, or why there is none.
template <class T>
struct Asked {
  T value{};
  QueueError error{QueueError::none};
};

/// A queue as channels see it. Order: calls from one channel take effect in call order.
/// Answers: a queue that lives here gives them at once, inside the call; a remote one later, and with
/// QueueError::home_down when its node is lost before it answered.
class QueueEndpoint {
 public:
  virtual ~QueueEndpoint() = default;

  virtual const metadata::QueueDef& def() const = 0;
  /// Adds records of a batch. The endpoint calls batch.expect() once now and batch.answered() once
  /// later, behind any reject().
  virtual void publish(PublishBatch& batch, std::span<const RecordRef> records) = 0;

  /// False while the queue's home node is down.
  virtual bool reachable() const { return true; }

  /// Attaches a consumer; deliveries begin behind `done` with the next pump, never inside this call.
  /// The sink lives until `done` gave an error, or the holder was unsubscribed or released.
  virtual void subscribe(ConsumerSpec spec, ConsumerSink& sink,
                         std::function<void(QueueError)> done) = 0;
  /// Detaches the consumer; what it holds stays held until settled or released. The sink gets
  /// nothing more once `done` has been called.
  virtual void unsubscribe(HolderId holder, std::function<void()> done) = 0;
  /// The sink can take again.
  virtual void resume(HolderId holder) = 0;
  /// One message for basic.get, to be settled under `holder`; `done` may be called at once.
  virtual void get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done) = 0;
  /// Ends deliveries held by `holder`; unknown positions are ignored (idempotent).
  virtual void settle(HolderId holder, std::span<const Position> positions, Settle how) = 0;
  /// The holder is gone (channel closed): unsubscribes it and requeues whatever it holds.
  virtual void release(HolderId holder) = 0;

  virtual void purge(std::function<void(Asked<std::uint64_t> removed)> done) = 0;
  virtual void ask_depth(std::function<void(Asked<QueueDepth>)> done) = 0;
  virtual void ask_stats(std::function<void(Asked<QueueStats>)> done) = 0;
  virtual void ask_consumers(std::function<void(Asked<std::vector<ConsumerInfo>>)> done) = 0;
  /// A declare of the existing queue: renews x-expires.
  virtual void touched() = 0;
  /// Holds deliveries back without losing the consumers (QUE-35); not kept across a restart.
  virtual void set_paused(bool paused) = 0;
};

// ---- surroundings -------------------------------------------------------------------------------

using LogIndex = std::uint64_t;

/// The log behind a durable queue (architecture §7): local store now, a Raft group later.
/// Indexes are given in order from 1; a queue hears about durability and reads through its own
/// methods (Queue::on_durable, Queue::on_read), never inside these calls.
class QueueLog {
 public:
  virtual ~QueueLog() = default;
  /// Appends one record: `head` then `tail` (kept alive by `keep`). Gives its index at once.
  virtual LogIndex append(std::string head, std::string_view tail, BlockRef keep) = 0;
  /// Like append, for records nobody waits for (removals): may be delayed until the next append.
  virtual LogIndex append_lazy(std::string head) = 0;
  /// Asks for a record; answered by Queue::on_read. Bounded by the queue's own read-ahead.
  virtual void read(LogIndex index) = 0;
  /// Writes checkpoint rows (key suffix -> value, nothing = erase) that cover the log up to
  /// `covers`; `live` = ascending indexes <= covers whose entries still hold messages.
  virtual void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>> rows,
                          LogIndex covers, std::vector<LogIndex> live) = 0;
};

/// A page of a node's scratch space: below 2^48, never 0.
using PageId = std::uint64_t;

/// Where messages that are not logged go when memory is short; forgotten with the process. Owner: the node.
/// Bounds: what is written and not yet answered stays in memory, so `has_room` ends it.
class QueuePages {
 public:
  virtual ~QueuePages() = default;
  /// Whether a write is wanted now: not while many are under way, or the disc is short.
  virtual bool has_room() const = 0;
  /// Writes `bytes` (kept alive by `keep`) for a queue; answered in order by Queue::on_page_written.
  virtual PageId write(metadata::QueueUid queue, std::string_view bytes, BlockRef keep) = 0;
  /// Asks for a page of `bytes`; answered by Queue::on_page_read. Requires: it was written.
  virtual void read(metadata::QueueUid queue, PageId page, std::size_t bytes) = 0;
  /// The page is not needed any more. Requires: its write was answered.
  virtual void release(PageId page, std::size_t bytes) = 0;
};

enum class DeathReason : std::uint8_t { rejected, expired, maxlen, delivery_limit };

/// What a queue needs from the node it lives on. Owner: the queue's thread.
class QueueHost {
 public:
  virtual ~QueueHost() = default;
  virtual Millis wall_ms() const = 0;
  virtual Millis steady_ms() const = 0;
  /// Calls Queue::pump() at the end of this loop turn (once, however often asked).
  virtual void want_pump(QueueEndpoint& queue) = 0;
  /// Calls Queue::on_timer() at or after `at` (steady); the latest call counts; 0 = never.
  virtual void want_timer(QueueEndpoint& queue, Millis at) = 0;
  /// Publishes a dead message to the queue's dead-letter exchange (routing, x-death, cycles are the
  /// host's business). Called before the message is removed, in the same loop turn, so that both
  /// reach the store in one batch.
  virtual void dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason) = 0;
  /// The same for a queue that keeps the message until all that it was routed to have it: answered,
  /// never inside this call, by Queue::on_dead_letter. `again`: an earlier attempt failed.
  virtual void dead_letter_kept(QueueEndpoint&, const Delivery&, DeathReason, bool again) {
    (void)again;
  }
  /// The queue's life is over: last consumer of an auto-delete queue went, or x-expires passed.
  virtual void want_delete(QueueEndpoint& queue, std::string_view reason) = 0;
  /// Where unlogged bodies may go; null = they stay in memory. Outlives the queue.
  virtual QueuePages* pages() { return nullptr; }
};

}  // namespace warren::broker
