// advanced.config: terms, and their names in rabbitmq.conf.

#include "node/config/advanced.h"

#include <gtest/gtest.h>

#include "node/config/erlang_terms.h"
#include "node/config/settings.h"

namespace warren::config {
namespace {

Settings settings_of(const std::string& advanced, const std::string& conf = "") {
  MemoryFiles files;
  files.add("/etc/rabbitmq/advanced.config", advanced);
  if (!conf.empty()) files.add("/etc/rabbitmq/rabbitmq.conf", conf);
  HostInfo host;
  host.short_name = "h";
  host.home = "/home/k";
  auto node = resolve_node_env({}, files, host);
  EXPECT_TRUE(node.has_value());
  auto config = load_config({}, files, node.value());
  EXPECT_TRUE(config.has_value()) << (config ? "" : config.error().text);
  return make_settings(config ? config.value() : Config{});
}

std::string refusal(const std::string& text) {
  auto parsed = parse_advanced(text, "a.config");
  EXPECT_FALSE(parsed.has_value()) << text;
  return parsed ? "" : parsed.error().text;
}

TEST(ErlangTermsTest, ReadsEveryKindAndShowsItAgain) {
  const std::string text = R"([{a,'B c',"d\"e",<<"f">>},-12,1.5e3,[],{}])";
  auto term = parse_term(" % comment\n" + text + " . % end\n", "f");
  ASSERT_TRUE(term.has_value()) << term.error().text;
  EXPECT_EQ(show_term(term.value()), R"([{a,B c,"d"e",<<"f">>},-12,1.5e3,[],{}])");
  EXPECT_EQ(term.value().items[0].line, 2);
}

TEST(ErlangTermsTest, RefusesWhatIsNoTerm) {
  for (const char* bad : {"", "[", "[a", "[a,]", "[a] ", "[a]. [b].", "{a b}.", "\"abc.", "Var.",
                          "<<1,2>>.", "-.", "a,b."}) {
    EXPECT_FALSE(parse_term(bad, "f").has_value()) << bad;
  }
  EXPECT_FALSE(parse_term(std::string(100000, '['), "f").has_value());
}

TEST(AdvancedTest, CommonSettings) {
  const auto s = settings_of(R"(
    %% an example
    [{rabbit, [{tcp_listeners, [5673, {"127.0.0.1", 5674}]},
               {heartbeat, 30},
               {default_user, <<"kevin">>},
               {default_permissions, [<<"a">>, <<"b">>, <<"c">>]},
               {default_user_tags, [monitoring]},
               {loopback_users, []},
               {vm_memory_high_watermark, {absolute, "2GB"}},
               {disk_free_limit, {mem_relative, 1.5}},
               {connection_max, infinity},
               {consumer_timeout, undefined},
               {auth_mechanisms, ['PLAIN', 'EXTERNAL']},
               {cluster_nodes, {['rabbit@a', 'rabbit@b'], ram}},
               {tcp_listen_options, [binary, {backlog, 256}, {nodelay, false}, {linger, {true, 0}}]},
               {log_levels, [{connection, error}]},
               {default_consumer_prefetch, {false, 3}},
               {queue_master_locator, <<"min-masters">>},
               {channel_tick_interval, 300}]},
     {rabbitmq_management, [{listener, [{port, 15999}]}]},
     {kernel, [{net_ticktime, 60}]}].)");
  ASSERT_EQ(s.listeners.size(), 2u);
  EXPECT_EQ(s.listeners[1].address, "127.0.0.1");
  EXPECT_EQ(s.listeners[1].port, 5674);
  EXPECT_EQ(s.connections.heartbeat_s, 30);
  EXPECT_EQ(s.access.default_user, "kevin");
  EXPECT_EQ(s.access.default_write, "b");
  EXPECT_EQ(s.access.default_user_tags, std::vector<std::string>{"monitoring"});
  EXPECT_TRUE(s.access.loopback_users.empty());
  EXPECT_EQ(s.alarms.memory_absolute, 2'000'000'000);
  EXPECT_EQ(s.alarms.disk_relative, 1.5);
  EXPECT_EQ(s.queues.consumer_timeout_ms, kInfinity);
  EXPECT_EQ(s.access.mechanisms, (std::vector<std::string>{"PLAIN", "EXTERNAL"}));
  EXPECT_EQ(s.cluster.peers, (std::vector<std::string>{"rabbit@a", "rabbit@b"}));
  EXPECT_TRUE(s.cluster.ram_node);
  EXPECT_EQ(s.sockets.backlog, 256);
  EXPECT_FALSE(s.sockets.nodelay);
  EXPECT_EQ(s.logs.areas[static_cast<std::size_t>(LogArea::connection)], LogLevel::error);
  EXPECT_EQ(s.queues.default_consumer_prefetch, 3);
  EXPECT_EQ(s.queues.leader_locator, "min-masters");
  EXPECT_EQ(s.http.port, 15999);
}

TEST(AdvancedTest, StandsAboveRabbitmqConfAndReplacesLists) {
  const auto s = settings_of("[{rabbit,[{tcp_listeners,[5673]},{heartbeat,10}]}].",
                             "listeners.tcp.default = 5690\nheartbeat = 20\nchannel_max = 5\n");
  ASSERT_EQ(s.listeners.size(), 1u);
  EXPECT_EQ(s.listeners[0].port, 5673);
  EXPECT_EQ(s.connections.heartbeat_s, 10);
  EXPECT_EQ(s.connections.channel_max, 5);
}

TEST(AdvancedTest, RefusalsNameFileAndLine) {
  EXPECT_NE(refusal("[{rabbit,\n[{hearbeat, 5}]}].").find("a.config:2"), std::string::npos);
  EXPECT_NE(refusal("[{rabbit,[{hearbeat, 5}]}].").find("heartbeat"), std::string::npos);
  EXPECT_NE(refusal("[{rabbit,[{heartbeat,{a,b}}]}].").find("heartbeat"), std::string::npos);
  EXPECT_NE(refusal("{rabbit,[]}.").find("list of applications"), std::string::npos);
  EXPECT_NE(refusal("[{rabbit,[{auth_backends,[{a,b}]}]}].").find("a.config:1"), std::string::npos);
}

}  // namespace
}  // namespace warren::config
