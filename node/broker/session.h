#pragma once
// A client's connection as the broker sees it: who it is, which virtual host it uses, its channels
// and exclusive queues. Pure; the socket is behind SessionDriver.

#include "node/amqp/connection.h"
#include "node/broker/broker.h"

#include <memory>
#include <string>

namespace warren::broker {

/// The socket's side. Owner: the same thread.
class SessionDriver {
 public:
  virtual ~SessionDriver() = default;
  /// Output is waiting, or the connection finished: write, then close if finished.
  virtual void want_write() = 0;
  /// The connection may be read again: offer kept bytes first.
  virtual void want_read() = 0;
};

/// What is known of a peer when it connects.
struct PeerInfo {
  std::string peer_host, host;
  std::uint16_t peer_port{0}, port{0};
  bool loopback{false};
  bool tls{false};
  std::string tls_protocol, tls_cipher, tls_hash, tls_key_exchange;
  std::string cert_subject, cert_issuer, cert_validity;
  std::string cert_login;  ///< user name from the certificate, "" when none was verified
};

/// Traffic of the socket, kept by the driver.
struct SessionTraffic {
  std::uint64_t recv_oct{0}, recv_cnt{0}, send_oct{0}, send_cnt{0};
};

/// Owner: the shard's thread.
class Session final : public amqp::ConnectionHandler {
 public:
  Session(Broker& broker, SessionDriver& driver, PeerInfo peer, amqp::ConnectionLimits limits);
  ~Session() override;

  amqp::Connection& connection() { return connection_; }
  const amqp::Connection& connection() const { return connection_; }
  std::uint64_t id() const { return id_; }
  const std::string& name() const { return name_; }
  const std::string& user() const { return who_.name; }
  const access::Identity& who() const { return who_; }
  const std::string& mechanism() const { return mechanism_; }
  const std::string& vhost_name() const { return vhost_name_; }
  VhostRuntime* vhost() { return broker_.vhost(vhost_name_); }
  const PeerInfo& peer() const { return peer_; }
  Millis connected_at() const { return connected_at_; }
  SessionTraffic& traffic() { return traffic_; }
  const SessionTraffic& traffic() const { return traffic_; }
  Broker& broker() { return broker_; }
  /// starting, tuning, opening, running, blocking, blocked, flow, closing, closed (CON-28).
  const char* state_name() const;
  std::string user_provided_name() const;
  /// Closing or closed, for whatever reason: what it owned is gone or going.
  bool over() const { return closing_seen_; }

  /// Room for more deliveries in the output.
  bool output_open() const { return output_bytes() < kOutputHigh; }
  std::size_t output_bytes() const { return const_cast<Session*>(this)->connection_.output().size(); }
  /// The driver wrote; deliveries that waited for room go on.
  void on_output_drained();
  /// A consumer found the output full.
  void starve() { starving_ = true; }

  /// A channel has confirms to send, or output was added outside on_bytes.
  void touch() { broker_.touch(*this); }
  void touch_channel(std::uint16_t number);
  /// End of the turn: confirms, then the driver writes.
  void flush();
  /// Publishers may go on, or must stop (alarm, flow).
  void gate_changed();
  void alarm_changed();
  /// Operator or server closes: connection.close with `code`.
  void close(amqp::ReplyCode code, std::string text);
  void disconnected(const std::string& why);
  /// Twice a second: heartbeats, consumer time-outs, the end of the token.
  void tick();
  /// Permissions of the user changed.
  void recheck();

  bool touched{false};  ///< in the broker's list for this turn
  std::uint64_t waits_for{0};  ///< the member that must answer some of its publishes first; the broker's

  // ---- amqp::ConnectionHandler ----
  void on_first_byte() override;
  FieldTable server_properties() override;
  std::string mechanisms() override;
  amqp::Login login(std::string_view mechanism, std::string_view response,
                    const FieldTable& client_properties) override;
  std::optional<amqp::AmqpError> open_vhost(std::string_view vhost) override;
  std::optional<amqp::AmqpError> update_secret(std::string_view secret) override;
  std::optional<amqp::AmqpError> open_channel(std::uint16_t number,
                                              std::unique_ptr<amqp::ChannelHandler>& handler) override;
  amqp::PublishGate publish_gate() override;
  bool on_closing(const std::string& why) override;
  void on_refused(const std::string& why) override;

 private:
  access::SaslContext sasl_context() const;

  // Large enough for few, big writes; small enough to stay in the second-level cache.
  static constexpr std::size_t kOutputHigh = 512 << 10;
  static constexpr std::size_t kOutputLow = 256 << 10;

  Broker& broker_;
  SessionDriver& driver_;
  PeerInfo peer_;
  amqp::Connection connection_;
  std::uint64_t id_;
  std::string name_;
  access::Identity who_;
  std::string mechanism_;
  std::string vhost_name_;
  bool opened_{false};
  bool closing_seen_{false};
  bool heard_{false};
  bool starving_{false};
  Millis connected_at_;
  SessionTraffic traffic_;
  std::vector<std::uint16_t> touched_channels_;
};

}  // namespace warren::broker
