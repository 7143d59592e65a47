// What people see: `rabbitmqctl environment` and docs/configuration.md.

#include "node/config/listing.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace warren::config {
namespace {

TEST(ListingTest, NamesTheSourceOfEveryValue) {
  MemoryFiles files;
  files.add("/etc/rabbitmq/rabbitmq.conf", "heartbeat = 20\nauth_backends.1 = internal\n");
  const EnvView env{{"RABBITMQ_NODE_PORT", "5680"}, {"RABBITMQ_DEFAULT_PASS", "hunter2"}};
  HostInfo host;
  host.short_name = "h";
  host.home = "/home/k";
  const auto config = load_config(env, files, resolve_node_env(env, files, host).value());
  ASSERT_TRUE(config.has_value()) << config.error().text;
  const auto listed = list_settings(config.value());
  const auto find = [&](std::string_view key) {
    const auto it =
        std::find_if(listed.begin(), listed.end(), [&](const auto& row) { return row.key == key; });
    return it == listed.end() ? "(none)" : it->value + " <- " + it->source;
  };
  EXPECT_EQ(find("heartbeat"), "20 <- /etc/rabbitmq/rabbitmq.conf:1");
  EXPECT_EQ(find("auth_backends.1"), "internal <- /etc/rabbitmq/rabbitmq.conf:2");
  EXPECT_EQ(find("RABBITMQ_NODE_PORT"), "5680 <- env RABBITMQ_NODE_PORT");
  EXPECT_EQ(find("listeners.tcp.default"), "5680 <- env RABBITMQ_NODE_PORT");
  EXPECT_EQ(find("frame_max"), "131072 <- default");
  EXPECT_EQ(find("RABBITMQ_NODENAME"), "rabbit@h <- default");
  EXPECT_EQ(find("default_pass"), "(hidden) <- env RABBITMQ_DEFAULT_PASS");
  for (const auto& row : listed) EXPECT_EQ(row.value.find("hunter2"), std::string::npos) << row.key;
}

TEST(ListingTest, CommittedPageIsCurrent) {
  const std::string path = std::string{WARREN_SOURCE_DIR} + "/docs/configuration.md";
  if (std::getenv("WARREN_UPDATE_DOCS") != nullptr) std::ofstream{path} << configuration_page();
  std::ifstream in{path};
  std::ostringstream committed;
  committed << in.rdbuf();
  EXPECT_EQ(committed.str(), configuration_page())
      << "run WARREN_UPDATE_DOCS=1 build/bin/config_test --gtest_filter=ListingTest.* and commit";
}

}  // namespace
}  // namespace warren::config
