// Real gRPC on a loopback port the system chooses.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <condition_variable>
#include <thread>

#include "cluster/transport/control_client.h"
#include "cluster/transport/control_server.h"
#include "tests/cluster/transport/support.h"

namespace warren::transport {
namespace {

namespace json = boost::json;

constexpr char kSecret[] = "RIGHTRIGHTRIGHTRIGHT";

/// Answers a few methods; `hang` keeps its sink until the test lets go of it.
class FakeHandler final : public Handler {
 public:
  void call(std::string method, json::object args, std::shared_ptr<CallSink> sink) override {
    if (method == "echo") return sink->done(args);
    if (method == "fail") return sink->fail(Errc::already_exists, "User \"u\" already exists");
    if (method == "drop") return;
    if (method == "who") return sink->done(json::value(sink->peer().node_name));
    if (method == "rows") {
      for (std::int64_t i = 0; i < args.at("count").as_int64(); ++i) {
        if (!sink->row({{"name", "q" + std::to_string(i)}, {"messages", i}, {"other", "x"}})) break;
      }
      return sink->done(json::object{});
    }
    if (method == "big") return sink->done(json::value(std::string(3'000'000, 'b')));
    if (method == "hang") {
      const std::lock_guard guard(lock_);
      held_ = std::move(sink);
      came_.notify_all();
      return;
    }
    sink->fail(Errc::unsupported, "unknown method " + method);
  }

  std::shared_ptr<CallSink> held() {
    std::unique_lock guard(lock_);
    came_.wait(guard, [this] { return held_ != nullptr; });
    return std::move(held_);
  }

 private:
  std::mutex lock_;
  std::condition_variable came_;
  std::shared_ptr<CallSink> held_;
};

class ControlTest : public ::testing::Test {
 protected:
  void SetUp() override { start({}); }

  void start(ControlServerOptions options) {
    options.address = "127.0.0.1";
    options.cookies = {cookie_of(kSecret)};
    options.identity = identity("rabbit@here");
    server_ = std::make_unique<ControlServer>(handler_, clock_, log_);
    const auto port = server_->start(options);
    ASSERT_TRUE(port) << port.error().text;
    port_ = *port;
  }

