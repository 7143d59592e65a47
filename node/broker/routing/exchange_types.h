#pragma once
// Which exchange types exist and what they demand of declarations and bindings. Pure functions;
// the texts are for the client (406), the caller adds the reply code.

#include "base/result.h"
#include "cluster/metadata/types.h"

#include <string_view>

namespace warren::broker::routing {

/// True for direct, fanout, topic, headers, x-consistent-hash, x-modulus-hash, x-random,
/// x-local-random and x-delayed-message (EXC-02). x-recent-history is not built in.
bool known_exchange_type(std::string_view type);

/// Checks the arguments that a type gives a meaning to.
/// Errors: invalid_argument = 406: hash-header together with hash-property, an unknown
///         hash-property, a delayed exchange without a known x-delayed-type.
Result<void> validate_exchange(const metadata::ExchangeDef& def);

/// True when bindings mean the same under both definitions: same type, and the same of those
/// arguments that the type gives a meaning to.
bool same_routing(const metadata::ExchangeDef& a, const metadata::ExchangeDef& b);

/// Checks a binding against the type of its source.
/// Errors: invalid_argument = 406: x-match (EXC-11), weights (EXC-13), x-local-random (EXC-15; that
///         the destination is a classic queue is for the caller to see).
Result<void> validate_binding(const metadata::ExchangeDef& source,
                              const metadata::BindingDef& binding);

}  // namespace warren::broker::routing
