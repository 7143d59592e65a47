#include "cluster/transport/cookie_rotation.h"

#include <boost/json.hpp>

#include "cluster/transport/control_client.h"
#include "tests/cluster/transport/peer_world.h"

namespace warren::transport {
namespace {

class CookieRotation : public ::testing::Test {
 protected:
  void SetUp() override {
    CookieSearch search;
    search.files = {home.write(".erlang.cookie", "OLDOLDOLDOLD", 0400)};
    cookies = {*find_cookie(search)};
  }
  void put_next(const std::string& secret, unsigned mode = 0400) {
    std::filesystem::remove(home.path(".erlang.cookie.next"));
    home.write(".erlang.cookie.next", secret, mode);
  }
  Result<> step(const std::string& name) {
    const Result<RotationStep> taken = rotate_cookie(cookies, name);
    if (!taken) return taken.error();
    cookies = taken->cookies;
    message = taken->message;
    EXPECT_EQ(message.find("OLDOLD"), std::string::npos);
    EXPECT_EQ(message.find("NEWNEW"), std::string::npos);
    return {};
  }

  TempDir home;
  std::vector<Cookie> cookies;
  std::string message;
};

TEST_F(CookieRotation, StagesCommitsAndRetires) {
  EXPECT_EQ(step("stage").error().code, Errc::not_found);
  put_next("NEWNEWNEWNEW");
  ASSERT_TRUE(step("stage"));
  ASSERT_EQ(cookies.size(), 2u);
  EXPECT_EQ(cookies[0].secret, "OLDOLDOLDOLD");
  EXPECT_EQ(cookies[1].secret, "NEWNEWNEWNEW");
  EXPECT_EQ(step("retire").error().code, Errc::conflict) << "not committed";
  ASSERT_TRUE(step("commit"));
  EXPECT_EQ(cookies[0].secret, "NEWNEWNEWNEW");
  EXPECT_EQ(cookies[1].secret, "OLDOLDOLDOLD");
  EXPECT_FALSE(std::filesystem::exists(home.path(".erlang.cookie.next")));
  CookieSearch search;
  search.files = {home.path(".erlang.cookie")};
  EXPECT_EQ(find_cookie(search)->secret, "NEWNEWNEWNEW");
  ASSERT_TRUE(step("commit")) << "again changes nothing";
  put_next("THIRDTHIRD");
  EXPECT_EQ(step("stage").error().code, Errc::conflict) << "one at a time";
  ASSERT_TRUE(step("retire"));
  ASSERT_EQ(cookies.size(), 1u);
  EXPECT_EQ(cookies[0].secret, "NEWNEWNEWNEW");
  EXPECT_TRUE(step("stage"));
}

TEST_F(CookieRotation, RefusesWhatCouldNotBeUsed) {
  EXPECT_EQ(step("commit").error().code, Errc::conflict) << "nothing staged";
  EXPECT_EQ(step("sideways").error().code, Errc::invalid_argument);
  put_next("NEWNEWNEWNEW", 0644);
  EXPECT_EQ(step("stage").error().code, Errc::permission_denied);
  put_next("OLDOLDOLDOLD");
  EXPECT_EQ(step("stage").error().code, Errc::invalid_argument) << "the same";
  put_next("NEWNEWNEWNEW");
  ASSERT_TRUE(step("stage"));
  put_next("OTHEROTHER");
  EXPECT_EQ(step("commit").error().code, Errc::conflict) << "changed after it was staged";
  cookies = {cookie_of("FROMOPTION")};
  EXPECT_EQ(step("stage").error().code, Errc::conflict) << "not from a file";
  EXPECT_TRUE(step("")) << "how things stand may always be asked";
}

TEST_F(CookieRotation, AStagedCookieSurvivesARestartByItsFile) {
  EXPECT_EQ(with_staged(cookies).size(), 1u);
  put_next("NEWNEWNEWNEW");
  EXPECT_EQ(with_staged(cookies).size(), 2u);
  put_next("NEWNEWNEWNEW", 0666);
  const auto left_out = with_staged(cookies);
  EXPECT_EQ(left_out.size(), 1u);
  EXPECT_NE(left_out[0].warning.find("staged"), std::string::npos);
}

TEST_F(CookieRotation, ARunningServerTakesTheStepsWithoutAPause) {
  SilentHandler handler;
  ManualClock clock;
  MemoryLogger log;
  ControlServer server(handler, clock, log);
  ControlServerOptions options;
  options.address = "127.0.0.1";
  options.cookies = cookies;
  options.identity = identity("s@localhost");
  options.registry = {home.path()};
  std::size_t told = 0;
  options.on_cookies = [&](const std::vector<Cookie>& now) { told = now.size(); };
  const auto port = server.start(options);
  ASSERT_TRUE(port) << port.error().text;
  const auto enters = [&](const std::string& secret) {
    return ControlClient::connect({"127.0.0.1", *port, ""}, cookie_of(secret), identity("c@h", "ctl"), 10'000);
  };
  auto client = enters("OLDOLDOLDOLD");
  ASSERT_TRUE(client) << client.error().text;
  const auto take = [&](const char* name) {
    const auto done = (*client)->call("rotate_cookie", {{name, true}}, {}, 10'000);
    EXPECT_TRUE(done) << done.error().text;
  };
  EXPECT_FALSE(enters("NEWNEWNEWNEW"));
  put_next("NEWNEWNEWNEW");
  take("stage");
  EXPECT_EQ(told, 2u);
  EXPECT_TRUE(enters("OLDOLDOLDOLD") && enters("NEWNEWNEWNEW"));
  take("commit");
  EXPECT_TRUE(enters("OLDOLDOLDOLD") && enters("NEWNEWNEWNEW"));
  take("retire");
  EXPECT_EQ(told, 1u);
  EXPECT_TRUE(enters("NEWNEWNEWNEW"));
  EXPECT_FALSE(enters("OLDOLDOLDOLD"));
}

}  // namespace
}  // namespace warren::transport
