// Consuming: consumers and their deliveries, basic.get, acknowledgements, prefetch.

#include "node/broker/channel.h"
#include "node/broker/delivery_headers.h"

#include <algorithm>
#include <limits>
#include <set>

namespace warren::broker {

using amqp::MethodId;
using amqp::ReplyCode;

// ---- deliveries -------------------------------------------------------------------------------

ChannelConsumer::ChannelConsumer(Channel& channel, std::shared_ptr<QueueEndpoint> queue, std::string tag,
                   HolderId holder, bool no_ack)
    : channel_(channel), queue_(std::move(queue)), tag_(std::move(tag)), holder_(holder), no_ack_(no_ack) {}

bool ChannelConsumer::can_take() const {
  if (channel_.delivery_allowed()) return true;
  starved = true;
  channel_.session().starve();
  return false;
}

void ChannelConsumer::deliver(const Delivery& delivery) { channel_.write_delivery(*this, delivery); }

void ChannelConsumer::cancelled() { channel_.consumer_cancelled(*this); }

void Channel::write_delivery(ChannelConsumer& consumer, const Delivery& delivery) {
  const std::string& tag = consumer.tag();
  const std::string_view exchange = delivery.message.exchange();
  const std::string_view key = delivery.message.routing_key();
  const std::uint64_t delivery_tag = next_tag_++;
  auto& out = session_.connection().output();

  const std::size_t payload = 4 + 1 + tag.size() + 8 + 1 + 1 + exchange.size() + 1 + key.size();
  char* at = out.reserve(amqp::kFrameOverhead + payload);
  *at = static_cast<char>(amqp::kFrameMethod);
  store_be(at + 1, number_);
  store_be(at + 3, static_cast<std::uint32_t>(payload));
  store_be(at + 7, amqp::BasicDeliver::kId);
  at += 11;
  const auto put_short = [&at](std::string_view text) {
    *at++ = static_cast<char>(text.size());
    std::memcpy(at, text.data(), text.size());
    at += text.size();
  };
  put_short(tag);
  store_be(at, delivery_tag);
  at[8] = delivery.redelivered ? 1 : 0;
  at += 9;
  put_short(exchange);
  put_short(key);
  *at = static_cast<char>(amqp::kFrameEnd);

  const std::uint32_t frame_max = session_.connection().frame_max();
  if (delivery.delivery_count > 0) [[unlikely]] {
    const std::string props = with_delivery_count(delivery.message.props(), delivery.delivery_count);
    out.content(number_, props, delivery.message.body(), frame_max, *delivery.block);
  } else {
    out.content(number_, delivery.message.props(), delivery.message.body(), frame_max, *delivery.block);
  }
  session_.touch();
  ++broker_.totals.delivered;
  if (vhost_.tracing) [[unlikely]]
    broker_.trace_delivery(vhost_, session_, number_, consumer.queue()->def(), delivery);
  if (consumer.no_ack()) return;
  unacked_.push_back({delivery_tag, consumer.holder(), delivery.position, consumer.queue().get(),
                      consumer.shared_limit, broker_.steady_ms()});
  if (consumer.shared_limit) ++shared_unacked_;
}

void Channel::deliver_reply(MessageView message, const BlockRef& block) {
  // Replies are delivered at most once: who does not read them loses those beyond the bound.
  constexpr std::size_t kUnreadReplies = 4 << 20;
  if (closed_ || session_.output_bytes() > kUnreadReplies) return;
  auto& out = session_.connection().output();
  amqp::BasicDeliver method;
  method.consumer_tag = reply_tag_;
  method.delivery_tag = next_tag_++;
  method.exchange = message.exchange();
  method.routing_key = message.routing_key();
  out.method(number_, method);
  out.content(number_, message.props(), message.body(), session_.connection().frame_max(), block);
  session_.touch();
}

void Channel::consumer_cancelled(ChannelConsumer& consumer) {
  const std::string tag = consumer.tag();
  auto found = consumers_.find(tag);
  if (found == consumers_.end()) return;
  auto gone = std::move(found->second);
  consumers_.erase(found);
  retire(std::move(gone));
  if (!session_.connection().client_can("consumer_cancel_notify")) return;
  amqp::BasicCancel method;
  method.consumer_tag = tag;
  method.no_wait = true;
  reply(method);
}

void Channel::resume_consumers() {
  for (auto& [tag, consumer] : consumers_) {
    if (!consumer->starved) continue;
    if (!delivery_allowed()) {
      if (!session_.output_open()) session_.starve();  // the drained output asks again
      continue;
    }
    consumer->starved = false;
    consumer->queue()->resume(consumer->holder());
  }
}

// ---- qos, consume, cancel -----------------------------------------------------------------------

void Channel::on_qos(std::string_view arguments) {
  amqp::BasicQos method;
  if (!read(arguments, method)) return;
  if (method.prefetch_size != 0)
    return error(ReplyCode::not_implemented,
                 "prefetch_size!=0 (" + std::to_string(method.prefetch_size) + ")", method.kId);
  if (method.global) {
    if (shared_prefetch_ == 0 && method.prefetch_count != 0) {
      // What is out already counts from now on.
      shared_unacked_ = 0;
      for (Unacked& u : unacked_)
        if (u.queue != nullptr && u.holder != get_holder_) u.counted = true, ++shared_unacked_;
      for (auto& [tag, consumer] : consumers_) consumer->shared_limit = !consumer->no_ack();
    }
    shared_prefetch_ = method.prefetch_count;
    resume_consumers();
  } else {
    prefetch_ = method.prefetch_count;
  }
  reply(amqp::BasicQosOk{});
}

void Channel::on_consume(std::string_view arguments) {
  amqp::BasicConsume method;
  if (!read(arguments, method)) return;
  auto table = FieldTable::decode(method.arguments.pairs);
  if (!table) return error(ReplyCode::syntax_error, "malformed arguments", method.kId);
  std::string tag(method.consumer_tag);
  if (method.queue == kReplyTo) return consume_replies(std::move(tag), method.no_ack, method.no_wait);
  std::string name(method.queue);
  if (!resolve_name(name, method.kId)) return;
  if (!allowed(access::Permission::read, name, false, method.kId)) return;
  if (!tag.empty() && (consumers_.contains(tag) || tag == reply_tag_))
    return error(ReplyCode::not_allowed, "attempt to reuse consumer tag '" + tag + "'", method.kId);
  auto queue = named_queue(name, method.kId);
  if (!queue) return;
  if (queue->def().type != metadata::QueueType::classic && shared_prefetch_ != 0)
    return error(ReplyCode::not_implemented,
                 where("queue", name) + " does not support global qos", method.kId);
  if (broker_.options().consumers_max_per_channel != 0 &&
      consumers_.size() >= broker_.options().consumers_max_per_channel)
    return error(ReplyCode::not_allowed,
                 "reached maximum (" + std::to_string(broker_.options().consumers_max_per_channel) +
                     ") of consumers per channel",
                 method.kId);
  if (tag.empty()) tag = broker_.random_name("amq.ctag-");

  ConsumerSpec spec;
  spec.holder = broker_.next_holder();
  spec.tag = tag;
  spec.no_ack = method.no_ack;
  spec.exclusive = method.exclusive;
  spec.prefetch = method.no_ack ? 0 : prefetch_;
  spec.channel_name = this->name();
  spec.user = session_.user();
  spec.connection = session_.id();
  if (const FieldValue* priority = table->find("x-priority")) {
    const auto value = priority->as_int();
    if (!value)
      return error(ReplyCode::precondition_failed,
                   "invalid arg 'x-priority' for " + where("queue", name) + ": expected an integer",
                   method.kId);
    spec.priority = static_cast<std::int32_t>(std::clamp<std::int64_t>(*value, INT32_MIN, INT32_MAX));
  }
  spec.arguments = std::move(*table);
  auto consumer = std::make_unique<ChannelConsumer>(*this, queue, tag, spec.holder, method.no_ack);
  consumer->shared_limit = shared_prefetch_ != 0 && !method.no_ack;
  ConsumerSink& sink = *consumer;
  consumers_.emplace(tag, std::move(consumer));  // already here: it is to be released with the channel
  QueueEndpoint& endpoint = *queue;
  endpoint.subscribe(std::move(spec), sink,
                     [this, alive = alive(), tag, queue = std::move(queue), no_ack = method.no_ack,
                      no_wait = method.no_wait, resume = suspend()](QueueError refused) {
                       if (alive.expired()) return;
                       on_subscribed(tag, queue->def(), no_ack, no_wait, refused);
                       resume();
                     });
}

void Channel::on_subscribed(const std::string& tag, const metadata::QueueDef& def, bool no_ack,
                            bool no_wait, QueueError refused) {
  if (refused != QueueError::none) {
    consumers_.erase(tag);
    return queue_error(refused, def, amqp::BasicConsume::kId);
  }
  if (!consumers_.contains(tag)) return;  // cancelled meanwhile, and the client knows
  broker_.events().consumer(session_, number_, tag, def, !no_ack, true);
  if (no_wait) return;
  amqp::BasicConsumeOk ok;
  ok.consumer_tag = tag;
  reply(ok);
}

void Channel::consume_replies(std::string tag, bool no_ack, bool no_wait) {
  const MethodId id = amqp::BasicConsume::kId;
  if (!reply_token_.empty())
    return error(ReplyCode::precondition_failed, "reply consumer already set", id);
  if (!no_ack)
    return error(ReplyCode::precondition_failed, "reply consumer cannot acknowledge", id);
  if (!tag.empty() && consumers_.contains(tag))
    return error(ReplyCode::not_allowed, "attempt to reuse consumer tag '" + tag + "'", id);
  reply_tag_ = tag.empty() ? broker_.random_name("amq.ctag-") : std::move(tag);
  reply_token_ = broker_.random_name(kReplyToPrefix) + reply_suffix(broker_.options().self);
  broker_.replies().add(reply_token_, *this);
  if (no_wait) return;
  amqp::BasicConsumeOk ok;
  ok.consumer_tag = reply_tag_;
  reply(ok);
}

void Channel::on_cancel(std::string_view arguments) {
  amqp::BasicCancel method;
  if (!read(arguments, method)) return;
  const std::string tag(method.consumer_tag);
  if (auto found = consumers_.find(tag); found != consumers_.end()) {
    auto ended = std::move(found->second);
    consumers_.erase(found);
    ChannelConsumer& gone = *ended;
    retire(std::move(ended));
    broker_.events().consumer(session_, number_, tag, gone.queue()->def(), !gone.no_ack(), false);
    if (method.no_wait) return leave(gone, [] {});
    const metadata::QueueUid uid = gone.queue()->def().uid;
    return leave(gone, [this, tag, uid, resume = suspend()] {
      // A queue that ends with its last consumer is gone before its client hears of it.
      broker_.when_gone(uid, [this, alive = alive(), tag, resume] {
        if (alive.expired()) return;
        amqp::BasicCancelOk ok;
        ok.consumer_tag = tag;
        reply(ok);
        resume();
      });
    });
  } else if (!reply_tag_.empty() && tag == reply_tag_) {
    broker_.replies().remove(reply_token_);
    reply_token_.clear();
    reply_tag_.clear();
  }
  if (method.no_wait) return;
  amqp::BasicCancelOk ok;
  ok.consumer_tag = tag;
  reply(ok);
}

void Channel::leave(ChannelConsumer& consumer, std::function<void()> then) {
  consumer.leaving = true;
  consumer.queue()->unsubscribe(consumer.holder(),
                                [alive = alive(), &consumer, then = std::move(then)] {
                                  if (alive.expired()) return;
                                  consumer.leaving = false;
                                  then();
                                });
}

void Channel::on_get(std::string_view arguments) {
  amqp::BasicGet method;
  if (!read(arguments, method)) return;
  std::string name(method.queue);
  if (!resolve_name(name, method.kId)) return;
  if (!allowed(access::Permission::read, name, false, method.kId)) return;
  auto queue = named_queue(name, method.kId);
  if (!queue) return;
  if (queue->def().type == metadata::QueueType::stream)
    return error(ReplyCode::not_implemented, "basic.get on a stream: " + where("queue", name),
                 method.kId);
  remember_got_from(queue);  // also without acks: a get that waits must end with the channel
  const bool no_ack = method.no_ack;
  auto resume = suspend();
  queue->get(get_holder_, no_ack, [this, alive = alive(), no_ack, queue, resume](const GetResult& got) {
    if (alive.expired()) return;
    if (got.error == QueueError::unsupported) {
      error(ReplyCode::resource_locked,
            "cannot obtain access to locked " + where("queue", queue->def().name) +
                ": it has a single active consumer",
            amqp::BasicGet::kId);
    } else if (got.error != QueueError::none) {
      queue_error(got.error, queue->def(), amqp::BasicGet::kId);
    } else if (!got.delivery) {
      reply(amqp::BasicGetEmpty{});
    } else {
      const Delivery& d = *got.delivery;
      amqp::BasicGetOk ok;
      ok.delivery_tag = next_tag_++;
      ok.redelivered = d.redelivered;
      ok.exchange = d.message.exchange();
      ok.routing_key = d.message.routing_key();
      ok.message_count = got.remaining;
      reply(ok);
      const std::string props = d.delivery_count > 0
                                    ? with_delivery_count(d.message.props(), d.delivery_count)
                                    : std::string(d.message.props());
      session_.connection().output().content(number_, props, d.message.body(),
                                             session_.connection().frame_max(), *d.block);
      ++broker_.totals.delivered;
      if (!no_ack)
        unacked_.push_back({ok.delivery_tag, get_holder_, d.position, queue.get(), false,
                            broker_.steady_ms()});
    }
    resume();
  });
}

// ---- settling -----------------------------------------------------------------------------------

void Channel::on_ack(std::string_view arguments) {
  amqp::BasicAck method;
  if (read(arguments, method)) settle(method.delivery_tag, method.multiple, Settle::ack, method.kId);
}

void Channel::on_nack(std::string_view arguments) {
  amqp::BasicNack method;
  if (read(arguments, method))
    settle(method.delivery_tag, method.multiple, method.requeue ? Settle::requeue : Settle::reject,
           method.kId);
}

void Channel::on_reject(std::string_view arguments) {
  amqp::BasicReject method;
  if (read(arguments, method))
    settle(method.delivery_tag, false, method.requeue ? Settle::requeue : Settle::reject, method.kId);
}

void Channel::on_recover(MethodId id, std::string_view arguments) {
  amqp::BasicRecover method;
  if (!read(arguments, method)) return;
  if (!method.requeue) return error(ReplyCode::not_implemented, "requeue=false", id);
  settle_range(0, unacked_.size(), Settle::requeue);
  trim_unacked();
  if (id == amqp::BasicRecover::kId) reply(amqp::BasicRecoverOk{});
}

void Channel::settle(std::uint64_t tag, bool multiple, Settle how, MethodId method) {
  if (tx_) {
    // Checked now, done at the commit.
    const auto at = std::lower_bound(unacked_.begin(), unacked_.end(), tag,
                                     [](const Unacked& u, std::uint64_t t) { return u.tag < t; });
    const bool known = (tag == 0 && multiple) ||
                       (at != unacked_.end() && at->tag == tag && at->queue != nullptr) ||
                       (multiple && at != unacked_.begin());
    if (!known)
      return error(ReplyCode::precondition_failed, "unknown delivery tag " + std::to_string(tag), method);
    tx_settles_.push_back({tag, multiple, how});
    return;
  }
  if (!apply_settle(tag, multiple, how))
    error(ReplyCode::precondition_failed, "unknown delivery tag " + std::to_string(tag), method);
}

/// False when the tag names nothing that is outstanding.
bool Channel::apply_settle(std::uint64_t tag, bool multiple, Settle how) {
  if (multiple && tag == 0) {
    settle_range(0, unacked_.size(), how);
  } else {
    std::size_t at = 0;
    if (unacked_.empty() || unacked_.front().tag != tag) {
      const auto found = std::lower_bound(unacked_.begin(), unacked_.end(), tag,
                                          [](const Unacked& u, std::uint64_t t) { return u.tag < t; });
      at = static_cast<std::size_t>(found - unacked_.begin());
    }
    const bool exact = at < unacked_.size() && unacked_[at].tag == tag && unacked_[at].queue != nullptr;
    if (!exact) return false;
    settle_range(multiple ? 0 : at, at + 1, how);
  }
  trim_unacked();
  return true;
}

/// Settles [from, to) of unacked_, one call per run of the same queue and holder.
void Channel::settle_range(std::size_t from, std::size_t to, Settle how) {
  boost::container::small_vector<Position, 64> run;
  QueueEndpoint* queue = nullptr;
  HolderId holder = 0;
  const bool was_full = shared_prefetch_ != 0 && shared_unacked_ >= shared_prefetch_;
  const auto flush = [&] {
    if (queue != nullptr) queue->settle(holder, {run.data(), run.size()}, how);
    run.clear();
  };
  for (std::size_t i = from; i < to; ++i) {
    Unacked& u = unacked_[i];
    if (u.queue == nullptr) continue;
    if (u.queue != queue || u.holder != holder) {
      flush();
      queue = u.queue;
      holder = u.holder;
    }
    run.push_back(u.position);
    if (u.counted) --shared_unacked_;
    u.queue = nullptr;
    ++settled_inside_;
    if (how == Settle::ack) ++broker_.totals.acknowledged;
  }
  flush();
  if (was_full && shared_unacked_ < shared_prefetch_) resume_consumers();
}

void Channel::trim_unacked() {
  while (!unacked_.empty() && unacked_.front().queue == nullptr) {
    unacked_.pop_front();
    --settled_inside_;
  }
  if (unacked_.empty() && !retired_.empty())
    std::erase_if(retired_, [](const auto& ended) { return !ended->leaving; });
  if (settled_inside_ > 1024 && settled_inside_ > unacked_.size() / 2) {
    std::erase_if(unacked_, [](const Unacked& u) { return u.queue == nullptr; });
    settled_inside_ = 0;
  }
}

void Channel::retire(std::unique_ptr<ChannelConsumer> consumer) {
  if (retired_.size() >= retired_look_) {
    std::set<HolderId> holding;
    for (const Unacked& u : unacked_)
      if (u.queue != nullptr) holding.insert(u.holder);
    std::erase_if(retired_, [&](const auto& ended) {
      return !ended->leaving && !holding.contains(ended->holder());
    });
    retired_look_ = std::max<std::size_t>(64, retired_.size() * 2);
  }
  retired_.push_back(std::move(consumer));
}

void Channel::remember_got_from(const std::shared_ptr<QueueEndpoint>& queue) {
  if (got_from_.size() >= got_from_look_) {
    std::set<QueueEndpoint*> holding;
    for (const Unacked& u : unacked_)
      if (u.queue != nullptr && u.holder == get_holder_) holding.insert(u.queue);
    std::erase_if(got_from_, [&](const auto& entry) { return !holding.contains(entry.second.get()); });
    got_from_look_ = std::max<std::size_t>(64, got_from_.size() * 2);
  }
  got_from_.emplace(queue->def().uid, queue);
}

/// A queue may have a limit of its own, wherever it lives: what is kept is known here.
void Channel::check_timeouts(Millis now) {
  if (closed_ || unacked_.empty()) return;
  constexpr Millis kNever = std::numeric_limits<Millis>::max();
  const auto or_never = [](Millis limit) { return limit > 0 ? limit : kNever; };
  const Millis node_limit = or_never(broker_.options().consumer_timeout_ms);
  Millis least = node_limit;
  std::vector<std::pair<HolderId, Millis>> own;  // those that differ
  for (auto& [tag, consumer] : consumers_) {
    if (consumer->timeout_epoch != broker_.policy_epoch()) {
      consumer->timeout_epoch = broker_.policy_epoch();
      consumer->timeout_ms = broker_.consumer_timeout(consumer->queue()->def());
    }
    const Millis limit = or_never(consumer->timeout_ms);
    if (limit != node_limit) own.emplace_back(consumer->holder(), limit);
    least = std::min(least, limit);
  }
  for (const Unacked& kept : unacked_) {
    if (kept.queue == nullptr) continue;
    const Millis age = now - kept.since;
    if (age < least) return;  // those behind it are younger
    const auto found = std::find_if(own.begin(), own.end(), [&](const auto& one) { return one.first == kept.holder; });
    const Millis limit = found == own.end() ? node_limit : found->second;
    if (age < limit) continue;
    return error(ReplyCode::precondition_failed,
                 "delivery acknowledgement on channel " + std::to_string(number_) +
                     " timed out. Timeout value used: " + std::to_string(limit) +
                     " ms. This timeout value can be configured, see consumers doc guide to learn more",
                 0);
  }
}

void Channel::recheck_permissions() {
  std::vector<ChannelConsumer*> lost;
  for (auto& [tag, consumer] : consumers_)
    if (!broker_.access().can(session_.who(), vhost_name(), access::Permission::read,
                              consumer->queue()->def().name))
      lost.push_back(consumer.get());
  for (ChannelConsumer* consumer : lost) {
    leave(*consumer, [] {});
    consumer_cancelled(*consumer);
  }
}

}  // namespace warren::broker
