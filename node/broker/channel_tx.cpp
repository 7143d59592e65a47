// Transactions: publishes and settlements kept until commit (PUB-04, PUB-05).

#include "node/broker/channel.h"
#include "node/broker/dead_letter.h"

namespace warren::broker {

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
  if (!check_commit(publishes)) return;
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
    const Route* route = route_again(message);
    mandatory_ = kept.mandatory;
    if (!batch_ || batch_->block->room() < message.record_size()) {
      new_batch(message.record_size());
      batch_->in_tx = true;
    }
    record_at_ = static_cast<std::uint32_t>(batch_->block->size());
    std::memcpy(batch_->block->append(message.record_size()), message.raw(), message.record_size());
    hand_over(*route, record_at_);
    ++batch_->count;
  }
  if (batch_) flush_batch();
  commit_settles_ = !settles.empty();
  for (const TxSettle& s : settles) (void)apply_settle(s.tag, s.multiple, s.how);
  if (--commits_waiting_ == 0) finish_commit();
}

/// Everything that could refuse a kept publish, before any of them leaves: a commit is all or
/// nothing. False after an error.
bool Channel::check_commit(const std::vector<TxPublish>& publishes) {
  for (const TxPublish& kept : publishes) {
    const MessageView message(kept.block->data());
    // Properties and added keys were checked when they came; exchanges and permissions may be gone.
    if (resolve(message.exchange(), message.routing_key()) == nullptr) return false;
    if (!check_properties(message.props())) return false;
  }
  return true;
}

/// The route of a kept publish. Requires: check_commit in this same call, so nothing can fail.
const Channel::Route* Channel::route_again(MessageView message) {
  const Route* route = resolve(message.exchange(), message.routing_key());
  WARREN_ASSERT(route != nullptr && check_properties(message.props()));
  if (route != &own_route_ && !last_scan_.has_extra_keys) return route;
  std::vector<std::string_view> extra;
  (void)collect_extra_keys(last_scan_.headers, extra);
  own_route_ = make_route(message.exchange(), message.routing_key(), extra, last_scan_.headers,
                          message.props());
  return &own_route_;
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
