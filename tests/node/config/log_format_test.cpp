// The form of a line, and when a file is changed.

#include "node/config/log_format.h"

#include <gtest/gtest.h>

#include <boost/json.hpp>
#include <cstdlib>

namespace warren::config {
namespace {

class LogFormatTest : public ::testing::Test {
 protected:
  LogFormatTest() { zone("UTC"); }
  ~LogFormatTest() override { zone("UTC"); }
  static void zone(const char* name) {
    ::setenv("TZ", name, 1);
    ::tzset();
  }
  static std::string line(std::string_view text, bool json = false) {
    return format_log_line(json, LogLevel::warning, LogArea::connection, 1'700'000'000'123'456,
                           text, "rabbit@h");
  }
  /// The next moment as text, from a moment as text (UTC).
  static std::string next(std::string_view spec, const char* now) {
    std::tm at{};
    ::strptime(now, "%Y-%m-%d %H:%M:%S", &at);
    const auto date = parse_rotation_date(spec);
    if (!date) return "(no date)";
    const std::time_t then = next_rotation(*date, ::timegm(&at));
    std::tm out{};
    ::gmtime_r(&then, &out);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &out);
    return text;
  }
};

TEST_F(LogFormatTest, PlainLineHasTheShapeThatParsersKnow) {
  EXPECT_EQ(line("closing AMQP connection"),
            "2023-11-14 22:13:20.123456+00:00 [warning] <connection> closing AMQP connection\n");
}

TEST_F(LogFormatTest, TimeZoneIsShown) {
  zone("XXX-05:30");
  EXPECT_TRUE(line("x").starts_with("2023-11-15 03:43:20.123456+05:30 ")) << line("x");
  zone("YYY+03:30");
  EXPECT_TRUE(line("x").starts_with("2023-11-14 18:43:20.123456-03:30 ")) << line("x");
}

TEST_F(LogFormatTest, EveryLineOfATextHasAHead) {
  const auto text = line("one\ntwo\n");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 2);
  EXPECT_NE(text.find("<connection> two\n"), std::string::npos);
}

TEST_F(LogFormatTest, ControlCharactersCannotForgeLines) {
  EXPECT_NE(line("a\rb\x1b[31m\x7f").find("a\\x0db\\x1b[31m\\x7f"), std::string::npos);
}

TEST_F(LogFormatTest, JsonIsValidWhateverTheText) {
  for (const std::string& text :
       {std::string{"plain"}, std::string{"q\"b\\\n\t\x01 end"}, std::string{"\xff\xfe\xc3"},
        std::string{"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\x87"}, std::string{"\xed\xa0\x80"}}) {
    const auto json = line(text, true);
    EXPECT_EQ(std::count(json.begin(), json.end(), '\n'), 1);
    boost::json::error_code failed;
    const auto value = boost::json::parse(json, failed);
    ASSERT_FALSE(failed) << json;
    EXPECT_EQ(value.at("level").as_string(), "warning");
    EXPECT_EQ(value.at("domain").as_string(), "rabbitmq.connection");
    EXPECT_EQ(value.at("node").as_string(), "rabbit@h");
  }
  EXPECT_NE(line("gr\xc3\xbc", true).find("gr\xc3\xbc"), std::string::npos);
}

TEST_F(LogFormatTest, RotationDates) {
  EXPECT_EQ(next("$D0", "2026-11-22 13:00:00"), "2026-11-23 00:00:00");
  EXPECT_EQ(next("$D14", "2026-11-22 13:00:00"), "2026-11-22 14:00:00");
  EXPECT_EQ(next("$D13", "2026-11-22 13:00:00"), "2026-11-23 13:00:00");
  EXPECT_EQ(next("$H", "2026-11-22 13:20:00"), "2026-11-22 14:00:00");
  EXPECT_EQ(next("$H30", "2026-11-22 13:20:00"), "2026-11-22 13:30:00");
  EXPECT_EQ(next("$W0", "2026-11-22 13:00:00"), "2026-11-29 00:00:00");  // a Sunday
  EXPECT_EQ(next("$W5D16", "2026-11-22 13:00:00"), "2026-11-27 16:00:00");
  EXPECT_EQ(next("$M1", "2026-12-22 13:00:00"), "2027-01-01 00:00:00");
  EXPECT_EQ(next("$M31", "2026-11-22 13:00:00"), "2026-11-30 00:00:00");
  EXPECT_EQ(next("$M31", "2028-01-31 13:00:00"), "2028-02-29 00:00:00");
  EXPECT_EQ(next("$D0", "2026-12-31 23:59:59"), "2027-01-01 00:00:00");
}

TEST_F(LogFormatTest, BadRotationDates) {
  for (const char* bad :
       {"", "D0", "$", "$D", "$D24", "$H60", "$W7", "$M0", "$M32", "$W0D", "$D0x", "$X1"}) {
    EXPECT_FALSE(parse_rotation_date(bad).has_value()) << bad;
  }
}

}  // namespace
}  // namespace warren::config
