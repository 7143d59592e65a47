// Control calls between nodes of one process, over loopback ports the system chooses.
#include "cluster/transport/peer_caller.h"

#include "cluster/transport/node_registry.h"
#include "tests/cluster/transport/peer_world.h"

namespace warren::transport {
namespace {

namespace json = boost::json;

class AnsweringHandler final : public Handler {
 public:
  void call(std::string method, json::object args, std::shared_ptr<CallSink> sink) override {
    ++calls;
    if (method == "echo") return sink->done(args);
    if (method == "who") return sink->done(json::value(sink->peer().node_name));
    if (method == "fail") return sink->fail(Errc::conflict, "the node is a member already");
    if (method == "rows") {
      for (int i = 0; i < 100; ++i) sink->row({{"i", i}});
      return sink->done(json::object{});
    }
    const std::lock_guard guard(lock);
    held.push_back(std::move(sink));  // "hang"
  }
  std::atomic<int> calls{0};
  std::mutex lock;
  std::vector<std::shared_ptr<CallSink>> held;
};

class PeerCallerTest : public ::testing::Test {
 protected:
  struct Server {
    Server(Handler& handler, const std::string& name, const std::string& secret,
           const std::string& registry, std::uint16_t at = 0)
        : server(handler, clock, log) {
      ControlServerOptions options;
      options.address = "127.0.0.1";
      options.port = at;
      options.cookies = {cookie_of(secret)};
      options.identity = identity(name);
      options.registry = {registry};
      const auto bound = server.start(options);
      EXPECT_TRUE(bound) << bound.error().text;
      port = bound ? *bound : 0;
      // As if another process held the lock: entries are found by name.
      auto published = NodeRegistration::publish({name, port, 0, 1, "", ""}, {registry});
      if (published) entry = std::move(*published);
    }
    ManualClock clock;
    MemoryLogger log;
    ControlServer server;
    NodeRegistration entry;
    std::uint16_t port{0};
  };

  void SetUp() override { make_caller(); }
  void make_caller(std::size_t answer_max = 64u << 20) {
    PeerCallerOptions options;
    options.self = identity("me@localhost");
    options.self.node_id = std::string(16, 'm');
    options.cookies = {cookie_of("CALLCALLCALL")};
    options.registry = {registry.path()};
    options.default_port = 1;
    options.answer_max_bytes = answer_max;
    caller = std::make_unique<PeerCaller>(
        options, [this](std::function<void()> work) { loop.post(std::move(work)); }, clock);
  }
  Result<CallAnswer> ask(const std::string& node, const std::string& method, json::object args = {},
                         Millis deadline = 10'000) {
    std::optional<Result<CallAnswer>> got;
    caller->call(node, method, std::move(args), deadline,
                 [&](Result<CallAnswer> answer) { got = std::move(answer); });
    EXPECT_TRUE(loop.turn([&] { return got.has_value(); }));
    return got ? *got : make_error(Errc::internal, "no callback");
  }

