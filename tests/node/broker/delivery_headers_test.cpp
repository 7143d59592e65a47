// Headers that are added or taken out at delivery (CNS-18, PUB-14); the rest stays byte for byte.

#include "node/broker/delivery_headers.h"

#include "base/bytes.h"
#include "node/amqp/properties.h"

#include <gtest/gtest.h>

namespace warren::broker {
namespace {

using amqp::BasicProperties;

BasicProperties some(bool with_headers) {
  BasicProperties p;
  p.content_type = "text/plain";
  p.content_encoding = "gzip";
  p.priority = 4;
  p.cluster_id = "last";
  if (with_headers) {
    p.headers.emplace();
    p.headers->set("a", std::int16_t{1});
    p.headers->set("BCC", FieldArray{FieldValue("k")});
    p.headers->set("z", FieldTable{});
  }
  return p;
}

TEST(DeliveryHeadersTest, Cns18CountIsAppended) {
  for (const bool with_headers : {false, true}) {
    BasicProperties p = some(with_headers);
    const std::string wire = with_delivery_count(amqp::encode_properties(p), 3);
    if (!p.headers) p.headers.emplace();
    p.headers->set("x-delivery-count", std::int64_t{3});
    EXPECT_EQ(wire, amqp::encode_properties(p));
  }
}

TEST(DeliveryHeadersTest, Cns18CountOfAClientIsReplaced) {
  BasicProperties p = some(true);
  p.headers->set("x-delivery-count", "mine");
  auto back = amqp::decode_properties(with_delivery_count(amqp::encode_properties(p), 2));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->headers->size(), 4u);
  EXPECT_EQ(*back->headers->find("x-delivery-count"), FieldValue(std::int64_t{2}));
}

TEST(DeliveryHeadersTest, Pub14BccIsTakenOut) {
  BasicProperties p = some(true);
  const auto wire = without_bcc(amqp::encode_properties(p));
  p.headers->erase("BCC");
  EXPECT_EQ(wire, amqp::encode_properties(p));
  EXPECT_EQ(without_bcc(*wire), std::nullopt);
  EXPECT_EQ(without_bcc(amqp::encode_properties(some(false))), std::nullopt);
}

TEST(DeliveryHeadersTest, NothingToDoMeansTheBytesAsTheyStand) {
  const std::string wire = amqp::encode_properties(some(true));
  EXPECT_EQ(delivery_properties(wire, false, 0), std::nullopt);
  EXPECT_EQ(delivery_properties(wire, true, 0), without_bcc(wire));
  const auto both = delivery_properties(wire, true, 7);
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ(*both, with_delivery_count(*without_bcc(wire), 7));
}

TEST(DeliveryHeadersTest, EmptySecondFlagWordIsKept) {
  std::string wire;
  ByteWriter out(wire);
  out.u16(amqp::kFlagPriority | amqp::kFlagContinuation);
  out.u16(0);
  out.u8(5);
  auto back = amqp::decode_properties(with_delivery_count(wire, 1));
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->priority, 5);
  EXPECT_EQ(back->headers->find("x-delivery-count")->as_int(), 1);
}

TEST(DeliveryHeadersTest, MalformedBytesComeBackUnchanged) {
  for (const std::string& bad : {std::string(), std::string("\x20\0\0", 3), std::string("\x80")}) {
    EXPECT_EQ(with_delivery_count(bad, 1), bad);
    EXPECT_EQ(without_bcc(bad), std::nullopt);
    EXPECT_EQ(delivery_properties(bad, true, 1), std::nullopt);
  }
}

}  // namespace
}  // namespace warren::broker
