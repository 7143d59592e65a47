// Texts as a RabbitMQ 3.10 broker gave them for the same pairs of declares.

#include "cluster/metadata/equivalence.h"
#include "tests/cluster/metadata/support.h"

namespace warren::metadata {
namespace {

struct Case {
  FieldTable existing, requested;
  QueueType type{QueueType::classic};
  const char* text;  // behind "inequivalent arg '"; nullptr = equivalent
};

FieldTable table(std::initializer_list<std::pair<const char*, FieldValue>> entries) {
  FieldTable out;
  for (const auto& [name, value] : entries) out.set(name, value);
  return out;
}

TEST(Equivalence, QUE08_arguments) {
  const auto i = [](std::int32_t v) { return FieldValue(v); };
  const Case cases[] = {
      {table({{"x-message-ttl", i(1)}}), table({{"x-message-ttl", i(2)}}), QueueType::classic,
       "x-message-ttl' for queue 'r' in vhost '/': received '2' but current is '1'"},
      {table({{"x-message-ttl", i(1)}}), table({}), QueueType::classic,
       "x-message-ttl' for queue 'r' in vhost '/': received none but current is the value '1' of "
       "type 'signedint'"},
      {table({}), table({{"x-message-ttl", i(1)}}), QueueType::classic,
       "x-message-ttl' for queue 'r' in vhost '/': received the value '1' of type 'signedint' but "
       "current is none"},
      {table({{"x-message-ttl", i(1)}}), table({{"x-message-ttl", std::int64_t{8589934592}}}),
       QueueType::classic,
       "x-message-ttl' for queue 'r' in vhost '/': received '8589934592' but current is '1'"},
      {table({{"x-message-ttl", i(1)}}), table({{"x-message-ttl", std::int64_t{1}}}),
       QueueType::classic, nullptr},
      {table({{"x-max-length", i(1)}}), table({{"x-max-length", "a"}}), QueueType::classic,
       "x-max-length' for queue 'r' in vhost '/': received 'a' but current is '1'"},
      {table({{"x-unknown", i(1)}}), table({{"x-unknown", i(2)}}), QueueType::classic, nullptr},
      {table({{"x-unknown", i(1)}}), table({}), QueueType::classic, nullptr},
      {table({}), table({{"x-queue-type", "classic"}}), QueueType::classic, nullptr},
      {table({{"x-queue-type", "classic"}}), table({}), QueueType::classic, nullptr},
      {table({}), table({{"x-queue-leader-locator", "balanced"}}), QueueType::classic, nullptr},
      {table({}), table({{"x-queue-master-locator", "random"}}), QueueType::classic,
       "x-queue-master-locator' for queue 'r' in vhost '/': received the value 'random' of type "
       "'longstr' but current is none"},
      {table({{"x-single-active-consumer", true}}), table({{"x-single-active-consumer", false}}),
       QueueType::classic,
       "x-single-active-consumer' for queue 'r' in vhost '/': received 'false' but current is "
       "'true'"},
      {table({{"x-message-ttl", i(1)}, {"x-max-length", i(1)}}),
       table({{"x-message-ttl", i(2)}, {"x-max-length", i(2)}}), QueueType::classic,
       "x-message-ttl' for queue 'r' in vhost '/': received '2' but current is '1'"},
      {table({{"x-queue-type", "quorum"}, {"x-delivery-limit", i(3)}}),
       table({{"x-queue-type", "quorum"}, {"x-delivery-limit", i(4)}}), QueueType::quorum,
       "x-delivery-limit' for queue 'r' in vhost '/': received '4' but current is '3'"},
      {table({{"x-queue-type", "stream"}}),
       table({{"x-queue-type", "stream"}, {"x-max-age", "1h"}}), QueueType::stream,
       "x-max-age' for queue 'r' in vhost '/': received the value '1h' of type 'longstr' but "
       "current is none"},
  };
  for (const Case& c : cases) {
    QueueDef existing = queue("r"), requested = queue("r");
    existing.arguments = c.existing;
    requested.arguments = c.requested;
    existing.type = requested.type = c.type;
    const auto text = find_inequivalence(existing, requested);
    if (c.text == nullptr)
      EXPECT_EQ(text, std::nullopt);
    else
      EXPECT_EQ(text.value_or("equivalent"), std::string("inequivalent arg '") + c.text);
  }
}

TEST(Equivalence, QUE08_queue_type) {
  QueueDef classic = queue("r"), quorum = queue("r"), named = queue("r");
  quorum.type = QueueType::quorum;
  quorum.arguments.set("x-queue-type", "quorum");
  named.arguments.set("x-queue-type", "classic");
  EXPECT_EQ(find_inequivalence(quorum, classic),
            "inequivalent arg 'x-queue-type' for queue 'r' in vhost '/': received none but current "
            "is the value 'quorum' of type 'longstr'");
  EXPECT_EQ(find_inequivalence(classic, quorum),
            "inequivalent arg 'x-queue-type' for queue 'r' in vhost '/': received the value "
            "'quorum' of type 'longstr' but current is none");
  EXPECT_EQ(find_inequivalence(quorum, named),
            "inequivalent arg 'x-queue-type' for queue 'r' in vhost '/': received 'classic' but "
            "current is 'quorum'");
  QueueDef by_default = quorum;  // the vhost's default made it one
  by_default.arguments = {};
  EXPECT_EQ(find_inequivalence(by_default, quorum), std::nullopt);
}

TEST(Equivalence, QUE08_properties_durable_first) {
  QueueDef existing = queue("r"), requested = queue("r", false);
  requested.auto_delete = true;
  EXPECT_EQ(find_inequivalence(existing, requested),
            "inequivalent arg 'durable' for queue 'r' in vhost '/': received 'false' but current "
            "is 'true'");
  requested.durable = true;
  EXPECT_EQ(find_inequivalence(existing, requested),
            "inequivalent arg 'auto_delete' for queue 'r' in vhost '/': received 'true' but "
            "current is 'false'");
  QueueDef exclusive = queue("r"), not_durable = queue("r", false);
  exclusive.exclusive = not_durable.exclusive = true;
  EXPECT_EQ(find_inequivalence(exclusive, not_durable), std::nullopt);
}

TEST(Equivalence, EXC03_exchange) {
  const ExchangeDef existing = exchange("tx");
  ExchangeDef requested = existing;
  requested.arguments.set("foo", std::int32_t{1});
  EXPECT_EQ(find_inequivalence(existing, requested), std::nullopt);
  requested.arguments.set("alternate-exchange", "y");
  EXPECT_EQ(find_inequivalence(existing, requested),
            "inequivalent arg 'alternate-exchange' for exchange 'tx' in vhost '/': received the "
            "value 'y' of type 'longstr' but current is none");
  requested.internal = true;
  EXPECT_EQ(find_inequivalence(existing, requested),
            "inequivalent arg 'internal' for exchange 'tx' in vhost '/': received 'true' but "
            "current is 'false'");
  requested.auto_delete = true;
  requested.durable = false;
  requested.type = "fanout";
  EXPECT_EQ(find_inequivalence(existing, requested),
            "inequivalent arg 'type' for exchange 'tx' in vhost '/': received 'fanout' but current "
            "is 'direct'");
}

}  // namespace
}  // namespace warren::metadata
