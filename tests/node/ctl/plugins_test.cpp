// The enabled_plugins file, with and without a node.
#include "node/ctl/plugins.h"

#include <fstream>

#include "tests/node/ctl/harness.h"

namespace warren::ctl {
namespace {

std::string content(const std::string& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

class PluginsTest : public CtlTest {
 protected:
  void SetUp() override {
    CtlTest::SetUp();
    file_ = dir_.path("enabled_plugins");
    env_["RABBITMQ_ENABLED_PLUGINS_FILE"] = file_;
  }
  Printed plugins(std::vector<std::string> args) { return run(args, kPlugins); }
  std::string file_;
};

TEST_F(PluginsTest, EnableWritesTheFileAndTellsTheNode) {
  Canned changed;
  changed.result = json::object{
      {"started", {"rabbitmq_management", "rabbitmq_management_agent", "rabbitmq_web_dispatch"}}};
  node_.on("plugins_changed", changed);
  const Printed printed = plugins({"enable", "rabbitmq_management"});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_EQ(printed.out,
            "Enabling plugins on node rabbit@localhost:\nrabbitmq_management\n"
            "The following plugins have been configured:\n  rabbitmq_management\n  "
            "rabbitmq_management_agent\n  rabbitmq_web_dispatch\n"
            "Applying plugin configuration to rabbit@localhost...\n"
            "The following plugins have been enabled:\n  rabbitmq_management\n  "
            "rabbitmq_management_agent\n  rabbitmq_web_dispatch\n"
            "started 3 plugins.\n");
  EXPECT_EQ(content(file_), "[rabbitmq_management].\n");
  EXPECT_EQ(node_.args_of("plugins_changed").at("enabled"), json::array{"rabbitmq_management"});
}

TEST_F(PluginsTest, OfflineChangesOnlyTheFile) {
  const Printed printed = plugins({"enable", "--offline", "rabbitmq_top", "rabbitmq_shovel"});
  EXPECT_EQ(printed.exit, 0);
  EXPECT_NE(printed.out.find("Offline change; changes will take effect at broker restart."),
            std::string::npos);
  EXPECT_EQ(content(file_), "[rabbitmq_shovel,rabbitmq_top].\n");
  EXPECT_EQ(node_.call_count(), 0u);
  EXPECT_EQ(plugins({"disable", "rabbitmq_management", "--offline"}).exit, 0);
  EXPECT_EQ(content(file_), "[rabbitmq_shovel].\n") << "rabbitmq_top needs what was disabled";
  EXPECT_EQ(plugins({"set", "--offline", "rabbitmq_stomp"}).exit, 0);
  EXPECT_EQ(content(file_), "[rabbitmq_stomp].\n");
  EXPECT_EQ(plugins({"disable", "--all", "--offline"}).exit, 0);
  EXPECT_EQ(content(file_), "[].\n");
}

TEST_F(PluginsTest, WithoutANodeTheChangeIsOffline) {
  server_->stop(0);
  EXPECT_EQ(plugins({"enable", "rabbitmq_management"}).exit, 0);
  EXPECT_EQ(content(file_), "[rabbitmq_management].\n");
  EXPECT_EQ(plugins({"enable", "--online", "rabbitmq_top"}).exit, 69);
  EXPECT_EQ(content(file_), "[rabbitmq_management].\n");
}

TEST_F(PluginsTest, UnknownNamesChangeNothing) {
  const Printed printed = plugins({"enable", "rabbitmq_managment"});
  EXPECT_EQ(printed.exit, 70);
  EXPECT_NE(printed.err.find("{:plugins_not_found, [:rabbitmq_managment]}"), std::string::npos);
  EXPECT_NE(printed.err.find("Did you mean 'rabbitmq_management'"), std::string::npos);
  EXPECT_EQ(content(file_), "");
  EXPECT_EQ(plugins({"enable"}).exit, 64);
}

TEST_F(PluginsTest, ListMarksEnabledAndRunning) {
  dir_.write("enabled_plugins", "[rabbitmq_management].\n");
  node_.on("list_plugins", {{{{"name", "rabbitmq_management"}, {"running", true}}}});
  EXPECT_EQ(plugins({"list", "^rabbitmq_(management|top|web_dispatch)$"}).out,
            "Listing plugins with pattern \"^rabbitmq_(management|top|web_dispatch)$\" ...\n"
            " Configured: E = explicitly enabled; e = implicitly enabled\n"
            " | Status: * = running on rabbit@localhost\n |/\n"
            "[E*] rabbitmq_management   3.10.8\n"
            "[  ] rabbitmq_top          3.10.8\n"
            "[e ] rabbitmq_web_dispatch 3.10.8\n");
  EXPECT_EQ(plugins({"list", "-q", "-m", "-E"}).out, "rabbitmq_management\n");
  EXPECT_EQ(plugins({"list", "-q", "-m", "-e"}).out,
            "rabbitmq_management\nrabbitmq_management_agent\nrabbitmq_web_dispatch\n");
  EXPECT_EQ(plugins({"list", "("}).exit, 64);
}

TEST_F(PluginsTest, IsEnabled) {
  dir_.write("enabled_plugins", "[rabbitmq_management].");
  EXPECT_EQ(plugins({"is_enabled", "rabbitmq_web_dispatch"}).exit, 0);
  const Printed printed = plugins({"is_enabled", "rabbitmq_mqtt"});
  EXPECT_EQ(printed.exit, 69);
  EXPECT_NE(printed.err.find("Plugin rabbitmq_mqtt is not enabled on node rabbit@localhost"),
            std::string::npos);
}

TEST_F(PluginsTest, PluginCommandsAreNotOfOtherPrograms) {
  const Printed printed = run({"enable", "rabbitmq_management"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_NE(printed.err.find("rabbitmq-plugins enable"), std::string::npos);
}

TEST(PluginFileTest, ReadsErlangListsAndRefusesTheRest) {
  const auto names = parse_enabled_plugins("%% comment\n[ a , 'b-c',\n d_1 ] .\n");
  ASSERT_TRUE(names);
  EXPECT_EQ(*names, (std::set<std::string>{"a", "b-c", "d_1"}));
  EXPECT_TRUE(parse_enabled_plugins("")->empty());
  EXPECT_TRUE(parse_enabled_plugins("[].")->empty());
  for (const char* bad : {"a.", "[a", "[a]", "[a b].", "['a].", "[a,''", "['']", "[a,].", "[\"a\"].", "[,]."}) {
    const bool trailing = std::string(bad) == "[a,].";
    EXPECT_EQ(static_cast<bool>(parse_enabled_plugins(bad)), trailing) << bad;
  }
}

TEST_F(PluginsTest, ABrokenFileIsAConfigurationError) {
  dir_.write("enabled_plugins", "rabbitmq_management");
  const Printed printed = plugins({"enable", "rabbitmq_top"});
  EXPECT_EQ(printed.exit, 78);
  EXPECT_NE(printed.err.find(file_), std::string::npos);
  EXPECT_EQ(content(file_), "rabbitmq_management") << "never overwritten";
}

}  // namespace
}  // namespace warren::ctl