  Result<std::unique_ptr<ControlClient>> connect(const std::string& secret = kSecret,
                                                 const std::string& expected = "rabbit@here") {
    return ControlClient::connect({"127.0.0.1", port_, expected}, cookie_of(secret),
                                  identity("ctl-1@here", "ctl"), 10'000);
  }

  FakeHandler handler_;
  ManualClock clock_;
  MemoryLogger log_;
  std::unique_ptr<ControlServer> server_;
  std::uint16_t port_{0};
};

TEST_F(ControlTest, CallsAreAnswered) {
  const auto client = connect();
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_EQ((*client)->server().node_name, "rabbit@here");
  const auto echoed = (*client)->call("echo", {{"vhost", "/"}, {"bytes", "\xff\xfe"}}, {}, 5'000);
  ASSERT_TRUE(echoed) << echoed.error().text;
  EXPECT_EQ(echoed->at("vhost"), "/");
  EXPECT_EQ(echoed->at("bytes").as_string(), "\xff\xfe") << "names need not be UTF-8";
  EXPECT_EQ(*(*client)->call("who", {}, {}, 5'000), json::value("ctl-1@here"));
}

TEST_F(ControlTest, ErrorsKeepTheirCodeAndText) {
  const auto client = connect();
  const auto failed = (*client)->call("fail", {}, {}, 5'000);
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::already_exists);
  EXPECT_EQ(failed.error().text, "User \"u\" already exists");
  EXPECT_EQ((*client)->call("drop", {}, {}, 5'000).error().code, Errc::internal);
  EXPECT_EQ((*client)->call("nonsense", {}, {}, 5'000).error().code, Errc::unsupported);
}

TEST_F(ControlTest, RowsComeInOrderAndOnlyWithTheColumnsAsked) {
  const auto client = connect();
  std::vector<json::object> rows;
  const auto done = (*client)->call(
      "rows", {{"count", 20'000}, {"columns", {"name", "messages"}}},
      [&](json::object row) { rows.push_back(std::move(row)); }, 30'000);
  ASSERT_TRUE(done) << done.error().text;
  ASSERT_EQ(rows.size(), 20'000u);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i], (json::object{{"name", "q" + std::to_string(i)}, {"messages", i}}));
  }
}

TEST_F(ControlTest, LargeResultsArriveWhole) {
  const auto client = connect();
  const auto big = (*client)->call("big", {}, {}, 10'000);
  ASSERT_TRUE(big) << big.error().text;
  EXPECT_EQ(big->as_string().size(), 3'000'000u);
}

TEST_F(ControlTest, AWrongCookieFailsOnBothSidesWithBothFingerprints) {
  const auto client = connect("WRONGWRONGWRONGWRONG");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Errc::unauthenticated);
  for (const char* secret : {kSecret, "WRONGWRONGWRONGWRONG"}) {
    const std::string print = cookie_of(secret).fingerprint();
    EXPECT_NE(client.error().text.find(print), std::string::npos);
    EXPECT_NE(log_.lines().find(print), std::string::npos);
    EXPECT_EQ(client.error().text.find(secret), std::string::npos);
  }
  EXPECT_NE(log_.lines().find("disallowed node: peer=ctl-1@here"), std::string::npos);
}

TEST_F(ControlTest, AnotherNodeAtThePortIsNotedOnlyAfterTheProof) {
  const auto client = connect(kSecret, "rabbit@there");
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().code, Errc::conflict);
  EXPECT_NE(client.error().text.find("is node rabbit@here, not rabbit@there"), std::string::npos);
}

TEST_F(ControlTest, ADeadlineEndsTheCallAndTellsTheHandler) {
  const auto client = connect();
  const auto late = (*client)->call("hang", {}, {}, 50);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);
  const auto sink = handler_.held();
  EXPECT_EQ(sink->deadline_ms(), 50);
  while (!sink->closed()) std::this_thread::yield();
  EXPECT_FALSE(sink->row({}));
}

TEST_F(ControlTest, AnswersMayComeFromAnotherThreadLater) {
  const auto client = connect();
  std::thread later([this] {
    const auto sink = handler_.held();
    sink->row({{"a", 1}});
    sink->done(json::value("late"));
  });
  int rows = 0;
  const auto answer = (*client)->call(
      "hang", {}, [&](const json::object&) { ++rows; }, 10'000);
  later.join();
  ASSERT_TRUE(answer) << answer.error().text;
  EXPECT_EQ(rows, 1);
}

TEST_F(ControlTest, StopEndsCallsUnderWay) {
  const auto client = connect();
  std::thread stopper([this] {
    const auto sink = handler_.held();
    server_->stop(0);
    sink->done(json::object{});  // must be harmless
  });
  const auto answer = (*client)->call("hang", {}, {}, 10'000);
  stopper.join();
  ASSERT_FALSE(answer);
}

TEST_F(ControlTest, OversizeRequestsAreRefusedAndTheServerLives) {
  start([] {
    ControlServerOptions options;
    options.message_max_bytes = 100'000;
    return options;
  }());
  const auto client = connect();
  const auto big = (*client)->call("echo", {{"x", std::string(200'000, 'x')}}, {}, 5'000);
  ASSERT_FALSE(big);
  EXPECT_EQ(big.error().code, Errc::exhausted);
  EXPECT_TRUE((*client)->call("echo", {}, {}, 5'000));
}

TEST_F(ControlTest, AFullBacklogFailsTheCallInsteadOfGrowing) {
  start([] {
    ControlServerOptions options;
    options.call_backlog_max_bytes = 1'000;
    return options;
  }());
  const auto client = connect();
  const auto rows = (*client)->call("rows", {{"count", 1'000'000}}, {}, 20'000);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Errc::exhausted);
}

TEST_F(ControlTest, TooManyFailuresAreNotHeardAnyMore) {
  for (int i = 0; i < 10; ++i) EXPECT_EQ(connect("WRONG").error().code, Errc::unauthenticated);
  EXPECT_EQ(connect().error().code, Errc::exhausted);
  clock_.advance(500);
  EXPECT_TRUE(connect());
}

TEST_F(ControlTest, TwoServersCannotShareAPort) {
  ControlServerOptions options;
  options.address = "127.0.0.1";
  options.port = port_;
  options.cookies = {cookie_of(kSecret)};
  options.identity = identity("rabbit@second");
  ControlServer second(handler_, clock_, log_);
  const auto port = second.start(options);
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().code, Errc::io);
  EXPECT_NE(port.error().text.find(std::to_string(port_)), std::string::npos);
}

TEST_F(ControlTest, NobodyListeningAndUnknownHostsAreToldApart) {
  server_->stop(0);
  EXPECT_EQ(connect().error().code, Errc::unavailable);
  const auto nowhere = ControlClient::connect({"no-such-host.invalid", 1, ""}, cookie_of(kSecret),
                                              identity("c", "ctl"), 5'000);
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().code, Errc::not_found);
  EXPECT_NE(nowhere.error().text.find("no-such-host.invalid"), std::string::npos);
}

/// Garbage on the port must not hurt anybody else.
TEST_F(ControlTest, GarbageBytesAreDropped) {
  for (const std::string& junk :
       {std::string("AMQP\0\0\x09\x01", 8), std::string("GET / HTTP/1.1\r\n\r\n"),
        std::string(5'000, '\xff'),
        std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff")}) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(port_);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    ASSERT_EQ(::send(fd, junk.data(), junk.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(junk.size()));
    ::close(fd);
  }
  const auto client = connect();
  ASSERT_TRUE(client) << client.error().text;
  EXPECT_TRUE((*client)->call("echo", {}, {}, 5'000));
}

}  // namespace
}  // namespace warren::transport
