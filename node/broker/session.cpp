#include "node/broker/session.h"

#include "node/broker/channel.h"

#include <algorithm>
#include <fmt/format.h>

namespace warren::broker {

using amqp::AmqpError;
using amqp::ReplyCode;

Session::Session(Broker& broker, SessionDriver& driver, PeerInfo peer, amqp::ConnectionLimits limits)
    : broker_(broker),
      driver_(driver),
      peer_(std::move(peer)),
      connection_(*this, limits, broker.steady_ms()),
      id_(broker.add_session(*this)),
      name_(fmt::format("{}:{} -> {}:{}", peer_.peer_host, peer_.peer_port, peer_.host, peer_.port)),
      connected_at_(broker.wall_ms()) {}

Session::~Session() {
  disconnected("the node lets go of the connection");
  broker_.remove_session(*this);
}

const char* Session::state_name() const {
  switch (connection_.state()) {
    case amqp::ConnectionState::header:
    case amqp::ConnectionState::start: return "starting";
    case amqp::ConnectionState::tune: return "tuning";
    case amqp::ConnectionState::open: return "opening";
    case amqp::ConnectionState::closing: return "closing";
    case amqp::ConnectionState::closed: return "closed";
    case amqp::ConnectionState::running: break;
  }
  if (connection_.gate() == amqp::PublishGate::alarm) return "blocked";
  if (connection_.gate() == amqp::PublishGate::flow) return "flow";
  return const_cast<Session*>(this)->broker_.alarms().any() ? "blocking" : "running";
}

std::string Session::user_provided_name() const {
  const FieldValue* name = connection_.client_properties().find("connection_name");
  const auto text = name != nullptr ? name->as_string() : std::nullopt;
  return text ? std::string(*text) : std::string();
}

// ---- handshake ----------------------------------------------------------------------------------

/// Told only now, so that whoever probes the port every second does not fill the log (CON-02).
void Session::on_first_byte() {
  heard_ = true;
  broker_.log().info(LogArea::connection, "accepting AMQP connection {}", name_);
}

FieldTable Session::server_properties() {
  FieldTable capabilities;
  for (const char* name :
       {"publisher_confirms", "exchange_exchange_bindings", "basic.nack", "consumer_cancel_notify",
        "connection.blocked", "consumer_priorities", "authentication_failure_close",
        "per_consumer_qos", "direct_reply_to"})
    capabilities.set(name, FieldValue(true));
  FieldTable table;
  table.set("capabilities", FieldValue(std::move(capabilities)));
  table.set("cluster_name", FieldValue(broker_.options().cluster_name));
  table.set("copyright", FieldValue(std::string("Copyright (c) the Warren authors")));
  table.set("information", FieldValue(std::string("A clustered AMQP 0-9-1 message broker")));
  table.set("platform", FieldValue(std::string("C++20")));
  table.set("product", FieldValue(broker_.options().product));
  table.set("version", FieldValue(broker_.options().version));
  return table;
}

access::SaslContext Session::sasl_context() const {
  access::SaslContext context;
  if (!peer_.cert_login.empty()) context.certificate_user = peer_.cert_login;
  context.anonymous_user = broker_.options().anonymous_user;
  context.only = broker_.options().mechanisms;
  return context;
}

std::string Session::mechanisms() {
  return access::sasl_mechanisms(sasl_context());
}

amqp::Login Session::login(std::string_view mechanism, std::string_view response,
                           const FieldTable& client_properties) {
  using Outcome = amqp::Login::Outcome;
  mechanism_ = mechanism;
  auto claim = access::parse_sasl(mechanism, response, sasl_context());
  if (!claim && mechanism == "EXTERNAL" && claim.error().code != Errc::unsupported) {
    // A peer without a certificate is a login that failed, not a protocol error.
    broker_.log().error(LogArea::connection, "AMQP connection {}: EXTERNAL login refused: {}", name_,
                        claim.error().text);
    return {Outcome::refused, "Login was refused using authentication mechanism EXTERNAL"
                              ". For details see the broker logfile."};
  }
  if (!claim)
    return {claim.error().code == Errc::unsupported ? Outcome::unknown_mechanism : Outcome::malformed,
            claim.error().text};
  auto who = broker_.access().authenticate(*claim, peer_.loopback, broker_.wall_ms() / 1000);
  broker_.events().login(*this, who ? who->name : claim->user, who.has_value(), who ? "" : who.error().text);
  if (!who) {
    broker_.log().error(LogArea::connection,
                        "AMQP connection {}: {} login refused: user '{}' - {}", name_, mechanism_,
                        claim->user, who.error().text);
    return {Outcome::refused, "Login was refused using authentication mechanism " + mechanism_ +
                                  ". For details see the broker logfile."};
  }
  who_ = std::move(*who);
  if (const FieldValue* given = client_properties.find("connection_name"))
    if (const auto text = given->as_string()) {
      std::string shown(*text);  // a client's text must not begin a line of its own
      std::replace_if(shown.begin(), shown.end(),
                      [](unsigned char c) { return c < 0x20 || c == 0x7F; }, '?');
      broker_.log().info(LogArea::connection, "connection {} has a client-provided name: {}", name_,
                         shown);
    }
  return {Outcome::ok, {}};
}

std::optional<AmqpError> Session::open_vhost(std::string_view vhost) {
  VhostRuntime* runtime = broker_.vhost(vhost);
  if (runtime == nullptr)
    return AmqpError{ReplyCode::not_allowed, fmt::format("vhost {} not found", vhost)};
  if (!broker_.access().can_access_vhost(who_, vhost))
    return AmqpError{ReplyCode::not_allowed,
                     fmt::format("access to vhost '{}' refused for user '{}'", vhost, user())};
  if (auto refused = broker_.connection_refused(*runtime, user()))
    return AmqpError{ReplyCode::not_allowed, *refused};
  vhost_name_ = vhost;
  opened_ = true;
  ++runtime->connections;
  broker_.log().info(LogArea::connection,
                     "connection {}: user '{}' authenticated and granted access to vhost '{}'", name_,
                     user(), vhost_name_);
  broker_.connection_opened(*this);
  return std::nullopt;
}

std::optional<AmqpError> Session::update_secret(std::string_view secret) {
  auto next = broker_.access().renew(who_, secret, broker_.wall_ms() / 1000);
  if (!next) {
    broker_.log().error(LogArea::connection, "connection {}: secret update was refused for user '{}': {}", name_,
                        user(), next.error().text);
    return AmqpError{ReplyCode::not_allowed, "New secret was refused by one of the backends"};
  }
  const bool other = next->token != who_.token;
  who_ = std::move(*next);
  if (other) broker_.rights_changed();
  recheck();
  return std::nullopt;
}

std::optional<AmqpError> Session::open_channel(std::uint16_t number,
                                               std::unique_ptr<amqp::ChannelHandler>& handler) {
  if (auto refused = broker_.channel_refused(*this)) return AmqpError{ReplyCode::not_allowed, *refused};
  handler = std::make_unique<Channel>(*this, number);
  return std::nullopt;
}

amqp::PublishGate Session::publish_gate() {
  if (broker_.alarms().any()) {
    connection_.alarm_changed(true, broker_.alarms().reason());
    return amqp::PublishGate::alarm;
  }
  return broker_.flow_closed() || broker_.waits_for_member(*this) ? amqp::PublishGate::flow : amqp::PublishGate::open;
}

// ---- life ---------------------------------------------------------------------------------------

bool Session::on_closing(const std::string& why) {
  if (closing_seen_) return true;
  closing_seen_ = true;
  bool over = true;
  if (opened_) {
    over = !broker_.delete_exclusive_queues(id_, [&broker = broker_, id = id_] {
      auto session = broker.sessions().find(id);
      if (session == broker.sessions().end()) return;
      session->second->connection().closing_done();
      session->second->touch();
    });
    if (VhostRuntime* runtime = vhost()) --runtime->connections;
    broker_.connection_closed(*this);
  }
  if (!heard_) {
    broker_.log().debug(LogArea::connection, "connection {} ended before its first byte: {}", name_, why);
    return over;
  }
  const LogLevel level = why == "closed by the client" ? LogLevel::info
                         : why.starts_with("error on") ? LogLevel::error : LogLevel::warning;
  broker_.log().log(level, LogArea::connection,
                    "closing AMQP connection {} (vhost: '{}', user: '{}'): {}", name_, vhost_name_,
                    user(), why);
  return over;
}

void Session::on_refused(const std::string& why) {
  if (why.empty())
    broker_.log().debug(LogArea::connection, "connection {} closed without a byte", name_);
  else
    broker_.log().warning(LogArea::connection, "closing AMQP connection {}: {}", name_, why);
}

void Session::disconnected(const std::string& why) {
  connection_.on_disconnected(why);
}

void Session::close(ReplyCode code, std::string text) {
  connection_.close({code, std::move(text), 0});
  touch();
}

void Session::touch_channel(std::uint16_t number) {
  touched_channels_.push_back(number);
  touch();
}

void Session::flush() {
  for (std::size_t i = 0; i < touched_channels_.size(); ++i) {
    auto* channel = static_cast<Channel*>(connection_.channel(touched_channels_[i]));
    if (channel != nullptr && channel->confirms_due) channel->flush_confirms();
  }
  touched_channels_.clear();
  // A channel that came to its end, or to the end of its waiting, may have let the input go on.
  if (!connection_.paused() && !connection_.finished()) driver_.want_read();
  if (!connection_.output().empty() || connection_.finished()) driver_.want_write();
}

void Session::on_output_drained() {
  if (!starving_ || output_bytes() > kOutputLow) return;
  starving_ = false;
  connection_.for_each_channel([](std::uint16_t, amqp::ChannelHandler& handler) {
    static_cast<Channel&>(handler).resume_consumers();
  });
}

void Session::gate_changed() {
  connection_.gate_changed();
  if (!connection_.paused()) driver_.want_read();
  touch();
}

void Session::alarm_changed() {
  const bool active = broker_.alarms().any();
  // Only those that tried to publish hear of an alarm (CON-27).
  if (!active) connection_.alarm_changed(false, {});
  gate_changed();
}

void Session::tick() {
  connection_.on_tick(broker_.steady_ms());
  if (who_.token && who_.token->expires_s && *who_.token->expires_s <= broker_.wall_ms() / 1000 && !over())
    close(ReplyCode::connection_forced, "credential expired");
  if (connection_.state() == amqp::ConnectionState::running) {
    std::vector<Channel*> channels;
    connection_.for_each_channel([&](std::uint16_t, amqp::ChannelHandler& handler) {
      channels.push_back(&static_cast<Channel&>(handler));
    });
    for (Channel* channel : channels) channel->check_timeouts(broker_.steady_ms());
  }
  if (!connection_.output().empty() || connection_.finished()) touch();
}

void Session::recheck() {
  connection_.for_each_channel([](std::uint16_t, amqp::ChannelHandler& handler) {
    static_cast<Channel&>(handler).recheck_permissions();
  });
}

}  // namespace warren::broker
