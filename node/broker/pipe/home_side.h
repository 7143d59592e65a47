#pragma once
// This node's queues and the clients of one peer: takes the peer's operations, and answers.
// Owner: Pipes.

#include "node/broker/pipe/host.h"
#include "node/broker/pipe/link.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::broker::pipe {

class HomeSide;

/// A consumer on the peer: deliveries go into the link while its window has room.
class HomeConsumer final : public ConsumerSink {
 public:
  HomeConsumer(HomeSide& side, metadata::QueueUid uid, HolderId holder, std::size_t window)
      : side_(side), uid_(uid), holder_(holder), room_(window) {}
  bool can_take() const override;
  void deliver(const Delivery& delivery) override;
  void cancelled() override;
  metadata::QueueUid uid() const { return uid_; }
  /// The client took that much.
  void credit(std::size_t bytes) { used_ -= std::min(used_, bytes); }

 private:
  HomeSide& side_;
  metadata::QueueUid uid_;
  HolderId holder_;  ///< as the peer names it
  std::size_t room_, used_{0};
};

/// What one channel of the peer published in one turn, on its way into queues of this node.
class HomeBatch final : public Publisher {
 public:
  HomeBatch(HomeSide& side, std::uint64_t id, BlockRef block);
  void on_settled(PublishBatch& batch) override;
  PublishBatch& batch() { return *batch_; }
  ~HomeBatch() override { batch_->abandon(); }

 private:
  HomeSide& side_;
  std::uint64_t id_;
  PublishBatchRef batch_;
};

/// Invariants: 1. a block is taken once per incarnation of the peer, in order of ids; 2. an answer is
/// told again for a block that is sent again; 3. after the end of a session nothing is held for it.
class HomeSide {
 public:
  HomeSide(MemberId peer, Link& link, PipeHost& host, const PipeOptions& options)
      : peer_(peer), link_(link), host_(host), options_(options) {}

  /// False when it is no operation that a home node takes.
  bool on_op(Op op, In& in);
  /// Behind the last operation of a message.
  void end_message() { finish_batch(); }
  /// `slot`: never used before by this node.
  void on_open(std::uint64_t slot);
  void on_loss(Loss loss);
  /// A queue that lives here has come.
  void queue_appeared(metadata::QueueUid uid);
  void tick(Millis now);
  /// Writes the answers of this turn.
  void end_turn();

  /// The answer of Op::reply_known.
  void answer_known(std::uint64_t request, bool known) {
    answer(request, known ? QueueError::none : QueueError::gone);
  }

  // ---- for HomeConsumer and HomeBatch
  /// False while too much is on its way to the peer; the consumer is resumed when it is not.
  bool link_has_room(HolderId holder);
  void write_delivery(HolderId holder, const Delivery& delivery);
  void write_cancelled(HolderId holder);
  void settled(std::uint64_t id, PublishBatch& batch);

 private:
  using Work = std::function<void(const std::shared_ptr<Queue>&)>;
  struct Parked {
    Work work;
    Millis until;
    std::size_t bytes;
  };

  Out op(Op op);
  /// Does it with the queue, or waits for the queue to become known here; with null when it never does.
  void with_queue(metadata::QueueUid uid, std::size_t bytes, Work work);
  /// The same; nothing happens once the session has ended.
  void in_session(metadata::QueueUid uid, Work work);
  HolderId mapped(HolderId holder) const { return base_ | holder; }
  bool take_holder(In& in, HolderId& holder) const;
  void finish_batch();
  bool on_block(In& in);
  bool on_publish(In& in);
  bool on_subscribe(In& in);
  bool on_get(In& in);
  bool on_settle(In& in);
  bool on_ask(In& in);
  void answer(std::uint64_t request, QueueError error, std::string_view value = {});
  void forget_publisher();

  static constexpr unsigned kHolderBits = 40;

  MemberId peer_;
  Link& link_;
  PipeHost& host_;
  const PipeOptions& options_;

  // of the session
  std::uint64_t session_{0};
  HolderId base_{0};
  std::map<HolderId, std::unique_ptr<HomeConsumer>> consumers_;
  std::set<metadata::QueueUid> used_;
  std::set<HolderId> starved_;  ///< found no room in the link

  // of the peer's incarnation
  std::uint64_t incarnation_{0};
  std::uint64_t last_id_{0};
  std::map<std::uint64_t, std::unique_ptr<HomeBatch>> pending_;
  std::map<std::uint64_t, std::vector<std::uint32_t>> refusals_;  ///< told, perhaps not heard
  std::vector<std::uint64_t> answers_;                            ///< to be told
  HomeBatch* open_{nullptr};       ///< the block under way
  std::uint64_t repeated_{0};      ///< id of the block under way, that came before

  std::map<metadata::QueueUid, std::deque<Parked>> parked_;
  std::size_t parked_bytes_{0};
};

}  // namespace warren::broker::pipe
