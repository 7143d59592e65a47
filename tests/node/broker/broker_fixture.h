#pragma once
// A Broker without a node: logs and metadata become durable when the test says so, clocks are moved by
// hand, and clients are Sessions that are fed frames and whose output is read back as frames.

#include "node/access/passwords.h"
#include "node/amqp/properties.h"
#include "node/broker/broker.h"
#include "node/broker/session.h"
#include "base/prng.h"
#include "tests/node/amqp/connection_fixture.h"
#include "tests/node/broker/queue/queue_fixture.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::broker::test {

using amqp::test::body_frame;
using amqp::test::Frame;
using amqp::test::header_frame;

/// Everything is kept until sync(): completions of metadata in the order of the calls, logs each for
/// itself, so that a test may let one queue's records reach the disc before another's.
class FakeEnv : public BrokerEnv {
 public:
  Millis wall_ms() const override { return clock.wall_ms(); }
  Millis steady_ms() const override { return clock.steady_ms(); }
  void random(std::span<char> into) override {
    for (char& c : into) c = static_cast<char>(prng.next());
  }
  void propose(std::vector<metadata::Command> commands,
               std::function<void(std::vector<Result<void>>)> done) override {
    waiting.push_back([this, commands = std::move(commands), done = std::move(done)] {
      std::vector<Result<void>> results;
      for (const auto& command : commands) {
        if (!results.empty() && !results.back()) {
          results.push_back(results.back());
          continue;
        }
        auto applied = agree(command);
        if (applied) rows_written += applied->rows.size();
        results.push_back(applied ? Result<void>{} : Result<void>{applied.error()});
      }
      done(std::move(results));
    });
  }
  /// What the metadata group does with an entry of this node.
  virtual Result<metadata::Applied> agree(const metadata::Command& command) {
    return broker->commit(command, true);
  }
  bool may_be_behind() const override { return behind.has_value(); }
  void catch_up(std::function<void()> done) override {
    ++catch_ups;
    waiting.push_back([this, done = std::move(done)] {
      for (const auto& command : std::exchange(*behind, {})) EXPECT_TRUE(broker->commit(command, false));
      done();
    });
  }
  void when_durable(std::function<void()> done) override {
    if (waiting.empty() && !unsynced()) return done();
    waiting.push_back(std::move(done));
  }
  QueueLog* open_log(metadata::QueueUid uid) override {
    EXPECT_FALSE(logs.contains(uid));
    return (logs[uid] = std::make_unique<FakeLog>()).get();
  }
  void attach_queue(metadata::QueueUid uid, std::shared_ptr<Queue> queue) override {
    queue->recovered();
    queues[uid] = queue;
  }
  void close_log(metadata::QueueUid uid, bool retire) override {
    EXPECT_TRUE(logs.contains(uid));
    if (retire) retired.push_back(uid);
    logs.erase(uid);  // whoever still writes to it is found by the sanitizer
    queues.erase(uid);
  }
  std::uint64_t log_bytes_in_flight() const override { return in_flight; }
  void want_turn() override { turn_wanted = true; }
  Logger& log() override { return null_log; }

  bool unsynced() const {
    for (const auto& [uid, log] : logs)
      if (log->appends > 0 && log->durable < log->last) return true;
    return false;
  }
  void sync_queue(metadata::QueueUid uid) {
    auto found = logs.find(uid);
    if (found == logs.end()) return;
    const LogIndex last = found->second->last;
    found->second->sync(last);
    if (auto queue = queues[uid].lock()) queue->on_durable(last);
  }
  void sync_metadata() {
    auto now = std::move(waiting);
    waiting.clear();
    for (auto& done : now) done();
  }
  void answer_reads() {
    for (auto& [uid, log] : logs)
      while (!log->reads.empty()) {
        const LogIndex index = log->reads.front();
        log->reads.pop_front();
        if (auto queue = queues[uid].lock())
          queue->on_read(index, Block::copy_of(log->records.at(index)), {});
      }
  }

  Broker* broker{nullptr};
  /// Set: other nodes know of these; they come with the next look.
  std::optional<std::vector<metadata::Command>> behind;
  int catch_ups{0};
  ManualClock clock;
  Prng prng{1};
  std::deque<std::function<void()>> waiting;
  std::map<metadata::QueueUid, std::unique_ptr<FakeLog>> logs;
  std::map<metadata::QueueUid, std::weak_ptr<Queue>> queues;
  std::vector<metadata::QueueUid> retired;
  std::size_t rows_written{0};
  std::uint64_t in_flight{0};
  bool turn_wanted{false};
  NullLogger null_log;
};

/// A method from the server with the content behind it.
struct Received {
  Frame frame;
  std::string props, body;
  amqp::MethodId id() const { return frame.id(); }
};

