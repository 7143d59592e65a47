#include "node/broker/policy.h"

#include "node/broker/queue_arguments.h"

#include <boost/json/serialize.hpp>

#include <algorithm>

namespace warren::broker {

namespace {

using boost::json::value;
using metadata::PolicyDef;
using metadata::QueueDef;
using metadata::QueueType;
using Policies = std::map<std::string, PolicyDef, std::less<>>;

bool targets(const PolicyDef& policy, QueueType type) {
  const std::string& to = policy.apply_to;
  if (to.empty() || to == "all" || to == "queues") return true;
  switch (type) {
    case QueueType::classic: return to == "classic_queues";
    case QueueType::quorum: return to == "quorum_queues";
    case QueueType::stream: return to == "streams";
  }
  return false;
}

bool targets_exchanges(const PolicyDef& policy) {
  return policy.apply_to.empty() || policy.apply_to == "all" || policy.apply_to == "exchanges";
}

/// The first of the highest priority that `applies`, asked only where it could win.
template <class Applies>
const PolicyDef* choose(const Policies& policies, Applies applies) {
  const PolicyDef* best = nullptr;
  for (const auto& [name, policy] : policies)
    if ((best == nullptr || policy.priority > best->priority) && applies(policy)) best = &policy;
  return best;
}

PolicyDefinition definition_of(const PolicyDef* policy) {
  if (policy == nullptr) return {};
  auto parsed = parse_policy_definition(policy->definition, policy->is_operator);
  return parsed ? std::move(*parsed) : PolicyDefinition();
}

std::optional<std::int64_t> number(const value* v) {
  if (v == nullptr) return std::nullopt;
  if (const auto* i = v->if_int64()) return *i;
  if (v->if_uint64() != nullptr) return INT64_MAX;
  return std::nullopt;
}

std::optional<std::string> text(const value* v) {
  if (v == nullptr || v->if_string() == nullptr) return std::nullopt;
  const auto& s = v->get_string();
  return std::string(s.data(), s.size());
}

/// Negative = no limit: what a limit of -1 says in argument and policy alike.
std::optional<std::int64_t> limit(std::optional<std::int64_t> n) {
  if (n && *n < 0) return std::nullopt;
  return n;
}

std::optional<std::int64_t> lower(std::optional<std::int64_t> a, std::optional<std::int64_t> b) {
  a = limit(a), b = limit(b);
  if (!a) return b;
  return b ? std::min(*a, *b) : a;
}

std::optional<std::int64_t> lower(const QueueDef& queue, const char* argument,
                                  const PolicyDefinition& definition, const char* key) {
  return lower(integer_argument(queue.arguments, argument), number(definition.if_contains(key)));
}

/// The word of the argument and of the policy; which wins is the caller's choice.
std::optional<std::string> argument_text(const QueueDef& queue, const char* argument) {
  const auto found = text_argument(queue.arguments, argument);
  return found ? std::optional<std::string>(*found) : std::nullopt;
}

std::optional<std::string> first(std::optional<std::string> a, std::optional<std::string> b) {
  return a ? std::move(a) : std::move(b);
}

std::optional<std::string> either(const QueueDef& queue, const char* argument,
                                  const PolicyDefinition& definition, const char* key) {
  return first(argument_text(queue, argument), text(definition.if_contains(key)));
}

Overflow parse_overflow(const std::optional<std::string>& word) {
  for (const Overflow overflow : {Overflow::reject_publish, Overflow::reject_publish_dlx})
    if (word == overflow_name(overflow)) return overflow;
  return Overflow::drop_head;
}

Overflow effective_overflow(const QueueDef& queue, const PolicyDefinition& definition) {
  auto argument = argument_text(queue, "x-overflow");
  auto policy = text(definition.if_contains("overflow"));
  return parse_overflow(queue.type == QueueType::classic
                            ? first(std::move(argument), std::move(policy))
                            : first(std::move(policy), std::move(argument)));
}

}  // namespace

AppliedPolicies choose_policies(const metadata::Vhost& vhost, const QueueDef& queue,
                                access::Patterns& patterns) {
  const auto applies = [&](const PolicyDef& policy) {
    return targets(policy, queue.type) && patterns.matches(policy.pattern, queue.name) &&
           suits_queue_type(definition_of(&policy), queue.type);
  };
  return {choose(vhost.policies, applies), choose(vhost.operator_policies, applies)};
}

AppliedPolicies choose_policies(const metadata::Vhost& vhost,
                                const metadata::ExchangeDef& exchange,
                                access::Patterns& patterns) {
  const auto applies = [&](const PolicyDef& policy) {
    return targets_exchanges(policy) && patterns.matches(policy.pattern, exchange.name);
  };
  return {choose(vhost.policies, applies), choose(vhost.operator_policies, applies)};
}

PolicyDefinition merge_policies(const PolicyDef* policy, const PolicyDef* operator_policy) {
  PolicyDefinition merged = definition_of(policy);
  for (auto& [name, theirs] : definition_of(operator_policy)) {
    const value* ours = merged.if_contains(name);
    if (ours == nullptr || !is_limit_key({name.data(), name.size()})) {
      merged[name] = theirs;
      continue;
    }
    const auto both = lower(number(ours), number(&theirs));
    merged[name] = both.value_or(-1);
  }
  return merged;
}

std::string effective_policy_definition(const AppliedPolicies& policies) {
  const PolicyDefinition merged = merge_policies(policies.policy, policies.operator_policy);
  return merged.empty() ? std::string() : boost::json::serialize(merged);
}

QueueSettings effective_settings(const QueueDef& queue, const PolicyDef* policy,
                                 const PolicyDef* operator_policy) {
  const PolicyDefinition definition = merge_policies(policy, operator_policy);
  QueueSettings out;
  out.consumer_timeout_ms = lower(queue, "x-consumer-timeout", definition, "consumer-timeout");
  if (out.consumer_timeout_ms == 0) out.consumer_timeout_ms.reset();
  if (queue.type == QueueType::stream) return out;

  out.message_ttl_ms = lower(queue, "x-message-ttl", definition, "message-ttl");
  out.expires_ms = lower(queue, "x-expires", definition, "expires");
  for (auto* time : {&out.message_ttl_ms, &out.expires_ms})
    if (*time) *time = std::min(**time, kExpiryMaxMs);
  out.max_length = lower(queue, "x-max-length", definition, "max-length");
  out.max_length_bytes = lower(queue, "x-max-length-bytes", definition, "max-length-bytes");
  out.overflow = effective_overflow(queue, definition);
  out.dead_letter_exchange =
      either(queue, "x-dead-letter-exchange", definition, "dead-letter-exchange");
  out.dead_letter_routing_key =
      either(queue, "x-dead-letter-routing-key", definition, "dead-letter-routing-key");
  const FieldValue* single = queue.arguments.find("x-single-active-consumer");
  out.single_active = single != nullptr && single->as_bool().value_or(false);
  if (queue.type == QueueType::classic) {
    if (const auto priority = integer_argument(queue.arguments, "x-max-priority"))
      out.max_priority = static_cast<int>(std::clamp<std::int64_t>(*priority, 0, 255));
    return out;
  }
  out.delivery_limit = lower(queue, "x-delivery-limit", definition, "delivery-limit");
  out.dead_letter_at_least_once =
      either(queue, "x-dead-letter-strategy", definition, "dead-letter-strategy") ==
          "at-least-once" &&
      out.dead_letter_exchange && out.overflow == Overflow::reject_publish;
  return out;
}

std::optional<std::string> effective_alternate_exchange(const metadata::ExchangeDef& exchange,
                                                        const AppliedPolicies& policies) {
  if (const auto own = text_argument(exchange.arguments, "alternate-exchange"))
    return std::string(*own);
  if (policies.policy == nullptr && policies.operator_policy == nullptr) return std::nullopt;
  return text(merge_policies(policies.policy, policies.operator_policy)
                  .if_contains("alternate-exchange"));
}

std::string queue_locator(const QueueDef& queue, const AppliedPolicies& policies) {
  const PolicyDefinition definition = merge_policies(policies.policy, policies.operator_policy);
  auto locator = either(queue, "x-queue-leader-locator", definition, "queue-leader-locator");
  if (!locator) locator = either(queue, "x-queue-master-locator", definition, "queue-master-locator");
  return locator.value_or("");
}

CopyWishes effective_copies(const QueueDef& queue, const AppliedPolicies& policies) {
  const PolicyDefinition definition = merge_policies(policies.policy, policies.operator_policy);
  CopyWishes out;
  const auto wish = [&](std::optional<std::int64_t> n) {
    if (!out.copies && n && *n > 0) out.copies = static_cast<int>(std::min<std::int64_t>(*n, 7));
  };
  for (const char* argument : {"x-replicas", "x-quorum-target-group-size",
                               "x-quorum-initial-group-size", "x-initial-cluster-size"})
    wish(integer_argument(queue.arguments, argument));
  for (const char* key : {"replicas", "target-group-size", "initial-cluster-size"})
    wish(number(definition.if_contains(key)));
  const auto mode = text(definition.if_contains("ha-mode"));
  const value* params = definition.if_contains("ha-params");
  if (!out.copies && mode == "exactly") wish(number(params));
  if (!out.copies && mode == "all") out.on_all_nodes = true;
  if (!out.copies && mode == "nodes" && params != nullptr && params->is_array()) {
    for (const value& node : params->get_array())
      if (auto name = text(&node)) out.nodes.push_back(std::move(*name));
    wish(static_cast<std::int64_t>(out.nodes.size()));
  }
  // All the old words for spreading leaders mean the one way there is.
  const std::string locator = queue_locator(queue, policies);
  if (!locator.empty() && locator != "client-local") out.leader_locator = "balanced";
  out.confirm_after = text(definition.if_contains("confirm-after")).value_or("");
  return out;
}

StreamRetention effective_retention(const QueueDef& queue, const AppliedPolicies& policies) {
  const PolicyDefinition definition = merge_policies(policies.policy, policies.operator_policy);
  StreamRetention out;
  // On streams the policy comes first.
  const auto age = first(text(definition.if_contains("max-age")), argument_text(queue, "x-max-age"));
  if (age) out.max_age_ms = parse_max_age_ms(*age).value_or(-1);
  const auto pick = [&](const char* key, const char* argument, std::int64_t& to) {
    const auto own = integer_argument(queue.arguments, argument);
    const auto theirs = number(definition.if_contains(key));
    if (theirs || own) to = theirs ? *theirs : *own;
  };
  pick("max-length-bytes", "x-max-length-bytes", out.max_length_bytes);
  pick("stream-max-segment-size-bytes", "x-stream-max-segment-size-bytes", out.segment_bytes);
  return out;
}

}  // namespace warren::broker
