// Declares against what a real broker answered; row ids are those of the acceptance list.

#include "node/broker/queue_arguments.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

namespace warren::broker {
namespace {

using metadata::QueueDef;
using metadata::QueueType;

constexpr const char kGolden[] =
#include "tests/node/broker/queue_arguments_golden.inc"
    ;

FieldValue parse_value(const std::string& text) {
  if (text == "void") return FieldValue{};
  if (text == "true") return FieldValue(true);
  if (text == "array") return FieldValue(FieldArray{FieldValue(std::int32_t{1})});
  if (text == "table") {
    FieldTable table;
    table.set("a", std::int32_t{1});
    return FieldValue(std::move(table));
  }
  if (text.front() == '\'') return FieldValue(text.substr(1, text.size() - 2));
  const std::int64_t number = std::strtoll(text.c_str(), nullptr, 10);
  if (number >= INT32_MIN && number <= INT32_MAX)
    return FieldValue(static_cast<std::int32_t>(number));
  return FieldValue(number);
}

QueueDef durable(QueueType type) {
  QueueDef def;
  def.vhost = "/";
  def.name = "q";
  def.type = type;
  return def;
}

Result<void> declare(QueueDef def) {
  auto type = queue_type_of(def, "");
  if (!type) return type.error();
  def.type = *type;
  return validate_queue_arguments(def);
}

TEST(QueueArguments, QUE09_to_QUE29_every_type_and_value) {
  std::istringstream lines(kGolden);
  int checked = 0;
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    SCOPED_TRACE(line);
    const auto space = line.find(' '), equal = line.find('='), arrow = line.find(" => ");
    ASSERT_NE(arrow, line.npos);
    const std::string type = line.substr(0, space), argument = line.substr(space + 1, equal - space - 1);
    const std::string expected = line.substr(arrow + 4);
    QueueDef def = durable(QueueType::classic);
    if (argument != "x-queue-type") def.arguments.set("x-queue-type", type);
    if (argument == "x-dead-letter-routing-key" && type != "stream")
      def.arguments.set("x-dead-letter-exchange", "x");
    def.arguments.set(argument, parse_value(line.substr(equal + 1, arrow - equal - 1)));
    const auto result = declare(def);
    EXPECT_EQ(result ? "OK" : result.error().text, expected);
    ++checked;
  }
  EXPECT_EQ(checked, 400);
}

TEST(QueueArguments, values_come_before_types_and_those_before_properties) {
  QueueDef def = durable(QueueType::classic);
  def.arguments.set("x-message-ttl", std::int32_t{-5});
  def.arguments.set("x-expires", std::int32_t{-4});
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-expires' for queue 'q' in vhost '/': {value_negative,-4}");
  def.arguments = {};
  def.arguments.set("x-queue-type", "quorum");
  def.arguments.set("x-max-priority", std::int32_t{3});
  def.arguments.set("x-message-ttl", std::int32_t{-4});
  def.durable = false;
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': {value_negative,-4}");
  def.arguments.erase("x-message-ttl");
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-max-priority' for queue 'q' in vhost '/' of queue type "
            "rabbit_quorum_queue");
}

TEST(QueueArguments, QUE20_routing_key_needs_an_exchange) {
  QueueDef def = durable(QueueType::classic);
  def.arguments.set("x-dead-letter-routing-key", "k");
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': "
            "routing_key_but_no_dlx_defined");
  def.arguments.set("x-dead-letter-routing-key", std::int32_t{5});
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-dead-letter-routing-key' for queue 'q' in vhost '/': "
            "{unacceptable_type,signedint}");
}