/// A client: its Session, and the socket's side of it.
class TestClient final : public SessionDriver {
 public:
  TestClient(Broker& broker, std::string_view user = "guest", const FieldTable& properties = {},
             amqp::ConnectionLimits limits = {}, std::string_view vhost = "/")
      : env_(broker.env()), session_(std::make_unique<Session>(broker, *this, peer(), limits)) {
    std::string response(1, '\0');
    response += user;
    response += '\0';
    response += "secret";
    const std::string pairs = properties.encode();
    amqp::ConnectionStartOk start;
    start.client_properties.pairs = pairs;
    start.mechanism = "PLAIN";
    start.response.text = response;
    start.locale = "en_US";
    amqp::ConnectionOpen open;
    open.virtual_host = vhost;
    send(std::string(amqp::kProtocolHeader) + amqp::encode_frame(0, start) +
         amqp::encode_frame(0, amqp::ConnectionTuneOk{2047, 131072, 0}) + amqp::encode_frame(0, open));
    handshake = receive();
  }
  static PeerInfo peer() {
    PeerInfo info;
    info.peer_host = "127.0.0.1";
    info.host = "127.0.0.1";
    info.loopback = true;
    return info;
  }

  void want_write() override { if (!stuck) written += amqp::test::take_output(connection().output()); }
  void want_read() override { read_wanted = true; }

  void send(std::string_view bytes) {
    kept += bytes;
    offer();
  }
  template <class Method>
  void send(std::uint16_t channel, const Method& method) {
    send(amqp::encode_frame(channel, method));
  }
  void offer() {
    while (!kept.empty() && !connection().finished()) {
      const std::size_t n = connection().on_bytes(kept, env_.steady_ms());
      kept.erase(0, n);
      if (n == 0 || connection().paused()) break;
    }
    if (connection().finished() || !connection().output().empty()) session_->touch();
  }
  /// What came since the last call; the output that nobody flushed yet is not looked at.
  std::vector<Received> receive() {
    written += amqp::test::take_output(connection().output());
    session_->on_output_drained();
    std::vector<Received> all;
    for (auto& frame : amqp::test::parse_frames(written)) {
      if (frame.type == amqp::kFrameMethod)
        all.push_back({std::move(frame), {}, {}});
      else if (frame.type == amqp::kFrameHeader)
        all.back().props = frame.payload.substr(12);
      else if (frame.type == amqp::kFrameBody)
        all.back().body += frame.payload;
    }
    written.clear();
    return all;
  }

  Session& session() { return *session_; }
  amqp::Connection& connection() { return session_->connection(); }
  void disconnect() { session_.reset(); }

  std::vector<Received> handshake;
  std::string written;
  std::string kept;
  bool read_wanted{false};
  bool stuck{false};  ///< the socket takes nothing

 private:
  BrokerEnv& env_;
  std::unique_ptr<Session> session_;
};

struct Pub {
  std::string exchange, key, body;
  bool mandatory{false};
  bool persistent{true};
  std::string reply_to, expiration;
  FieldTable headers;
};

class BrokerTest : public ::testing::Test {
 protected:
  BrokerTest() { start({}); }
  ~BrokerTest() override { clients_.clear(); }

  void start(BrokerOptions options) {
    clients_.clear();
    broker_.reset();
    env_.logs.clear();
    env_.queues.clear();
    env_.waiting.clear();
    broker_ = std::make_unique<Broker>(env_, std::move(options));
    env_.broker = broker_.get();
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    apply(vhost);
    add_user("guest", ".*", ".*", ".*");
  }
  void apply(const metadata::Command& command) {
    bool done = false;
    broker_->apply(command, [&](const Result<void>& result) {
      done = true;
      EXPECT_TRUE(result) << result.error().text;
    });
    sync();
    EXPECT_TRUE(done);
  }
  void add_user(const char* name, const char* configure, const char* write, const char* read) {
    metadata::PutUser user;
    user.def.name = name;
    user.def.hashing_algorithm = access::kDefaultHashing;
    user.def.password_hash =
        *access::hash_password(access::kDefaultHashing, "secret", [](auto salt) { salt[0] = 7; });
    apply(user);
    apply(metadata::PutPermission{{name, "/", configure, write, read}});
  }

  TestClient& connect(std::initializer_list<std::uint16_t> channels = {1},
                      std::string_view user = "guest", const FieldTable& properties = {}) {
    auto& client = *clients_.emplace_back(std::make_unique<TestClient>(*broker_, user, properties));
    EXPECT_EQ(client.connection().state(), amqp::ConnectionState::running);
    for (const auto number : channels) client.send(number, amqp::ChannelOpen{});
    turn();
    EXPECT_EQ(client.receive().size(), channels.size());
    return client;
  }

