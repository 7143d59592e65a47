// Topic exchange: binds, unbinds and routes as the input says, against a matcher that backtracks.

#include "node/broker/routing/vhost_router.h"
#include "tests/fuzz/fuzz.h"

#include <set>
#include <string>
#include <vector>

using namespace warren;
using namespace warren::broker::routing;

namespace {

/// "" has no words.
std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> words(text.empty() ? 0 : 1);
  for (const char c : text) {
    if (c == '.')
      words.emplace_back();
    else
      words.back() += c;
  }
  return words;
}

/// Dynamic programming over (words of the pattern, words of the key): cannot blow up.
bool matches(std::string_view pattern_text, std::string_view key_text) {
  const auto pattern = split(pattern_text), key = split(key_text);
  std::vector<bool> row(key.size() + 1, false);
  row[0] = true;
  for (const std::string& word : pattern) {
    std::vector<bool> next(key.size() + 1, false);
    if (word == "#") {
      bool seen = false;
      for (std::size_t k = 0; k <= key.size(); ++k) next[k] = seen = seen || row[k];
    } else {
      for (std::size_t k = 0; k < key.size(); ++k)
        next[k + 1] = row[k] && (word == "*" || word == key[k]);
    }
    row = std::move(next);
  }
  return row[key.size()];
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  VhostRouter router;
  metadata::ExchangeDef exchange;
  exchange.name = "x";
  exchange.type = "topic";
  router.put_exchange(exchange, {});
  for (QueueUid uid = 1; uid <= 4; ++uid) router.put_queue("q" + std::to_string(uid), uid);
  std::set<std::pair<std::string, QueueUid>> bound;
  while (!in.empty()) {
    const auto what = in.byte();
    const std::string text(in.take(in.below(24)));
    const QueueUid uid = 1 + (what >> 2) % 4;
    metadata::BindingDef def;
    def.source = "x";
    def.destination = "q" + std::to_string(uid);
    def.routing_key = text;
    switch (what & 3) {
      case 0:
      case 1:
        router.bind(def);
        bound.emplace(text, uid);
        break;
      case 2:
        router.unbind(def);
        bound.erase({text, uid});
        break;
      default: {
        std::vector<QueueUid> out;
        router.route("x", text, {}, {}, out);
        std::set<QueueUid> expected;
        for (const auto& [pattern, to] : bound)
          if (matches(pattern, text)) expected.insert(to);
        FUZZ_CHECK(out.size() == expected.size());
        FUZZ_CHECK(std::set<QueueUid>(out.begin(), out.end()) == expected);
      }
    }
    FUZZ_CHECK(router.binding_count() == bound.size());
  }
  return 0;
}
