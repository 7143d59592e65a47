#pragma once
// Which policy applies to a queue or exchange, and what it makes of its settings together with the
// operator policy and the object's own arguments. Pure.

#include "cluster/metadata/catalogue.h"
#include "node/access/patterns.h"
#include "node/broker/policy_definition.h"
#include "node/broker/queue_settings.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace warren::broker {

/// The policies in force for one object; null = none. Owner: they lie in the catalogue.
struct AppliedPolicies {
  const metadata::PolicyDef* policy{nullptr};
  const metadata::PolicyDef* operator_policy{nullptr};
};

/// Of each kind exactly one applies: the highest priority among those whose pattern occurs in the
/// name, whose apply-to fits, and whose keys the queue's type knows; of equals the first by name.
AppliedPolicies choose_policies(const metadata::Vhost& vhost, const metadata::QueueDef& queue,
                                access::Patterns& patterns);
AppliedPolicies choose_policies(const metadata::Vhost& vhost, const metadata::ExchangeDef& exchange,
                                access::Patterns& patterns);

/// Both definitions in one: of limits the lower, of everything else the operator's.
/// A definition that does not parse counts as empty: validation keeps those out of the catalogue.
PolicyDefinition merge_policies(const metadata::PolicyDef* policy,
                                const metadata::PolicyDef* operator_policy);
/// The same as JSON text, for listings; "" when there is none.
std::string effective_policy_definition(const AppliedPolicies& policies);

/// Arguments and policies together: of numeric limits the lower; dead-letter-* as the arguments say,
/// else the policy; overflow likewise on classic queues, the other way round on quorum queues.
QueueSettings effective_settings(const metadata::QueueDef& queue,
                                 const metadata::PolicyDef* policy,
                                 const metadata::PolicyDef* operator_policy);
inline QueueSettings effective_settings(const metadata::QueueDef& queue,
                                        const AppliedPolicies& policies) {
  return effective_settings(queue, policies.policy, policies.operator_policy);
}

/// Where messages go that an exchange cannot route: argument, else policy.
std::optional<std::string> effective_alternate_exchange(const metadata::ExchangeDef& exchange,
                                                        const AppliedPolicies& policies);

/// How many copies of a queue are wanted and where; old ha-* policies are read as such wishes.
struct CopyWishes {
  std::optional<int> copies;       ///< nothing = the cluster's default
  bool on_all_nodes{false};        ///< ha-mode all
  std::vector<std::string> nodes;  ///< ha-mode nodes: display names
  std::string leader_locator;      ///< "" = client-local
  std::string confirm_after;       ///< "" = majority-disc
  bool operator==(const CopyWishes&) const = default;
};
/// The word for where the queue is to live: argument, else policy; "" when neither says.
std::string queue_locator(const metadata::QueueDef& queue, const AppliedPolicies& policies);
CopyWishes effective_copies(const metadata::QueueDef& queue, const AppliedPolicies& policies);

/// Retention of a stream; -1 = without bound.
struct StreamRetention {
  std::int64_t max_age_ms{-1};
  std::int64_t max_length_bytes{-1};
  std::int64_t segment_bytes{500'000'000};
  bool operator==(const StreamRetention&) const = default;
};
StreamRetention effective_retention(const metadata::QueueDef& queue,
                                    const AppliedPolicies& policies);

}  // namespace warren::broker
