// Files, levels, rotation, the exchange's hook. Writes into a folder of its own.

#include "node/config/log_sink.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "node/config/log_file.h"

namespace warren::config {
namespace {

class LogSinkTest : public ::testing::Test {
 protected:
  LogSinkTest() {
    std::string name = (std::filesystem::temp_directory_path() / "warren-log-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder = name;
    settings.file.on = true;
    settings.file.level = LogLevel::debug;
    settings.path = (folder / "sub" / "node.log").string();
  }
  ~LogSinkTest() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<LogSink> opened() {
    auto sink = LogSink::open(settings, "rabbit@h");
    EXPECT_TRUE(sink.has_value()) << (sink ? "" : sink.error().text);
    return std::move(sink.value());
  }
  static std::string text_of(const std::filesystem::path& path) {
    std::ifstream in{path};
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
  }
  std::string text() { return text_of(settings.path); }

  std::filesystem::path folder;
  LogSettings settings;
};

TEST_F(LogSinkTest, WritesToItsFileAndMakesTheFolder) {
  auto sink = opened();
  sink->info(LogArea::connection, "accepting AMQP connection peer={}", "127.0.0.1:1");
  sink->log(LogLevel::notice, LogArea::general, "hello");
  sink->flush();
  EXPECT_NE(text().find(" [info] <connection> accepting AMQP connection peer=127.0.0.1:1\n"),
            std::string::npos);
  EXPECT_NE(text().find(" [notice] <general> hello\n"), std::string::npos);
  EXPECT_EQ(sink->lost(), 0u);
}

TEST_F(LogSinkTest, DestructionWritesTheLastLine) {
  opened()->error(LogArea::storage, "the last one");
  EXPECT_NE(text().find("the last one"), std::string::npos);
}

TEST_F(LogSinkTest, AreasHaveLevelsOfTheirOwn) {
  settings.default_level = LogLevel::warning;
  settings.areas[static_cast<std::size_t>(LogArea::queue)] = LogLevel::debug;
  auto sink = opened();
  EXPECT_FALSE(sink->enabled(LogLevel::info, LogArea::general));
  EXPECT_TRUE(sink->enabled(LogLevel::debug, LogArea::queue));
  sink->info(LogArea::general, "not this");
  sink->debug(LogArea::queue, "but this");
  sink->flush();
  EXPECT_EQ(text().find("not this"), std::string::npos);
  EXPECT_NE(text().find("but this"), std::string::npos);
  EXPECT_FALSE(sink->enabled(LogLevel::none, LogArea::queue));
}

TEST_F(LogSinkTest, LevelsChangeAtRunTime) {
  auto sink = opened();
  EXPECT_FALSE(sink->enabled(LogLevel::debug, LogArea::raft));
  sink->set_level(LogLevel::debug);
  EXPECT_TRUE(sink->enabled(LogLevel::debug, LogArea::raft));
  sink->set_level(LogArea::raft, LogLevel::none);
  EXPECT_FALSE(sink->enabled(LogLevel::critical, LogArea::raft));
  EXPECT_EQ(sink->level(LogArea::queue), LogLevel::debug);
}

TEST_F(LogSinkTest, OutputLevelLimitsWhatIsEnabled) {
  settings.file.level = LogLevel::error;
  EXPECT_FALSE(opened()->enabled(LogLevel::info, LogArea::general));
}

TEST_F(LogSinkTest, RotateKeepsTheOldFile) {
  auto sink = opened();
  sink->info(LogArea::general, "before");
  ASSERT_TRUE(sink->rotate().has_value());
  sink->info(LogArea::general, "after");
  sink->flush();
  EXPECT_NE(text_of(settings.path + ".0").find("before"), std::string::npos);
  EXPECT_EQ(text().find("before"), std::string::npos);
  EXPECT_NE(text().find("after"), std::string::npos);
}

TEST_F(LogSinkTest, RotateAfterSomebodyMovedTheFileOnlyReopens) {
  auto sink = opened();
  sink->info(LogArea::general, "before");
  sink->flush();
  std::filesystem::rename(settings.path, settings.path + "-20261122");
  ASSERT_TRUE(sink->rotate().has_value());
  sink->info(LogArea::general, "after");
  sink->flush();
  EXPECT_NE(text().find("after"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(settings.path + ".0"));
}

TEST_F(LogSinkTest, SizeRotationKeepsTheCountedFilesWithWholeLines) {
  settings.rotate_size = 200;
  settings.rotate_count = 2;
  auto sink = opened();
  for (int i = 0; i < 20; ++i) sink->info(LogArea::general, "line number {}", i);
  sink->flush();
  EXPECT_TRUE(std::filesystem::exists(settings.path + ".0"));
  EXPECT_TRUE(std::filesystem::exists(settings.path + ".1"));
  EXPECT_FALSE(std::filesystem::exists(settings.path + ".2"));
  for (const std::string end : {"", ".0", ".1"}) {
    EXPECT_LE(std::filesystem::file_size(settings.path + end), 200u);
    EXPECT_TRUE(text_of(settings.path + end).ends_with('\n'));
  }
  EXPECT_NE(text().find("line number 19"), std::string::npos);
}

TEST_F(LogSinkTest, DateRotation) {
  LogFile::Options options{settings.path, 0, parse_rotation_date("$H"), 1};
  const std::time_t noon = 1'700'000'000 / 3600 * 3600;
  auto file = LogFile::open(options, noon);
  ASSERT_TRUE(file.has_value());
  file.value().write("one\n", noon + 3599);
  file.value().write("two\n", noon + 3600);
  file.value().write("three\n", noon + 3601);
  EXPECT_EQ(text_of(settings.path + ".0"), "one\n");
  EXPECT_EQ(text(), "two\nthree\n");
}

TEST_F(LogSinkTest, UnwritableFileIsAnErrorThatNamesIt) {
  std::ofstream{folder / "plain"} << "x";
  settings.path = (folder / "plain" / "node.log").string();
  auto sink = LogSink::open(settings, "rabbit@h");
  ASSERT_FALSE(sink.has_value());
  EXPECT_NE(sink.error().text.find(settings.path), std::string::npos);
}

TEST_F(LogSinkTest, HookGetsLinesAndIsNotFedItsOwn) {
  settings.exchange = {true, LogLevel::warning, false};
  auto sink = opened();
  std::vector<std::string> seen;
  sink->set_exchange_hook([&](LogLevel, LogArea area, std::string line) {
    seen.push_back(std::move(line));
    sink->error(area, "logged while publishing");
  });
  sink->info(LogArea::queue, "too low");
  sink->error(LogArea::queue, "published");
  sink->set_exchange_hook({});
  sink->error(LogArea::queue, "too late");
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_TRUE(seen[0].ends_with("[error] <queue> published")) << seen[0];
}

TEST_F(LogSinkTest, PlacesAreNamed) {
  settings.exchange.on = true;
  EXPECT_EQ(opened()->places(), (std::vector<std::string>{settings.path, "<exchange>"}));
}

TEST_F(LogSinkTest, AreaNames) {
  EXPECT_EQ(parse_log_area("ra"), LogArea::raft);
  EXPECT_EQ(parse_log_area("raft"), LogArea::raft);
  EXPECT_EQ(parse_log_area("connection"), LogArea::connection);
  EXPECT_FALSE(parse_log_area("conection").has_value());
}

}  // namespace
}  // namespace warren::config
