#include "node/broker/channel.h"

#include <utility>

namespace warren::broker {

using amqp::MethodId;
using amqp::ReplyCode;

Channel::Channel(Session& session, std::uint16_t number)
    : session_(session),
      broker_(session.broker()),
      vhost_(*session.vhost()),
      number_(number),
      alive_(std::make_shared<char>()),
      prefetch_(session.broker().options().default_prefetch),
      get_holder_(session.broker().next_holder()) {
  broker_.count_channel(+1);
  ++broker_.totals.channels_created;
  broker_.events().channel(session_, number_, true);
}

Channel::~Channel() {
  if (!closed_) on_closed();
}

std::string Channel::name() const {
  return session_.name() + " (" + std::to_string(number_) + ")";
}

void Channel::on_method(MethodId id, std::string_view arguments) {
  in_call_ = true;
  call_id_ = id;
  call_arguments_ = arguments;
  // What was published before this method is on its way first.
  if (batch_ && !in_record_) flush_batch();
  switch (id) {
    case amqp::BasicAck::kId: on_ack(arguments); break;
    case amqp::BasicNack::kId: on_nack(arguments); break;
    case amqp::BasicReject::kId: on_reject(arguments); break;
    case amqp::BasicGet::kId: on_get(arguments); break;
    case amqp::BasicConsume::kId: on_consume(arguments); break;
    case amqp::BasicCancel::kId: on_cancel(arguments); break;
    case amqp::BasicQos::kId: on_qos(arguments); break;
    case amqp::BasicRecover::kId:
    case amqp::BasicRecoverAsync::kId: on_recover(id, arguments); break;
    case amqp::QueueDeclare::kId: on_queue_declare(arguments); break;
    case amqp::QueueDelete::kId: on_queue_delete(arguments); break;
    case amqp::QueuePurge::kId: on_queue_purge(arguments); break;
    case amqp::QueueBind::kId:
    case amqp::QueueUnbind::kId: on_queue_bind(id, arguments); break;
    case amqp::ExchangeDeclare::kId: on_exchange_declare(arguments); break;
    case amqp::ExchangeDelete::kId: on_exchange_delete(arguments); break;
    case amqp::ExchangeBind::kId:
    case amqp::ExchangeUnbind::kId: on_exchange_bind(id, arguments); break;
    case amqp::TxSelect::kId:
    case amqp::TxCommit::kId:
    case amqp::TxRollback::kId: on_tx(id); break;
    case amqp::ConfirmSelect::kId: {
      amqp::ConfirmSelect method;
      if (!read(arguments, method)) break;
      if (tx_) {
        error(ReplyCode::precondition_failed, "cannot switch from tx to confirm mode", id);
        break;
      }
      confirm_ = true;
      if (!method.no_wait) reply(amqp::ConfirmSelectOk{});
      break;
    }
    case amqp::ChannelFlow::kId: {
      amqp::ChannelFlow method;
      if (!read(arguments, method)) break;
      if (!method.active)
        error(ReplyCode::not_implemented, "active=false", id);
      else
        reply(amqp::ChannelFlowOk{true});
      break;
    }
    case amqp::ChannelFlowOk::kId: break;
    case amqp::AccessRequest::kId: reply(amqp::AccessRequestOk{}); break;
    default: error(ReplyCode::command_invalid, "unimplemented method", id); break;
  }
  call_id_ = 0;
  in_call_ = false;
}

void Channel::on_turn_end() {
  if (batch_ && !closed_) flush_batch();
}

void Channel::on_closed() {
  if (closed_) return;
  closed_ = true;
  alive_.reset();
  broker_.count_channel(-1);
  ++broker_.totals.channels_closed;
  broker_.events().channel(session_, number_, false);
  for (auto& batch : outstanding_) batch->abandon();
  for (auto& batch : tx_batches_) batch->abandon();
  if (batch_) batch_->abandon();
  outstanding_.clear();
  settled_.clear();
  tx_batches_.clear();
  if (!reply_token_.empty()) broker_.replies().remove(reply_token_);
  for (auto& [tag, consumer] : consumers_) consumer->queue()->release(consumer->holder());
  for (auto& consumer : retired_) consumer->queue()->release(consumer->holder());
  for (auto& [uid, queue] : got_from_) queue->release(get_holder_);
  unacked_.clear();
}

Channel::Info Channel::info() const {
  Info info{};
  info.number = number_;
  info.consumers = consumers_.size() + (reply_token_.empty() ? 0 : 1);
  info.unacked = unacked_.size() - settled_inside_;
  for (const auto& batch : outstanding_) info.unconfirmed += batch->count;
  info.uncommitted = tx_publishes_.size();
  info.acks_uncommitted = tx_settles_.size();
  info.batches = outstanding_.size();
  info.batch_bytes = batch_ ? batch_->block->capacity() : 0;
  info.prefetch = prefetch_;
  info.global_prefetch = shared_prefetch_;
  info.confirm = confirm_;
  info.transactional = tx_;
  return info;
}

bool Channel::look_again() {
  if (call_id_ == 0 || looked_again_ || !broker_.env().may_be_behind()) return false;
  broker_.env().catch_up([this, alive = alive(), id = std::exchange(call_id_, 0),
                          arguments = std::string(call_arguments_), resume = suspend()] {
    if (alive.expired()) return;
    looked_again_ = true;
    if (id == amqp::BasicPublish::kId)
      on_publish(arguments);
    else
      on_method(id, arguments);
    if (alive.expired()) return;
    looked_again_ = false;
    resume();
  });
  return true;
}

void Channel::error(ReplyCode code, std::string text, MethodId method) {
  if (code == ReplyCode::not_found && look_again()) return;
  session_.connection().channel_error(number_, amqp::AmqpError{code, std::move(text), method});
  session_.touch();
}

void Channel::error(const Error& e, MethodId method) {
  ReplyCode code = ReplyCode::internal_error;
  switch (e.code) {
    case Errc::not_found: code = ReplyCode::not_found; break;
    case Errc::permission_denied: code = ReplyCode::access_refused; break;
    case Errc::already_exists: code = ReplyCode::resource_locked; break;  // exclusive elsewhere
    case Errc::invalid_argument:
    case Errc::conflict:
    case Errc::exhausted: code = ReplyCode::precondition_failed; break;
    case Errc::unsupported: code = ReplyCode::not_implemented; break;
    default: break;
  }
  error(code, e.text, method);
}

std::function<void()> Channel::suspend() {
  ++pending_;
  return [this, alive = alive()] {
    if (alive.expired()) return;
    --pending_;
    if (pending_ == 0 && !in_call_) {
      // What waited may close this channel: `this` may be gone behind the call.
      Session& session = session_;
      session.connection().channel_ready(number_);
      session.touch();
    }
  };
}

void Channel::apply(const metadata::Command& command, MethodId method, std::function<void()> then) {
  auto resume = suspend();
  const bool deletes = std::holds_alternative<metadata::DeleteQueue>(command) ||
                       std::holds_alternative<metadata::DeleteExchange>(command);
  broker_.apply(command, [this, alive = alive(), method, deletes, then = std::move(then),
                          resume = std::move(resume)](Result<void> result) {
    if (alive.expired()) return;
    // Somebody else was quicker: gone is what was asked for.
    const bool gone = deletes && !result && result.error().code == Errc::not_found;
    if (!result && !gone)
      error(result.error(), method);
    else
      then();
    resume();
  });
}

std::string Channel::where(std::string_view kind, std::string_view name) const {
  std::string text(kind);
  text += " '";
  text += name;
  text += "' in vhost '";
  text += vhost_name();
  text += "'";
  return text;
}

bool Channel::allowed(access::Permission permission, std::string_view resource, bool exchange,
                      MethodId id) {
  const auto kind = exchange ? access::ResourceKind::exchange : access::ResourceKind::queue;
  const std::string_view named = exchange && resource.empty() ? "amq.default" : resource;
  auto granted = broker_.access().require(session_.who(), vhost_name(), permission, kind, named);
  if (granted) return true;
  error(ReplyCode::access_refused, granted.error().text, id);
  return false;
}

}  // namespace warren::broker
