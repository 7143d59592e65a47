// The route cache: hits, versions, its bound; and the table below it against std::map.

#include "node/broker/routing/route_cache.h"

#include "base/prng.h"
#include "node/broker/routing/key_table.h"

#include <gtest/gtest.h>

#include <map>

namespace warren::broker::routing {
namespace {

TEST(RouteCacheTest, FindsWhatWasPutForThatVersionOnly) {
  RouteCache<int> cache(8);
  EXPECT_EQ(cache.find(1, "x", "k"), nullptr);
  cache.put(1, "x", "k", 5);
  ASSERT_NE(cache.find(1, "x", "k"), nullptr);
  EXPECT_EQ(*cache.find(1, "x", "k"), 5);
  EXPECT_EQ(cache.find(2, "x", "k"), nullptr);
  EXPECT_EQ(cache.find(1, "xk", ""), nullptr);
  EXPECT_EQ(cache.find(1, "", "k"), nullptr);
  cache.put(2, "y", "k", 6);
  EXPECT_EQ(cache.find(2, "x", "k"), nullptr) << "from before";
  EXPECT_EQ(*cache.find(2, "y", "k"), 6);
}

TEST(RouteCacheTest, EmptyNamesAreNamesToo) {
  RouteCache<int> cache(4);
  cache.put(1, "a", "", 3);
  EXPECT_EQ(cache.find(1, "", ""), nullptr);
  cache.put(1, "", "", 4);
  EXPECT_EQ(*cache.find(1, "", ""), 4);
}

TEST(RouteCacheTest, NeverWrongWhileKeysPushEachOtherOut) {
  const std::uint64_t seed = 7;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  RouteCache<std::string> cache(16);
  int hits = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::string x = "x" + std::to_string(prng.below(3));
    const std::string k = "k" + std::to_string(prng.below(8));
    const std::uint64_t version = 1 + static_cast<std::uint64_t>(i / 1000);
    const std::string right = x + k + std::to_string(version);
    if (const std::string* hit = cache.find(version, x, k)) {
      ASSERT_EQ(*hit, right);
      ++hits;
    } else {
      ASSERT_EQ(cache.put(version, x, k, right), right);
    }
  }
  EXPECT_GT(hits, 4000);
}

TEST(KeyTableTest, AgreesWithMap) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  KeyTable<int> table;
  std::map<std::string, int> model;
  for (int i = 0; i < 50'000; ++i) {
    const std::string key = std::to_string(prng.below(900));
    switch (prng.below(3)) {
      case 0: model[key] = table[key] = i; break;
      case 1: ASSERT_EQ(table.erase(key), model.erase(key) == 1); break;
      default: {
        const int* found = table.find(key);
        const auto expected = model.find(key);
        ASSERT_EQ(found != nullptr, expected != model.end());
        if (found != nullptr) {
          ASSERT_EQ(*found, expected->second);
        }
      }
    }
    ASSERT_EQ(table.size(), model.size());
  }
  int sum = 0, expected = 0;
  table.each_value([&](int v) { sum += v; });
  for (const auto& [k, v] : model) expected += v;
  EXPECT_EQ(sum, expected);
}

}  // namespace
}  // namespace warren::broker::routing
