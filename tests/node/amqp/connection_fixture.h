#pragma once
// A Connection with everything around it faked: a broker that writes down what it was told and does
// what the test says, a client that builds frames, and a driver that cuts bytes as it likes.

#include "node/amqp/codec.h"
#include "node/amqp/connection.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace warren::amqp::test {

class FakeBroker;

/// Writes "number event" lines into the broker's log; bodies are joined, however they were cut.
class FakeChannel final : public ChannelHandler {
 public:
  FakeChannel(FakeBroker& broker, std::uint16_t number) : broker_(broker), number_(number) {}
  ~FakeChannel() override;
  void on_method(MethodId id, std::string_view arguments) override;
  void on_publish(std::string_view arguments) override;
  void on_content_header(std::uint64_t body_size, std::string_view props) override;
  void on_content_body(std::string_view bytes) override;
  bool busy() const override;
  bool refuses_commands() const override;
  void on_turn_end() override;
  void on_closed() override;

 private:
  void in_order() const;

  FakeBroker& broker_;
  std::uint16_t number_;
  std::string body_;
  std::uint64_t left_{0};
  bool closed_{false};
};

class FakeBroker final : public ConnectionHandler {
 public:
  FieldTable server_properties() override {
    FieldTable table;
    table.set("product", "fake");
    return table;
  }
  std::string mechanisms() override { return "PLAIN AMQPLAIN"; }
  Login login(std::string_view mechanism, std::string_view response, const FieldTable&) override {
    log.push_back("login " + std::string(mechanism) + " " + std::string(response));
    return login_answer;
  }
  std::optional<AmqpError> open_vhost(std::string_view vhost) override {
    log.push_back("open " + std::string(vhost));
    return vhost_error;
  }
  std::optional<AmqpError> update_secret(std::string_view secret) override {
    log.push_back("secret " + std::string(secret));
    return secret_error;
  }
  std::optional<AmqpError> open_channel(std::uint16_t number,
                                        std::unique_ptr<ChannelHandler>& handler) override {
    if (channel_refusal) return channel_refusal;
    log.push_back(std::to_string(number) + " opened");
    handler = std::make_unique<FakeChannel>(*this, number);
    ++live_channels;
    open_handlers.insert(number);
    return std::nullopt;
  }
  void on_first_byte() override { ++first_bytes; }
  PublishGate publish_gate() override { return gate; }
  bool on_closing(const std::string& why) override {
    EXPECT_EQ(open_handlers.size(), 0U) << "channels outlive on_closing";
    ++closings;
    log.push_back("closing: " + why);
    return !closing_waits;
  }
  void on_refused(const std::string& why) override { refused.push_back(why); }

  std::vector<std::string> log;
  std::vector<std::string> refused;
  Login login_answer{Login::Outcome::ok, {}};
  std::optional<AmqpError> vhost_error, secret_error, channel_refusal;
  PublishGate gate{PublishGate::open};
  std::set<std::uint16_t> busy;
  bool refuses_commands{false};
  std::set<std::uint16_t> open_handlers;
  /// Methods that make their channel busy until Client::ready.
  std::set<MethodId> slow;
  /// Methods that raise an error on their channel, from inside the call.
  std::map<MethodId, AmqpError> failing;
  /// What happens inside the call of a method.
  std::map<MethodId, std::function<void()>> during;
  Connection* connection{nullptr};
  int live_channels{0};
  int closings{0};
  int first_bytes{0};
  bool closing_waits{false};
  int turns{0};
};

