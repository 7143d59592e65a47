#pragma once
// The definition of a policy: a JSON object of known keys. Parsing and validation; pure.

#include "base/result.h"
#include "cluster/metadata/types.h"

#include <boost/json/object.hpp>

#include <string>
#include <string_view>

namespace warren::broker {

using PolicyDefinition = boost::json::object;

/// Parses and checks a definition.
/// Errors: invalid_argument naming each unknown key, or the key whose value is wrong.
Result<PolicyDefinition> parse_policy_definition(std::string_view json, bool is_operator);

/// Checks name, pattern, apply_to and definition of a policy before it becomes a command.
/// Errors: invalid_argument, with a text for people.
Result<void> validate_policy(const metadata::PolicyDef& policy);

/// False when the definition holds a key that queues of this type do not know: such a policy does not
/// apply to them at all.
bool suits_queue_type(const PolicyDefinition& definition, metadata::QueueType type);

/// How two values of one key become one: the lower limit wins.
bool is_limit_key(std::string_view key);

}  // namespace warren::broker
