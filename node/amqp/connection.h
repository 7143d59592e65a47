#pragma once
// The server's side of an AMQP connection as a pure state machine: bytes in, frames out through an
// Output; what the frames mean is the handlers' business. Knows no socket, thread or clock.
// Source: AMQP 0-9-1 reference 2.2.4 (connection), 2.3 (frames), 4.2.

#include "base/clock.h"
#include "base/field_table.h"
#include "node/amqp/constants.h"
#include "node/amqp/output.h"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::amqp {

class Connection;

struct ConnectionLimits {
  std::uint16_t channel_max{2047};
  std::uint32_t frame_max{131072};
  std::uint32_t frame_max_floor{4096};
  std::uint32_t initial_frame_max{4096};
  std::uint16_t heartbeat_s{60};
  std::uint64_t body_max{512ULL << 20};   ///< announced size beyond this is a frame error
  Millis handshake_ms{10'000};
  Millis untrusted_close_ms{3'000};       ///< pause before an unauthenticated peer is dropped
  std::size_t output_bytes{4 << 20};      ///< unsent bytes above which no frame is taken
  std::size_t inbox_bytes{1 << 20};       ///< frames kept for a busy channel before reading pauses
};

/// One channel's meaning. Calls come in frame order, and only while !busy().
/// Errors: reported through Connection::channel_error, also later and from outside these calls.
class ChannelHandler {
 public:
  virtual ~ChannelHandler() = default;
  /// A method without content. `arguments` is valid during the call only.
  virtual void on_method(MethodId id, std::string_view arguments) = 0;
  /// basic.publish, then its header, then its body in pieces that add up to `body_size`.
  virtual void on_publish(std::string_view arguments) = 0;
  virtual void on_content_header(std::uint64_t body_size, std::string_view props) = 0;
  virtual void on_content_body(std::string_view bytes) = 0;
  /// True while an operation is under way that later frames of this channel must wait for; the
  /// handler calls Connection::channel_ready when it is done.
  virtual bool busy() const = 0;
  /// True while busy() with something that no command may follow: one that comes is an error of the
  /// connection (504).
  virtual bool refuses_commands() const { return false; }
  /// The bytes at hand have been read: hand over what was gathered.
  virtual void on_turn_end() = 0;
  /// The channel is over, whoever closed it. The last call.
  virtual void on_closed() = 0;
};

enum class PublishGate : std::uint8_t {
  open,
  alarm,  ///< a resource alarm: the connection is blocked until it clears
  flow,   ///< the node has too much in flight: a short pause
};

struct Login {
  enum class Outcome : std::uint8_t { ok, refused, malformed, unknown_mechanism };
  Outcome outcome{Outcome::refused};
  std::string text;
};

/// What a connection needs to know from the broker, and tells it.
class ConnectionHandler {
 public:
  virtual ~ConnectionHandler() = default;
  /// The peer has sent something; before that it may be no more than a probe of the port.
  virtual void on_first_byte() {}
  virtual FieldTable server_properties() = 0;
  virtual std::string mechanisms() = 0;
  virtual Login login(std::string_view mechanism, std::string_view response,
                      const FieldTable& client_properties) = 0;
  virtual std::optional<AmqpError> open_vhost(std::string_view vhost) = 0;
  virtual std::optional<AmqpError> update_secret(std::string_view secret) = 0;
  /// An error refuses the channel and closes the connection.
  virtual std::optional<AmqpError> open_channel(std::uint16_t number,
                                                std::unique_ptr<ChannelHandler>& handler) = 0;
  virtual PublishGate publish_gate() = 0;
  /// All channels are closed and the client is about to hear of it: exclusive queues go now. False:
  /// the answer to the client's connection.close waits for Connection::closing_done().
  virtual bool on_closing(const std::string& why) = 0;
  /// A peer that does not speak AMQP 0-9-1, or another failure before login; for the log.
  virtual void on_refused(const std::string& why) = 0;
};

enum class ConnectionState : std::uint8_t {
  header, start, tune, open, running, closing, closed
};

/// Owner: the connection's shard.
class Connection {
 public:
  Connection(ConnectionHandler& handler, ConnectionLimits limits, Millis now);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Takes bytes from the client, whole frames at a time (bodies also in part); gives how many it
  /// is done with. The rest must be offered again, with more behind it or after resume().
  std::size_t on_bytes(std::string_view bytes, Millis now);
  /// Heartbeats, time-outs. To be called about twice a second.
  void on_tick(Millis now);
  /// The driver wrote something at `now`.
  void on_sent(Millis now) { last_sent_ = now; }
  /// The socket is gone.
  void on_disconnected(const std::string& why);

  /// Sends connection.close and waits for the answer.
  void close(const AmqpError& error);
  /// What on_closing asked to wait for is over.
  void closing_done();
  void channel_error(std::uint16_t channel, const AmqpError& error);
  /// A busy channel can go on: frames kept for it are handled before more is read.
  void channel_ready(std::uint16_t channel);
  /// The publish gate may have opened. The driver offers kept bytes again when !paused().
  void gate_changed();
  /// Tells the client about an alarm, if it publishes and asked for it.
  void alarm_changed(bool active, std::string_view reason);

  Output& output() { return output_; }
  /// Reading must stop: a channel's inbox is full, the publish gate is shut, or the client closes
  /// while channels still have something to do.
  bool paused() const {
    return gate_ != PublishGate::open || inbox_bytes_ > (close_waits_ ? 0 : limits_.inbox_bytes);
  }
  /// The driver writes what is left and closes the socket.
  bool finished() const { return state_ == ConnectionState::closed; }
  ConnectionState state() const { return state_; }
  PublishGate gate() const { return gate_; }
  bool blocked_told() const { return blocked_told_; }
  bool ever_published() const { return ever_published_; }
  std::uint32_t frame_max() const { return frame_max_; }
  std::uint16_t channel_max() const { return channel_max_; }
  std::uint16_t heartbeat_s() const { return heartbeat_s_; }
  const FieldTable& client_properties() const { return client_properties_; }
  bool client_can(std::string_view capability) const;
  std::size_t channel_count() const { return channel_count_; }
  ChannelHandler* channel(std::uint16_t number) const;
  template <class F>
  void for_each_channel(F&& f) const {
    for (std::size_t n = 1; n < channels_.size(); ++n)
      if (channels_[n] && channels_[n]->handler) f(static_cast<std::uint16_t>(n), *channels_[n]->handler);
  }

 private:
  enum class Expect : std::uint8_t { method, header, body };
  struct Slot {
    std::unique_ptr<ChannelHandler> handler;
    Expect expect{Expect::method};
    bool closing{false};         // we sent channel.close and wait for its answer
    bool dirty{false};           // owes an on_turn_end
    std::uint64_t body_left{0};
    std::string inbox;           // whole frames that wait for a busy handler
    std::size_t inbox_done{0};   // of its bytes, dealt with already
  };

  std::size_t take_header(std::string_view bytes);
  std::size_t take_frames(std::string_view bytes);
  std::size_t take_partial_body(std::string_view bytes);
  /// False: the frame must wait (publish gate); offer it again later.
  bool take_frame(std::uint8_t type, std::uint16_t channel, std::string_view payload);
  bool channel_frame(std::uint8_t type, std::uint16_t number, std::string_view payload);
  /// True, and the connection closes, when a busy handler takes no command behind what it does.
  bool refused(const Slot& slot, std::uint8_t type, std::string_view payload);
  bool deliver(Slot& slot, std::uint16_t number, std::uint8_t type, std::string_view payload);
  void content_header(Slot& slot, std::string_view payload);
  void content_body(Slot& slot, std::string_view bytes);
  void channel_method(Slot& slot, std::uint16_t number, MethodId id, std::string_view arguments);
  void connection_method(MethodId id, std::string_view arguments);
  void on_start_ok(std::string_view arguments);
  void on_tune_ok(std::string_view arguments);
  void on_open(std::string_view arguments);
  void on_update_secret(std::string_view arguments);
  void open_channel(std::uint16_t number, std::string_view arguments);
  void drop_channel(std::uint16_t number);
  void drop_all_channels();
  void drain_inbox(std::uint16_t number);
  void forget_inbox(Slot& slot);
  void refuse(std::string why, Millis delay);
  void frame_error(ReplyCode code, std::string text, MethodId method = 0);
  void mark_dirty(std::uint16_t number, Slot& slot);
  void end_turn();
  void finish();
  Slot* slot(std::uint16_t number) const;

  ConnectionHandler& handler_;
  const ConnectionLimits limits_;
  Output output_;
  ConnectionState state_{ConnectionState::header};
  PublishGate gate_{PublishGate::open};
  bool heard_{false};            // a byte of the peer
  bool blocked_told_{false};
  bool ever_published_{false};
  bool close_waits_{false};      // for the inboxes
  bool close_ok_due_{false};     // the client closes; on_closing asked to wait
  bool deaf_{false};             // frames cannot be told apart any more: input is thrown away
  bool client_wants_blocked_{false};
  std::uint32_t frame_max_;
  std::uint16_t channel_max_;
  std::uint16_t heartbeat_s_{0};
  std::size_t channel_count_{0};
  std::size_t inbox_bytes_{0};
  std::uint32_t body_frame_left_{0};    // of a body frame taken in part, end octet not counted
  std::uint16_t body_frame_channel_{0};
  Millis now_;
  Millis started_;
  Millis last_received_;
  Millis last_sent_;
  Millis close_deadline_{0};     // 0 = none
  FieldTable client_properties_;
  std::vector<std::unique_ptr<Slot>> channels_;
  std::vector<std::uint16_t> dirty_;
  /// Calls of ours that a handler may be in; an answer for one channel can come inside another's.
  struct Inside {
    explicit Inside(int& depth) : depth_(depth) { ++depth_; }
    ~Inside() { --depth_; }
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    int& depth_;
  };
  int depth_{0};
  std::vector<std::unique_ptr<ChannelHandler>> graveyard_;  // ended in the middle of their own call
};

}  // namespace warren::amqp