inline FakeChannel::~FakeChannel() { --broker_.live_channels; }
inline void FakeChannel::in_order() const {
  EXPECT_FALSE(closed_) << "called after on_closed";
  EXPECT_FALSE(busy()) << "called while busy";
}
inline bool FakeChannel::busy() const { return broker_.busy.contains(number_); }
inline bool FakeChannel::refuses_commands() const { return busy() && broker_.refuses_commands; }
inline void FakeChannel::on_method(MethodId id, std::string_view arguments) {
  in_order();
  broker_.log.push_back(std::to_string(number_) + " method " + std::to_string(id >> 16) + "." +
                        std::to_string(id & 0xFFFF) + " " + std::string(arguments));
  if (auto found = broker_.during.find(id); found != broker_.during.end()) {
    const int before = broker_.live_channels;
    found->second();
    EXPECT_EQ(broker_.live_channels, before) << "destroyed inside a call";
    return;
  }
  if (broker_.slow.contains(id)) broker_.busy.insert(number_);
  if (auto found = broker_.failing.find(id); found != broker_.failing.end())
    broker_.connection->channel_error(number_, found->second);
}
inline void FakeChannel::on_publish(std::string_view arguments) {
  in_order();
  BasicPublish method;
  EXPECT_TRUE(decode(arguments, method));
  broker_.log.push_back(std::to_string(number_) + " publish " + std::string(method.routing_key));
  if (auto found = broker_.failing.find(BasicPublish::kId); found != broker_.failing.end())
    broker_.connection->channel_error(number_, found->second);
}
inline void FakeChannel::on_content_header(std::uint64_t body_size, std::string_view props) {
  in_order();
  EXPECT_EQ(left_, 0U);
  left_ = body_size;
  body_.clear();
  broker_.log.push_back(std::to_string(number_) + " header " + std::to_string(body_size) + " " +
                        std::to_string(props.size()));
}
inline void FakeChannel::on_content_body(std::string_view bytes) {
  in_order();
  EXPECT_GE(left_, bytes.size());
  left_ -= bytes.size();
  body_ += bytes;
  if (left_ == 0) broker_.log.push_back(std::to_string(number_) + " body " + body_);
}
inline void FakeChannel::on_turn_end() {
  EXPECT_FALSE(closed_);
  ++broker_.turns;
}
inline void FakeChannel::on_closed() {
  EXPECT_FALSE(closed_);
  closed_ = true;
  broker_.open_handlers.erase(number_);
  broker_.busy.erase(number_);
  broker_.log.push_back(std::to_string(number_) + " closed");
}

// ---- frames ---------------------------------------------------------------------------------------

inline std::string raw_frame(std::uint8_t type, std::uint16_t channel, std::string_view payload,
                             std::uint8_t end = kFrameEnd) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(type);
  out.u16(channel);
  out.str32(payload);
  out.u8(end);
  return bytes;
}
inline std::string header_frame(std::uint16_t channel, std::uint64_t body_size,
                                std::uint16_t class_id = 60) {
  std::string payload;
  ByteWriter out(payload);
  out.u16(class_id);
  out.u16(0);
  out.u64(body_size);
  out.u16(0);
  return raw_frame(kFrameHeader, channel, payload);
}
inline std::string body_frame(std::uint16_t channel, std::string_view body) {
  return raw_frame(kFrameBody, channel, body);
}
inline std::string publish_frames(std::uint16_t channel, std::string_view key, std::string_view body,
                                  std::size_t frame_body = 4088) {
  BasicPublish method;
  method.routing_key = key;
  std::string bytes = encode_frame(channel, method) + header_frame(channel, body.size());
  for (; !body.empty(); body.remove_prefix(std::min(frame_body, body.size())))
    bytes += body_frame(channel, body.substr(0, frame_body));
  return bytes;
}

/// One frame of the server's output.
struct Frame {
  std::uint8_t type;
  std::uint16_t channel;
  std::string payload;
  MethodId id() const {
    return type == kFrameMethod ? load_be<MethodId>(payload.data()) : MethodId{0};
  }
  /// Views in the result point into this frame.
  template <class Method>
  Method as() const&& = delete;
  template <class Method>
  Method as() const& {
    Method method;
    EXPECT_EQ(id(), Method::kId);
    EXPECT_TRUE(decode(std::string_view(payload).substr(4), method));
    return method;
  }
};

