#pragma once
// The surroundings of a whole broker for fuzzing: a disc that is memory, a clock that is a number,
// and a client's end of a connection that checks every frame it gets.

#include "node/amqp/codec.h"
#include "node/amqp/properties.h"
#include "node/broker/broker.h"
#include "node/broker/session.h"
#include "tests/fuzz/fuzz.h"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::fuzz {

/// A queue's log in memory. Durable when World::sync says so.
class MemoryLog final : public broker::QueueLog {
 public:
  broker::LogIndex append(std::string head, std::string_view tail, BlockRef) override {
    entries_[++last_] = head + std::string(tail);
    return last_;
  }
  broker::LogIndex append_lazy(std::string head) override {
    return append(std::move(head), {}, {});
  }
  void read(broker::LogIndex index) override { reads_.push_back(index); }
  void checkpoint(std::vector<std::pair<std::string, std::optional<std::string>>>,
                  broker::LogIndex covers, std::vector<broker::LogIndex> live) override {
    std::map<broker::LogIndex, std::string> kept;
    for (const auto index : live) {
      FUZZ_CHECK(index <= covers && entries_.contains(index));
      kept[index] = entries_[index];
    }
    for (auto& [index, bytes] : entries_)
      if (index > covers) kept[index] = bytes;
    entries_ = std::move(kept);
  }

  void attach(std::weak_ptr<broker::Queue> queue) { queue_ = std::move(queue); }
  void sync() {
    const auto queue = queue_.lock();
    if (!queue) return;
    if (last_ > told_) queue->on_durable(told_ = last_);
    std::vector<broker::LogIndex> reads;
    reads.swap(reads_);
    for (const auto index : reads) {
      FUZZ_CHECK(entries_.contains(index));
      queue->on_read(index, Block::copy_of(entries_[index]), {});
    }
  }

 private:
  std::weak_ptr<broker::Queue> queue_;
  std::map<broker::LogIndex, std::string> entries_;
  std::vector<broker::LogIndex> reads_;
  broker::LogIndex last_{0}, told_{0};
};

class World final : public broker::BrokerEnv {
 public:
  Millis wall_ms() const override { return 1'700'000'000'000 + now; }
  Millis steady_ms() const override { return now; }
  void random(std::span<char> into) override {
    for (char& c : into) c = static_cast<char>(++counter_ * 37);
  }
  void propose(std::vector<metadata::Command> commands,
               std::function<void(std::vector<Result<void>>)> done) override {
    waiting_.push_back([this, commands = std::move(commands), done = std::move(done)] {
      std::vector<Result<void>> results;
      for (const auto& command : commands) {
        auto applied = results.empty() || results.back() ? broker->commit(command, true)
                                                         : Result<metadata::Applied>{results.back().error()};
        results.push_back(applied ? Result<void>{} : Result<void>{applied.error()});
      }
      done(std::move(results));
    });
  }
  void when_durable(std::function<void()> done) override {
    if (waiting_.empty()) return done();
    waiting_.push_back(std::move(done));
  }
  broker::QueueLog* open_log(metadata::QueueUid uid) override {
    return (logs_[uid] = std::make_shared<MemoryLog>()).get();
  }
  void attach_queue(metadata::QueueUid uid, std::shared_ptr<broker::Queue> queue) override {
    logs_[uid]->attach(queue);
    queue->recovered();
  }
  void close_log(metadata::QueueUid uid, bool) override {
    closed_.push_back(logs_[uid]);  // the queue may still name it
    logs_.erase(uid);
  }
  std::uint64_t log_bytes_in_flight() const override { return in_flight; }
  void want_turn() override {}
  Logger& log() override { return logger_; }

  /// Everything written so far is on disc.
  void sync() {
    auto logs = logs_;
    for (auto& [uid, log] : logs) log->sync();
    std::deque<std::function<void()>> done;
    done.swap(waiting_);
    for (auto& each : done) each();
  }

  broker::Broker* broker{nullptr};
  Millis now{1000};
  std::uint64_t in_flight{0};

 private:
  NullLogger logger_;
  std::uint8_t counter_{0};
  std::deque<std::function<void()>> waiting_;
  std::map<metadata::QueueUid, std::shared_ptr<MemoryLog>> logs_;
  std::vector<std::shared_ptr<MemoryLog>> closed_;
};

