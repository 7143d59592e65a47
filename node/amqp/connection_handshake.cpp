// Channel 0: the handshake and the other methods of class connection.

#include "node/amqp/connection.h"

namespace warren::amqp {

namespace {

// Longer, and a client that closes would rather believe that we are dead.
constexpr Millis kCloseOkWaitMs = 5'000;

}  // namespace

void Connection::connection_method(MethodId id, std::string_view arguments) {
  if (id == ConnectionCloseOk::kId && state_ == ConnectionState::closing) return finish();
  if (id == ConnectionClose::kId && state_ != ConnectionState::start) {
    if (state_ != ConnectionState::closing) {
      drop_all_channels();
      if (!handler_.on_closing("closed by the client")) {
        state_ = ConnectionState::closing;
        close_ok_due_ = true;
        close_deadline_ = now_ + kCloseOkWaitMs;
        return;
      }
    }
    output_.method(0, ConnectionCloseOk{});
    return finish();
  }
  if (state_ == ConnectionState::closing) return;
  if (id == ConnectionStartOk::kId && state_ == ConnectionState::start) return on_start_ok(arguments);
  if (id == ConnectionTuneOk::kId && state_ == ConnectionState::tune) return on_tune_ok(arguments);
  if (id == ConnectionOpen::kId && state_ == ConnectionState::open) return on_open(arguments);
  if (id == ConnectionUpdateSecret::kId && state_ == ConnectionState::running)
    return on_update_secret(arguments);
  if (state_ == ConnectionState::start)
    return refuse("an unexpected method before login", limits_.untrusted_close_ms);
  const bool known = (id >> 16) == 10 || (id >> 16) == 20 || ((id >> 16) >= 40 && (id >> 16) <= 60);
  close({known ? ReplyCode::channel_error : ReplyCode::command_invalid,
         "unexpected method on channel 0", id});
}

void Connection::on_start_ok(std::string_view arguments) {
  ConnectionStartOk method;
  auto properties = Result<FieldTable>(FieldTable{});
  if (!decode(arguments, method) ||
      !(properties = FieldTable::decode(method.client_properties.pairs)))
    return refuse("connection.start-ok cannot be decoded", limits_.untrusted_close_ms);
  client_properties_ = std::move(*properties);
  const Login login = handler_.login(method.mechanism, method.response.text, client_properties_);
  if (login.outcome == Login::Outcome::refused && client_can("authentication_failure_close")) {
    close({ReplyCode::access_refused, login.text, 0});
    return;
  }
  if (login.outcome != Login::Outcome::ok) return refuse(login.text, limits_.untrusted_close_ms);
  client_wants_blocked_ = client_can("connection.blocked");
  ConnectionTune tune;
  tune.channel_max = limits_.channel_max;
  tune.frame_max = limits_.frame_max;
  tune.heartbeat = limits_.heartbeat_s;
  output_.method(0, tune);
  state_ = ConnectionState::tune;
}

void Connection::on_tune_ok(std::string_view arguments) {
  ConnectionTuneOk method;
  if (!decode(arguments, method)) return close({ReplyCode::frame_error, "cannot decode the arguments", ConnectionTuneOk::kId});
  const auto too_high = [&](const char* what, std::uint64_t got, std::uint64_t max) {
    close({ReplyCode::not_allowed,
           "negotiated " + std::string(what) + " = " + std::to_string(got) +
               (got == 0 ? " (no limit)" : "") + " is higher than the maximum allowed value (" +
               std::to_string(max) + ")",
           ConnectionTuneOk::kId});
  };
  if (limits_.frame_max != 0 && (method.frame_max == 0 || method.frame_max > limits_.frame_max))
    return too_high("frame_max", method.frame_max, limits_.frame_max);
  if (method.frame_max != 0 && method.frame_max < limits_.frame_max_floor)
    return close({ReplyCode::not_allowed,
                  "negotiated frame_max = " + std::to_string(method.frame_max) +
                      " is lower than the minimum allowed value (" +
                      std::to_string(limits_.frame_max_floor) + ")",
                  ConnectionTuneOk::kId});
  if (limits_.channel_max != 0 && (method.channel_max == 0 || method.channel_max > limits_.channel_max))
    return too_high("channel_max", method.channel_max, limits_.channel_max);
  frame_max_ = method.frame_max == 0 ? 0x7FFFFFFF : method.frame_max;
  channel_max_ = method.channel_max == 0 ? 65535 : method.channel_max;
  heartbeat_s_ = method.heartbeat;
  state_ = ConnectionState::open;
}

void Connection::on_open(std::string_view arguments) {
  ConnectionOpen method;
  if (!decode(arguments, method)) return close({ReplyCode::frame_error, "cannot decode the arguments", ConnectionOpen::kId});
  if (auto error = handler_.open_vhost(method.virtual_host)) {
    if (error->method == 0) error->method = ConnectionOpen::kId;
    return close(*error);
  }
  output_.method(0, ConnectionOpenOk{});
  state_ = ConnectionState::running;
}

void Connection::on_update_secret(std::string_view arguments) {
  ConnectionUpdateSecret method;
  if (!decode(arguments, method))
    return close({ReplyCode::frame_error, "cannot decode the arguments", ConnectionUpdateSecret::kId});
  if (auto error = handler_.update_secret(method.new_secret.text)) {
    error->method = ConnectionUpdateSecret::kId;
    return close(*error);
  }
  output_.method(0, ConnectionUpdateSecretOk{});
}

}  // namespace warren::amqp
