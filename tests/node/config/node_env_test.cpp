// Node name, ports and paths.

#include "node/config/node_env.h"

#include <gtest/gtest.h>

namespace warren::config {
namespace {

class NodeEnvTest : public ::testing::Test {
 protected:
  NodeEnvTest() {
    host.short_name = "centos7";
    host.full_name = [] { return std::string{"centos7.example.org"}; };
    host.home = "/home/kevin";
  }

  NodeEnv resolved(std::string_view node = {}) {
    auto result = resolve_node_env(env, files, host, node);
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().text);
    return result ? result.value() : NodeEnv{};
  }
  std::string refused() {
    auto result = resolve_node_env(env, files, host);
    EXPECT_FALSE(result.has_value());
    return result ? "" : result.error().text;
  }

  EnvView env;
  MemoryFiles files;
  HostInfo host;
};

TEST_F(NodeEnvTest, NeedsNothingAtAll) {
  const auto node = resolved();
  EXPECT_EQ(node.node_name, "rabbit@centos7");
  EXPECT_EQ(node.node_port, 5672);
  EXPECT_EQ(node.dist_port, 25672);
  EXPECT_EQ(node.ctl_dist_port_min, 35672);
  EXPECT_EQ(node.ctl_dist_port_max, 35682);
  EXPECT_FALSE(node.listener_from_env);
  EXPECT_TRUE(node.notes.empty());
}

TEST_F(NodeEnvTest, UsesTheSystemsDirectoriesWhenItMay) {
  files.make_writable("/var/lib/rabbitmq");
  files.make_writable("/var/log/rabbitmq");
  files.make_writable("/etc/rabbitmq");
  const auto node = resolved();
  EXPECT_EQ(node.data_base, "/var/lib/rabbitmq/mnesia");
  EXPECT_EQ(node.data_dir, "/var/lib/rabbitmq/mnesia/rabbit@centos7");
  EXPECT_EQ(node.pid_file, "/var/lib/rabbitmq/mnesia/rabbit@centos7.pid");
  EXPECT_EQ(node.logs, "/var/log/rabbitmq/rabbit@centos7.log");
  EXPECT_EQ(node.enabled_plugins_file, "/etc/rabbitmq/enabled_plugins");
}

TEST_F(NodeEnvTest, UsesTheUsersDirectoriesOtherwise) {
  const auto node = resolved();
  EXPECT_EQ(node.data_dir, "/home/kevin/.local/share/warren/mnesia/rabbit@centos7");
  EXPECT_EQ(node.logs, "/home/kevin/.local/share/warren/log/rabbit@centos7.log");
  EXPECT_EQ(node.enabled_plugins_file, "/home/kevin/.local/share/warren/enabled_plugins");
}

TEST_F(NodeEnvTest, VariableBeatsFileBeatsDefault) {
  files.add("/etc/rabbitmq/rabbitmq-env.conf", "NODE_PORT=5700\nNODENAME=hare\n");
  EXPECT_EQ(resolved().node_port, 5700);
  EXPECT_EQ(resolved().node_name, "hare@centos7");
  env["RABBITMQ_NODE_PORT"] = "5800";
  const auto node = resolved();
  EXPECT_EQ(node.node_port, 5800);
  EXPECT_EQ(node.dist_port, 25800);
  EXPECT_EQ(node.variable("NODE_PORT")->origin.text(), "env RABBITMQ_NODE_PORT");
  EXPECT_EQ(node.variable("NODENAME")->origin.text(), "/etc/rabbitmq/rabbitmq-env.conf:2 NODENAME");
}

TEST_F(NodeEnvTest, EmptyVariableIsUnset) {
  files.add("/etc/rabbitmq/rabbitmq-env.conf", "NODE_PORT=5700\n");
  env["RABBITMQ_NODE_PORT"] = "";
  EXPECT_EQ(resolved().node_port, 5700);
}

TEST_F(NodeEnvTest, ConfEnvFileCanBeElsewhere) {
  files.add("/opt/env", "RABBITMQ_NODENAME=doe@other\n");
  env["RABBITMQ_CONF_ENV_FILE"] = "/opt/env";
  EXPECT_EQ(resolved().node_name, "doe@other");
}

TEST_F(NodeEnvTest, LongNamesTakeTheFullHostName) {
  env["RABBITMQ_USE_LONGNAME"] = "true";
  EXPECT_EQ(resolved().node_name, "rabbit@centos7.example.org");
}

TEST_F(NodeEnvTest, ToolsNodeArgumentWins) {
  env["RABBITMQ_NODENAME"] = "rabbit@one";
  EXPECT_EQ(resolved("rabbit2").node_name, "rabbit2@centos7");
  EXPECT_EQ(resolved("rabbit@centos72").node_name, "rabbit@centos72");
  EXPECT_EQ(resolved("rabbit@centos72").host_part(), "centos72");
}

TEST_F(NodeEnvTest, BadValuesNameTheVariable) {
  env["RABBITMQ_NODE_PORT"] = "56x";
  EXPECT_NE(refused().find("RABBITMQ_NODE_PORT"), std::string::npos);
  env["RABBITMQ_NODE_PORT"] = "70000";
  EXPECT_NE(refused().find("70000"), std::string::npos);
  env["RABBITMQ_NODE_PORT"] = "60000";
  EXPECT_NE(refused().find("RABBITMQ_DIST_PORT"), std::string::npos);
  env.clear();
  env["RABBITMQ_NODENAME"] = "a/../b";
  EXPECT_NE(refused().find("RABBITMQ_NODENAME"), std::string::npos);
}

TEST_F(NodeEnvTest, HighPortWorksWithADistPort) {
  env["RABBITMQ_NODE_PORT"] = "60000";
  env["RABBITMQ_DIST_PORT"] = "61000";
  EXPECT_EQ(resolved().dist_port, 61000);
}

TEST_F(NodeEnvTest, NodeNameStaysInsideItsDirectory) {
  for (const char* bad : {"", "@host", "rabbit@", "..@host", "a b@host", "a@b@c", "a@b/c"}) {
    EXPECT_FALSE(complete_node_name(bad, "").has_value()) << bad;
  }
  EXPECT_EQ(complete_node_name("rabbit-2_x.y", "h").value(), "rabbit-2_x.y@h");
}

TEST_F(NodeEnvTest, CookieFileIsTheUsersThenTheHosts) {
  files.make_writable("/var/lib/rabbitmq");
  EXPECT_EQ(resolved().cookie_file, "/home/kevin/.erlang.cookie");
  files.add("/var/lib/rabbitmq/.erlang.cookie", "X");
  EXPECT_EQ(resolved().cookie_file, "/var/lib/rabbitmq/.erlang.cookie");
  files.add("/home/kevin/.erlang.cookie", "Y");
  EXPECT_EQ(resolved().cookie_file, "/home/kevin/.erlang.cookie");
}

TEST_F(NodeEnvTest, RootMakesTheHostsCookie) {
  host.is_root = true;
  host.home = "/root";
  files.make_writable("/var/lib/rabbitmq");
  EXPECT_EQ(resolved().cookie_file, "/var/lib/rabbitmq/.erlang.cookie");
}

TEST_F(NodeEnvTest, RedirectedHomeKeepsItsOwnCookie) {
  host.is_root = true;
  host.home_redirected = true;
  files.make_writable("/var/lib/rabbitmq");
  files.add("/var/lib/rabbitmq/.erlang.cookie", "X");
  EXPECT_EQ(resolved().cookie_file, "/home/kevin/.erlang.cookie");
}

TEST_F(NodeEnvTest, CookieAndPasswordAreNeverListed) {
  env["RABBITMQ_ERLANG_COOKIE"] = "SECRETCOOKIE";
  env["RABBITMQ_DEFAULT_PASS"] = "hunter2";
  const auto node = resolved();
  EXPECT_EQ(node.cookie, "SECRETCOOKIE");
  for (const auto& variable : node.variables) {
    EXPECT_EQ(variable.value.find("SECRETCOOKIE"), std::string::npos);
    EXPECT_EQ(variable.value.find("hunter2"), std::string::npos);
  }
}

TEST_F(NodeEnvTest, ToolsLookUpSeesTheEnvFileToo) {
  files.add("/etc/rabbitmq/rabbitmq-env.conf", "NODE_PORT=5700\nERLANG_COOKIE=abc\n");
  env["RABBITMQ_NODENAME"] = "hare";
  const auto node = resolved();
  EXPECT_EQ(look_up(env, node, "RABBITMQ_NODE_PORT"), "5700");
  EXPECT_EQ(look_up(env, node, "RABBITMQ_NODENAME"), "hare");
  EXPECT_EQ(look_up(env, node, "RABBITMQ_ERLANG_COOKIE"), "abc");
  EXPECT_EQ(look_up(env, node, "RABBITMQ_DIST_PORT"), std::nullopt);
}

TEST_F(NodeEnvTest, UnknownVariableGetsADidYouMean) {
  env["RABBITMQ_NODE_NAME"] = "x";
  const auto notes = resolved().notes;
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("did you mean RABBITMQ_NODENAME?"), std::string::npos) << notes[0];
}

TEST_F(NodeEnvTest, ErlangArgumentsAreAcceptedWithOneLine) {
  env["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"] = "+S 4";
  const auto notes = resolved().notes;
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("no effect"), std::string::npos);
}

TEST_F(NodeEnvTest, EnabledPluginsListOverridesItsFile) {
  EXPECT_FALSE(resolved().enabled_plugins.has_value());
  env["RABBITMQ_ENABLED_PLUGINS"] = "rabbitmq_management, rabbitmq_prometheus";
  const auto node = resolved();
  ASSERT_TRUE(node.enabled_plugins.has_value());
  EXPECT_EQ(*node.enabled_plugins,
            (std::vector<std::string>{"rabbitmq_management", "rabbitmq_prometheus"}));
}

}  // namespace
}  // namespace warren::config