/// A connected client: bytes to send, and checks on what comes back.
class Client final : public broker::SessionDriver {
 public:
  Client(broker::Broker& broker, World& world) : world_(world) {
    broker::PeerInfo peer;
    peer.peer_host = peer.host = "127.0.0.1";
    peer.loopback = true;
    amqp::ConnectionLimits limits;
    limits.inbox_bytes = 4000;
    session_ = std::make_unique<broker::Session>(broker, *this, peer, limits);
    out.assign("AMQP\0\0\x09\x01", 8);
    amqp::ConnectionStartOk start;
    FieldTable capabilities, properties;
    for (const char* name : {"basic.nack", "consumer_cancel_notify", "connection.blocked",
                             "authentication_failure_close"})
      capabilities.set(name, true);
    properties.set("capabilities", capabilities);
    const std::string encoded = properties.encode();
    start.client_properties.pairs = encoded;
    start.mechanism = "ANONYMOUS";
    start.locale = "en_US";
    amqp::append_frame(out, 0, start);
    amqp::ConnectionTuneOk tune;
    tune.channel_max = 4;
    tune.frame_max = 4096;
    amqp::append_frame(out, 0, tune);
    amqp::ConnectionOpen open;
    open.virtual_host = "/";
    amqp::append_frame(out, 0, open);
    for (std::uint16_t channel = 1; channel <= 2; ++channel)
      amqp::append_frame(out, channel, amqp::ChannelOpen{});
  }

  void want_write() override {}
  void want_read() override {}

  broker::Session& session() { return *session_; }
  bool over() const { return session_->connection().finished(); }

  /// Offers what there is to send; bounded, since a paused connection takes nothing.
  void send() {
    for (int tries = 0; tries < 64 && !out.empty() && !over(); ++tries) {
      const std::size_t n = session_->connection().on_bytes(out, world_.now);
      FUZZ_CHECK(n <= out.size());
      out.erase(0, n);
      if (n == 0 || session_->connection().paused()) break;
    }
  }

  void receive() {
    auto& output = session_->connection().output();
    std::array<std::string_view, 8> pieces;
    while (!output.empty()) {
      const std::size_t n = output.gather(pieces);
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < n; ++i) {
        in_.append(pieces[i]);
        bytes += pieces[i].size();
      }
      FUZZ_CHECK(bytes > 0 && bytes <= output.size());
      output.consume(bytes);
    }
    session_->on_output_drained();
    std::string_view left = in_;
    while (left.size() >= amqp::kFrameHeaderBytes && !left.starts_with("AMQP")) {
      const auto size = load_be<std::uint32_t>(left.data() + 3);
      FUZZ_CHECK(size + 8 <= 4096 || load_be<std::uint16_t>(left.data() + 1) == 0);
      if (left.size() < size + 8) break;
      FUZZ_CHECK(static_cast<std::uint8_t>(left[size + 7]) == amqp::kFrameEnd);
      frame(static_cast<std::uint8_t>(left[0]), load_be<std::uint16_t>(left.data() + 1),
            left.substr(7, size));
      left.remove_prefix(size + 8);
    }
    in_.erase(0, in_.size() - left.size());
    if (!over()) FUZZ_CHECK(in_.empty() || in_.starts_with("AMQP"));
  }

  std::string out;

 private:
  struct Channel {
    std::uint64_t last_tag{0};
    bool content{false};       // a header must follow
    std::uint64_t body_left{0};
  };

  void frame(std::uint8_t type, std::uint16_t number, std::string_view payload) {
    Channel& channel = channels_[number];
    if (type == 8) return;
    if (type == 2) {
      FUZZ_CHECK(channel.content && payload.size() >= 14);
      channel.content = false;
      channel.body_left = load_be<std::uint64_t>(payload.data() + 4);
      amqp::PropertiesScan scan;
      FUZZ_CHECK(amqp::scan_properties(payload.substr(12), scan));
      FUZZ_CHECK(!scan.has_bcc);
      return;
    }
    if (type == 3) {
      FUZZ_CHECK(payload.size() <= channel.body_left && !payload.empty());
      channel.body_left -= payload.size();
      return;
    }
    FUZZ_CHECK(type == 1 && payload.size() >= 4);
    FUZZ_CHECK(!channel.content && channel.body_left == 0);
    method(channel, load_be<std::uint32_t>(payload.data()), payload.substr(4));
  }

  void method(Channel& channel, amqp::MethodId id, std::string_view arguments) {
    if (id == amqp::ChannelOpenOk::kId) channel = {};
    if (id == amqp::BasicReturn::kId) channel.content = true;
    if (id == amqp::BasicDeliver::kId) {
      amqp::BasicDeliver deliver;
      FUZZ_CHECK(amqp::decode(arguments, deliver));
      FUZZ_CHECK(deliver.delivery_tag > channel.last_tag);
      channel.last_tag = deliver.delivery_tag;
      channel.content = true;
    }
    if (id == amqp::BasicGetOk::kId) {
      amqp::BasicGetOk got;
      FUZZ_CHECK(amqp::decode(arguments, got));
      FUZZ_CHECK(got.delivery_tag > channel.last_tag);
      channel.last_tag = got.delivery_tag;
      channel.content = true;
    }
  }

  World& world_;
  std::unique_ptr<broker::Session> session_;
  std::string in_;
  std::map<std::uint16_t, Channel> channels_;
};

}  // namespace warren::fuzz