  TempDir registry;
  TestLoop loop;
  ManualClock clock;
  AnsweringHandler handler;
  std::unique_ptr<PeerCaller> caller;
};

TEST_F(PeerCallerTest, CallsByNameBringResultRowsAndErrors) {
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  const auto echoed = ask("one@localhost", "echo", {{"a", 1}});
  ASSERT_TRUE(echoed) << echoed.error().text;
  EXPECT_EQ(echoed->result.at("a"), 1);
  EXPECT_EQ(ask("one@localhost", "who")->result, json::value("me@localhost"));
  EXPECT_EQ(ask("one@localhost", "rows")->rows.size(), 100u);
  const auto failed = ask("one@localhost", "fail");
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Errc::conflict);
  EXPECT_EQ(failed.error().text, "the node is a member already");
  EXPECT_EQ(one.server.sessions().session_count(), 1u) << "one session for all";
}

TEST_F(PeerCallerTest, ManyAreAskedAtOnceAndADeadOneCostsOnlyItself) {
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  Server two(handler, "two@localhost", "OTHEROTHEROTHER", registry.path());
  std::vector<NodeAnswer> answers;
  caller->call_all({"one@localhost", "two@localhost", "gone@localhost", "x@no-such-host.invalid"},
                   "who", {}, 10'000,
                   [&](std::vector<NodeAnswer> all) { answers = std::move(all); });
  ASSERT_TRUE(loop.turn([&] { return !answers.empty(); }));
  ASSERT_EQ(answers.size(), 4u);
  EXPECT_TRUE(answers[0].answer) << answers[0].answer.error().text;
  EXPECT_EQ(answers[1].answer.error().code, Errc::unauthenticated);
  EXPECT_EQ(answers[2].answer.error().code, Errc::unavailable);
  EXPECT_NE(answers[2].answer.error().text.find("gone@localhost"), std::string::npos);
  EXPECT_EQ(answers[3].answer.error().code, Errc::not_found);
  EXPECT_NE(answers[3].answer.error().text.find("/etc/hosts"), std::string::npos);
}

TEST_F(PeerCallerTest, NamesThatNobodyCallsAnyMoreAreForgotten) {
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  for (int i = 0; i < 300; ++i) {
    clock.advance(1);
    ask("gone" + std::to_string(i) + "@localhost", "who");
    if (i % 100 == 0) {
      ASSERT_TRUE(ask("one@localhost", "who"));
    }
  }
  EXPECT_LE(caller->nodes(), 256u);
  EXPECT_TRUE(ask("one@localhost", "who"));
}

TEST_F(PeerCallerTest, ACallThatHangsEndsAtItsDeadline) {
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  const auto late = ask("one@localhost", "hang", {}, 60);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Errc::timeout);
  EXPECT_NE(late.error().text.find("one@localhost"), std::string::npos);
}

TEST_F(PeerCallerTest, ANodeThatWasRestartedElsewhereIsFoundAgain) {
  {
    Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
    ASSERT_TRUE(ask("one@localhost", "who"));
  }
  EXPECT_EQ(ask("one@localhost", "who").error().code, Errc::unavailable);
  Server again(handler, "one@localhost", "CALLCALLCALL", registry.path());
  const auto found = ask("one@localhost", "who");
  EXPECT_TRUE(found) << found.error().text;
}

TEST_F(PeerCallerTest, ASessionTheOtherSideForgotIsProvedAnew) {
  AnsweringHandler counting;
  std::uint16_t port = 0;
  {
    Server one(counting, "one@localhost", "CALLCALLCALL", registry.path());
    port = one.port;
    ASSERT_TRUE(ask("one@localhost", "who"));
  }
  // A new process at the same port: it knows no session.
  Server again(counting, "one@localhost", "CALLCALLCALL", registry.path(), port);
  if (again.port != port) GTEST_SKIP() << "the port was taken by somebody else";
  const auto found = ask("one@localhost", "who");
  EXPECT_TRUE(found) << found.error().text;
  EXPECT_EQ(counting.calls, 2);
}

TEST_F(PeerCallerTest, AnswersAreBounded) {
  make_caller(200);
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  EXPECT_EQ(ask("one@localhost", "rows").error().code, Errc::exhausted);
}

TEST_F(PeerCallerTest, AnotherNodeOfTheHostTellsWhereTheMeantOneIs) {
  // The caller's registry is empty: only `other` of that host knows where `one` is.
  TempDir theirs;
  Server other(handler, "other@localhost", "CALLCALLCALL", theirs.path());
  Server one(handler, "one@localhost", "CALLCALLCALL", theirs.path());
  caller->set_hint("one@localhost", "", other.port);
  EXPECT_TRUE(ask("one@localhost", "who"));
  caller->set_hint("missing@localhost", "", other.port);
  const auto missing = ask("missing@localhost", "who");
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().text.find("is node other@localhost, not missing@localhost"),
            std::string::npos)
      << missing.error().text;
  EXPECT_NE(other.log.lines().find("wanted=missing@localhost"), std::string::npos)
      << "the host that was reached says so as well";
}

TEST_F(PeerCallerTest, NothingIsCalledBackAfterStop) {
  Server one(handler, "one@localhost", "CALLCALLCALL", registry.path());
  bool called = false;
  caller->call("one@localhost", "who", {}, 10'000, [&](const Result<CallAnswer>&) { called = true; });
  caller->stop();
  loop.turn([] { return false; }, 0);
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace warren::transport
