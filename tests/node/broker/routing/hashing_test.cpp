// Hashing and random exchanges (EXC-13 to EXC-15): spread, stability, weights, rules.

#include "node/broker/routing/hashing.h"

#include "base/prng.h"
#include "node/amqp/properties.h"
#include "node/broker/routing/stable_hash.h"
#include "router_fixture.h"

#include <cmath>

namespace warren::broker::routing {
namespace {

using HashingTest = RouterFixture;

std::string key_of(int i) { return "key-" + std::to_string(i); }

TEST_F(HashingTest, HashIsFrozen) {
  // Other numbers here mean that keys would move to other queues after an upgrade.
  EXPECT_EQ(stable_hash(""), stable_mix(hash_detail::kA));
  EXPECT_EQ(stable_hash("a"), 0xE3593199D317C8E6ULL);
  EXPECT_EQ(stable_hash("routing.key"), 0x728032D3F607069EULL);
  EXPECT_EQ(stable_hash("a routing key of more than sixteen bytes"), 0xEE81F8F9243303C9ULL);
}

TEST_F(HashingTest, DistanceIsTheNegativeLogarithm) {
  Prng prng(5);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t hash = prng.next() >> prng.below(60);
    const double expected = 64 - std::log2(static_cast<double>(hash | 1));
    const double got = static_cast<double>(hash_distance(hash)) / 4294967296.0;
    ASSERT_NEAR(got, expected, 1e-5) << hash;
  }
}

TEST_F(HashingTest, Exc13SpreadsByWeight) {
  exchange("x", "x-consistent-hash");
  const std::map<std::string, int> weights = {{"a", 1}, {"b", 1}, {"c", 2}, {"d", 6}, {"none", 0}};
  for (const auto& [q, w] : weights) {
    queue(q);
    bind("x", q, std::to_string(w));
  }
  std::map<std::string, int> counts;
  constexpr int kKeys = 10'000;
  for (int i = 0; i < kKeys; ++i) {
    const auto reached = route("x", key_of(i));
    ASSERT_EQ(reached.size(), 1u);
    ++counts[reached[0]];
  }
  EXPECT_EQ(counts.count("none"), 0u);
  double chi_square = 0;
  for (const auto& [q, w] : weights) {
    if (w == 0) continue;
    const double expected = kKeys * w / 10.0;
    chi_square += (counts[q] - expected) * (counts[q] - expected) / expected;
  }
  EXPECT_LT(chi_square, 16.3) << "3 degrees of freedom, p = 0.001";
}

TEST_F(HashingTest, Exc13SameQueueWhateverTheOrderOfBindings) {
  VhostRouter other;
  for (VhostRouter* r : {&router, &other})
    r->put_exchange(exchange_def("x", "x-consistent-hash"), {});
  for (int i = 0; i < 8; ++i) {
    router.put_queue("q" + std::to_string(i), 100 + i);
    router.bind(binding("x", "q" + std::to_string(i), "3"));
  }
  for (int i = 7; i >= 0; --i) {
    other.put_queue("q" + std::to_string(i), 100 + i);
    other.bind(binding("x", "q" + std::to_string(i), "3"));
  }
  for (int i = 0; i < 500; ++i) {
    std::vector<QueueUid> a, b;
    router.route("x", key_of(i), {}, {}, a);
    other.route("x", key_of(i), {}, {}, b);
    ASSERT_EQ(a, b);
  }
}

TEST_F(HashingTest, Exc13OnlyKeysOfALeavingQueueMove) {
  exchange("x", "x-consistent-hash");
  for (int i = 0; i < 5; ++i) {
    queue("q" + std::to_string(i));
    bind("x", "q" + std::to_string(i), std::to_string(i + 1));
  }
  std::vector<Names> before;
  for (int i = 0; i < 2000; ++i) before.push_back(route("x", key_of(i)));
  router.unbind(binding("x", "q2", "3"));
  for (int i = 0; i < 2000; ++i) {
    const auto now = route("x", key_of(i));
    if (before[i] != Names{"q2"}) {
      ASSERT_EQ(now, before[i]);
    } else {
      ASSERT_NE(now, Names{"q2"});
    }
  }
}

TEST_F(HashingTest, Exc13ByHeaderAndProperty) {
  router.put_exchange(exchange_def("h", "x-consistent-hash", table({{"hash-header", "user"}})), {});
  router.put_exchange(
      exchange_def("p", "x-consistent-hash", table({{"hash-property", "message_id"}})), {});
  for (int i = 0; i < 10; ++i) {
    queue("q" + std::to_string(i));
    for (const char* x : {"h", "p"}) bind(x, "q" + std::to_string(i), "1");
  }
  std::map<Names, int> by_header, by_property;
  for (int i = 0; i < 300; ++i) {
    const FieldTable headers = table({{"user", FieldValue(key_of(i))}});
    const auto reached = route("h", "same key", headers);
    ASSERT_EQ(reached.size(), 1u);
    ++by_header[reached];
    ASSERT_EQ(route("h", key_of(i + 1), headers), reached) << "the key does not count";
    amqp::BasicProperties p;
    p.message_id = key_of(i);
    const std::string wire = amqp::encode_properties(p);
    ++by_property[route("p", "same key", {}, {}, wire)];
  }
  EXPECT_EQ(by_header.size(), 10u);
  EXPECT_EQ(by_property.size(), 10u);
  EXPECT_EQ(route("h", "k1"), route("h", "k2")) << "without the header all go one way";
}

TEST_F(HashingTest, Exc13SkipsQueuesThatAreGone) {
  exchange("x", "x-consistent-hash");
  queue("a");
  queue("b");
  bind("x", "a", "1");
  bind("x", "b", "1000");
  router.drop_queue("b");
  for (int i = 0; i < 50; ++i) ASSERT_EQ(route("x", key_of(i)), Names{"a"});
}

TEST_F(HashingTest, Exc13LargestWeightOfADestinationCounts) {
  exchange("x", "x-consistent-hash");
  queue("a");
  queue("b");
  bind("x", "a", "1");
  bind("x", "a", "0");
  bind("x", "b", "0");
  EXPECT_EQ(route("x", "k"), Names{"a"});
  router.unbind(binding("x", "a", "1"));
  EXPECT_EQ(route("x", "k"), Names{});
}

TEST_F(HashingTest, Exc13Rules) {
  const auto source = exchange_def("x", "x-consistent-hash");
  for (const char* good : {"0", "1", "10", "999999999"})
    EXPECT_TRUE(validate_binding(source, binding("x", "q", good)).has_value()) << good;
  for (const char* bad : {"", "x", "-1", "1.5", "5 ", "1000000000000"})
    EXPECT_FALSE(validate_binding(source, binding("x", "q", bad)).has_value()) << bad;
  const auto declared = [&](FieldTable args) {
    return validate_exchange(exchange_def("x", "x-consistent-hash", args)).has_value();
  };
  EXPECT_TRUE(declared({}));
  EXPECT_TRUE(declared(table({{"hash-header", "h"}})));
  for (const char* property : {"message_id", "correlation_id", "timestamp"})
    EXPECT_TRUE(declared(table({{"hash-property", property}})));
  EXPECT_FALSE(declared(table({{"hash-property", "app_id"}})));
  EXPECT_FALSE(declared(table({{"hash-header", "h"}, {"hash-property", "message_id"}})));
  EXPECT_FALSE(declared(table({{"hash-header", FieldValue(true)}})));
}

TEST_F(HashingTest, Exc14ModulusOverSortedNames) {
  VhostRouter other;
  for (VhostRouter* r : {&router, &other}) r->put_exchange(exchange_def("x", "x-modulus-hash"), {});
  const std::vector<std::string> qs = {"c", "a", "e", "b", "d"};
  for (std::size_t i = 0; i < qs.size(); ++i) {
    router.put_queue(qs[i], 1 + i);
    router.bind(binding("x", qs[i], "ignored"));
    router.bind(binding("x", qs[i], "bound twice"));
  }
  for (std::size_t i = qs.size(); i-- > 0;) {
    other.put_queue(qs[i], 1 + i);
    other.bind(binding("x", qs[i], ""));
  }
  std::map<QueueUid, int> counts;
  for (int i = 0; i < 5000; ++i) {
    std::vector<QueueUid> a, b;
    router.route("x", key_of(i), {}, {}, a);
    other.route("x", key_of(i), {}, {}, b);
    ASSERT_EQ(a.size(), 1u);
    ASSERT_EQ(a, b) << "a restart must not move keys";
    ++counts[a[0]];
  }
  for (const auto& [uid, n] : counts) EXPECT_NEAR(n, 1000, 150) << uid;
  EXPECT_EQ(counts.size(), 5u);
}

TEST_F(HashingTest, Exc15RandomAndLocalRandom) {
  std::uint64_t next = 0;
  RouterHooks hooks;
  hooks.random = [&](std::uint64_t bound) { return next++ % bound; };
  hooks.is_local = [](QueueUid uid) { return uid % 2 == 0; };
  router = VhostRouter(hooks);
  exchange("r", "x-random");
  exchange("l", "x-local-random");
  for (const char* q : {"q1", "q2", "q3", "q4"}) {
    queue(q);
    for (const char* x : {"r", "l"}) bind(x, q);
  }
  std::map<std::string, int> counts;
  for (int i = 0; i < 40; ++i) {
    const auto reached = route("r", "");
    ASSERT_EQ(reached.size(), 1u);
    ++counts[reached[0]];
  }
  for (const auto& [q, n] : counts) EXPECT_EQ(n, 10) << q;
  counts.clear();
  for (int i = 0; i < 40; ++i) ++counts[route("l", "")[0]];
  EXPECT_EQ(counts, (std::map<std::string, int>{{"q2", 20}, {"q4", 20}}));
  router.drop_queue("q2");
  router.drop_queue("q4");
  EXPECT_EQ(route("l", ""), Names{}) << "none local: unroutable";
}

TEST_F(HashingTest, Exc15LocalRandomRules) {
  const auto source = exchange_def("x", "x-local-random");
  EXPECT_TRUE(validate_binding(source, binding("x", "q")).has_value());
  EXPECT_FALSE(validate_binding(source, binding("x", "q", "k")).has_value());
  EXPECT_FALSE(validate_binding(source, binding("x", "y", "", {}, false)).has_value());
}

TEST_F(HashingTest, KnownTypes) {
  for (const char* good : {"direct", "fanout", "topic", "headers", "x-consistent-hash",
                           "x-modulus-hash", "x-random", "x-local-random", "x-delayed-message"})
    EXPECT_TRUE(known_exchange_type(good)) << good;
  for (const char* bad : {"", "Direct", "nope", "x-recent-history"})
    EXPECT_FALSE(known_exchange_type(bad)) << bad;
  EXPECT_FALSE(validate_exchange(exchange_def("x", "x-delayed-message")).has_value());
  EXPECT_TRUE(validate_exchange(exchange_def("x", "x-delayed-message",
                                             table({{"x-delayed-type", "topic"}})))
                  .has_value());
}

}  // namespace
}  // namespace warren::broker::routing
