// The router as a whole: default exchange, alternates, exchange-to-exchange, life of objects.

#include "router_fixture.h"

namespace warren::broker::routing {
namespace {

using VhostRouterTest = RouterFixture;

TEST_F(VhostRouterTest, Pub17DefaultExchange) {
  queue("a");
  queue("b");
  EXPECT_EQ(route("", "a"), Names{"a"});
  EXPECT_EQ(route("", "nope"), Names{});
  EXPECT_EQ(last, Routed::ok);
  EXPECT_EQ(route("", "a", {}, {"b", "a"}), (Names{"a", "b"})) << "CC through the default exchange";
  router.drop_queue("a");
  EXPECT_EQ(route("", "a"), Names{});
}

TEST_F(VhostRouterTest, Pub08MissingExchange) {
  route("nope", "k");
  EXPECT_EQ(last, Routed::no_exchange);
}

TEST_F(VhostRouterTest, Pub09InternalExchange) {
  auto def = exchange_def("x", "fanout");
  def.internal = true;
  router.put_exchange(def, {});
  queue("a");
  bind("x", "a");
  EXPECT_EQ(route("x", ""), Names{"a"}) << "dead letters may go there";
  EXPECT_EQ(last, Routed::internal);
  exchange("y", "fanout");
  bind_exchange("y", "x");
  EXPECT_EQ(route("y", ""), Names{"a"});
  EXPECT_EQ(last, Routed::ok);
}

TEST_F(VhostRouterTest, Exc12DirectAndFanout) {
  exchange("d", "direct");
  exchange("f", "fanout");
  for (const char* q : {"a", "b", "c"}) queue(q);
  bind("d", "a", "k");
  bind("d", "b", "k");
  bind("d", "c", "K");
  EXPECT_EQ(route("d", "k"), (Names{"a", "b"}));
  EXPECT_EQ(route("d", "k", {}, {"K"}), (Names{"a", "b", "c"}));
  EXPECT_EQ(route("d", "k "), Names{});
  bind("f", "a", "k1");
  bind("f", "a", "k2");
  bind("f", "c");
  EXPECT_EQ(route("f", "whatever"), (Names{"a", "c"}));
  router.unbind(binding("f", "a", "k1"));
  EXPECT_EQ(route("f", ""), (Names{"a", "c"})) << "still bound by k2";
  router.unbind(binding("f", "a", "k2"));
  EXPECT_EQ(route("f", ""), Names{"c"});
}

TEST_F(VhostRouterTest, Exc09DiamondGivesEachQueueOnce) {
  for (const char* x : {"top", "left", "right", "bottom"}) exchange(x, "fanout");
  queue("q");
  bind_exchange("top", "left");
  bind_exchange("top", "right");
  bind_exchange("left", "bottom");
  bind_exchange("right", "bottom");
  bind("bottom", "q");
  bind("left", "q");
  EXPECT_EQ(route("top", ""), Names{"q"});
}

TEST_F(VhostRouterTest, Exc09CyclesEnd) {
  exchange("a", "fanout");
  exchange("b", "topic");
  queue("q");
  bind_exchange("a", "b", "#");
  bind_exchange("b", "a", "#");
  bind_exchange("a", "a");
  bind("b", "q", "x.*");
  EXPECT_EQ(route("a", "x.y"), Names{"q"});
  EXPECT_EQ(route("b", "x.y"), Names{"q"});
  EXPECT_EQ(route("a", "y"), Names{});
}

TEST_F(VhostRouterTest, Exc08Alternate) {
  exchange("ae", "fanout");
  exchange("x", "direct", "ae");
  queue("main");
  queue("rest");
  bind("x", "main", "k");
  bind("ae", "rest");
  EXPECT_EQ(route("x", "k"), Names{"main"});
  EXPECT_EQ(route("x", "other"), Names{"rest"});
  router.set_alternate("x", std::nullopt);
  EXPECT_EQ(route("x", "other"), Names{});
  router.set_alternate("x", "missing");
  EXPECT_EQ(route("x", "other"), Names{}) << "a missing alternate drops";
  router.set_alternate("x", "");
  EXPECT_EQ(route("x", "rest"), Names{"rest"}) << "the default exchange as alternate";
}

TEST_F(VhostRouterTest, Exc08AlternateBehindAnotherExchangeAndInACycle) {
  exchange("outer", "fanout");
  exchange("inner", "direct", "ae");
  exchange("ae", "direct", "inner");
  queue("q");
  bind_exchange("outer", "inner");
  EXPECT_EQ(route("outer", "k"), Names{}) << "alternates that name each other";
  bind("ae", "q", "k");
  EXPECT_EQ(route("outer", "k"), Names{"q"});
}

TEST_F(VhostRouterTest, Exc20BindingsAreIdentifiedByArgumentsToo) {
  for (const char* type : {"direct", "fanout", "topic", "headers", "x-modulus-hash", "x-random",
                           "x-consistent-hash"}) {
    exchange(type, type);
    queue("q");
    const auto before = router.binding_count();
    const FieldTable args = table({{"n", FieldValue(std::int32_t{1})}});
    bind(type, "q", "1", args);
    bind(type, "q", "1", args);
    bind(type, "q", "1");
    EXPECT_EQ(router.binding_count() - before, 2u) << type;
    router.unbind(binding(type, "q", "1"));
    router.unbind(binding(type, "q", "1"));
    EXPECT_EQ(router.binding_count() - before, 1u) << type;
    EXPECT_EQ(route(type, "1", args), Names{"q"}) << type;
    router.unbind(binding(type, "q", "2", args));
    router.unbind(binding(type, "q", "1", args));
    EXPECT_EQ(route(type, "1", args), Names{}) << type;
    EXPECT_EQ(router.binding_count(), before) << type;
  }
}

TEST_F(VhostRouterTest, DroppedExchangeTakesItsBindingsAlong) {
  for (const char* type : {"direct", "fanout", "topic", "headers", "x-modulus-hash",
                           "x-consistent-hash"}) {
    exchange("x", type);
    queue("q");
    bind("x", "q", "1", table({{"n", FieldValue(true)}}));
    router.drop_exchange("x");
    route("x", "1");
    EXPECT_EQ(last, Routed::no_exchange);
    EXPECT_EQ(router.binding_count(), 0u);
    exchange("x", type);
    EXPECT_EQ(route("x", "1", table({{"n", FieldValue(true)}})), Names{}) << type;
    router.drop_exchange("x");
  }
}

TEST_F(VhostRouterTest, QueueDeclaredAnewUnderItsName) {
  exchange("x", "fanout");
  queue("q");
  bind("x", "q");
  router.drop_queue("q");
  EXPECT_EQ(route("x", ""), Names{});
  std::vector<QueueUid> out;
  router.put_queue("q", 77);
  router.route("x", "", {}, {}, out);
  EXPECT_EQ(out, std::vector<QueueUid>{77});
  router.put_queue("q", 78);
  out.clear();
  router.route("", "q", {}, {}, out);
  EXPECT_EQ(out, std::vector<QueueUid>{78});
}

TEST_F(VhostRouterTest, RenewedExchangeKeepsBindingsUnlessTheTypeChanges) {
  exchange("x", "fanout");
  queue("q");
  bind("x", "q", "k");
  exchange("x", "fanout", "ae");
  EXPECT_EQ(route("x", ""), Names{"q"});
  router.put_exchange(exchange_def("x", "fanout", table({{"comment", "new"}})), {});
  EXPECT_EQ(route("x", ""), Names{"q"}) << "arguments that mean nothing to routing";
  exchange("x", "direct");
  EXPECT_EQ(route("x", "k"), Names{});
  EXPECT_EQ(router.binding_count(), 0u);
  EXPECT_FALSE(same_routing(exchange_def("x", "x-consistent-hash"),
                            exchange_def("x", "x-consistent-hash", table({{"hash-header", "h"}}))));
}

TEST_F(VhostRouterTest, VersionChangesWithEveryMutation) {
  std::vector<std::uint64_t> seen{router.version()};
  const auto moved = [&] {
    const bool fresh = router.version() > seen.back();
    seen.push_back(router.version());
    return fresh;
  };
  exchange("x", "fanout");
  EXPECT_TRUE(moved());
  queue("q");
  EXPECT_TRUE(moved());
  bind("x", "q");
  EXPECT_TRUE(moved());
  bind("x", "q");
  EXPECT_FALSE(moved()) << "nothing new";
  router.set_alternate("x", "ae");
  EXPECT_TRUE(moved());
  router.unbind(binding("x", "q"));
  EXPECT_TRUE(moved());
  router.drop_queue("q");
  EXPECT_TRUE(moved());
  router.drop_exchange("x");
  EXPECT_TRUE(moved());
  EXPECT_NE(seen.front(), 0u);
}

TEST_F(VhostRouterTest, DependsOnHeadersFollowsBindingsAndAlternates) {
  for (const char* x : {"a", "b", "c"}) exchange(x, "fanout");
  exchange("h", "headers");
  EXPECT_TRUE(router.depends_on_headers("h"));
  EXPECT_FALSE(router.depends_on_headers("a"));
  EXPECT_FALSE(router.depends_on_headers(""));
  EXPECT_FALSE(router.depends_on_headers("missing"));
  bind_exchange("a", "b");
  bind_exchange("b", "a");
  bind_exchange("b", "h");
  EXPECT_TRUE(router.depends_on_headers("a"));
  router.unbind(binding("b", "h", "", {}, false));
  EXPECT_FALSE(router.depends_on_headers("a"));
  router.set_alternate("b", "h");
  EXPECT_TRUE(router.depends_on_headers("a"));
  EXPECT_FALSE(router.depends_on_headers("c"));
  exchange("r", "x-random");
  EXPECT_TRUE(router.depends_on_headers("r"));
  exchange("ch", "x-consistent-hash");
  EXPECT_FALSE(router.depends_on_headers("ch"));
  router.put_exchange(exchange_def("chh", "x-consistent-hash", table({{"hash-header", "h"}})), {});
  EXPECT_TRUE(router.depends_on_headers("chh"));
}

TEST_F(VhostRouterTest, DelayedExchangeRoutesLikeItsInnerType) {
  router.put_exchange(
      exchange_def("x", "x-delayed-message", table({{"x-delayed-type", "topic"}})), {});
  queue("q");
  bind("x", "q", "a.#");
  EXPECT_EQ(route("x", "a.b"), Names{"q"});
  EXPECT_EQ(route("x", "b"), Names{});
}

TEST_F(VhostRouterTest, UnknownTypeRoutesNowhere) {
  exchange("x", "x-unheard-of");
  queue("q");
  bind("x", "q");
  EXPECT_EQ(route("x", ""), Names{});
  EXPECT_EQ(last, Routed::ok);
  EXPECT_FALSE(known_exchange_type("x-unheard-of"));
}

}  // namespace
}  // namespace warren::broker::routing
