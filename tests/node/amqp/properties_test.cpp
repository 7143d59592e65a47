// Basic properties: every flag, every malformed shape, and scan == decode on random bytes.

#include "node/amqp/properties.h"

#include "base/bytes.h"
#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::amqp {
namespace {

BasicProperties everything() {
  BasicProperties p;
  p.content_type = "text/plain";
  p.content_encoding = "gzip";
  p.headers.emplace();
  p.headers->set("a", std::int32_t{7});
  p.headers->set("nested", FieldArray{FieldValue(true), FieldValue(FieldTable{})});
  p.delivery_mode = 2;
  p.priority = 9;
  p.correlation_id = "c";
  p.reply_to = "r";
  p.expiration = "60000";
  p.message_id = "m";
  p.timestamp = 1'700'000'000;
  p.type = "t";
  p.user_id = "guest";
  p.app_id = "app";
  p.cluster_id = "cl";
  return p;
}

std::string words(std::initializer_list<std::uint16_t> flags, std::string_view rest = {}) {
  std::string wire;
  ByteWriter out(wire);
  for (auto f : flags) out.u16(f);
  out.bytes(rest);
  return wire;
}

TEST(PropertiesTest, RoundTripOfAllFourteen) {
  const std::string wire = encode_properties(everything());
  EXPECT_EQ(load_be<std::uint16_t>(wire.data()), 0xFFFC);
  auto back = decode_properties(wire);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(*back, everything());
}

TEST(PropertiesTest, ScanSeesWhatDecodeSees) {
  const std::string wire = encode_properties(everything());
  PropertiesScan scan;
  ASSERT_TRUE(scan_properties(wire, scan));
  EXPECT_EQ(scan.delivery_mode, 2);
  EXPECT_EQ(scan.priority, 9);
  EXPECT_TRUE(scan.has_headers);
  EXPECT_EQ(scan.headers, everything().headers->encode());
  EXPECT_EQ(scan.content_type, "text/plain");
  EXPECT_EQ(scan.content_encoding, "gzip");
  EXPECT_EQ(scan.correlation_id, "c");
  EXPECT_EQ(scan.reply_to, "r");
  EXPECT_EQ(scan.expiration, "60000");
  EXPECT_EQ(scan.message_id, "m");
  EXPECT_EQ(scan.timestamp, 1'700'000'000u);
  EXPECT_EQ(scan.type, "t");
  EXPECT_EQ(scan.user_id, "guest");
  EXPECT_EQ(scan.app_id, "app");
  EXPECT_EQ(scan.cluster_id, "cl");
}

TEST(PropertiesTest, ScanLeavesNothingOfAnEarlierScan) {
  PropertiesScan scan;
  auto p = everything();
  p.headers->set("BCC", FieldArray{});
  ASSERT_TRUE(scan_properties(encode_properties(p), scan));
  ASSERT_TRUE(scan.has_bcc);
  ASSERT_TRUE(scan_properties(words({0}), scan));
  EXPECT_EQ(scan.flags, 0);
  EXPECT_FALSE(scan.has_headers || scan.has_extra_keys || scan.has_bcc);
  EXPECT_EQ(scan.delivery_mode + scan.priority, 0);
  EXPECT_EQ(scan.timestamp, 0u);
  for (const std::string_view text :
       {scan.headers, scan.content_type, scan.content_encoding, scan.correlation_id, scan.reply_to,
        scan.expiration, scan.message_id, scan.type, scan.user_id, scan.app_id, scan.cluster_id})
    EXPECT_TRUE(text.empty());
}

TEST(PropertiesTest, EachPropertyAlone) {
  // CON-24: the flag bit of each property, and no other property touched.
  const std::string full = encode_properties(everything());
  for (int bit = 2; bit < 16; ++bit) {
    const auto flag = static_cast<std::uint16_t>(1 << bit);
    std::string value("\1x", 2);
    if (flag == kFlagHeaders) value.assign(4, '\0');
    if (flag == kFlagDeliveryMode || flag == kFlagPriority) value.assign(1, '\1');
    if (flag == kFlagTimestamp) value.assign(8, '\1');
    const std::string wire = words({flag}, value);
    PropertiesScan scan;
    EXPECT_TRUE(scan_properties(wire, scan)) << bit;
    EXPECT_EQ(scan.flags, flag);
    auto p = decode_properties(wire);
    ASSERT_TRUE(p.has_value()) << bit;
    EXPECT_EQ(encode_properties(*p), wire);
    EXPECT_FALSE(scan_properties(std::string_view(wire).substr(0, wire.size() - 1), scan)) << bit;
    EXPECT_FALSE(scan_properties(wire + "x", scan)) << bit;
    EXPECT_FALSE(decode_properties(wire + "x").has_value()) << bit;
  }
}

TEST(PropertiesTest, FlagWords) {
  PropertiesScan scan;
  EXPECT_TRUE(scan_properties(words({0}), scan));
  EXPECT_TRUE(scan_properties(words({kFlagPriority | 1, 0}, "\5"), scan)) << "empty second word";
  EXPECT_EQ(scan.priority, 5);
  EXPECT_TRUE(scan_properties(words({1, 1, 0}), scan));
  EXPECT_FALSE(scan_properties(words({1}), scan)) << "no second word";
  EXPECT_FALSE(scan_properties(words({1, 0x8000}), scan)) << "a fifteenth property";
  EXPECT_FALSE(scan_properties(words({2}), scan)) << "bit 1 announces nothing";
  EXPECT_FALSE(scan_properties(words({0xFFFF}), scan));
  EXPECT_FALSE(scan_properties("", scan));
  EXPECT_FALSE(scan_properties("\0", scan));
}

TEST(PropertiesTest, HeadersAreWalked) {
  const auto with_headers = [](std::string_view pairs) {
    std::string value;
    ByteWriter(value).str32(pairs);
    return words({kFlagHeaders}, value);
  };
  PropertiesScan scan;
  EXPECT_TRUE(scan_properties(with_headers(std::string("\1aV")), scan));
  EXPECT_FALSE(scan_properties(with_headers(std::string("\1aZ")), scan)) << "unknown tag";
  EXPECT_FALSE(scan_properties(with_headers(std::string("\5a")), scan)) << "name too long";
  EXPECT_FALSE(scan_properties(with_headers(std::string("\1a")), scan)) << "no value";
  EXPECT_FALSE(scan_properties(with_headers(std::string("\1aS\0\0\0\5x", 9)), scan));
}

TEST(PropertiesTest, MarksCcAndBccAtTopLevelOnly) {
  for (const char* name : {"CC", "BCC"}) {
    BasicProperties p;
    p.headers.emplace();
    p.headers->set(name, FieldArray{FieldValue("k")});
    PropertiesScan scan;
    ASSERT_TRUE(scan_properties(encode_properties(p), scan));
    EXPECT_TRUE(scan.has_extra_keys);
    EXPECT_EQ(scan.has_bcc, std::string_view(name) == "BCC");
    FieldTable outer;
    outer.set("inner", *p.headers);
    p.headers = outer;
    ASSERT_TRUE(scan_properties(encode_properties(p), scan));
    EXPECT_FALSE(scan.has_extra_keys);
  }
}

TEST(PropertiesTest, RandomBytesScanAndDecodeAgree) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(seed);
  Prng prng(seed);
  const std::string full = encode_properties(everything());
  int accepted = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string wire = full;
    for (auto n = 1 + prng.below(3); n > 0; --n)
      wire[prng.below(wire.size())] = static_cast<char>(prng.next());
    if (prng.chance(1, 4)) wire.resize(prng.below(wire.size()));
    PropertiesScan scan;
    const bool ok = scan_properties(wire, scan);
    auto p = decode_properties(wire);
    ASSERT_EQ(ok, p.has_value()) << round;
    if (!ok) continue;
    ++accepted;
    ASSERT_EQ(scan.delivery_mode, p->delivery_mode.value_or(0));
    ASSERT_EQ(scan.expiration, p->expiration.value_or(""));
    ASSERT_EQ(scan.cluster_id, p->cluster_id.value_or(""));
  }
  EXPECT_GT(accepted, 1000);
}

TEST(PropertiesTest, NestingIsBoundedAsInFieldTable) {
  for (int depth : {10, 64, 65, 66, 200}) {
    FieldTable table;
    for (int i = 0; i < depth; ++i) {
      FieldTable outer;
      outer.set("t", table);
      table = outer;
    }
    const std::string pairs = table.encode();
    EXPECT_EQ(valid_table(pairs), FieldTable::decode(pairs).has_value()) << depth;
  }
}

TEST(PropertiesTest, Pub12Expiration) {
  for (const char* good : {"0", "1", "00", "60000", "315360000000", "0000000000000000000000001"})
    EXPECT_TRUE(parse_expiration(good).has_value()) << good;
  EXPECT_EQ(*parse_expiration("60000"), 60000u);
  for (const char* bad : {"", "abc", "-1", "5s", " 5", "5 ", "+5", "1.5", "315360000001",
                          "99999999999999999999999"})
    EXPECT_FALSE(parse_expiration(bad).has_value()) << bad;
}

}  // namespace
}  // namespace warren::amqp