  /// The end of a loop turn, as often as one is asked for. Nothing becomes durable.
  void turn() {
    for (int i = 0; i < 100; ++i) {
      env_.turn_wanted = false;
      broker_->end_turn();
      for (auto& client : clients_)
        if (client->read_wanted) {
          client->read_wanted = false;
          if (!client->kept.empty() && !client->connection().paused()) client->offer();
        }
      if (!env_.turn_wanted) return;
    }
    FAIL() << "never comes to rest";
  }
  /// Everything written so far reaches the disc, and whoever waited for that hears of it.
  void sync() {
    for (int i = 0; i < 10; ++i) {
      turn();
      std::vector<metadata::QueueUid> uids;
      for (const auto& [uid, log] : env_.logs) uids.push_back(uid);
      for (const auto uid : uids) env_.sync_queue(uid);
      env_.sync_metadata();
      env_.answer_reads();
      turn();
      if (env_.waiting.empty() && !env_.unsynced()) return;
    }
  }
  void sync_queue(std::string_view name) {
    env_.sync_queue(uid(name));
    turn();
  }
  void advance(Millis by) {
    env_.clock.advance(by);
    broker_->on_time(env_.clock.steady_ms());
    sync();
  }
  metadata::QueueUid uid(std::string_view name) const {
    const auto* def = broker_->catalogue().find_queue("/", name);
    EXPECT_NE(def, nullptr) << name;
    return def == nullptr ? 0 : def->uid;
  }
  std::uint64_t ready(std::string_view name) const {
    auto queue = broker_->queue("/", name);
    EXPECT_NE(queue, nullptr) << name;
    return queue ? queue->stats().ready : 0;
  }
  std::uint64_t unacked(std::string_view name) const {
    auto queue = broker_->queue("/", name);
    return queue ? queue->stats().unacked : 0;
  }

  // ---- what clients say, each followed by its answer where one is waited for -----------------------

