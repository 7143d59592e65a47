#include "node/amqp/connection.h"

#include <algorithm>

namespace warren::amqp {

namespace {

constexpr Millis kCloseWaitMs = 30'000;
constexpr std::uint32_t kFrameSlack = 8;  // clients that count frame_max without header and end

}  // namespace

Connection::Connection(ConnectionHandler& handler, ConnectionLimits limits, Millis now)
    : handler_(handler),
      limits_(limits),
      frame_max_(limits.initial_frame_max),
      channel_max_(limits.channel_max),
      now_(now),
      started_(now),
      last_received_(now),
      last_sent_(now) {}

Connection::~Connection() = default;

Connection::Slot* Connection::slot(std::uint16_t number) const {
  return number < channels_.size() ? channels_[number].get() : nullptr;
}

ChannelHandler* Connection::channel(std::uint16_t number) const {
  const Slot* s = slot(number);
  return s != nullptr ? s->handler.get() : nullptr;
}

bool Connection::client_can(std::string_view capability) const {
  const FieldValue* all = client_properties_.find("capabilities");
  const FieldTable* table = all != nullptr ? all->as_table() : nullptr;
  const FieldValue* one = table != nullptr ? table->find(capability) : nullptr;
  return one != nullptr && one->as_bool().value_or(false);
}

// ---- input ------------------------------------------------------------------------------------

std::size_t Connection::on_bytes(std::string_view bytes, Millis now) {
  const Inside inside(depth_);
  now_ = now;
  last_received_ = now;
  std::size_t done = 0;
  if (!heard_ && !bytes.empty()) {
    heard_ = true;
    handler_.on_first_byte();
  }
  if (state_ == ConnectionState::header) done = take_header(bytes);
  if (state_ == ConnectionState::closed || deaf_) return bytes.size();
  if (state_ != ConnectionState::header) done += take_frames(bytes.substr(done));
  end_turn();
  if (state_ == ConnectionState::closed || deaf_) return bytes.size();
  return done;
}

std::size_t Connection::take_header(std::string_view bytes) {
  if (bytes.size() < kProtocolHeader.size()) {
    // What cannot become a protocol header is told so without waiting for eight bytes.
    if (kProtocolHeader.substr(0, std::min<std::size_t>(4, bytes.size())) !=
        bytes.substr(0, std::min<std::size_t>(4, bytes.size()))) {
      output_.append(kProtocolHeader);
      refuse("the peer does not speak AMQP (its first bytes are no protocol header)", 0);
      return bytes.size();
    }
    return 0;
  }
  const std::string_view header = bytes.substr(0, kProtocolHeader.size());
  constexpr std::string_view k09{"AMQP\x01\x01\x00\x09", 8};
  if (header != kProtocolHeader && header != k09) {
    output_.append(kProtocolHeader);
    std::string why = "the peer's protocol header is not AMQP 0-9-1";
    if (header.starts_with("GET ") || header.starts_with("POST ") || header.starts_with("HEAD "))
      why = "the peer speaks HTTP on the AMQP port";
    else if (header[0] == '\x16' && header[1] == '\x03')
      why = "the peer speaks TLS on the plain AMQP port";
    refuse(std::move(why), 0);
    return bytes.size();
  }
  const std::string properties = handler_.server_properties().encode();
  const std::string mechanisms = handler_.mechanisms();
  ConnectionStart start;
  start.server_properties.pairs = properties;
  start.mechanisms.text = mechanisms;
  start.locales.text = "en_US";
  output_.method(0, start);
  state_ = ConnectionState::start;
  return kProtocolHeader.size();
}

std::size_t Connection::take_frames(std::string_view bytes) {
  std::size_t done = 0;
  // Answers that nobody reads hold further requests back: the driver offers the rest when it drained.
  while (!deaf_ && state_ != ConnectionState::closed && !paused() &&
         output_.size() <= limits_.output_bytes) {
    const std::string_view rest = bytes.substr(done);
    if (body_frame_channel_ != 0) {
      const std::size_t n = take_partial_body(rest);
      if (n == 0) break;
      done += n;
      continue;
    }
    if (rest.size() < kFrameHeaderBytes) break;
    const auto type = static_cast<std::uint8_t>(rest[0]);
    const auto channel = load_be<std::uint16_t>(rest.data() + 1);
    const auto size = load_be<std::uint32_t>(rest.data() + 3);
    if (size > frame_max_ - kFrameOverhead + kFrameSlack) {
      frame_error(ReplyCode::frame_error,
                  "type " + std::to_string(type) + ", frame of " + std::to_string(size) +
                      " bytes exceeds frame_max " + std::to_string(frame_max_));
      break;
    }
    if (rest.size() < size + kFrameOverhead) {
      // A long body is taken piece by piece instead of being kept until it is complete.
      Slot* s = type == kFrameBody ? slot(channel) : nullptr;
      if (s != nullptr && s->handler && !s->closing && s->expect == Expect::body &&
          s->inbox.empty() && !s->handler->busy() && size <= s->body_left) {
        body_frame_channel_ = channel;
        body_frame_left_ = size;
        done += kFrameHeaderBytes;
        continue;
      }
      break;
    }
    if (static_cast<std::uint8_t>(rest[kFrameHeaderBytes + size]) != kFrameEnd) {
      frame_error(ReplyCode::frame_error, "bad frame end marker on channel " + std::to_string(channel));
      break;
    }
    if (!take_frame(type, channel, rest.substr(kFrameHeaderBytes, size))) break;
    done += size + kFrameOverhead;
  }
  return done;
}

std::size_t Connection::take_partial_body(std::string_view bytes) {
  if (bytes.empty()) return 0;
  Slot* s = slot(body_frame_channel_);
  const bool listening = s != nullptr && s->handler && !s->closing;
  if (body_frame_left_ > 0) {
    const std::string_view part = bytes.substr(0, body_frame_left_);
    body_frame_left_ -= static_cast<std::uint32_t>(part.size());
    if (listening) {
      mark_dirty(body_frame_channel_, *s);
      content_body(*s, part);
    }
    return part.size();
  }
  const std::uint16_t number = body_frame_channel_;
  body_frame_channel_ = 0;
  if (static_cast<std::uint8_t>(bytes[0]) != kFrameEnd)
    frame_error(ReplyCode::frame_error, "bad frame end marker on channel " + std::to_string(number));
  return 1;
}

bool Connection::take_frame(std::uint8_t type, std::uint16_t channel, std::string_view payload) {
  if (channel != 0) return channel_frame(type, channel, payload);
  if (type == kFrameHeartbeat) return true;
  if (type != kFrameMethod) {
    const bool known = type == kFrameHeader || type == kFrameBody;
    frame_error(known ? ReplyCode::unexpected_frame : ReplyCode::frame_error,
                known ? "content frame on channel 0" : "unknown frame type " + std::to_string(type));
    return true;
  }
  if (payload.size() < 4) {
    frame_error(ReplyCode::frame_error, "method frame without a method");
    return true;
  }
  const auto id = load_be<MethodId>(payload.data());
  // What a client sent before it closes is done first, as with RabbitMQ.
  close_waits_ = id == ConnectionClose::kId && state_ == ConnectionState::running && inbox_bytes_ > 0;
  if (close_waits_) return false;
  connection_method(id, payload.substr(4));
  return true;
}

bool Connection::channel_frame(std::uint8_t type, std::uint16_t number, std::string_view payload) {
  if (state_ == ConnectionState::closing) return true;
  if (state_ != ConnectionState::running) {
    refuse("a channel's frame before connection.open", limits_.untrusted_close_ms);
    return true;
  }
  if (type == kFrameHeartbeat) {
    frame_error(ReplyCode::unexpected_frame, "heartbeat on channel " + std::to_string(number));
    return true;
  }
  if (type != kFrameMethod && type != kFrameHeader && type != kFrameBody) {
    frame_error(ReplyCode::frame_error, "unknown frame type " + std::to_string(type));
    return true;
  }
  if (type == kFrameMethod && payload.size() < 4) {
    frame_error(ReplyCode::frame_error, "method frame without a method");
    return true;
  }
  Slot* s = slot(number);
  if (s == nullptr) {
    if (type == kFrameMethod && load_be<MethodId>(payload.data()) == ChannelOpen::kId) {
      open_channel(number, payload.substr(4));
      return true;
    }
    // The answer to a channel.close that crossed ours may come late; everything else is an error.
    if (type == kFrameMethod && load_be<MethodId>(payload.data()) == ChannelCloseOk::kId) return true;
    close({ReplyCode::channel_error, "expected 'channel.open'",
           type == kFrameMethod ? load_be<MethodId>(payload.data()) : 0});
    return true;
  }
  if (s->closing) {
    if (type != kFrameMethod) return true;
    const auto id = load_be<MethodId>(payload.data());
    if (id == ChannelClose::kId) output_.method(number, ChannelCloseOk{});
    if (id == ChannelCloseOk::kId || id == ChannelClose::kId) drop_channel(number);
    return true;
  }
  if (!s->inbox.empty() || s->handler->busy()) {
    if (refused(*s, type, payload)) return true;
    ByteWriter out(s->inbox);
    const std::size_t before = s->inbox.size();
    out.u8(type);
    out.u32(static_cast<std::uint32_t>(payload.size()));
    out.bytes(payload);
    inbox_bytes_ += s->inbox.size() - before;
    return true;
  }
  return deliver(*s, number, type, payload);
}

bool Connection::refused(const Slot& s, std::uint8_t type, std::string_view payload) {
  if (type != kFrameMethod || !s.handler->refuses_commands()) return false;
  const auto id = load_be<MethodId>(payload.data());
  if (id == ChannelClose::kId) return false;
  close({ReplyCode::channel_error, "unexpected command while processing 'tx.commit'", id});
  return true;
}

bool Connection::deliver(Slot& s, std::uint16_t number, std::uint8_t type, std::string_view payload) {
  if (type == kFrameMethod) {
    const auto id = load_be<MethodId>(payload.data());
    if (s.expect != Expect::method) {
      frame_error(ReplyCode::unexpected_frame,
                  "expected content " + std::string(s.expect == Expect::header ? "header" : "body") +
                      " on channel " + std::to_string(number) + ", got a method instead",
                  id);
      return true;
    }
    if (id == BasicPublish::kId) {
      gate_ = handler_.publish_gate();
      if (gate_ != PublishGate::open) return false;
      ever_published_ = true;
      mark_dirty(number, s);
      s.expect = Expect::header;
      s.handler->on_publish(payload.substr(4));
      return true;
    }
    channel_method(s, number, id, payload.substr(4));
    return true;
  }
  if (type == kFrameHeader && s.expect == Expect::header) {
    mark_dirty(number, s);
    content_header(s, payload);
    return true;
  }
  if (type == kFrameBody && s.expect == Expect::body) {
    mark_dirty(number, s);
    content_body(s, payload);
    return true;
  }
  frame_error(ReplyCode::unexpected_frame,
              s.expect == Expect::method
                  ? "expected a method frame on channel " + std::to_string(number)
                  : "content frames out of order on channel " + std::to_string(number),
              s.expect == Expect::method ? 0 : BasicPublish::kId);
  return true;
}

void Connection::content_header(Slot& s, std::string_view payload) {
  if (payload.size() < 14) {
    frame_error(ReplyCode::syntax_error, "content header cut short", BasicPublish::kId);
    return;
  }
  if (load_be<std::uint16_t>(payload.data()) != 60) {
    frame_error(ReplyCode::unexpected_frame,
                "expected content header for class 60, got one for class " +
                    std::to_string(load_be<std::uint16_t>(payload.data())) + " instead",
                BasicPublish::kId);
    return;
  }
  const auto size = load_be<std::uint64_t>(payload.data() + 4);
  if (size > limits_.body_max) {
    frame_error(ReplyCode::frame_error, "content of " + std::to_string(size) + " bytes is too large",
                BasicPublish::kId);
    return;
  }
  s.body_left = size;
  s.expect = size == 0 ? Expect::method : Expect::body;
  s.handler->on_content_header(size, payload.substr(12));
}

void Connection::content_body(Slot& s, std::string_view bytes) {
  if (bytes.size() > s.body_left) {
    frame_error(ReplyCode::frame_error, "content body is longer than its header announced",
                BasicPublish::kId);
    return;
  }
  s.body_left -= bytes.size();
  if (s.body_left == 0) s.expect = Expect::method;
  s.handler->on_content_body(bytes);
}

void Connection::channel_method(Slot& s, std::uint16_t number, MethodId id, std::string_view arguments) {
  switch (id) {
    case ChannelOpen::kId:
      close({ReplyCode::channel_error, "second 'channel.open' seen", id});
      return;
    case ChannelClose::kId: {
      ChannelClose method;
      if (!decode(arguments, method)) break;
      drop_channel(number);
      output_.method(number, ChannelCloseOk{});
      return;
    }
    case ChannelCloseOk::kId: return;  // the answer to a close that we have given up on
    default: {
      mark_dirty(number, s);
      s.handler->on_method(id, arguments);
      return;
    }
  }
  close({ReplyCode::frame_error, "cannot decode the arguments", id});
}

// ---- time and ends ------------------------------------------------------------------------------

void Connection::on_tick(Millis now) {
  now_ = now;
  if (state_ == ConnectionState::closed) return;
  if (close_deadline_ != 0) {
    if (now < close_deadline_) return;
    if (close_ok_due_) return closing_done();
    return finish();
  }
  if (state_ != ConnectionState::running) {
    if (now - started_ >= limits_.handshake_ms) {
      handler_.on_refused(heard_ ? "the handshake took too long" : "");
      on_disconnected("handshake timeout");
    }
    return;
  }
  if (heartbeat_s_ == 0) return;
  const Millis interval = Millis{heartbeat_s_} * 1000;
  if (now - last_sent_ >= interval / 2 && output_.empty()) {
    char* at = output_.reserve(kFrameOverhead);
    std::memset(at, 0, kFrameOverhead);
    at[0] = static_cast<char>(kFrameHeartbeat);
    at[7] = static_cast<char>(kFrameEnd);
    last_sent_ = now;
  }
  // A connection that we do not read cannot be seen to be alive.
  if (paused()) last_received_ = now;
  if (now - last_received_ >= 2 * interval)
    on_disconnected("missed heartbeats from the client, timeout: " + std::to_string(heartbeat_s_) + "s");
}

void Connection::on_disconnected(const std::string& why) {
  if (state_ == ConnectionState::closed) return;
  const bool told = state_ == ConnectionState::closing;
  drop_all_channels();
  if (!told) handler_.on_closing(why);
  output_.clear();
  state_ = ConnectionState::closed;
  if (depth_ == 0) graveyard_.clear();
}

void Connection::close(const AmqpError& error) {
  if (state_ == ConnectionState::closing || state_ == ConnectionState::closed) return;
  ConnectionClose method;
  const std::string text = reply_text(error);
  method.reply_code = static_cast<std::uint16_t>(error.code);
  method.reply_text = text;
  method.class_id = static_cast<std::uint16_t>(error.method >> 16);
  method.failing_method = static_cast<std::uint16_t>(error.method);
  drop_all_channels();
  state_ = ConnectionState::closing;
  handler_.on_closing("error on AMQP connection: " + text);
  output_.method(0, method);
  gate_ = PublishGate::open;
  const Millis wait = heartbeat_s_ == 0 ? kCloseWaitMs : std::min<Millis>(kCloseWaitMs, Millis{heartbeat_s_} * 1000);
  close_deadline_ = now_ + wait;
}

void Connection::closing_done() {
  if (!std::exchange(close_ok_due_, false) || state_ != ConnectionState::closing) return;
  output_.method(0, ConnectionCloseOk{});
  finish();
}

void Connection::frame_error(ReplyCode code, std::string text, MethodId method) {
  if (state_ == ConnectionState::start || state_ == ConnectionState::tune)
    return refuse(std::move(text), limits_.untrusted_close_ms);
  close({code, std::move(text), method});
  if (code == ReplyCode::frame_error) {
    deaf_ = true;
    close_deadline_ = now_ + limits_.untrusted_close_ms;
  }
}

void Connection::refuse(std::string why, Millis delay) {
  handler_.on_refused(why);
  deaf_ = true;
  if (delay == 0) return finish();
  state_ = ConnectionState::closing;
  close_deadline_ = now_ + delay;
}

void Connection::finish() {
  drop_all_channels();
  state_ = ConnectionState::closed;
}

void Connection::mark_dirty(std::uint16_t number, Slot& s) {
  if (s.dirty) return;
  s.dirty = true;
  dirty_.push_back(number);
}

void Connection::end_turn() {
  for (std::size_t i = 0; i < dirty_.size(); ++i) {
    Slot* s = slot(dirty_[i]);
    if (s == nullptr) continue;
    s->dirty = false;
    if (s->handler) s->handler->on_turn_end();
  }
  dirty_.clear();
  if (depth_ <= 1) graveyard_.clear();
}

}  // namespace warren::amqp
