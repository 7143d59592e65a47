// Opening, closing and resuming the channels of a connection.

#include "node/amqp/connection.h"

#include <utility>

namespace warren::amqp {

void Connection::open_channel(std::uint16_t number, std::string_view arguments) {
  ChannelOpen method;
  if (!decode(arguments, method))
    return close({ReplyCode::frame_error, "cannot decode the arguments", ChannelOpen::kId});
  if (number > channel_max_)
    return close({ReplyCode::not_allowed,
                  "number of channels opened (" + std::to_string(channel_count_) +
                      ") has reached the negotiated channel_max (" + std::to_string(channel_max_) + ")",
                  0});
  auto fresh = std::make_unique<Slot>();
  if (auto error = handler_.open_channel(number, fresh->handler)) {
    if (error->method == 0) error->method = ChannelOpen::kId;
    return close(*error);
  }
  if (channels_.size() <= number) channels_.resize(number + 1U);
  channels_[number] = std::move(fresh);
  ++channel_count_;
  output_.method(number, ChannelOpenOk{});
}

void Connection::drop_channel(std::uint16_t number) {
  Slot* s = slot(number);
  if (s == nullptr) return;
  forget_inbox(*s);
  auto handler = std::move(s->handler);
  channels_[number].reset();
  --channel_count_;
  if (handler) {
    handler->on_turn_end();
    handler->on_closed();
    graveyard_.push_back(std::move(handler));
  }
}

void Connection::drop_all_channels() {
  for (std::size_t n = 0; n < channels_.size(); ++n) drop_channel(static_cast<std::uint16_t>(n));
}

void Connection::channel_error(std::uint16_t channel, const AmqpError& error) {
  Slot* s = slot(channel);
  if (s == nullptr || s->closing || state_ != ConnectionState::running) return;
  if (closes_connection(error.code)) return close(error);
  ChannelClose method;
  const std::string text = reply_text(error);
  method.reply_code = static_cast<std::uint16_t>(error.code);
  method.reply_text = text;
  method.class_id = static_cast<std::uint16_t>(error.method >> 16);
  method.failing_method = static_cast<std::uint16_t>(error.method);
  s->closing = true;
  s->expect = Expect::method;
  forget_inbox(*s);
  auto handler = std::move(s->handler);
  handler->on_turn_end();
  handler->on_closed();
  graveyard_.push_back(std::move(handler));
  output_.method(channel, method);
}

void Connection::channel_ready(std::uint16_t channel) {
  const Inside inside(depth_);
  drain_inbox(channel);
  end_turn();
}

void Connection::forget_inbox(Slot& s) {
  inbox_bytes_ -= s.inbox.size() - s.inbox_done;
  s.inbox.clear();
  s.inbox_done = 0;
}

/// Handles kept frames until the handler is busy again. What was handled is cut off the front only
/// when it is most of the inbox, so that many slow methods in a row cost one pass over the bytes.
void Connection::drain_inbox(std::uint16_t number) {
  Slot* s = slot(number);
  if (s == nullptr || s->inbox.empty()) return;
  // A handler may close its channel, which would free the bytes that it reads.
  std::string inbox = std::move(s->inbox);
  std::size_t at = std::exchange(s->inbox_done, 0);
  s->inbox.clear();
  inbox_bytes_ -= inbox.size() - at;
  while (at < inbox.size()) {
    s = slot(number);
    if (s == nullptr || s->closing || !s->handler) return;
    ByteReader in(std::string_view(inbox).substr(at));
    const std::uint8_t type = in.u8();
    const std::string_view payload = in.str32();
    if (s->handler->busy()) {
      if (refused(*s, type, payload)) return;
      break;
    }
    if (!deliver(*s, number, type, payload)) break;
    at = inbox.size() - in.remaining();
  }
  s = slot(number);
  if (s == nullptr || s->closing || at == inbox.size()) return;
  if (at > inbox.size() / 2) {
    inbox.erase(0, at);
    at = 0;
  }
  s->inbox = std::move(inbox);
  s->inbox_done = at;
  inbox_bytes_ += s->inbox.size() - at;
}

void Connection::gate_changed() {
  if (gate_ == PublishGate::open) return;
  gate_ = handler_.publish_gate();
  if (gate_ != PublishGate::open) return;
  const Inside inside(depth_);
  for (std::size_t n = 1; n < channels_.size(); ++n) drain_inbox(static_cast<std::uint16_t>(n));
  end_turn();
}

void Connection::alarm_changed(bool active, std::string_view reason) {
  if (state_ != ConnectionState::running || !client_wants_blocked_) return;
  if (active && !blocked_told_) {
    ConnectionBlocked method;
    method.reason = reason;
    output_.method(0, method);
    blocked_told_ = true;
  } else if (!active && blocked_told_) {
    output_.method(0, ConnectionUnblocked{});
    blocked_told_ = false;
  }
}

}  // namespace warren::amqp
