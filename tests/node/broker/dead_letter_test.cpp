// Dead-lettering (DLX rows, PUB-14, PUB-15). Field names, types and their order inside a new
// x-death entry are those that RabbitMQ 3.10.8 was seen to send.

#include "node/broker/dead_letter.h"

#include "node/amqp/properties.h"

#include <gtest/gtest.h>

namespace warren::broker {
namespace {

using amqp::BasicProperties;

FieldArray texts(std::initializer_list<const char*> items) {
  FieldArray array;
  for (const char* item : items) array.emplace_back(item);
  return array;
}

/// A message in memory, with the flags that a channel or an earlier dead letter gave it.
class Message {
 public:
  Message(std::string_view exchange, std::string_view key, const std::string& props,
          std::uint8_t flags = 0)
      : block_(Block::make(4096)) {
    RecordHeader h{};
    h.body_size = 4;
    h.flags = flags;
    std::memcpy(append_record(*block_, h, exchange, key, props), "body", 4);
  }
  MessageView view() const { return MessageView(block_->data()); }

 private:
  BlockRef block_;
};

class DeadLetterTest : public ::testing::Test {
 protected:
  /// Lets a message die; `p` and the position in the chain carry over to the next call.
  void die(std::string_view queue, DeathReason reason,
           std::optional<std::string_view> routing_key = std::nullopt) {
    const Message message(exchange, key, amqp::encode_properties(p), flags);
    auto next = make_dead_letter({message.view(), queue, reason, now, "dlx", routing_key});
    ASSERT_TRUE(next.has_value());
    last = *next;
    auto decoded = amqp::decode_properties(last.properties);
    ASSERT_TRUE(decoded.has_value());
    p = *decoded;
    exchange = last.exchange;
    key = last.routing_key;
    flags = kDeadLettered;
  }
  const FieldArray& deaths() const { return *p.headers->find("x-death")->as_array(); }
  const FieldTable& death(std::size_t i) const { return *deaths().at(i).as_table(); }
  std::string header(const char* name) const {
    const FieldValue* value = p.headers->find(name);
    return value == nullptr ? "(none)" : std::string(value->as_string().value_or("(no text)"));
  }

