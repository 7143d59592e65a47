// Which command is due when a node's role changes, and that one runs and is ended.

#include "node/server/role_hooks.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace warren::server {
namespace {

TEST(RoleTurnsTest, CLU_29_OneAfterTheOther) {
  RoleTurns turns;
  EXPECT_EQ(turns.begin(), std::nullopt) << "it never led";
  turns.role(true);
  EXPECT_EQ(turns.begin(), true);
  EXPECT_EQ(turns.begin(), std::nullopt);
  turns.role(false);
  EXPECT_EQ(turns.begin(), std::nullopt) << "the first one runs";
  turns.ended();
  EXPECT_EQ(turns.begin(), false);
  turns.ended();
  EXPECT_EQ(turns.begin(), std::nullopt);
}

TEST(RoleTurnsTest, CLU_29_WhatIsTakenBackInTimeIsLeftOut) {
  RoleTurns turns;
  turns.role(true);
  EXPECT_EQ(turns.begin(), true);
  for (int i = 0; i < 1000; ++i) turns.role(i % 2 != 0);
  turns.ended();
  EXPECT_EQ(turns.begin(), std::nullopt) << "still leads, as was told";
}

class SilentLogger final : public Logger {
 public:
  void write(LogLevel, LogArea, std::string_view line) override { lines += std::string(line) + "\n"; }
  bool enabled(LogLevel, LogArea) const override { return true; }
  std::string lines;
};

struct Directory {
  std::string path = [] {
    char name[] = "/tmp/warren-hooks-XXXXXX";
    return std::string(mkdtemp(name));
  }();
  ~Directory() { std::filesystem::remove_all(path); }
  std::string text() const {
    std::ifstream in(path + "/out");
    return {std::istreambuf_iterator<char>(in), {}};
  }
};

TEST(RoleHooksTest, CLU_29_RunsWithItsEnvironmentInOrder) {
  Directory directory;
  Loop loop;
  SilentLogger log;
  const std::string to = " >> " + directory.path + "/out";
  RoleHooks hooks(loop, log, {"echo elected $WARREN_NODE" + to, "echo lost $WARREN_NODE" + to, 10'000});
  hooks.role(true, {{"WARREN_NODE", "rabbit@n1"}});
  hooks.role(false, {{"WARREN_NODE", "rabbit@n1"}});
  loop.run();  // ends when no command runs any more
  EXPECT_EQ(directory.text(), "elected rabbit@n1\nlost rabbit@n1\n") << log.lines;
}

TEST(RoleHooksTest, CLU_29_OneThatHangsIsKilledWithWhatItStarted) {
  Loop loop;
  SilentLogger log;
  RoleHooks hooks(loop, log, {"sleep 1000 & sleep 1000", "", 1});
  hooks.role(true, {});
  loop.run();
  EXPECT_NE(log.lines.find("was killed"), std::string::npos) << log.lines;
}

TEST(RoleHooksTest, CLU_29_FailuresAreTold) {
  Loop loop;
  SilentLogger log;
  RoleHooks hooks(loop, log, {"exit 3", "", 10'000});
  hooks.role(true, {});
  loop.run();
  EXPECT_NE(log.lines.find("exit code 3"), std::string::npos) << log.lines;
}

}  // namespace
}  // namespace warren::server
