// rabbitmq-env.conf without a shell.

#include "node/config/env_conf.h"

#include <gtest/gtest.h>

namespace warren::config {
namespace {

std::string value_of(const EnvConf& conf, const std::string& name) {
  const auto it = conf.values.find(name);
  return it == conf.values.end() ? "(unset)" : it->second.value;
}

EnvConf parsed(std::string_view text, const EnvView& env = {}) {
  auto result = parse_env_conf(text, "env.conf", env);
  EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().text);
  return result ? result.value() : EnvConf{};
}

TEST(EnvConfTest, ReadsPlainAndExportedAssignments) {
  const auto conf =
      parsed("# a comment\nNODENAME=rabbit@one\n  export NODE_PORT=5673 # why\nA=1 B=2\n");
  EXPECT_EQ(value_of(conf, "NODENAME"), "rabbit@one");
  EXPECT_EQ(value_of(conf, "NODE_PORT"), "5673");
  EXPECT_EQ(value_of(conf, "A"), "1");
  EXPECT_EQ(value_of(conf, "B"), "2");
  EXPECT_EQ(conf.values.at("NODE_PORT").line, 3);
  EXPECT_TRUE(conf.notes.empty());
}

TEST(EnvConfTest, QuotesKeepBlanksAndHashes) {
  const auto conf = parsed("A='x # $HOME'\nB=\"p q\\\"r\"\nC=one\\ two\nD='a'\"b\"c\n");
  EXPECT_EQ(value_of(conf, "A"), "x # $HOME");
  EXPECT_EQ(value_of(conf, "B"), "p q\"r");
  EXPECT_EQ(value_of(conf, "C"), "one two");
  EXPECT_EQ(value_of(conf, "D"), "abc");
}

TEST(EnvConfTest, VariablesComeFromTheFileThenTheEnvironment) {
  const EnvView env{{"HOME", "/home/k"}, {"BASE", "/env"}};
  const auto conf =
      parsed("BASE=/file\nLOG_BASE=${BASE}/log\nX=\"$HOME/x\"\nY=${NONE:-z}\nZ=a${NONE}b\n", env);
  EXPECT_EQ(value_of(conf, "LOG_BASE"), "/file/log");
  EXPECT_EQ(value_of(conf, "X"), "/home/k/x");
  EXPECT_EQ(value_of(conf, "Y"), "z");
  EXPECT_EQ(value_of(conf, "Z"), "ab");
}

TEST(EnvConfTest, RunsNoCommandAndSaysSo) {
  const auto conf = parsed("NODENAME=rabbit@$(hostname)\n[ -f /x ] && . /x\nA=`id`\nB=2\n");
  EXPECT_EQ(value_of(conf, "NODENAME"), "(unset)");
  EXPECT_EQ(value_of(conf, "A"), "(unset)");
  EXPECT_EQ(value_of(conf, "B"), "2");
  ASSERT_EQ(conf.notes.size(), 3u);
  EXPECT_NE(conf.notes[0].find("env.conf:1"), std::string::npos);
}

TEST(EnvConfTest, UnfinishedQuoteNamesItsLine) {
  auto result = parse_env_conf("A=1\nB='x\ny\n", "env.conf", {});
  ASSERT_FALSE(result.has_value());
  EXPECT_NE(result.error().text.find("env.conf:2"), std::string::npos);
}

TEST(EnvConfTest, LastAssignmentWins) { EXPECT_EQ(value_of(parsed("A=1\nA=2\n"), "A"), "2"); }

}  // namespace
}  // namespace warren::config
