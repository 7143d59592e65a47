// Policies: validation, choice, merging with operator policies and arguments.

#include "node/broker/policy.h"

#include <gtest/gtest.h>

namespace warren::broker {
namespace {

using metadata::PolicyDef;
using metadata::QueueDef;
using metadata::QueueType;

PolicyDef policy(std::string name, std::string definition, std::int64_t priority = 0,
                 std::string pattern = ".*", std::string apply_to = "all") {
  PolicyDef def;
  def.vhost = "/";
  def.name = std::move(name);
  def.pattern = std::move(pattern);
  def.apply_to = std::move(apply_to);
  def.definition = std::move(definition);
  def.priority = priority;
  return def;
}
PolicyDef op(std::string name, std::string definition, std::int64_t priority = 0) {
  PolicyDef def = policy(std::move(name), std::move(definition), priority);
  def.is_operator = true;
  return def;
}
QueueDef queue(std::string name, QueueType type = QueueType::classic) {
  QueueDef def;
  def.vhost = "/";
  def.name = std::move(name);
  def.type = type;
  return def;
}
template <class Value>
QueueDef queue_with(const char* argument, Value value, QueueType type = QueueType::classic) {
  QueueDef def = queue("q", type);
  def.arguments.set(argument, FieldValue(value));
  return def;
}

TEST(Policy, POL03_POL05_definitions_a_real_broker_took) {
  for (const char* good :
       {R"({"message-ttl":0})", R"({"message-ttl":315360000001})", R"({"expires":1})",
        R"({"max-length":0})", R"({"overflow":"reject-publish-dlx"})",
        R"({"dead-letter-exchange":""})", R"({"dead-letter-routing-key":"k"})",
        R"({"dead-letter-strategy":"at-least-once"})", R"({"delivery-limit":3})",
        R"({"queue-mode":"lazy"})", R"({"queue-version":1})", R"({"ha-mode":"all"})",
        R"({"ha-mode":"exactly","ha-params":2})", R"({"ha-mode":"nodes","ha-params":["a"]})",
        R"({"ha-mode":"all","ha-sync-mode":"automatic"})",
        R"({"ha-mode":"all","ha-promote-on-shutdown":"always","ha-promote-on-failure":"when-synced"})",
        R"({"alternate-exchange":"x"})", R"({"queue-leader-locator":"balanced"})",
        R"({"queue-master-locator":"min-masters"})", R"({"federation-upstream-set":"all"})",
        R"({"federation-upstream":"x"})", R"({"max-age":"1h"})", R"({"max-in-memory-length":1})",
        R"({"stream-max-segment-size-bytes":1})", R"({"initial-cluster-size":1})",
        // newer releases, and ours
        R"({"consumer-timeout":1})", R"({"target-group-size":3})", R"({"delivery-limit":-1})",
        R"({"replicas":3})", R"({"confirm-after":"all-disc"})"}) {
    auto ok = parse_policy_definition(good, false);
    EXPECT_TRUE(ok) << good << ": " << ok.error().text;
  }
}

TEST(Policy, POL05_bad_definitions_are_named) {
  const std::pair<const char*, const char*> cases[] = {
      {"{}", "no policy provided"},
      {"[]", "policy definition is not a JSON object"},
      {R"({"":1})", "not recognised policy settings: "},
      {R"({"bogus":1,"max-length":5,"foo":1})", "not recognised policy settings: bogus, foo"},
      {R"({"message-ttl":-1})", "-1 is not a valid message TTL (message-ttl)"},
      {R"({"message-ttl":"a"})", "\"a\" is not a valid message TTL (message-ttl)"},
      {R"({"message-ttl":1.5})", "1.5E0 is not a valid message TTL (message-ttl)"},
      {R"({"expires":0})", "0 is not a valid queue expiry (expires)"},
      {R"({"max-length-bytes":"x"})",
       "\"x\" is not a valid maximum length in bytes (max-length-bytes)"},
      {R"({"overflow":"foo"})", "\"foo\" is not a valid overflow value (overflow)"},
      {R"({"dead-letter-exchange":1})",
       "1 is not a valid dead letter exchange name (dead-letter-exchange)"},
      {R"({"queue-version":3})", "3 is not a valid queue-version value (queue-version)"},
      {R"({"queue-version":0})", "0 is not a valid queue-version value (queue-version)"},
      {R"({"ha-mode":"exactly"})", "ha-mode=\"exactly\" takes an integer, none given"},
      {R"({"ha-mode":"exactly","ha-params":0})", "ha-mode=\"exactly\" takes an integer, 0 given"},
      {R"({"ha-mode":"nodes","ha-params":[]})", "ha-mode=\"nodes\" list must be non-empty"},
      {R"({"ha-params":2})",
       "ha-mode must be specified to specify ha-params, ha-sync-mode or ha-promote-on-shutdown"},
      {R"({"ha-mode":"all","ha-params":2})", "ha-mode=\"all\" does not take parameters"},
      {R"({"federation-upstream":"x","federation-upstream-set":"y"})",
       "cannot specify federation-upstream, federation-upstream-set or "
       "federation-upstream-pattern together"},
      {R"({"max-age":"foo"})", "\"foo\" is not a valid max age (max-age)"},
      {R"({"replicas":8})", "8 is not a valid number of replicas (1 to 7) (replicas)"},
  };
  for (const auto& [json, text] : cases) {
    const auto result = parse_policy_definition(json, false);
    ASSERT_FALSE(result) << json;
    EXPECT_EQ(result.error().text, text);
  }
  for (const char* broken : {"", "{", "{\"a\":}", "nul", "{\"max-length\":1}x"})
    EXPECT_FALSE(parse_policy_definition(broken, false)) << broken;
  EXPECT_FALSE(parse_policy_definition(std::string(100000, '['), false));
}

TEST(Policy, POL02_operators_have_fewer_keys) {
  for (const char* good : {R"({"message-ttl":1})", R"({"expires":1})", R"({"max-length":1})",
                           R"({"max-length-bytes":1})", R"({"delivery-limit":1})"})
    EXPECT_TRUE(parse_policy_definition(good, true)) << good;
  for (const char* bad : {R"({"dead-letter-exchange":"x"})", R"({"queue-mode":"lazy"})",
                          R"({"alternate-exchange":"x"})"})
    EXPECT_FALSE(parse_policy_definition(bad, true)) << bad;
}

TEST(Policy, POL01_validate_looks_at_everything) {
  EXPECT_TRUE(validate_policy(policy("p", R"({"max-length":1})")));
  EXPECT_FALSE(validate_policy(policy("", R"({"max-length":1})")));
  EXPECT_FALSE(validate_policy(policy("p", R"({"max-length":1})", 0, "(")));
  EXPECT_FALSE(validate_policy(policy("p", R"({"max-length":1})", 0, ".*", "foo")));
  EXPECT_TRUE(validate_policy(policy("p", R"({"max-length":1})", 0, "^(?!amq\\.)", "streams")));
}

TEST(Policy, POL01_one_applies_the_highest_that_fits) {
  metadata::Vhost vhost;
  access::Patterns patterns;
  const auto add = [&](PolicyDef def) { vhost.policies[def.name] = def; };
  add(policy("low", R"({"max-length":1})", 1));
  add(policy("a-tie", R"({"max-length":2})", 5, "^q"));
  add(policy("b-tie", R"({"max-length":3})", 5, "^q"));
  add(policy("exchanges", R"({"alternate-exchange":"x"})", 9, ".*", "exchanges"));
  add(policy("quorum", R"({"max-length":4})", 7, ".*", "quorum_queues"));
  vhost.operator_policies["op"] = op("op", R"({"max-length":9})", -5);
  EXPECT_EQ(choose_policies(vhost, queue("q1"), patterns).policy->name, "a-tie");
  EXPECT_EQ(choose_policies(vhost, queue("other"), patterns).policy->name, "low");
  EXPECT_EQ(choose_policies(vhost, queue("q1", QueueType::quorum), patterns).policy->name,
            "quorum");
  EXPECT_EQ(choose_policies(vhost, queue("q1"), patterns).operator_policy->name, "op");
  metadata::ExchangeDef exchange;
  exchange.name = "q1";
  EXPECT_EQ(choose_policies(vhost, exchange, patterns).policy->name, "exchanges");
  EXPECT_EQ(effective_alternate_exchange(exchange, choose_policies(vhost, exchange, patterns)),
            "x");
  exchange.arguments.set("alternate-exchange", "own");
  EXPECT_EQ(effective_alternate_exchange(exchange, choose_policies(vhost, exchange, patterns)),
            "own");
}

TEST(Policy, POL03_a_key_unknown_to_the_queue_type_keeps_the_policy_off) {
  struct Case {
    const char* definition;
    bool classic, quorum, stream;  // as a real broker showed it
  };
  const Case cases[] = {
      {R"({"message-ttl":1})", true, true, false},
      {R"({"expires":1})", true, true, false},
      {R"({"max-length":1})", true, true, false},
      {R"({"max-length-bytes":1})", true, true, true},
      {R"({"overflow":"drop-head"})", true, true, false},
      {R"({"dead-letter-exchange":"x"})", true, true, false},
      {R"({"dead-letter-strategy":"at-least-once"})", false, true, false},
      {R"({"delivery-limit":1})", false, true, false},
      {R"({"queue-mode":"lazy"})", true, false, false},
      {R"({"queue-version":1})", true, true, true},
      {R"({"ha-mode":"all"})", true, false, false},
      {R"({"alternate-exchange":"x"})", true, true, true},
      {R"({"queue-leader-locator":"balanced"})", false, true, true},
      {R"({"queue-master-locator":"random"})", true, false, false},
      {R"({"federation-upstream-set":"all"})", true, true, true},
      {R"({"max-age":"1h"})", false, false, true},
      {R"({"max-in-memory-length":1})", true, true, false},
      {R"({"stream-max-segment-size-bytes":1})", false, false, true},
      {R"({"initial-cluster-size":1})", false, false, true},
      {R"({"max-length":3,"overflow":"drop-head","delivery-limit":1})", false, true, false},
  };
  access::Patterns patterns;
  for (const Case& c : cases) {
    metadata::Vhost vhost;
    vhost.policies["p"] = policy("p", c.definition);
    const auto applies = [&](QueueType type) {
      return choose_policies(vhost, queue("q", type), patterns).policy != nullptr;
    };
    EXPECT_EQ(applies(QueueType::classic), c.classic) << c.definition;
    EXPECT_EQ(applies(QueueType::quorum), c.quorum) << c.definition;
    EXPECT_EQ(applies(QueueType::stream), c.stream) << c.definition;
  }
}

TEST(Policy, POL02_POL06_merge_takes_the_lower_limit_and_the_operators_words) {
  const PolicyDef user = policy("p", R"({"max-length":5,"overflow":"reject-publish"})");
  const PolicyDef operators = op("op", R"({"max-length":3,"expires":10000000})");
  EXPECT_EQ(effective_policy_definition({&user, &operators}),
            R"({"max-length":3,"overflow":"reject-publish","expires":10000000})");
  const PolicyDef higher = op("op", R"({"max-length":30,"overflow":"drop-head"})");
  EXPECT_EQ(effective_policy_definition({&user, &higher}),
            R"({"max-length":5,"overflow":"drop-head"})");
  EXPECT_EQ(effective_policy_definition({nullptr, nullptr}), "");
  const PolicyDef unlimited = policy("p", R"({"delivery-limit":-1})");
  const PolicyDef bounded = op("op", R"({"delivery-limit":4})");
  EXPECT_EQ(effective_policy_definition({&unlimited, &bounded}), R"({"delivery-limit":4})");
  EXPECT_EQ(effective_policy_definition({&unlimited, nullptr}), R"({"delivery-limit":-1})");
}

TEST(Settings, without_anything) {
  EXPECT_EQ(effective_settings(queue("q"), nullptr, nullptr), QueueSettings{});
}

TEST(Settings, POL04_numeric_limits_the_lower) {
  const PolicyDef p = policy(
      "p", R"({"message-ttl":50,"expires":60,"max-length":70,"max-length-bytes":80})");
  QueueDef def = queue("q");
  def.arguments.set("x-message-ttl", std::int32_t{10});
  def.arguments.set("x-expires", std::int64_t{1000});
  def.arguments.set("x-max-length", std::int8_t{100});
  QueueSettings got = effective_settings(def, &p, nullptr);
  EXPECT_EQ(got.message_ttl_ms, 10);
  EXPECT_EQ(got.expires_ms, 60);
  EXPECT_EQ(got.max_length, 70);
  EXPECT_EQ(got.max_length_bytes, 80);
  const PolicyDef operators = op("op", R"({"message-ttl":5})");
  EXPECT_EQ(effective_settings(def, &p, &operators).message_ttl_ms, 5);
  EXPECT_EQ(effective_settings(def, nullptr, &operators).message_ttl_ms, 5);
  const PolicyDef huge = policy("p", R"({"message-ttl":999999999999999})");
  EXPECT_EQ(effective_settings(queue("q"), &huge, nullptr).message_ttl_ms, 315360000000);
  for (const char* definition : {R"({"expires":315360000001})", R"({"expires":9223372036854775807})",
                                 R"({"expires":18446744073709551615})"}) {
    const PolicyDef forever = policy("p", definition);
    EXPECT_EQ(effective_settings(queue("q"), &forever, nullptr).expires_ms, 315360000000) << definition;
  }
}

TEST(Settings, POL04_dead_letter_words_of_the_arguments_win) {
  const PolicyDef p =
      policy("p", R"({"dead-letter-exchange":"px","dead-letter-routing-key":"pk"})");
  const QueueDef own = queue_with("x-dead-letter-exchange", std::string("ax"));
  EXPECT_EQ(effective_settings(own, &p, nullptr).dead_letter_exchange, "ax");
  EXPECT_EQ(effective_settings(own, &p, nullptr).dead_letter_routing_key, "pk");
  EXPECT_EQ(effective_settings(queue("q"), &p, nullptr).dead_letter_exchange, "px");
}

TEST(Settings, POL04_overflow_argument_wins_on_classic_policy_on_quorum) {
  const PolicyDef p = policy("p", R"({"overflow":"reject-publish"})");
  const auto with = [&](QueueType type) {
    return effective_settings(queue_with("x-overflow", std::string("drop-head"), type), &p, nullptr)
        .overflow;
  };
  EXPECT_EQ(with(QueueType::classic), Overflow::drop_head);
  EXPECT_EQ(with(QueueType::quorum), Overflow::reject_publish);
  EXPECT_EQ(effective_settings(queue("q"), &p, nullptr).overflow, Overflow::reject_publish);
  EXPECT_EQ(effective_settings(queue_with("x-overflow", std::string("reject-publish-dlx")), nullptr,
                               nullptr)
                .overflow,
            Overflow::reject_publish_dlx);
}

TEST(Settings, QUE16_QUE18_priority_and_single_active_consumer) {
  EXPECT_EQ(effective_settings(queue_with("x-max-priority", std::int32_t{10}), nullptr, nullptr)
                .max_priority,
            10);
  EXPECT_TRUE(effective_settings(queue_with("x-single-active-consumer", true), nullptr, nullptr)
                  .single_active);
  EXPECT_FALSE(effective_settings(queue_with("x-single-active-consumer", false), nullptr, nullptr)
                   .single_active);
}

TEST(Settings, QUE22_delivery_limit_negative_is_none) {
  const auto with = [](std::int32_t argument, const char* definition) {
    const PolicyDef p = policy("p", definition);
    return effective_settings(queue_with("x-delivery-limit", argument, QueueType::quorum),
                              definition == nullptr ? nullptr : &p, nullptr)
        .delivery_limit;
  };
  const PolicyDef three = policy("p", R"({"delivery-limit":3})");
  EXPECT_EQ(with(5, R"({"delivery-limit":3})"), 3);
  EXPECT_EQ(with(-1, R"({"delivery-limit":3})"), 3);
  EXPECT_EQ(with(-1, R"({"delivery-limit":-1})"), std::nullopt);
  EXPECT_EQ(with(0, R"({"delivery-limit":3})"), 0);
  EXPECT_EQ(effective_settings(queue("q", QueueType::quorum), &three, nullptr).delivery_limit, 3);
  EXPECT_EQ(effective_settings(queue("q", QueueType::quorum), nullptr, nullptr).delivery_limit,
            std::nullopt);
}

TEST(Settings, QUE21_at_least_once_needs_its_conditions) {
  QueueDef def = queue("q", QueueType::quorum);
  def.arguments.set("x-dead-letter-strategy", "at-least-once");
  EXPECT_FALSE(effective_settings(def, nullptr, nullptr).dead_letter_at_least_once);
  def.arguments.set("x-dead-letter-exchange", "x");
  EXPECT_FALSE(effective_settings(def, nullptr, nullptr).dead_letter_at_least_once);
  def.arguments.set("x-overflow", "reject-publish");
  EXPECT_TRUE(effective_settings(def, nullptr, nullptr).dead_letter_at_least_once);
}

TEST(Settings, QUE28_consumer_timeout) {
  const PolicyDef p = policy("p", R"({"consumer-timeout":5000})");
  EXPECT_EQ(effective_settings(queue("q"), &p, nullptr).consumer_timeout_ms, 5000);
  EXPECT_EQ(effective_settings(queue_with("x-consumer-timeout", std::int32_t{100}), &p, nullptr)
                .consumer_timeout_ms,
            100);
  EXPECT_EQ(effective_settings(queue_with("x-consumer-timeout", std::int32_t{0}), nullptr, nullptr)
                .consumer_timeout_ms,
            std::nullopt);
}

TEST(Copies, old_and_new_words) {
  const auto wishes = [](const char* definition) {
    const PolicyDef p = policy("p", definition);
    return effective_copies(queue("q"), {&p, nullptr});
  };
  EXPECT_EQ(effective_copies(queue("q"), {}), CopyWishes{});
  EXPECT_EQ(wishes(R"({"replicas":5})").copies, 5);
  EXPECT_EQ(wishes(R"({"ha-mode":"exactly","ha-params":2})").copies, 2);
  EXPECT_TRUE(wishes(R"({"ha-mode":"all"})").on_all_nodes);
  const auto nodes = wishes(R"({"ha-mode":"nodes","ha-params":["rabbit@a","rabbit@b"]})");
  EXPECT_EQ(nodes.copies, 2);
  EXPECT_EQ(nodes.nodes, (std::vector<std::string>{"rabbit@a", "rabbit@b"}));
  EXPECT_EQ(wishes(R"({"queue-master-locator":"min-masters"})").leader_locator, "balanced");
  EXPECT_EQ(wishes(R"({"queue-master-locator":"client-local"})").leader_locator, "");
  EXPECT_EQ(wishes(R"({"confirm-after":"leader"})").confirm_after, "leader");
  EXPECT_EQ(effective_copies(queue_with("x-quorum-initial-group-size", std::int32_t{5},
                                        QueueType::quorum),
                             {})
                .copies,
            5);
}

TEST(Retention, policy_comes_first_on_streams) {
  QueueDef def = queue("s", QueueType::stream);
  EXPECT_EQ(effective_retention(def, {}), StreamRetention{});
  def.arguments.set("x-max-age", "1h");
  def.arguments.set("x-max-length-bytes", std::int64_t{1000});
  EXPECT_EQ(effective_retention(def, {}).max_age_ms, 3600000);
  const PolicyDef p = policy("p", R"({"max-age":"2h","max-length-bytes":5000})");
  EXPECT_EQ(effective_retention(def, {&p, nullptr}).max_age_ms, 7200000);
  EXPECT_EQ(effective_retention(def, {&p, nullptr}).max_length_bytes, 5000);
}

}  // namespace
}  // namespace warren::broker