inline std::string take_output(Output& output) {
  std::string bytes;
  std::string_view pieces[3];
  while (!output.empty()) {
    const std::size_t n = output.gather(pieces);
    std::size_t taken = 0;
    for (std::size_t i = 0; i < n; ++i) bytes += pieces[i], taken += pieces[i].size();
    output.consume(taken);
  }
  return bytes;
}
inline std::vector<Frame> parse_frames(std::string_view bytes) {
  std::vector<Frame> frames;
  ByteReader in(bytes);
  while (!in.at_end()) {
    Frame frame;
    frame.type = in.u8();
    frame.channel = in.u16();
    frame.payload = in.str32();
    EXPECT_EQ(in.u8(), kFrameEnd);
    EXPECT_TRUE(in.ok());
    frames.push_back(std::move(frame));
  }
  return frames;
}

// ---- the client's end -------------------------------------------------------------------------------

class Client {
 public:
  explicit Client(ConnectionLimits limits = {}) : connection(broker, limits, now) {
    broker.connection = &connection;
  }

  /// Bytes arrive; what the connection does not take yet is kept, as the socket's driver keeps it.
  void send(std::string_view bytes) {
    kept += bytes;
    offer();
  }
  void offer() {
    while (!kept.empty() && !connection.finished()) {
      const std::size_t n = connection.on_bytes(kept, now);
      kept.erase(0, n);
      if (n == 0 || connection.paused()) break;
    }
  }
  template <class Method>
  void send(std::uint16_t channel, const Method& method) {
    send(encode_frame(channel, method));
  }
  void ready(std::uint16_t channel) {
    broker.busy.erase(channel);
    connection.channel_ready(channel);
    if (!connection.paused()) offer();
  }
  void open_gate() {
    broker.gate = PublishGate::open;
    connection.gate_changed();
    if (!connection.paused()) offer();
  }
  std::vector<Frame> receive() { return parse_frames(take_output(connection.output())); }
  /// The only frame that is waiting.
  Frame only() {
    auto frames = receive();
    EXPECT_EQ(frames.size(), 1U);
    return frames.empty() ? Frame{} : frames.front();
  }
  void tick(Millis by) {
    now += by;
    connection.on_tick(now);
  }

  static std::string start_ok(const FieldTable& properties = {}, std::string_view mechanism = "PLAIN") {
    const std::string pairs = properties.encode();
    ConnectionStartOk method;
    method.client_properties.pairs = pairs;
    method.mechanism = mechanism;
    method.response.text = "credentials";
    method.locale = "en_US";
    return encode_frame(0, method);
  }
  static std::string tune_ok(std::uint16_t channels = 100, std::uint32_t frame = 131072,
                             std::uint16_t heartbeat = 60) {
    return encode_frame(0, ConnectionTuneOk{channels, frame, heartbeat});
  }
  static std::string open(std::string_view vhost = "/") {
    ConnectionOpen method;
    method.virtual_host = vhost;
    return encode_frame(0, method);
  }
  static FieldTable capable(std::initializer_list<const char*> names) {
    FieldTable capabilities, properties;
    for (const char* name : names) capabilities.set(name, FieldValue(true));
    properties.set("capabilities", FieldValue(std::move(capabilities)));
    return properties;
  }
  static std::string handshake(const FieldTable& properties = {}, std::string_view tune = {}) {
    return std::string(kProtocolHeader) + start_ok(properties) +
           (tune.empty() ? tune_ok() : std::string(tune)) + open();
  }
  /// A running connection with these channels open and nothing left to read.
  void run(std::initializer_list<std::uint16_t> channels = {1}, const FieldTable& properties = {},
           std::string_view tune = {}) {
    send(handshake(properties, tune));
    for (const auto number : channels) send(number, ChannelOpen{});
    ASSERT_EQ(connection.state(), ConnectionState::running);
    (void)receive();
    broker.log.clear();
  }

  Millis now{1'000'000};
  FakeBroker broker;
  Connection connection;
  std::string kept;
};

using Log = std::vector<std::string>;

}  // namespace warren::amqp::test