  /// Sends, brings everything to the disc, and gives the only answer.
  template <class Method>
  Received call(TestClient& client, std::uint16_t channel, const Method& method) {
    client.send(channel, method);
    sync();
    auto answers = client.receive();
    EXPECT_EQ(answers.size(), 1U);
    return answers.empty() ? Received{} : answers.front();
  }
  static std::string declare_frame(std::uint16_t channel, std::string_view name, bool durable = true,
                                   const FieldTable& arguments = {}, bool exclusive = false,
                                   bool no_wait = false, bool auto_delete = false) {
    const std::string pairs = arguments.encode();
    amqp::QueueDeclare method;
    method.queue = name;
    method.durable = durable;
    method.exclusive = exclusive;
    method.auto_delete = auto_delete;
    method.no_wait = no_wait;
    method.arguments.pairs = pairs;
    return amqp::encode_frame(channel, method);
  }
  void declare(TestClient& client, std::string_view name, bool durable = true,
               const FieldTable& arguments = {}) {
    client.send(declare_frame(1, name, durable, arguments));
    sync();
    const auto answers = client.receive();
    ASSERT_EQ(answers.size(), 1U);
    ASSERT_EQ(answers[0].id(), amqp::QueueDeclareOk::kId);
  }
  void declare_exchange(TestClient& client, std::string_view name, std::string_view type) {
    amqp::ExchangeDeclare method;
    method.exchange = name;
    method.type = type;
    ASSERT_EQ(call(client, 1, method).id(), amqp::ExchangeDeclareOk::kId);
  }
  void bind(TestClient& client, std::string_view queue, std::string_view exchange,
            std::string_view key) {
    amqp::QueueBind method;
    method.queue = queue;
    method.exchange = exchange;
    method.routing_key = key;
    ASSERT_EQ(call(client, 1, method).id(), amqp::QueueBindOk::kId);
  }
  void confirm_select(TestClient& client, std::uint16_t channel = 1) {
    ASSERT_EQ(call(client, channel, amqp::ConfirmSelect{}).id(), amqp::ConfirmSelectOk::kId);
  }
  static std::string publish_frame(std::uint16_t channel, const Pub& pub) {
    amqp::BasicPublish method;
    method.exchange = pub.exchange;
    method.routing_key = pub.key;
    method.mandatory = pub.mandatory;
    amqp::BasicProperties properties;
    properties.delivery_mode = pub.persistent ? 2 : 1;
    if (!pub.reply_to.empty()) properties.reply_to = pub.reply_to;
    if (!pub.expiration.empty()) properties.expiration = pub.expiration;
    if (!pub.headers.empty()) properties.headers = pub.headers;
    std::string payload;
    ByteWriter out(payload);
    out.u16(60);
    out.u16(0);
    out.u64(pub.body.size());
    out.bytes(amqp::encode_properties(properties));
    std::string bytes = amqp::encode_frame(channel, method);
    bytes += amqp::test::raw_frame(amqp::kFrameHeader, channel, payload);
    for (std::string_view body = pub.body; !body.empty();
         body.remove_prefix(std::min<std::size_t>(131'064, body.size())))
      bytes += body_frame(channel, body.substr(0, 131'064));
    return bytes;
  }
  void publish(TestClient& client, std::string_view queue, std::string_view body,
               std::uint16_t channel = 1) {
    client.send(publish_frame(channel, Pub{"", std::string(queue), std::string(body)}));
  }
  std::string consume(TestClient& client, std::string_view queue, std::string_view tag,
                      bool no_ack = false, std::uint16_t channel = 1) {
    amqp::BasicConsume method;
    method.queue = queue;
    method.consumer_tag = tag;
    method.no_ack = no_ack;
    client.send(channel, method);
    return std::string(tag);
  }
  void qos(TestClient& client, std::uint16_t count, bool global, std::uint16_t channel = 1) {
    amqp::BasicQos method;
    method.prefetch_count = count;
    method.global = global;
    client.send(channel, method);
  }
  static void ack(TestClient& client, std::uint64_t tag, bool multiple = false,
                  std::uint16_t channel = 1) {
    client.send(channel, amqp::BasicAck{tag, multiple});
  }

  /// The reply code of a channel.close or connection.close among what came; 0 = none.
  static std::uint16_t closed_with(const std::vector<Received>& received) {
    for (const auto& r : received) {
      if (r.id() == amqp::ChannelClose::kId) return r.frame.as<amqp::ChannelClose>().reply_code;
      if (r.id() == amqp::ConnectionClose::kId) return r.frame.as<amqp::ConnectionClose>().reply_code;
    }
    return 0;
  }
  /// Closes and reopens a channel that the server closed.
  void reopen(TestClient& client, std::uint16_t channel = 1) {
    client.send(channel, amqp::ChannelCloseOk{});
    ASSERT_EQ(call(client, channel, amqp::ChannelOpen{}).id(), amqp::ChannelOpenOk::kId);
  }

  struct Delivered {
    std::uint64_t tag;
    std::string consumer, body;
    bool redelivered;
    bool operator==(const Delivered&) const = default;
  };
  static std::vector<Delivered> deliveries(const std::vector<Received>& received) {
    std::vector<Delivered> all;
    for (const auto& r : received) {
      if (r.id() != amqp::BasicDeliver::kId) continue;
      const auto method = r.frame.as<amqp::BasicDeliver>();
      all.push_back({method.delivery_tag, std::string(method.consumer_tag), r.body, method.redelivered});
    }
    return all;
  }
  static std::vector<std::string> bodies(const std::vector<Received>& received) {
    std::vector<std::string> all;
    for (const auto& d : deliveries(received)) all.push_back(d.body);
    return all;
  }

  FakeEnv env_;
  std::unique_ptr<Broker> broker_;
  std::vector<std::unique_ptr<TestClient>> clients_;
};

/// What a publisher in confirm mode believes. Every number is to be settled once.
class ConfirmLedger {
 public:
  void sent(std::uint64_t seq) { open_[seq] = true; }
  /// Takes acks and nacks out of what came; gives the numbers settled by it, nacks negative.
  std::vector<std::int64_t> take(const std::vector<Received>& received) {
    std::vector<std::int64_t> settled;
    for (const auto& r : received) {
      if (r.id() == amqp::BasicAck::kId) {
        const auto method = r.frame.as<amqp::BasicAck>();
        settle(method.delivery_tag, method.multiple, +1, settled);
      } else if (r.id() == amqp::BasicNack::kId) {
        const auto method = r.frame.as<amqp::BasicNack>();
        settle(method.delivery_tag, method.multiple, -1, settled);
      }
    }
    return settled;
  }
  std::size_t open() const { return open_.size(); }

 private:
  void settle(std::uint64_t tag, bool multiple, int sign, std::vector<std::int64_t>& settled) {
    EXPECT_TRUE(multiple ? !open_.empty() && open_.begin()->first <= tag : open_.contains(tag))
        << "settled twice or never sent: " << tag;
    for (auto it = open_.begin(); it != open_.end() && it->first <= tag;) {
      if (!multiple && it->first != tag) {
        ++it;
        continue;
      }
      settled.push_back(sign * static_cast<std::int64_t>(it->first));
      it = open_.erase(it);
    }
  }

  std::map<std::uint64_t, bool> open_;
};

}  // namespace warren::broker::test
