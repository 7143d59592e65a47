// What members said of themselves: asked when they come, again and again, never twice at once.

#include "cluster/membership/briefs.h"

#include <gtest/gtest.h>

namespace warren::membership {
namespace {

using Ids = std::vector<std::uint64_t>;
constexpr Millis kNow = 1'000'000;

TEST(BriefsTest, AskedAsSoonAsConnectedAndNotTwiceAtOnce) {
  Briefs briefs;
  EXPECT_EQ(briefs.due(kNow), Ids{});
  briefs.up(7);
  briefs.up(9);
  EXPECT_EQ(briefs.due(kNow), (Ids{7, 9}));
  EXPECT_EQ(briefs.due(kNow + 10'000), Ids{}) << "both are being asked";
  EXPECT_EQ(briefs.find(7, kNow), nullptr);
}

TEST(BriefsTest, AnAnswerIsKeptAndRefreshed) {
  Briefs briefs;
  briefs.up(7);
  briefs.due(kNow);
  briefs.put(7, "one", kNow);
  ASSERT_NE(briefs.find(7, kNow), nullptr);
  EXPECT_EQ(*briefs.find(7, kNow), boost::json::value("one"));
  EXPECT_EQ(briefs.due(kNow + Briefs::kRefresh - 1), Ids{});
  EXPECT_EQ(briefs.due(kNow + Briefs::kRefresh), Ids{7});
  EXPECT_NE(briefs.find(7, kNow + Briefs::kOldest), nullptr);
  EXPECT_EQ(briefs.find(7, kNow + Briefs::kOldest + 1), nullptr) << "too old to be shown";
}

TEST(BriefsTest, AMissedAnswerIsAskedForAgainAndTheLastOneStays) {
  Briefs briefs;
  briefs.up(7);
  briefs.put(7, "one", kNow);
  const Millis later = kNow + Briefs::kRefresh;
  EXPECT_EQ(briefs.due(later), Ids{7});
  briefs.missed(7, later + 100);
  EXPECT_EQ(briefs.due(later + 100 + Briefs::kRetry - 1), Ids{});
  EXPECT_EQ(briefs.due(later + 100 + Briefs::kRetry), Ids{7});
  EXPECT_NE(briefs.find(7, later + 100), nullptr);
}

TEST(BriefsTest, WhoIsNotConnectedSaidNothing) {
  Briefs briefs;
  briefs.up(7);
  briefs.put(7, "one", kNow);
  briefs.down(7);
  EXPECT_EQ(briefs.find(7, kNow), nullptr);
  briefs.put(7, "late", kNow);
  briefs.missed(7, kNow);
  EXPECT_EQ(briefs.find(7, kNow), nullptr);
  EXPECT_EQ(briefs.due(kNow), Ids{});
  briefs.up(7);
  EXPECT_EQ(briefs.due(kNow), Ids{7}) << "asked anew";
}

}  // namespace
}  // namespace warren::membership