  BasicProperties p;
  std::string exchange{""}, key{"src"};
  std::uint8_t flags{0};
  std::uint64_t now{1'700'000'000};
  DeadLetter last;
};

TEST_F(DeadLetterTest, Dlx01Reasons) {
  EXPECT_STREQ(death_reason_name(DeathReason::rejected), "rejected");
  EXPECT_STREQ(death_reason_name(DeathReason::expired), "expired");
  EXPECT_STREQ(death_reason_name(DeathReason::maxlen), "maxlen");
  EXPECT_STREQ(death_reason_name(DeathReason::delivery_limit), "delivery_limit");
}

TEST_F(DeadLetterTest, Dlx02FirstDeathByteForByte) {
  p.expiration = "5000";
  p.delivery_mode = 2;
  p.priority = 3;
  p.content_type = "text/plain";
  die("src", DeathReason::rejected);
  FieldTable expected;
  expected.set("count", std::int64_t{1});
  expected.set("reason", "rejected");
  expected.set("queue", "src");
  expected.set("time", FieldTimestamp{1'700'000'000});
  expected.set("exchange", "");
  expected.set("routing-keys", texts({"src"}));
  expected.set("original-expiration", "5000");
  ASSERT_EQ(deaths().size(), 1u);
  EXPECT_EQ(death(0).encode(), expected.encode());
  EXPECT_EQ(last.exchange, "dlx");
  EXPECT_EQ(last.routing_key, "src");
  EXPECT_FALSE(p.expiration.has_value()) << "DLX-05";
  EXPECT_EQ(p.delivery_mode, 2);
  EXPECT_EQ(p.priority, 3);
  EXPECT_EQ(p.content_type, "text/plain");
}

TEST_F(DeadLetterTest, Dlx02NewestFirstCountedAndMovedToTheFront) {
  die("src", DeathReason::rejected);
  now += 10;
  die("mid", DeathReason::expired);
  ASSERT_EQ(deaths().size(), 2u);
  EXPECT_EQ(death(0).find("queue")->as_string(), "mid");
  EXPECT_EQ(death(0).find("exchange")->as_string(), "dlx");
  EXPECT_EQ(death(1).find("queue")->as_string(), "src");
  now += 10;
  die("src", DeathReason::rejected);
  ASSERT_EQ(deaths().size(), 2u);
  EXPECT_EQ(death(0).find("queue")->as_string(), "src");
  EXPECT_EQ(death(0).find("count")->v, FieldValue(std::int64_t{2}).v);
  EXPECT_EQ(death(0).find("time")->as_int(), 1'700'000'000) << "of the first of them";
  EXPECT_EQ(death(1).find("count")->as_int(), 1);
  die("src", DeathReason::expired);
  ASSERT_EQ(deaths().size(), 3u) << "another reason is another entry";
  EXPECT_EQ(death(0).find("reason")->as_string(), "expired");
}

TEST_F(DeadLetterTest, Dlx02OriginalExpirationOnlyWhenThereWasOne) {
  die("src", DeathReason::maxlen);
  EXPECT_EQ(death(0).find("original-expiration"), nullptr);
}

TEST_F(DeadLetterTest, Dlx03Dlx04FirstAndLast) {
  exchange = "orders";
  die("a", DeathReason::expired);
  EXPECT_EQ(header("x-first-death-queue"), "a");
  EXPECT_EQ(header("x-last-death-queue"), "a");
  die("b", DeathReason::delivery_limit);
  EXPECT_EQ(header("x-first-death-queue"), "a");
  EXPECT_EQ(header("x-first-death-reason"), "expired");
  EXPECT_EQ(header("x-first-death-exchange"), "orders");
  EXPECT_EQ(header("x-last-death-queue"), "b");
  EXPECT_EQ(header("x-last-death-reason"), "delivery_limit");
  EXPECT_EQ(header("x-last-death-exchange"), "dlx");
}

TEST_F(DeadLetterTest, Dlx05CcWithoutRoutingKeyIsUsedAgain) {
  p.headers.emplace();
  p.headers->set("CC", texts({"k2", "k3"}));
  p.headers->set("BCC", texts({"secret"}));
  die("src", DeathReason::rejected);
  EXPECT_EQ(last.routing_key, "src");
  EXPECT_EQ(last.extra_keys, (std::vector<std::string>{"k2", "k3", "secret"}));
  EXPECT_EQ(*p.headers->find("CC"), FieldValue(texts({"k2", "k3"})));
  EXPECT_EQ(p.headers->find("BCC"), nullptr);
  EXPECT_EQ(*death(0).find("routing-keys"), FieldValue(texts({"src", "k2", "k3"})));
}

TEST_F(DeadLetterTest, Dlx05CcIsDroppedWithARoutingKey) {
  p.headers.emplace();
  p.headers->set("CC", texts({"k2"}));
  p.headers->set("BCC", texts({"secret"}));
  p.headers->set("other", "kept");
  die("src", DeathReason::rejected, "newkey");
  EXPECT_EQ(last.routing_key, "newkey");
  EXPECT_TRUE(last.extra_keys.empty());
  EXPECT_EQ(p.headers->find("CC"), nullptr);
  EXPECT_EQ(p.headers->find("BCC"), nullptr);
  EXPECT_EQ(header("other"), "kept");
  EXPECT_EQ(*death(0).find("routing-keys"), FieldValue(texts({"src", "k2"})));
}

TEST_F(DeadLetterTest, RoutingKeyStaysAShortString) {
  die("src", DeathReason::rejected, std::string(300, 'k'));
  EXPECT_EQ(last.routing_key, std::string(255, 'k'));
}

TEST_F(DeadLetterTest, Pub15XDeathOfAClientIsCountedOn) {
  die("src", DeathReason::rejected);
  die("mid", DeathReason::expired);
  flags = 0;  // a client republishes what it got
  die("src", DeathReason::rejected);
  ASSERT_EQ(deaths().size(), 2u);
  EXPECT_EQ(death(0).find("count")->as_int(), 2);
  EXPECT_EQ(header("x-first-death-queue"), "src");
}

TEST_F(DeadLetterTest, OddXDeathIsSurvived) {
  for (const FieldValue& odd : {FieldValue("junk"), FieldValue(FieldArray{FieldValue(true)}),
                                FieldValue(FieldArray{FieldValue(FieldTable{})})}) {
    p = {};
    p.headers.emplace();
    p.headers->set("x-death", odd);
    flags = kDeadLettered;
    die("q", DeathReason::expired);
    EXPECT_EQ(death(0).find("queue")->as_string(), "q");
    EXPECT_FALSE(is_cycle(last.properties, "other"));
  }
}

TEST_F(DeadLetterTest, Dlx06Cycles) {
  die("a", DeathReason::expired);
  EXPECT_TRUE(is_cycle(last.properties, "a")) << "a queue that dead-letters to itself";
  EXPECT_FALSE(is_cycle(last.properties, "b"));
  die("b", DeathReason::maxlen);
  EXPECT_TRUE(is_cycle(last.properties, "a"));
  EXPECT_TRUE(is_cycle(last.properties, "b"));
  die("c", DeathReason::rejected);
  EXPECT_FALSE(is_cycle(last.properties, "a")) << "a reject on the way ends the cycle";
  EXPECT_FALSE(is_cycle(last.properties, "c"));
  die("a", DeathReason::expired);
  EXPECT_TRUE(is_cycle(last.properties, "a"));
  EXPECT_FALSE(is_cycle(last.properties, "b")) << "the reject lies between";
}

TEST_F(DeadLetterTest, MalformedPropertiesAreAnError) {
  const Message message("", "k", std::string("\x20\0\0\0", 4));
  const DyingMessage dying{message.view(), "q", DeathReason::expired, 1, "", {}};
  EXPECT_FALSE(make_dead_letter(dying).has_value());
  EXPECT_FALSE(is_cycle("\xFF", "q"));
}

TEST(CollectExtraKeysTest, Pub14CcThenBcc) {
  FieldTable headers;
  headers.set("BCC", texts({"b"}));
  headers.set("a", std::int32_t{1});
  headers.set("CC", texts({"c1", "c2"}));
  const std::string encoded = headers.encode();
  std::vector<std::string_view> keys;
  ASSERT_TRUE(collect_extra_keys(encoded, keys).has_value());
  EXPECT_EQ(keys, (std::vector<std::string_view>{"c1", "c2", "b"}));
}

TEST(CollectExtraKeysTest, Pub14WrongTypes) {
  for (const char* name : {"CC", "BCC"})
    for (const FieldValue& bad : {FieldValue("text"), FieldValue(std::int32_t{5}), FieldValue(),
                                  FieldValue(FieldTable{})}) {
      FieldTable headers;
      headers.set(name, bad);
      std::vector<std::string_view> keys;
      EXPECT_FALSE(collect_extra_keys(headers.encode(), keys).has_value()) << bad.type_name();
    }
}

TEST(CollectExtraKeysTest, ItemsThatAreNoTextArePassedOver) {
  FieldTable headers;
  headers.set("CC", FieldArray{FieldValue(std::int32_t{1}), FieldValue(texts({"inner"})),
                               FieldValue("k")});
  const std::string encoded = headers.encode();
  std::vector<std::string_view> keys;
  ASSERT_TRUE(collect_extra_keys(encoded, keys).has_value());
  EXPECT_EQ(keys, std::vector<std::string_view>{"k"});
}

}  // namespace
}  // namespace warren::broker
