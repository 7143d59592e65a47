// Topic matching (EXC-10): a table, and the trie against a matcher too simple to be wrong.

#include "node/broker/routing/topic.h"

#include "base/prng.h"
#include "router_fixture.h"

#include <set>
#include <tuple>

namespace warren::broker::routing {
namespace {

using TopicTest = RouterFixture;

TEST_F(TopicTest, Exc10Table) {
  struct Case {
    const char* pattern;
    const char* key;
    bool match;
  };
  const Case kCases[] = {
      {"", "", true},           {"", "a", false},          {"*", "", false},
      {"#", "", true},          {"*.*", "", false},        {"#.*", "", false},
      {"a", "a", true},         {"a", "b", false},         {"a", "a.b", false},
      {"a", "A", false},        {"a.b", "a.b", true},      {"a.b", "a", false},
      {"a.b", "a.b.c", false},  {"*", "a", true},          {"*", "a.b", false},
      {"*.*", "a.b", true},     {"*.*", "a", false},       {"*.*", "a.b.c", false},
      {"a.*", "a.b", true},     {"a.*", "a", false},       {"a.*", "a.", true},
      {"*.b", "a.b", true},     {"*.b", "b", false},       {"a.*.c", "a.b.c", true},
      {"a.*.c", "a.c", false},  {"#", "a", true},          {"#", "a.b.c.d", true},
      {"a.#", "a", true},       {"a.#", "a.b.c", true},    {"a.#", "ab", false},
      {"#.c", "c", true},       {"#.c", "a.b.c", true},    {"#.c", "a.c.b", false},
      {"a.#.c", "a.c", true},   {"a.#.c", "a.b.b.c", true},{"a.#.c", "a.b", false},
      {"#.#", "", true},        {"#.#", "a", true},        {"#.#", "a.b", true},
      {"#.a.#", "b.a.c", true}, {"#.a.#", "a", true},      {"#.a.#", "b.c", false},
      {"*.#", "", false},        {"*.#", "a", true},        {"*.#", "a.b", true},
      {"#.*", "a", true},       {"#.*.#", "a.b", true},    {"*.#.*", "a", false},
      {"*.#.*", "a.b", true},   {"a..b", "a..b", true},    {"a.*.b", "a..b", true},
      {"a.b", "a..b", false},   {"..", "..", true},        {"*.*.*", "..", true},
      {"ab*", "abc", false},    {"ab*", "ab*", true},      {"#a", "a", false},
      {"#a", "#a", true},       {"a.#.b.#.c", "a.b.b.c.c", true},
      {"a.#.b.#.c", "a.c.b", false},
  };
  for (const Case& c : kCases) {
    VhostRouter fresh;
    fresh.put_exchange(exchange_def("x", "topic"), {});
    fresh.put_queue("q", 1);
    fresh.bind(binding("x", "q", c.pattern));
    std::vector<QueueUid> out;
    fresh.route("x", c.key, {}, {}, out);
    EXPECT_EQ(out.size(), c.match ? 1u : 0u) << c.pattern << " against " << c.key;
  }
}

std::vector<std::string> split(const std::string& text) {
  if (text.empty()) return {};
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (c == '.')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

bool dumb_match(const std::vector<std::string>& pattern, std::size_t p,
                const std::vector<std::string>& key, std::size_t k) {
  if (p == pattern.size()) return k == key.size();
  if (pattern[p] == "#") {
    for (std::size_t skip = k; skip <= key.size(); ++skip)
      if (dumb_match(pattern, p + 1, key, skip)) return true;
    return false;
  }
  return k < key.size() && (pattern[p] == "*" || pattern[p] == key[k]) &&
         dumb_match(pattern, p + 1, key, k + 1);
}

std::string random_key(Prng& prng, bool pattern) {
  static const char* kWords[] = {"a", "b", "c", "", "long-word", "*", "#"};
  std::string text;
  const auto words = 1 + prng.below(5);
  for (std::uint64_t i = 0; i < words; ++i) {
    if (i > 0) text += '.';
    text += kWords[prng.below(pattern ? 7 : 5)];
  }
  return text;
}

TEST_F(TopicTest, TrieAgreesWithDumbMatcherThroughBindAndUnbind) {
  const std::uint64_t seed = 4711;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  exchange("x", "topic");
  for (int i = 0; i < 20; ++i) queue("q" + std::to_string(i));
  std::set<std::pair<std::string, std::string>> bound;  // (pattern, queue)
  std::size_t found = 0;
  for (int round = 0; round < 3000; ++round) {
    const std::string pattern = random_key(prng, true);
    const std::string to = names[prng.below(names.size())];
    if (prng.chance(bound.size() < 150 ? 2 : 1, 3)) {
      bind("x", to, pattern);
      bound.emplace(pattern, to);
    } else if (!bound.empty()) {
      auto at = bound.lower_bound({pattern, to});
      if (at == bound.end()) at = bound.begin();
      router.unbind(binding("x", at->second, at->first));
      bound.erase(at);
    }
    ASSERT_EQ(router.binding_count(), bound.size());
    const std::string key = random_key(prng, false);
    std::set<std::string> expected;
    for (const auto& [p, q] : bound)
      if (dumb_match(split(p), 0, split(key), 0)) expected.insert(q);
    found += expected.size();
    ASSERT_EQ(route("x", key), Names(expected.begin(), expected.end()))
        << "round " << round << " key " << key;
  }
  EXPECT_GT(found, 2500u) << "the test must meet matches";
}

TEST_F(TopicTest, UnbindingEverythingLeavesAnEmptyTrie) {
  const std::uint64_t seed = 99;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  TopicMatcher trie;
  const FieldTable none;
  std::set<std::string> patterns;
  for (int i = 0; i < 3000; ++i) patterns.insert(random_key(prng, true) + std::to_string(i % 700));
  for (const auto& p : patterns) EXPECT_TRUE(trie.add({0, "q", p, 0, none}));
  EXPECT_GT(trie.node_count(), patterns.size() / 2);
  for (const auto& p : patterns) EXPECT_FALSE(trie.add({0, "q", p, 0, none}));
  for (const auto& p : patterns) EXPECT_TRUE(trie.remove({0, "q", p, 0, none}));
  for (const auto& p : patterns) EXPECT_FALSE(trie.remove({0, "q", p, 0, none}));
  EXPECT_EQ(trie.node_count(), 1u);
  EXPECT_EQ(trie.word_count(), 0u);
}

TEST_F(TopicTest, ManyHashesCostNoMoreThanTheirNumber) {
  // Backtracking would need about 250^12 steps here.
  exchange("x", "topic");
  queue("q");
  bind("x", "q", "#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.a.#.b");
  std::string key = "a";
  for (int i = 0; i < 120; ++i) key += ".a";
  EXPECT_EQ(route("x", key), Names{});
  EXPECT_EQ(route("x", key + ".b"), Names{"q"});
}

}  // namespace
}  // namespace warren::broker::routing
