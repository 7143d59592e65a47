// Transactions: publishes and settlements kept until commit (PUB-04, PUB-05).

#include "node/broker/channel.h"
#include "node/broker/dead_letter.h"

namespace warren::broker {

namespace {

constexpr std::size_t kBlockOfOne = 128 << 10;  // as large a record has its block to itself

}  // namespace

using amqp::MethodId;
using amqp::ReplyCode;

void Channel::on_tx(MethodId id) {
  if (id == amqp::TxSelect::kId) {
    if (confirm_)
      return error(ReplyCode::precondition_failed, "cannot switch from confirm to tx mode", id);
    tx_ = true;
    return reply(amqp::TxSelectOk{});
  }
  if (!tx_) return error(ReplyCode::precondition_failed, "channel is not transactional", id);
  if (id == amqp::TxCommit::kId) return commit();
  tx_publishes_.clear();
  tx_settles_.clear();
  reply(amqp::TxRollbackOk{});
}

/// Publishes and settles what was kept; the answer comes when every queue has it.
void Channel::commit() {
  auto publishes = std::move(tx_publishes_);
  auto settles = std::move(tx_settles_);
  tx_publishes_.clear();
  tx_settles_.clear();
  auto resume = suspend();
  commit_failed_ = false;
  commit_done_ = [this, resume] {
    if (commit_failed_)
      error(ReplyCode::precondition_failed, "partial tx completion", amqp::TxCommit::kId);
    else
      reply(amqp::TxCommitOk{});
    resume();
  };
  commits_waiting_ = 1;  // ours, until everything is handed over
  batch_.reset();        // at most scratch space of kept publishes
  for (const TxPublish& kept : publishes) {
    const MessageView message(kept.block->data());
    own_route_ = route_of(kept);
    mandatory_ = kept.mandatory;
    if (!batch_ || batch_->block->room() < message.record_size()) {
      new_batch(message.record_size());
      batch_->in_tx = true;
    }
    record_at_ = static_cast<std::uint32_t>(batch_->block->size());
    std::memcpy(batch_->block->append(message.record_size()), message.raw(), message.record_size());
    hand_over(own_route_, record_at_);
    ++batch_->count;
  }
  if (batch_) flush_batch();
  commit_settles_ = !settles.empty();
  for (const TxSettle& s : settles) (void)apply_settle(s.tag, s.multiple, s.how);
  if (--commits_waiting_ == 0) finish_commit();
}

/// Where a message goes is decided when it comes, also what keeps it from going there: what changes until
/// the commit changes nothing, and a commit has nothing left to refuse (asked RabbitMQ 3.10.8).
void Channel::keep_publish() {
  TxPublish kept{{}, mandatory_, route_->unreachable, route_->reply_token, {}};
  for (const Target* t : route_->targets) kept.queues.push_back(t->queue->def().uid);
  const bool alone = record_at_ == 0 && batch_->count == 0 && batch_->block->size() > kBlockOfOne;
  if (alone) {  // not copied
    kept.block = std::move(batch_->block);
    batch_.reset();
  } else {
    kept.block = Block::copy_of(MessageView(batch_->block->data() + record_at_).record());
    batch_->block->shrink_to(record_at_);
  }
  tx_publishes_.push_back(std::move(kept));
}

/// The queues of then that are still there.
Channel::Route Channel::route_of(const TxPublish& kept) {
  Route route;
  route.unreachable = kept.unreachable;
  route.reply_token = kept.reply_token;
  for (const auto uid : kept.queues) {
    if (!broker_.endpoint(uid)) continue;
    Target* t = target(uid);
    if (t->queue->reachable()) route.targets.push_back(t);
    else route.unreachable = true;
  }
  return route;
}

/// Every queue has what was published.
void Channel::finish_commit() {
  tx_batches_.clear();
  if (!commit_settles_) return end_commit();
  // Queues log what was settled at the end of their turn; only then is it known what to wait for.
  commit_settles_ = false;
  commit_due_ = true;
  confirms_due = true;
  session_.touch_channel(number_);
}

/// What was settled must be as durable as what was published.
void Channel::end_commit() {
  commit_due_ = false;
  broker_.when_durable([this, alive = alive()] {
    if (alive.expired() || !commit_done_) return;
    auto done = std::move(commit_done_);
    commit_done_ = nullptr;
    done();
  });
}

}  // namespace warren::broker
