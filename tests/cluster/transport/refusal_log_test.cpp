#include "cluster/transport/refusal_log.h"

#include <gtest/gtest.h>

#include "cluster/transport/handshake.h"

namespace warren::transport {
namespace {

TEST(RefusalLog, OncePerTextThenOnceAMinuteWithTheNumberLeftOut) {
  RefusalLog log;
  std::uint64_t left_out = 9;
  EXPECT_TRUE(log.due("a", "wrong", 0, left_out));
  EXPECT_EQ(left_out, 0u);
  for (int i = 1; i <= 5; ++i) EXPECT_FALSE(log.due("a", "wrong", i * 1000, left_out));
  EXPECT_TRUE(log.due("b", "wrong", 6000, left_out)) << "another subject";
  EXPECT_TRUE(log.due("a", "wrong", RefusalLog::kRepeatMs, left_out));
  EXPECT_EQ(left_out, 5u);
  EXPECT_TRUE(log.due("a", "other", RefusalLog::kRepeatMs + 1, left_out)) << "another text";
  log.forget("a");
  EXPECT_TRUE(log.due("a", "other", RefusalLog::kRepeatMs + 2, left_out));
  EXPECT_EQ(log.total(), 10u);
}

TEST(RefusalLog, SubjectsAreBounded) {
  RefusalLog log;
  std::uint64_t left_out = 0;
  for (int i = 0; i < 10'000; ++i) log.due(std::to_string(i), "x", i, left_out);
  EXPECT_FALSE(log.due("9999", "x", 10'000, left_out)) << "the newest is remembered";
  EXPECT_TRUE(log.due("1", "x", 10'000, left_out)) << "the oldest is not";
}

TEST(ClockWarning, NamesBothTimesOnlyWhenFarApart) {
  EXPECT_FALSE(clock_warning("a", 1'700'000'000'000, "b", 1'700'000'030'000));
  const auto text = clock_warning("a", 1'700'000'000'000, "b", 1'700'000'090'000);
  ASSERT_TRUE(text);
  EXPECT_NE(text->find("a shows 2023-11-14T22:13:20Z"), std::string::npos) << *text;
  EXPECT_NE(text->find("b shows 2023-11-14T22:14:50Z"), std::string::npos) << *text;
}

}  // namespace
}  // namespace warren::transport
