#include "node/broker/policy_definition.h"

#include "node/access/patterns.h"
#include "node/broker/queue_arguments.h"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <string_view>
#include <vector>

namespace warren::broker {

namespace {

using boost::json::value;
using metadata::QueueType;

bool is_not_negative(const value& v) {
  return v.if_uint64() != nullptr || (v.if_int64() != nullptr && *v.if_int64() >= 0);
}
bool is_positive(const value& v) {
  return is_not_negative(v) && v.to_number<std::uint64_t>() > 0;
}
/// A negative limit on deliveries means none.
bool is_integer(const value& v) { return v.if_int64() != nullptr || is_not_negative(v); }
bool is_text(const value& v) { return v.if_string() != nullptr; }
bool is_short_text(const value& v) { return is_text(v) && v.get_string().size() <= 255; }

bool is_one_of(const value& v, std::initializer_list<std::string_view> words) {
  const auto* text = v.if_string();
  return text != nullptr &&
         std::find(words.begin(), words.end(), std::string_view(*text)) != words.end();
}
bool is_overflow(const value& v) {
  return is_one_of(v, {"drop-head", "reject-publish", "reject-publish-dlx"});
}
bool is_strategy(const value& v) { return is_one_of(v, {"at-most-once", "at-least-once"}); }
bool is_mode(const value& v) { return is_one_of(v, {"default", "lazy"}); }
bool is_version(const value& v) {
  return is_not_negative(v) && (v.to_number<std::uint64_t>() - 1) < 2;
}
bool is_ha_mode(const value& v) { return is_one_of(v, {"all", "exactly", "nodes"}); }
bool is_sync_mode(const value& v) { return is_one_of(v, {"manual", "automatic"}); }
bool is_promote(const value& v) { return is_one_of(v, {"always", "when-synced"}); }
bool is_leader(const value& v) { return is_text(v) && is_leader_locator(v.get_string()); }
bool is_master(const value& v) { return is_text(v) && is_master_locator(v.get_string()); }
bool is_age(const value& v) { return is_text(v) && parse_max_age_ms(v.get_string()).has_value(); }
bool is_copies(const value& v) { return is_positive(v) && v.to_number<std::uint64_t>() <= 7; }
bool is_confirm_class(const value& v) {
  return is_one_of(v, {"leader", "majority-memory", "majority-disc", "all-disc"});
}
bool is_retry(const value& v) { return is_one_of(v, {"disabled", "all", "failed", "returned"}); }
bool is_anything(const value&) { return true; }

constexpr unsigned kClassic = 1, kQuorum = 2, kStream = 4, kEvery = 7;

struct Key {
  std::string_view name;
  bool (*accepts)(const value&);
  const char* noun;      // "... is not a valid <noun>"
  unsigned types;        // queues of other types pass over the whole policy
  bool for_operators;
  bool is_limit;
};

constexpr Key kKeys[] = {
    {"message-ttl", is_not_negative, "message TTL", kClassic | kQuorum, true, true},
    {"expires", is_positive, "queue expiry", kClassic | kQuorum, true, true},
    {"max-length", is_not_negative, "maximum length", kClassic | kQuorum, true, true},
    {"max-length-bytes", is_not_negative, "maximum length in bytes", kEvery, true, true},
    {"max-in-memory-length", is_not_negative, "maximum memory in messages", kClassic | kQuorum,
     true, true},
    {"max-in-memory-bytes", is_not_negative, "maximum memory in bytes", kClassic | kQuorum, true,
     true},
    {"delivery-limit", is_integer, "delivery limit", kQuorum, true, true},
    {"consumer-timeout", is_not_negative, "consumer timeout", kEvery, true, true},
    {"overflow", is_overflow, "overflow value", kClassic | kQuorum, true, false},
    {"dead-letter-exchange", is_short_text, "dead letter exchange name", kClassic | kQuorum, false,
     false},
    {"dead-letter-routing-key", is_short_text, "dead letter routing key", kClassic | kQuorum, false,
     false},
    {"dead-letter-strategy", is_strategy, "dead letter strategy", kQuorum, false, false},
    {"alternate-exchange", is_short_text, "alternate exchange name", kEvery, false, false},
    {"queue-mode", is_mode, "queue-mode value", kClassic, false, false},
    {"queue-version", is_version, "queue-version value", kEvery, false, false},
    {"queue-leader-locator", is_leader, "queue leader locator value", kQuorum | kStream, false,
     false},
    {"queue-master-locator", is_master, "queue-master-locator value", kClassic, false, false},
    {"ha-mode", is_ha_mode, "ha-mode value", kClassic, true, false},
    {"ha-params", is_anything, "ha-params value", kClassic, true, false},
    {"ha-sync-mode", is_sync_mode, "ha-sync-mode (manual or automatic)", kClassic, true, false},
    {"ha-sync-batch-size", is_positive, "ha-sync-batch-size (above 0)", kClassic, true, false},
    {"ha-promote-on-shutdown", is_promote, "ha-promote-on-shutdown (always or when-synced)",
     kClassic, true, false},
    {"ha-promote-on-failure", is_promote, "ha-promote-on-failure (always or when-synced)", kClassic,
     true, false},
    {"federation-upstream", is_text, "federation upstream name", kEvery, false, false},
    {"federation-upstream-set", is_text, "federation upstream set name", kEvery, false, false},
    {"federation-upstream-pattern", is_text, "federation upstream pattern", kEvery, false, false},
    {"max-age", is_age, "max age", kStream, true, false},
    {"stream-max-segment-size-bytes", is_not_negative, "segment size", kStream, true, false},
    {"initial-cluster-size", is_positive, "initial cluster size", kStream, false, false},
    {"target-group-size", is_positive, "target group size", kQuorum, true, false},
    {"delayed-retry-type", is_retry, "delayed retry type", kQuorum, true, false},
    {"delayed-retry-min", is_not_negative, "delayed retry minimum", kQuorum, true, false},
    {"delayed-retry-max", is_not_negative, "delayed retry maximum", kQuorum, true, false},
    {"replicas", is_copies, "number of replicas (1 to 7)", kEvery, true, false},
    {"confirm-after", is_confirm_class, "confirm-after value", kEvery, true, false},
};

const Key* find_key(std::string_view name) {
  const auto at = std::find_if(std::begin(kKeys), std::end(kKeys),
                               [&](const Key& key) { return key.name == name; });
  return at == std::end(kKeys) ? nullptr : at;
}

Error refused(std::string text) { return make_error(Errc::invalid_argument, std::move(text)); }

/// ha-params must fit ha-mode, and nothing of ha-* stands without it.
Result<void> check_mirroring(const PolicyDefinition& definition) {
  const value* mode = definition.if_contains("ha-mode");
  const value* params = definition.if_contains("ha-params");
  if (mode == nullptr) {
    for (const auto& [name, unused] : definition)
      if (std::string_view(name).starts_with("ha-"))
        return refused("ha-mode must be specified to specify ha-params, ha-sync-mode or "
                       "ha-promote-on-shutdown");
    return {};
  }
  const std::string_view word = mode->get_string();
  if (word == "all" && params != nullptr) return refused("ha-mode=\"all\" does not take parameters");
  if (word == "exactly" && (params == nullptr || !is_positive(*params)))
    return refused(fmt::format("ha-mode=\"exactly\" takes an integer, {} given",
                               params == nullptr ? "none" : boost::json::serialize(*params)));
  if (word == "nodes") {
    const auto* list = params == nullptr ? nullptr : params->if_array();
    if (list == nullptr) return refused("ha-mode=\"nodes\" takes a list of node names");
    if (list->empty()) return refused("ha-mode=\"nodes\" list must be non-empty");
    if (!std::all_of(list->begin(), list->end(), is_text))
      return refused("ha-mode=\"nodes\" takes a list of node names");
  }
  return {};
}

Result<void> check_federation(const PolicyDefinition& definition) {
  int found = 0;
  for (const auto& [name, unused] : definition)
    found += std::string_view(name).starts_with("federation-upstream") ? 1 : 0;
  if (found < 2) return {};
  return refused("cannot specify federation-upstream, federation-upstream-set or "
                 "federation-upstream-pattern together");
}

}  // namespace

Result<PolicyDefinition> parse_policy_definition(std::string_view json, bool is_operator) {
  boost::json::error_code error;
  value parsed = boost::json::parse({json.data(), json.size()}, error);
  if (error) return refused(fmt::format("policy definition is not JSON: {}", error.message()));
  auto* object = parsed.if_object();
  if (object == nullptr) return refused("policy definition is not a JSON object");
  if (object->empty()) return refused("no policy provided");
  std::vector<std::string_view> unknown;  // a key may be ""
  for (const auto& [name, unused] : *object) {
    const Key* key = find_key({name.data(), name.size()});
    if (key == nullptr || (is_operator && !key->for_operators))
      unknown.emplace_back(name.data(), name.size());
  }
  if (!unknown.empty())
    return refused(fmt::format("not recognised {}policy settings: {}",
                               is_operator ? "operator " : "", fmt::join(unknown, ", ")));
  for (const auto& [name, v] : *object) {
    const Key* key = find_key({name.data(), name.size()});
    if (!key->accepts(v))
      return refused(fmt::format("{} is not a valid {} ({})", boost::json::serialize(v), key->noun,
                                 key->name));
  }
  if (auto ok = check_mirroring(*object); !ok) return ok.error();
  if (auto ok = check_federation(*object); !ok) return ok.error();
  return std::move(*object);
}

Result<void> validate_policy(const metadata::PolicyDef& policy) {
  if (policy.name.empty()) return refused("a policy needs a name");
  if (auto ok = access::check_pattern(policy.pattern); !ok)
    return refused("pattern should be a regular expression but is invalid: " + ok.error().text);
  static constexpr std::string_view kTargets[] = {"queues",  "classic_queues", "quorum_queues",
                                                  "streams", "exchanges",      "all"};
  if (std::find(std::begin(kTargets), std::end(kTargets), policy.apply_to) == std::end(kTargets))
    return refused(fmt::format("apply-to '{}' unrecognised; should be one of: {}", policy.apply_to,
                               fmt::join(kTargets, ", ")));
  if (auto definition = parse_policy_definition(policy.definition, policy.is_operator); !definition)
    return definition.error();
  return {};
}

bool suits_queue_type(const PolicyDefinition& definition, QueueType type) {
  const unsigned bit = 1U << static_cast<unsigned>(type);
  return std::all_of(definition.begin(), definition.end(), [&](const auto& entry) {
    const Key* key = find_key({entry.key().data(), entry.key().size()});
    return key == nullptr || (key->types & bit) != 0;
  });
}

bool is_limit_key(std::string_view key) {
  const Key* found = find_key(key);
  return found != nullptr && found->is_limit;
}

}  // namespace warren::broker
