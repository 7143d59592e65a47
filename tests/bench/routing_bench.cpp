// Nanoseconds per route, scan and cache hit. Prints a line each; judges nothing.

#include "base/prng.h"
#include "node/amqp/properties.h"
#include "node/broker/routing/route_cache.h"
#include "node/broker/routing/vhost_router.h"

#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

namespace {

using namespace warren;
using namespace warren::broker::routing;

std::uint64_t sink = 0;  // keeps results alive

template <class Work>
void measure(const char* what, std::uint64_t rounds, Work work) {
  double best = 1e18;
  for (int pass = 0; pass < 3; ++pass) {
    const auto start = std::chrono::steady_clock::now();
    for (std::uint64_t i = 0; i < rounds; ++i) work(i);
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    best = std::min(best, took.count() / static_cast<double>(rounds));
  }
  std::printf("%-58s %9.1f ns\n", what, best);
}

metadata::BindingDef binding(std::string to, std::string key, FieldTable arguments = {}) {
  metadata::BindingDef def;
  def.source = "x";
  def.destination = std::move(to);
  def.routing_key = std::move(key);
  def.arguments = std::move(arguments);
  return def;
}

VhostRouter router_of(const char* type, int queues) {
  VhostRouter router;
  metadata::ExchangeDef def;
  def.name = "x";
  def.type = type;
  router.put_exchange(def, {});
  for (int i = 0; i < queues; ++i)
    router.put_queue("q" + std::to_string(i), static_cast<QueueUid>(i + 1));
  return router;
}

/// "stock.usd.w17", patterns with a star or a hash for every third of them.
std::string topic_key(Prng& prng, bool pattern) {
  std::string key = "w" + std::to_string(prng.below(40));
  for (int i = 0; i < 2; ++i) {
    const auto dice = pattern ? prng.below(6) : 5;
    key += dice == 0 ? ".*" : dice == 1 ? ".#" : ".w" + std::to_string(prng.below(40));
  }
  return key;
}

void topic(int bindings) {
  Prng prng(1);
  auto router = router_of("topic", 100);
  std::vector<metadata::BindingDef> defs;
  for (int i = 0; i < bindings; ++i)
    defs.push_back(binding("q" + std::to_string(prng.below(100)), topic_key(prng, true)));
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) keys.push_back(topic_key(prng, false));
  const std::string label = "topic " + std::to_string(bindings) + " bindings";
  measure((label + ": bind (first pass), bind again").c_str(), defs.size(),
          [&](std::uint64_t i) { router.bind(defs[i]); });
  std::vector<QueueUid> out;
  std::uint64_t reached = 0, routed = 0;
  measure((label + ": route").c_str(), 200'000, [&](std::uint64_t i) {
    out.clear();
    router.route("x", keys[i % keys.size()], {}, {}, out);
    reached += out.size();
    ++routed;
  });
  std::printf("%-58s %9.2f queues\n", "  reached per message", 1.0 * reached / routed);
  const auto start = std::chrono::steady_clock::now();
  for (const auto& def : defs) router.unbind(def);
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
  std::printf("%-58s %9.1f ns\n", (label + ": unbind").c_str(), took.count() / bindings);
  if (router.binding_count() != 0) std::printf("bindings left: %zu\n", router.binding_count());
}

void others() {
  std::vector<QueueUid> out;
  const auto route = [&](VhostRouter& router, std::string_view key, std::string_view headers = {}) {
    out.clear();
    router.route("x", key, {}, headers, out);
    sink += out.size();
  };
  auto direct = router_of("direct", 1000);
  std::vector<std::string> keys;
  for (int i = 0; i < 1000; ++i) {
    keys.push_back("key." + std::to_string(i));
    direct.bind(binding("q" + std::to_string(i), keys.back()));
  }
  measure("direct, 1000 bindings: route", 1'000'000,
          [&](std::uint64_t i) { route(direct, keys[i % 1000]); });
  measure("default exchange, 1000 queues: route", 1'000'000, [&](std::uint64_t) {
    out.clear();
    direct.route("", "q77", {}, {}, out);
    sink += out.size();
  });
  auto fanout = router_of("fanout", 10);
  for (int i = 0; i < 10; ++i) fanout.bind(binding("q" + std::to_string(i), ""));
  measure("fanout to 10 queues: route", 1'000'000, [&](std::uint64_t) { route(fanout, ""); });
  auto headers = router_of("headers", 100);
  for (int i = 0; i < 100; ++i) {
    FieldTable args;
    args.set("x-match", "all");
    args.set("kind", "k" + std::to_string(i));
    args.set("region", std::int32_t{i % 7});
    headers.bind(binding("q" + std::to_string(i), "", args));
  }
  FieldTable message;
  message.set("kind", "k42");
  message.set("region", std::int32_t{0});
  message.set("trace", "0123456789abcdef");
  const std::string encoded = message.encode();
  measure("headers, 100 bindings of two conditions: route", 200'000,
          [&](std::uint64_t) { route(headers, "", encoded); });
  auto hash = router_of("x-consistent-hash", 10);
  for (int i = 0; i < 10; ++i) hash.bind(binding("q" + std::to_string(i), "10"));
  measure("x-consistent-hash, 10 queues: route", 500'000,
          [&](std::uint64_t i) { route(hash, keys[i % 1000]); });
}

void small_things() {
  RouteCache<std::vector<QueueUid>> cache;
  for (int i = 0; i < 8; ++i) cache.put(1, "orders", "key." + std::to_string(i), {1});
  const std::string same = "key.3";
  measure("route cache: the same pair again", 5'000'000, [&](std::uint64_t) {
    if (auto* hit = cache.find(1, "orders", same)) sink += hit->size();
  });
  std::vector<std::string> keys;
  for (int i = 0; i < 8; ++i) keys.push_back("key." + std::to_string(i));
  measure("route cache: eight pairs in turn", 5'000'000, [&](std::uint64_t i) {
    if (auto* hit = cache.find(1, "orders", keys[i % 8])) sink += hit->size();
  });
  amqp::BasicProperties p;
  amqp::PropertiesScan scan;
  const auto scan_of = [&](const char* what) {
    const std::string wire = amqp::encode_properties(p);
    measure(what, 5'000'000, [&](std::uint64_t) {
      sink += amqp::scan_properties(wire, scan);
      sink += scan.delivery_mode;
    });
  };
  scan_of("scan: no properties");
  p.delivery_mode = 2;
  scan_of("scan: delivery mode");
  p.content_type = "application/json";
  p.message_id = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
  p.correlation_id = p.message_id;
  p.reply_to = "amq.gen-1234";
  p.timestamp = 1'700'000'000;
  scan_of("scan: six properties");
  p.headers.emplace();
  p.headers->set("trace-id", "0123456789abcdef");
  p.headers->set("n", std::int64_t{5});
  p.headers->set("flag", true);
  scan_of("scan: six properties and three headers");
}

}  // namespace

int main() {
  topic(1000);
  topic(100'000);
  others();
  small_things();
  std::printf("(%llu)\n", static_cast<unsigned long long>(sink & 1));
  return 0;
}
