// The connection's state machine: arbitrary bytes in arbitrary pieces, with handlers that are
// sometimes busy, sometimes fail and sometimes shut the publish gate. Checks the promises that
// connection.h makes to handlers and driver.

#include "node/amqp/codec.h"
#include "node/amqp/connection.h"
#include "node/amqp/properties.h"
#include "tests/fuzz/fuzz.h"

#include <array>
#include <set>

using namespace warren;
using namespace warren::amqp;

namespace {

/// What the handlers do next is read from the input too.
struct World {
  Input choices;
  Connection* connection{nullptr};
  PublishGate gate{PublishGate::open};
  std::set<std::uint16_t> busy;
  std::size_t open_channels{0};
};

class Channel final : public ChannelHandler {
 public:
  Channel(World& world, std::uint16_t number) : world_(world), number_(number) {
    ++world_.open_channels;
  }
  void on_method(MethodId id, std::string_view) override {
    begin();
    FUZZ_CHECK(id != BasicPublish::kId);
    FUZZ_CHECK(!in_content_);
    react();
  }
  void on_publish(std::string_view) override {
    begin();
    FUZZ_CHECK(!in_content_);
    FUZZ_CHECK(world_.gate == PublishGate::open);
    in_content_ = expect_header_ = true;
  }
  void on_content_header(std::uint64_t body_size, std::string_view props) override {
    begin();
    FUZZ_CHECK(in_content_ && expect_header_);
    expect_header_ = false;
    left_ = body_size;
    PropertiesScan scan;
    (void)scan_properties(props, scan);
    if (left_ == 0) in_content_ = false;
  }
  void on_content_body(std::string_view bytes) override {
    begin();
    FUZZ_CHECK(in_content_ && !expect_header_);
    FUZZ_CHECK(bytes.size() <= left_);
    left_ -= bytes.size();
    if (left_ == 0) in_content_ = false;
  }
  bool busy() const override { return world_.busy.contains(number_); }
  void on_turn_end() override { FUZZ_CHECK(!closed_); }
  void on_closed() override {
    FUZZ_CHECK(!closed_);
    closed_ = true;
    --world_.open_channels;
    world_.busy.erase(number_);
  }

 private:
  void begin() const {
    FUZZ_CHECK(!closed_);
    FUZZ_CHECK(!busy());
  }
  void react() {
    switch (world_.choices.below(8)) {
      case 1: world_.busy.insert(number_); break;
      case 2:
        world_.connection->channel_error(number_, {ReplyCode::not_found, "no such thing"});
        break;
      case 3: world_.connection->close({ReplyCode::internal_error, "enough"}); break;
      default: break;
    }
  }

  World& world_;
  std::uint16_t number_;
  std::uint64_t left_{0};
  bool in_content_{false};
  bool expect_header_{false};
  bool closed_{false};
};

class Broker final : public ConnectionHandler {
 public:
  explicit Broker(World& world) : world_(world) {}
  FieldTable server_properties() override {
    FieldTable t;
    t.set("product", "x");
    return t;
  }
  std::string mechanisms() override { return "PLAIN AMQPLAIN"; }
  Login login(std::string_view mechanism, std::string_view, const FieldTable&) override {
    Login login;
    login.outcome = mechanism == "PLAIN"
                        ? Login::Outcome::ok
                        : static_cast<Login::Outcome>(1 + world_.choices.below(3));
    return login;
  }
  std::optional<AmqpError> open_vhost(std::string_view vhost) override {
    if (vhost == "/") return std::nullopt;
    return AmqpError{ReplyCode::not_allowed, "no such vhost"};
  }
  std::optional<AmqpError> update_secret(std::string_view) override { return std::nullopt; }
  std::optional<AmqpError> open_channel(std::uint16_t number,
                                        std::unique_ptr<ChannelHandler>& handler) override {
    if (number > 50) return AmqpError{ReplyCode::not_allowed, "limit"};
    handler = std::make_unique<Channel>(world_, number);
    return std::nullopt;
  }
  PublishGate publish_gate() override { return world_.gate; }
  bool on_closing(const std::string&) override {
    FUZZ_CHECK(world_.open_channels == 0);
    return true;
  }
  void on_refused(const std::string&) override {}

 private:
  World& world_;
};

/// What a client sends until its first channel is open.
std::string handshake() {
  std::string bytes("AMQP\0\0\x09\x01", 8);
  ConnectionStartOk start;
  start.mechanism = "PLAIN";
  start.response.text = std::string_view("\0guest\0guest", 12);
  start.locale = "en_US";
  append_frame(bytes, 0, start);
  ConnectionTuneOk tune;
  tune.channel_max = 100;
  tune.frame_max = 4096;
  append_frame(bytes, 0, tune);
  ConnectionOpen open;
  open.virtual_host = "/";
  append_frame(bytes, 0, open);
  append_frame(bytes, 1, ChannelOpen{});
  return bytes;
}

void drain(Connection& connection) {
  std::array<std::string_view, 8> pieces;
  while (!connection.output().empty()) {
    const std::size_t n = connection.output().gather(pieces);
    FUZZ_CHECK(n > 0);
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < n; ++i) bytes += pieces[i].size();
    FUZZ_CHECK(bytes > 0 && bytes <= connection.output().size());
    connection.output().consume(bytes);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto mode = in.byte();
  World world{Input(data, 0)};
  const std::string_view script = in.take(in.below(32));
  world.choices = Input(reinterpret_cast<const std::uint8_t*>(script.data()), script.size());
  Broker broker(world);
  ConnectionLimits limits;
  limits.inbox_bytes = 2000;
  limits.body_max = 100'000;
  Millis now = 1000;
  std::string stream = (mode & 1) != 0 ? handshake() : std::string();
  stream += in.rest();
  {
    Connection connection(broker, limits, now);
    world.connection = &connection;
    const std::size_t step = (mode & 2) != 0 ? 1 + (mode >> 3) : stream.size() + 1;
    std::size_t taken = 0, offered = 0;
    int idle = 0;
    while (taken < stream.size() && !connection.finished() && idle < 4) {
      offered = std::max(offered, std::min(stream.size(), taken + step));
      const std::size_t n =
          connection.on_bytes(std::string_view(stream).substr(taken, offered - taken), now);
      FUZZ_CHECK(n <= offered - taken);
      taken += n;
      drain(connection);
      idle = n == 0 && offered == stream.size() ? idle + 1 : 0;
      if (n == 0) offered = std::min(stream.size(), offered + step);
      // Whatever holds the connection up goes away in the end.
      if (world.choices.below(4) == 1) world.gate = PublishGate::alarm;
      if (n == 0 && world.gate != PublishGate::open) {
        world.gate = PublishGate::open;
        connection.gate_changed();
      }
      if (n == 0 && !world.busy.empty()) {
        const auto number = *world.busy.begin();
        world.busy.erase(number);
        connection.channel_ready(number);
      }
      if ((mode & 4) != 0) connection.on_tick(now += 400);
    }
    connection.on_tick(now += 100'000);
    drain(connection);
    connection.on_disconnected("end of input");
  }
  FUZZ_CHECK(world.open_channels == 0);
  return 0;
}
