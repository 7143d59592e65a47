#pragma once
// This node's clients and the queues of one peer: what they publish, consume and ask goes out over
// the link and comes back as answers. Owner: Pipes.

#include "node/broker/pipe/host.h"
#include "node/broker/pipe/link.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::broker::pipe {

/// Invariants: 1. unanswered_ ascends by id, and ids are never used twice by one incarnation;
/// 2. every batch in it is answered exactly once per publish(); 3. a consumer is told nothing after
/// its last word (an error, cancelled, the end of unsubscribe, release).
class ClientSide {
 public:
  ClientSide(MemberId peer, Link& link, PipeHost& host, const PipeOptions& options)
      : peer_(peer), link_(link), host_(host), options_(options) {}

  // ---- for RemoteQueue; see QueueEndpoint
  bool reachable() const { return reachable_; }
  void publish(const metadata::QueueDef& queue, PublishBatch& batch, std::span<const RecordRef> records);
  void subscribe(const metadata::QueueDef& queue, ConsumerSpec spec, ConsumerSink& sink,
                 std::function<void(QueueError)> done);
  void unsubscribe(metadata::QueueUid uid, HolderId holder, std::function<void()> done);
  void resume(HolderId holder);
  void get(metadata::QueueUid uid, HolderId holder, bool no_ack,
           std::function<void(const GetResult&)> done);
  void settle(metadata::QueueUid uid, HolderId holder, std::span<const Position> positions, Settle how);
  void release(metadata::QueueUid uid, HolderId holder);
  using Answer = std::function<void(QueueError, In&, const BlockRef&)>;
  void ask(metadata::QueueUid uid, Question question, Answer done);
  /// The queue is deleted: what waits for it is answered, its consumers are cancelled.
  void forget(metadata::QueueUid uid);

  void reply(std::string_view token, MessageView message);
  void ask_reply(std::string_view token, std::function<void(bool)> done);
  void tell_alarms(const std::string& node, const std::vector<std::string>& resources);

  // ---- for Pipes
  void set_reachable(bool reachable);
  /// An operation of the home node; false when it is none that a client's node takes.
  bool on_op(Op op, In& in, const BlockRef& block);
  void on_open();
  void on_loss(Loss loss);
  /// Gives buffered deliveries to sinks that can take again.
  void pump();
  bool wants_pump() const { return !resumed_.empty(); }
  std::size_t unanswered_bytes() const { return unanswered_bytes_; }
  void check_invariants() const;

 private:
  struct Part {
    metadata::QueueUid uid;
    bool all;                        ///< every record of the block
    std::vector<RecordRef> records;  ///< numbers in the batch, offsets in the block; when not all
    bool done;
  };
  struct Unanswered {
    std::uint64_t id;
    PublishBatchRef batch;
    BlockRef block;
    std::vector<Part> parts;
  };
  struct Buffered {
    Position position;
    std::uint32_t delivery_count;
    bool redelivered;
    BlockRef block;
    const char* record;
  };
  enum class Stage : std::uint8_t { asked, attached, leaving };
  struct Consumer {
    metadata::QueueUid uid;
    ConsumerSink* sink;
    Stage stage{Stage::asked};
    bool no_ack;
    std::deque<Buffered> buffered;
    std::size_t owed{0};             ///< taken, and not yet given back as credit
    std::function<void()> left;      ///< of unsubscribe
    bool left_at_home{false};        ///< no more deliveries are on their way
  };
  struct Request {
    metadata::QueueUid uid;
    HolderId holder;                 ///< of a get, else 0
    Answer done;
  };

  Out op(Op op);
  std::uint64_t request(metadata::QueueUid uid, HolderId holder, Answer done);
  void write_publish(const Unanswered& entry, const Part& part, bool with_block);
  void resend();
  void answer_part(Unanswered& entry, Part& part, std::span<const std::uint32_t> rejected);
  /// Tells the batches of answer_part; they may publish again.
  void tell_answered();
  bool on_answered(In& in);
  bool on_deliver(In& in, const BlockRef& block);
  void take(Consumer& consumer, HolderId holder, const Buffered& d);
  void finish_leaving(HolderId holder);
  void fail_requests(const std::function<bool(const Request&)>& which, QueueError error);
  void cancel_consumers(const std::function<bool(const Consumer&)>& which);

  MemberId peer_;
  Link& link_;
  PipeHost& host_;
  const PipeOptions& options_;
  bool reachable_{true};

  std::uint64_t next_id_{1};
  std::deque<Unanswered> unanswered_;
  std::size_t unanswered_bytes_{0};
  std::vector<PublishBatchRef> answered_;  ///< to be told
  const PublishBatch* last_batch_{nullptr};  ///< whose whole block the message under way holds
  std::uint64_t last_cut_{0};

  std::uint64_t next_request_{1};
  std::map<std::uint64_t, Request> requests_;
  std::map<HolderId, Consumer> consumers_;
  std::vector<HolderId> resumed_;
};

}  // namespace warren::broker::pipe
