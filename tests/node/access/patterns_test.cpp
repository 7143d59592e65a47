#include "node/access/patterns.h"

#include <gtest/gtest.h>

namespace warren::access {
namespace {

TEST(Patterns, search_is_unanchored_and_bytewise) {
  Patterns patterns;
  EXPECT_TRUE(patterns.matches("b", "abc"));
  EXPECT_FALSE(patterns.matches("^b", "abc"));
  EXPECT_TRUE(patterns.matches("", "anything"));
  EXPECT_FALSE(patterns.matches("^$", "x"));
  EXPECT_TRUE(patterns.matches("^(?!amq\\.).*$", "orders"));
  EXPECT_FALSE(patterns.matches("^(?!amq\\.).*$", "amq.gen"));
  EXPECT_TRUE(patterns.matches("(?i)ABC", "xabcx"));
  EXPECT_TRUE(patterns.matches("^\xff.$", "\xff\xfe"));
  EXPECT_TRUE(patterns.matches(std::string("a\0b", 3), std::string_view("xa\0bx", 5)));
}

TEST(Patterns, a_bad_pattern_is_an_error_with_its_place) {
  Patterns patterns;
  for (int i = 0; i < 2; ++i) {
    const auto result = patterns.search("a(b", "ab");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::invalid_argument);
    EXPECT_NE(result.error().text.find("a(b"), std::string::npos);
  }
  EXPECT_FALSE(patterns.matches("a(b", "a(b"));
  EXPECT_TRUE(check_pattern(".*"));
  EXPECT_FALSE(check_pattern("["));
  EXPECT_FALSE(check_pattern(std::string(kPatternBytesMax + 1, 'a')));
}

TEST(Patterns, a_hostile_pattern_gives_up) {
  Patterns patterns;
  const auto result = patterns.search("^(a+)+$", std::string(40, 'a') + "!");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::exhausted);
  EXPECT_TRUE(patterns.matches("^(a+)+$", "aaa"));
}

TEST(Patterns, keeps_a_bounded_number_and_the_recent_ones) {
  Patterns patterns(3);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(patterns.matches("keep", "keep"));
    EXPECT_TRUE(patterns.matches("^" + std::to_string(i) + "$", std::to_string(i)));
    EXPECT_LE(patterns.size(), 3u);
  }
}

}  // namespace
}  // namespace warren::access
