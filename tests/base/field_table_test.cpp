// Field tables: every tag there and back, and bytes that are no table.

#include "base/bytes.h"
#include "base/field_table.h"
#include "base/prng.h"

#include <gtest/gtest.h>

#include <limits>

namespace warren {
namespace {

FieldTable one(FieldValue value) {
  FieldTable table;
  table.set("k", std::move(value));
  return table;
}

/// The value's encoding, without its name.
std::string encoded(FieldValue value) { return one(std::move(value)).encode().substr(2); }

std::vector<FieldValue> samples() {
  FieldTable inner;
  inner.set("a", FieldValue(std::int32_t{1}));
  inner.set("b", FieldValue("two"));
  return {FieldValue(),
          FieldValue(true),
          FieldValue(false),
          FieldValue(std::int8_t{-128}),
          FieldValue(std::uint8_t{255}),
          FieldValue(std::int16_t{-32768}),
          FieldValue(std::uint16_t{65535}),
          FieldValue(std::numeric_limits<std::int32_t>::min()),
          FieldValue(std::numeric_limits<std::uint32_t>::max()),
          FieldValue(std::numeric_limits<std::int64_t>::min()),
          FieldValue(1.5F),
          FieldValue(-2.25),
          FieldValue(FieldDecimal{2, 314}),
          FieldValue(FieldTimestamp{1'700'000'000}),
          FieldValue(std::string("text \0 with zero", 16)),
          FieldValue(FieldBytes{std::string("\0\xff", 2)}),
          FieldValue(FieldArray{}),
          FieldValue(FieldArray{FieldValue(std::int8_t{1}), FieldValue("x"), FieldValue()}),
          FieldValue(FieldTable{}),
          FieldValue(inner)};
}

TEST(FieldTable, EveryTypeThereAndBack) {
  for (const FieldValue& value : samples()) {
    const FieldTable table = one(value);
    const auto back = FieldTable::decode(table.encode());
    ASSERT_TRUE(back) << value.type_name();
    EXPECT_EQ(*back, table) << value.type_name();
    EXPECT_EQ(back->find("k")->v.index(), value.v.index()) << "exact types are kept";
    EXPECT_EQ(back->encode(), table.encode());
  }
}

TEST(FieldTable, UsesTheTagsOfTheField) {
  const std::string expected = "VttbBsuIilfdDTSxAAFF";
  std::string got;
  for (const FieldValue& value : samples()) got += encoded(value)[0];
  EXPECT_EQ(got, expected);
  EXPECT_EQ(encoded(FieldValue(std::int16_t{1})), std::string("s\0\1", 3));
  EXPECT_EQ(encoded(FieldValue(FieldDecimal{2, 314})), std::string("D\2\0\0\1\x3a", 6));
  EXPECT_EQ(encoded(FieldValue("ab")), std::string("S\0\0\0\2ab", 7));
}

TEST(FieldTable, ReadsTheOtherTagForLongIntegers) {
  const auto table = FieldTable::decode(std::string_view("\1kL\0\0\0\0\0\0\0\5", 11));
  ASSERT_TRUE(table);
  EXPECT_EQ(table->find("k")->as_int(), 5);
  EXPECT_EQ(table->encode()[2], 'l');
}

TEST(FieldTable, EveryCutIsRefused) {
  for (const FieldValue& value : samples()) {
    const std::string bytes = one(value).encode();
    for (std::size_t cut = 1; cut < bytes.size(); ++cut)
      EXPECT_FALSE(FieldTable::decode(bytes.substr(0, cut))) << value.type_name() << " " << cut;
  }
}

TEST(FieldTable, UnknownTagsAreRefused) {
  const std::string known = "VtbBsuIilLfdDTSxAF";
  for (int tag = 0; tag < 256; ++tag) {
    if (known.find(static_cast<char>(tag)) != std::string::npos) continue;
    std::string bytes = "\1k";
    bytes += static_cast<char>(tag);
    bytes.append(16, '\0');
    EXPECT_FALSE(FieldTable::decode(bytes)) << tag;
  }
}

TEST(FieldTable, InnerLengthsMustFit) {
  EXPECT_FALSE(FieldTable::decode(std::string_view("\1kF\0\0\0\4\1aI\0", 11)));
  EXPECT_FALSE(FieldTable::decode(std::string_view("\1kA\xff\xff\xff\xff" "I", 8)));
  EXPECT_FALSE(FieldTable::decode(std::string_view("\1kS\x7f\xff\xff\xff", 7)));
}

TEST(FieldTable, NestingIsBounded) {
  const auto nested = [](int depth) {
    FieldTable table;
    for (int i = 0; i < depth; ++i) table = one(FieldValue(std::move(table)));
    return table.encode();
  };
  EXPECT_TRUE(FieldTable::decode(nested(60)));
  EXPECT_FALSE(FieldTable::decode(nested(80)));
  std::string arrays = "\1k";
  for (int i = 0; i < 100'000; ++i) arrays.append("A\0\1\0\0", 5);
  EXPECT_FALSE(FieldTable::decode(arrays)) << "and costs no stack";
}

TEST(FieldTable, FindsSetsAndErases) {
  FieldTable table;
  table.set("a", FieldValue("1"));
  table.set("b", FieldValue("2"));
  table.set("a", FieldValue("3"));
  EXPECT_EQ(table.size(), 2U);
  EXPECT_EQ(table.begin()->first, "a");
  EXPECT_EQ(table.find("a")->as_string(), "3");
  EXPECT_TRUE(table.erase("a"));
  EXPECT_FALSE(table.erase("a"));
  EXPECT_EQ(table.find("a"), nullptr);
}

TEST(FieldTable, KeepsDuplicatesAndOrderOfWhatItRead) {
  const std::string bytes("\1at\1\1bt\0\1at\0", 12);
  const auto table = FieldTable::decode(bytes);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->size(), 3U);
  EXPECT_EQ(table->encode(), bytes);
  EXPECT_EQ(table->find("a")->as_bool(), true);
}

TEST(FieldTable, NamesAreCutToAShortString) {
  FieldTable table;
  table.set(std::string(300, 'n'), FieldValue(true));
  const auto back = FieldTable::decode(table.encode());
  ASSERT_TRUE(back);
  EXPECT_EQ(back->begin()->first.size(), 255U);
}

TEST(FieldValue, ConvertsWhatItMay) {
  EXPECT_EQ(FieldValue(std::int8_t{-1}).as_int(), -1);
  EXPECT_EQ(FieldValue(FieldTimestamp{7}).as_int(), 7);
  EXPECT_FALSE(FieldValue(true).as_int());
  EXPECT_FALSE(FieldValue(1.0).as_int());
  EXPECT_EQ(FieldValue(FieldBytes{"b"}).as_string(), "b");
  EXPECT_FALSE(FieldValue(std::int32_t{1}).as_string());
  EXPECT_TRUE(FieldValue().is_void());
  EXPECT_STREQ(FieldValue("x").type_name(), "longstr");
  EXPECT_STREQ(FieldValue(std::int32_t{1}).type_name(), "signedint");
}

TEST(FieldTable, RandomBytesNeverReadTooFar) {
  const std::uint64_t seed = 42;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Prng random(seed);
  const std::string tags = "VtbBsuIilLfdDTSxAF";
  for (int round = 0; round < 20'000; ++round) {
    std::vector<char> bytes(random.below(40));
    for (char& c : bytes)
      c = random.chance(1, 2) ? tags[random.below(tags.size())] : static_cast<char>(random.below(6));
    const auto table = FieldTable::decode({bytes.data(), bytes.size()});
    if (table) {
      ASSERT_EQ(*FieldTable::decode(table->encode()), *table);
    }
  }
}

}  // namespace
}  // namespace warren
