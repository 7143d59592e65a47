// Where a new classic queue goes: the words for it, and who may have it.

#include "node/broker/placement.h"

#include <gtest/gtest.h>

#include <set>

namespace warren::broker {
namespace {

using Counts = std::map<std::uint64_t, std::size_t>;
const std::vector<std::uint64_t> kThree{1, 2, 3};

TEST(PlacementTest, ClientLocalStaysHere) {
  for (const char* word : {"", "client-local"}) EXPECT_EQ(place_queue(word, 2, kThree, {{2, 100}}, 7), 2u);
}

TEST(PlacementTest, WhoMayNotHaveItGivesItAway) {
  EXPECT_EQ(place_queue("client-local", 9, kThree, {}, 4), 2u) << "a RAM node's durable queue";
  EXPECT_EQ(place_queue("min-masters", 9, {}, {}, 4), 9u) << "nobody else runs";
}

TEST(PlacementTest, MinMastersTakesTheOneWithTheFewest) {
  EXPECT_EQ(place_queue("min-masters", 1, kThree, {{1, 3}, {2, 2}, {3, 5}}, 0), 2u);
  EXPECT_EQ(place_queue("balanced", 1, kThree, {{1, 3}, {2, 2}}, 0), 3u);
  EXPECT_EQ(place_queue("min-masters", 1, {1, 3}, {{1, 3}, {2, 0}, {3, 4}}, 0), 1u) << "2 is in maintenance";
}

TEST(PlacementTest, MinMastersEvensOut) {
  Counts counts{{1, 6}};
  for (int i = 0; i < 12; ++i) ++counts[place_queue("min-masters", 1, kThree, counts, 0)];
  EXPECT_EQ(counts, (Counts{{1, 6}, {2, 6}, {3, 6}}));
}

TEST(PlacementTest, RandomReachesAll) {
  std::set<std::uint64_t> seen;
  for (std::uint64_t pick = 0; pick < 9; ++pick) seen.insert(place_queue("random", 1, kThree, {}, pick));
  EXPECT_EQ(seen, (std::set<std::uint64_t>{1, 2, 3}));
}

}  // namespace
}  // namespace warren::broker