TEST(QueueArguments, ranges_at_their_ends) {
  QueueDef def = durable(QueueType::classic);
  def.arguments.set("x-max-priority", std::int32_t{255});
  EXPECT_TRUE(declare(def));
  def.arguments.set("x-max-priority", std::int32_t{256});
  EXPECT_FALSE(declare(def));
  def.arguments = {};
  def.arguments.set("x-message-ttl", FieldTimestamp{5});
  EXPECT_EQ(declare(def).error().text,
            "invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got "
            "timestamp\"");
  QueueDef stream = durable(QueueType::stream);
  stream.arguments.set("x-queue-type", "stream");
  stream.arguments.set("x-stream-max-segment-size-bytes", std::int64_t{3000000000});
  EXPECT_TRUE(declare(stream));
  stream.arguments.set("x-stream-max-segment-size-bytes", std::int64_t{3000000001});
  EXPECT_FALSE(declare(stream));
  EXPECT_EQ(parse_max_age_ms("1Y"), 365LL * 86400 * 1000);
  EXPECT_EQ(parse_max_age_ms("15m"), 15LL * 60 * 1000);
  for (const char* bad : {"", "h", "0s", "1W", "15mm", "-1h", "1 h", "99999999999999999999Y",
                          "9223372036854775807Y"})
    EXPECT_EQ(parse_max_age_ms(bad), std::nullopt) << bad;
}

TEST(QueueArguments, QUE29_properties_of_quorum_queues_and_streams) {
  for (const char* type : {"quorum", "stream"}) {
    QueueDef def = durable(QueueType::classic);
    def.arguments.set("x-queue-type", type);
    EXPECT_TRUE(declare(def));
    def.durable = false;
    EXPECT_EQ(declare(def).error().text,
              "invalid property 'non-durable' for queue 'q' in vhost '/'");
    def.exclusive = true;
    EXPECT_EQ(declare(def).error().text,
              "invalid property 'exclusive-owner' for queue 'q' in vhost '/'");
    def.auto_delete = true;
    EXPECT_EQ(declare(def).error().text,
              "invalid property 'auto-delete' for queue 'q' in vhost '/'");
  }
}

TEST(QueueArguments, QUE10_default_type_of_vhost_then_node) {
  QueueDef def = durable(QueueType::classic);
  EXPECT_EQ(*queue_type_of(def, ""), QueueType::classic);
  EXPECT_EQ(*queue_type_of(def, "quorum"), QueueType::quorum);
  EXPECT_EQ(*queue_type_of(def, "", "quorum"), QueueType::quorum);
  EXPECT_EQ(*queue_type_of(def, "undefined", "stream"), QueueType::stream);
  def.arguments.set("x-queue-type", "classic");
  EXPECT_EQ(*queue_type_of(def, "quorum"), QueueType::classic);
  def.arguments = {};
  def.exclusive = true;
  EXPECT_EQ(*queue_type_of(def, "quorum"), QueueType::classic);
}

TEST(QueueArguments, QUE24_classic_queues_take_the_newer_locator) {
  QueueDef def = durable(QueueType::classic);
  def.arguments.set("x-queue-leader-locator", "balanced");
  EXPECT_TRUE(declare(def));
  def.arguments.set("x-queue-leader-locator", "nonsense");
  EXPECT_FALSE(declare(def));
  def.arguments = {};
  def.arguments.set("x-queue-master-locator", "min-masters");
  EXPECT_TRUE(declare(def));
}

TEST(QueueArguments, EXC08_alternate_exchange_is_text) {
  metadata::ExchangeDef def;
  def.vhost = "/";
  def.name = "tx2";
  def.arguments.set("alternate-exchange", "ae");
  EXPECT_TRUE(validate_exchange_arguments(def));
  def.arguments.set("alternate-exchange", std::int32_t{5});
  EXPECT_EQ(validate_exchange_arguments(def).error().text,
            "invalid type 'signedint' for arg 'alternate-exchange' in exchange 'tx2' in vhost '/'");
}

TEST(QueueArguments, QUE05_QUE08_equivalence_codes) {
  QueueDef existing = durable(QueueType::classic), requested = existing;
  EXPECT_TRUE(check_equivalence(existing, requested));
  requested.durable = false;
  EXPECT_EQ(check_equivalence(existing, requested).error().code, Errc::conflict);
  requested.exclusive = true;
  const auto locked = check_equivalence(existing, requested);
  EXPECT_EQ(locked.error().code, Errc::already_exists);
  EXPECT_EQ(locked.error().text,
            "cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be "
            "originally declared on another connection or the exclusive property value does not "
            "match that of the original declaration.");
}

}  // namespace
}  // namespace warren::broker
