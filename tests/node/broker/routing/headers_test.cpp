// Headers exchange (EXC-11). The tables were checked against RabbitMQ 3.10.8.

#include "node/broker/routing/header_fields.h"
#include "router_fixture.h"

namespace warren::broker::routing {
namespace {

using HeadersTest = RouterFixture;

FieldValue i32(std::int32_t v) { return FieldValue(v); }

TEST_F(HeadersTest, Exc11Table) {
  struct Case {
    FieldTable arguments, headers;
    bool match;
  };
  const FieldValue kVoid;
  const auto match = [](const char* how) { return FieldTable::Entry("x-match", FieldValue(how)); };
  const std::vector<Case> cases = {
      {{}, {}, true},
      {{}, table({{"a", i32(1)}}), true},
      {table({{"a", i32(1)}}), table({{"a", i32(1)}, {"b", i32(2)}}), true},
      {table({{"a", i32(1)}}), {}, false},
      {table({{"a", i32(1)}}), table({{"a", i32(2)}}), false},
      {table({{"a", i32(1)}}), table({{"A", i32(1)}}), false},
      {table({match("all")}), {}, true},
      {table({match("all"), {"a", i32(1)}, {"b", i32(2)}}), table({{"a", i32(1)}}), false},
      {table({match("all"), {"b", i32(2)}, {"a", i32(1)}}),
       table({{"a", i32(1)}, {"c", i32(3)}, {"b", i32(2)}}), true},
      {table({match("all"), {"a", i32(1)}, {"b", i32(2)}}),
       table({{"a", i32(1)}, {"b", i32(3)}}), false},
      {table({match("any")}), {}, false},
      {table({match("any")}), table({{"a", i32(1)}}), false},
      {table({match("any"), {"a", i32(1)}, {"b", i32(2)}}), table({{"b", i32(2)}}), true},
      {table({match("any"), {"a", i32(1)}, {"b", i32(2)}}), table({{"a", i32(1)}}), true},
      {table({match("any"), {"a", i32(1)}, {"b", i32(2)}}),
       table({{"a", i32(2)}, {"b", i32(1)}}), false},
      {table({match("any"), {"a", i32(1)}}), {}, false},
      // void in the binding: presence
      {table({match("all"), {"a", kVoid}}), table({{"a", i32(9)}}), true},
      {table({match("all"), {"a", kVoid}}), table({{"a", kVoid}}), true},
      {table({match("all"), {"a", kVoid}}), {}, false},
      {table({match("any"), {"a", kVoid}}), table({{"a", "text"}}), true},
      {table({match("any"), {"a", kVoid}, {"b", i32(1)}}), table({{"b", i32(2)}}), false},
      // void in the message equals void only
      {table({match("all"), {"a", i32(0)}}), table({{"a", kVoid}}), false},
      {table({match("all"), {"a", ""}}), table({{"a", kVoid}}), false},
      // names that begin with x- count only in the -with-x forms
      {table({match("all"), {"x-a", i32(1)}}), {}, true},
      {table({match("any"), {"x-a", i32(1)}}), table({{"x-a", i32(1)}}), false},
      {table({match("any"), {"x-a", i32(1)}, {"b", i32(1)}}), table({{"b", i32(1)}}), true},
      {table({match("all-with-x"), {"x-a", i32(1)}}), {}, false},
      {table({match("all-with-x"), {"x-a", i32(1)}}), table({{"x-a", i32(1)}}), true},
      {table({match("all-with-x"), {"x-a", i32(1)}, {"b", i32(1)}}),
       table({{"x-a", i32(1)}}), false},
      {table({match("any-with-x"), {"x-a", i32(1)}}), table({{"x-a", i32(1)}}), true},
      {table({match("any-with-x"), {"x-a", i32(1)}}), table({{"x-a", i32(2)}}), false},
      {table({match("any-with-x")}), table({match("any-with-x")}), false},
      // the first of two equal names counts
      {table({{"a", i32(1)}}), table({{"a", i32(1)}, {"a", i32(2)}}), true},
      {table({{"a", i32(2)}}), table({{"a", i32(1)}, {"a", i32(2)}}), false},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    exchange("x", "headers");
    queue("q");
    bind("x", "q", "ignored", cases[i].arguments);
    EXPECT_EQ(route("x", "key", cases[i].headers).size(), cases[i].match ? 1u : 0u) << "case " << i;
    router.drop_exchange("x");
  }
}

TEST_F(HeadersTest, Exc11ValuesOfAllTypes) {
  struct Value {
    const char* name;
    FieldValue value;
    char group;  // values of one group equal each other
  };
  const std::vector<Value> values = {
      {"I7", FieldValue(std::int32_t{7}), '7'},
      {"b7", FieldValue(std::int8_t{7}), '7'},
      {"B7", FieldValue(std::uint8_t{7}), '7'},
      {"s7", FieldValue(std::int16_t{7}), '7'},
      {"u7", FieldValue(std::uint16_t{7}), '7'},
      {"i7", FieldValue(std::uint32_t{7}), '7'},
      {"l7", FieldValue(std::int64_t{7}), '7'},
      {"T7", FieldValue(FieldTimestamp{7}), '7'},
      {"f7", FieldValue(7.0F), '7'},
      {"d7", FieldValue(7.0), '7'},
      {"S7", FieldValue("7"), 's'},
      {"x7", FieldValue(FieldBytes{"7"}), 's'},
      {"D7", FieldValue(FieldDecimal{0, 7}), 'D'},
      {"D70", FieldValue(FieldDecimal{1, 70}), 'E'},
      {"t1", FieldValue(true), 't'},
      {"I1", FieldValue(std::int32_t{1}), '1'},
      {"d1.1", FieldValue(1.1), 'd'},
      {"f1.1", FieldValue(1.1F), 'f'},
      {"A B7", FieldValue(FieldArray{FieldValue(std::uint8_t{7})}), 'A'},
      {"A I7", FieldValue(FieldArray{FieldValue(std::int32_t{7})}), 'C'},
      {"F B7", FieldValue(table({{"a", FieldValue(std::uint8_t{7})}})), 'F'},
      {"F I7", FieldValue(table({{"a", FieldValue(std::int32_t{7})}})), 'G'},
      {"b-1", FieldValue(std::int8_t{-1}), '-'},
      {"d-1", FieldValue(-1.0), '-'},
      {"T max", FieldValue(FieldTimestamp{~std::uint64_t{0}}), 'M'},
      {"d-0", FieldValue(-0.0), '0'},
      {"I0", FieldValue(std::int32_t{0}), '0'},
  };
  for (const Value& pattern : values)
    for (const Value& data : values) {
      exchange("x", "headers");
      queue("q");
      bind("x", "q", "", table({{"k", pattern.value}}));
      EXPECT_EQ(route("x", "", table({{"k", data.value}})).size(),
                pattern.group == data.group ? 1u : 0u)
          << pattern.name << " <- " << data.name;
      router.drop_exchange("x");
    }
}

TEST_F(HeadersTest, ManyBindingsGiveEachQueueOnce) {
  exchange("x", "headers");
  for (int i = 0; i < 50; ++i) {
    const std::string q = "q" + std::to_string(i);
    queue(q);
    bind("x", q, "", table({{"n", i32(i % 10)}}));
    bind("x", q, "", table({{"m", i32(1)}}));
  }
  EXPECT_EQ(route("x", "", table({{"n", i32(3)}})).size(), 5u);
  EXPECT_EQ(route("x", "", table({{"n", i32(3)}, {"m", i32(1)}})).size(), 50u);
}

TEST_F(HeadersTest, MalformedHeadersCountAsNone) {
  exchange("x", "headers");
  queue("q");
  bind("x", "q", "", table({{"a", FieldValue()}}));
  std::vector<QueueUid> out;
  router.route("x", "", {}, std::string_view("\1aV", 3), out);
  EXPECT_EQ(out.size(), 1u);
  out.clear();
  router.route("x", "", {}, std::string_view("\1aV\5", 4), out);
  EXPECT_EQ(out.size(), 0u);
  std::vector<HeaderField> fields(3);
  EXPECT_FALSE(read_fields("\1aZ", fields));
  EXPECT_TRUE(fields.empty());
}

TEST_F(HeadersTest, Exc11ValidatesXMatch) {
  const auto source = exchange_def("x", "headers");
  const auto with = [&](FieldValue v) { return binding("x", "q", "", table({{"x-match", v}})); };
  for (const char* good : {"all", "any", "all-with-x", "any-with-x"})
    EXPECT_TRUE(validate_binding(source, with(good)).has_value()) << good;
  EXPECT_TRUE(validate_binding(source, binding("x", "q")).has_value());
  for (const FieldValue& bad : {FieldValue("ANY"), FieldValue(""), FieldValue(std::int32_t{1}),
                                FieldValue(true), FieldValue(FieldBytes{"all"}), FieldValue()})
    EXPECT_FALSE(validate_binding(source, with(bad)).has_value()) << bad.type_name();
  EXPECT_TRUE(validate_binding(exchange_def("x", "topic"), with("ANY")).has_value());
}

}  // namespace
}  // namespace warren::broker::routing
