// cluster_doctor against real servers on loopback ports the system chooses.
#include "cluster/transport/control_client.h"
#include "cluster/transport/node_registry.h"
#include "tests/cluster/transport/peer_world.h"

namespace warren::transport {
namespace {

namespace json = boost::json;

class DoctorTest : public ::testing::Test {
 protected:
  struct Node {
    Node(const std::string& name, const Cookie& cookie, const std::string& registry,
         const std::string& cluster = {}, Millis clock_off = 0, std::uint32_t version = 1)
        : name(name), cookie(cookie), server(handler, clock, log) {
      ControlServerOptions options;
      options.address = "127.0.0.1";
      options.cookies = {cookie};
      options.identity = identity(name);
      options.identity.cluster_id = cluster;
      options.identity.version_min = options.identity.version_max = version;
      options.registry = {registry};
      options.default_port = 1;
      clock.jump_wall(std::chrono::duration_cast<std::chrono::milliseconds>(
                          std::chrono::system_clock::now().time_since_epoch())
                          .count() -
                      clock.wall_ms() + clock_off);
      const auto bound = server.start(options);
      EXPECT_TRUE(bound) << bound.error().text;
      port = *bound;
      auto published = NodeRegistration::publish({name, port, 0, 1, "", ""}, {registry});
      if (published) entry = std::move(*published);
    }
    std::string name;
    Cookie cookie;
    SilentHandler handler;
    ManualClock clock;
    MemoryLogger log;
    ControlServer server;
    NodeRegistration entry;
    std::uint16_t port{0};
  };

  /// "check status" of each line, and all texts.
  std::map<std::string, std::string> examine(Node& node, const std::string& other) {
    texts.clear();
    auto client = ControlClient::connect({"127.0.0.1", node.port, node.name}, node.cookie,
                                         identity("ctl@here", "ctl"), 10'000);
    EXPECT_TRUE(client) << client.error().text;
    json::object args;
    if (!other.empty()) args["node"] = other;
    const auto report = (*client)->call("cluster_doctor", args, {}, 20'000);
    EXPECT_TRUE(report) << report.error().text;
    std::map<std::string, std::string> statuses;
    ok = report->at("ok").as_bool();
    for (const json::value& line : report->at("checks").as_array()) {
      statuses[std::string(line.at("check").as_string())] = line.at("status").as_string();
      texts[std::string(line.at("check").as_string())] = line.at("text").as_string();
    }
    return statuses;
  }

  TempDir registry;
  std::map<std::string, std::string> texts;
  bool ok{false};
  Cookie cookie = cookie_of("DOCTORDOCTOR");
};

TEST_F(DoctorTest, TwoHealthyNodesPassEverythingFromBothSides) {
  Node a("a@localhost", cookie, registry.path()), b("b@localhost", cookie, registry.path());
  const auto statuses = examine(a, "b@localhost");
  EXPECT_TRUE(ok);
  for (const char* check :
       {"own cookie", "own name", "name", "port", "node", "cookie", "versions", "cluster", "clocks", "reverse"})
    EXPECT_EQ(statuses.at(check), "ok") << check << ": " << texts[check];
  EXPECT_NE(texts["reverse"].find("b@localhost reaches a@localhost"), std::string::npos);
}

TEST_F(DoctorTest, AloneItChecksItself) {
  Node a("a@localhost", cookie, registry.path());
  EXPECT_EQ(examine(a, "").size(), 2u);
  EXPECT_TRUE(ok);
}

TEST_F(DoctorTest, EachFailureStopsAtItsOwnCheck) {
  Node a("a@localhost", cookie, registry.path());
  const auto first_failed = [&](const std::string& other) {
    const auto statuses = examine(a, other);
    EXPECT_FALSE(ok);
    for (const char* check : {"name", "port", "node", "cookie", "versions", "cluster", "clocks"}) {
      if (statuses.contains(check) && statuses.at(check) == "failed") return std::string(check);
    }
    return std::string("none");
  };
  EXPECT_EQ(first_failed("b@no-such-host.invalid"), "name");
  EXPECT_EQ(first_failed("gone@localhost"), "port");
  Node wrong("w@localhost", cookie_of("WRONGWRONG"), registry.path());
  EXPECT_EQ(first_failed("w@localhost"), "cookie");
  EXPECT_NE(texts["cookie"].find(cookie.fingerprint()), std::string::npos);
  Node newer("n@localhost", cookie, registry.path(), "", 0, 9);
  EXPECT_EQ(first_failed("n@localhost"), "versions");
  EXPECT_EQ(first_failed("a@localhost"), "node") << "itself";
}

TEST_F(DoctorTest, OtherClustersAreNamedAndClocksWarnedOf) {
  Node a("a@localhost", cookie, registry.path(), "cluster-one");
  Node b("b@localhost", cookie, registry.path(), "cluster-two", 90'000);
  const auto statuses = examine(a, "b@localhost");
  EXPECT_TRUE(ok);
  EXPECT_NE(texts["cluster"].find("cluster-one"), std::string::npos);
  EXPECT_NE(texts["cluster"].find("cluster-two"), std::string::npos);
  EXPECT_EQ(statuses.at("clocks"), "warning");
  EXPECT_NE(b.log.lines().find("clocks differ"), std::string::npos);
}

TEST_F(DoctorTest, ACookieFileThatWasChangedOrOpenedIsSeen) {
  TempDir home;
  CookieSearch search;
  search.files = {home.write(".erlang.cookie", "FILEFILEFILE", 0400)};
  const auto from_file = find_cookie(search);
  ASSERT_TRUE(from_file);
  Node a("a@localhost", *from_file, registry.path());
  EXPECT_EQ(examine(a, "").at("own cookie"), "ok");
  ::chmod(search.files[0].c_str(), 0644);
  EXPECT_EQ(examine(a, "").at("own cookie"), "failed");
  EXPECT_NE(texts["own cookie"].find("chmod 400"), std::string::npos);
  ::chmod(search.files[0].c_str(), 0600);
  home.write(".erlang.cookie", "CHANGEDCHANGED", 0600);
  EXPECT_EQ(examine(a, "").at("own cookie"), "failed");
  EXPECT_NE(texts["own cookie"].find("restart the node"), std::string::npos);
}

}  // namespace
}  // namespace warren::transport
