// Units, durations, listeners, nearest names, globs.

#include "node/config/values.h"

#include <gtest/gtest.h>

namespace warren::config {
namespace {

TEST(ValuesTest, SizesCountInThousandsOnlyWithABareB) {
  EXPECT_EQ(parse_size("50MB").value(), 50'000'000);
  EXPECT_EQ(parse_size("50M").value(), 50 * 1024 * 1024);
  EXPECT_EQ(parse_size("50MiB").value(), 50 * 1024 * 1024);
  EXPECT_EQ(parse_size("1kB").value(), 1000);
  EXPECT_EQ(parse_size("1k").value(), 1024);
  EXPECT_EQ(parse_size("2 GiB").value(), std::int64_t{2} << 30);
  EXPECT_EQ(parse_size("1PB").value(), 1'000'000'000'000'000);
  EXPECT_EQ(parse_size("123").value(), 123);
  EXPECT_EQ(parse_size("2gb").value(), 2'000'000'000);
}

TEST(ValuesTest, BadSizes) {
  for (const char* bad : {"", "x", "-1", "5XB", "5 apples", "1.5GB", "99999999PB"}) {
    EXPECT_FALSE(parse_size(bad).has_value()) << bad;
  }
}

TEST(ValuesTest, DurationsCountInTheirUnit) {
  EXPECT_EQ(parse_duration("10000", "ms").value(), 10000);
  EXPECT_EQ(parse_duration("10s", "ms").value(), 10000);
  EXPECT_EQ(parse_duration("30m", "ms").value(), 1'800'000);
  EXPECT_EQ(parse_duration("1h", "s").value(), 3600);
  EXPECT_EQ(parse_duration("60", "s").value(), 60);
  EXPECT_FALSE(parse_duration("1500ms", "s").has_value());
  EXPECT_FALSE(parse_duration("5 fortnights", "s").has_value());
  EXPECT_FALSE(parse_duration("-5", "s").has_value());
}

TEST(ValuesTest, Listeners) {
  EXPECT_EQ(parse_listener("5672").value().address, "");
  EXPECT_EQ(parse_listener("127.0.0.1:5673").value().address, "127.0.0.1");
  EXPECT_EQ(parse_listener("127.0.0.1:5673").value().port, 5673);
  EXPECT_EQ(parse_listener("[::1]:5672").value().address, "::1");
  EXPECT_EQ(parse_listener("::1:5672").value().address, "::1");
  EXPECT_EQ(parse_listener("localhost:1").value().address, "localhost");
  for (const char* bad : {"", "0", "65536", "host:", "host", "1:2:x"}) {
    EXPECT_FALSE(parse_listener(bad).has_value()) << bad;
  }
}

TEST(ValuesTest, Flags) {
  EXPECT_TRUE(parse_flag("true").value());
  EXPECT_TRUE(parse_flag("On").value());
  EXPECT_FALSE(parse_flag("no").value());
  EXPECT_FALSE(parse_flag("1").has_value());
}

TEST(ValuesTest, NearestNameIsNearOrNothing) {
  const std::vector<std::string> names{"heartbeat", "frame_max", "channel_max"};
  EXPECT_EQ(nearest_name("hearbeat", names), "heartbeat");
  EXPECT_EQ(nearest_name("heartbaet", names), "heartbeat");
  EXPECT_EQ(nearest_name("framemax", names), "frame_max");
  EXPECT_EQ(nearest_name("zzzzzzzz", names), "");
}

TEST(ValuesTest, Globs) {
  EXPECT_TRUE(glob_match("*.conf", "10-a.conf"));
  EXPECT_FALSE(glob_match("*.conf", "a.conf.bak"));
  EXPECT_TRUE(glob_match("?0-*.conf", "10-a.conf"));
  EXPECT_TRUE(glob_match("a*b*c", "aXXbYYbZc"));
  EXPECT_FALSE(glob_match("a*b", "aXXbY"));
}

}  // namespace
}  // namespace warren::config
