#pragma once
// Runtime parameters that are something else underneath: limits of vhosts, policies. Private to
// definitions and the two functions of definitions.h.

#include "cluster/metadata/catalogue.h"
#include "node/broker/json_values.h"

namespace warren::broker {

enum class UnknownComponents : std::uint8_t { refuse, keep };

/// The command behind a parameter. Errors: as `put_parameter_command`.
Result<metadata::Command> make_put_parameter(const metadata::Catalogue& catalogue,
                                             const metadata::ParameterDef& parameter,
                                             UnknownComponents unknown);

/// pattern, apply-to, priority and definition of a policy; vhost, name and kind are set before.
/// Errors: invalid_argument.
Result<void> read_policy(const Fields& fields, metadata::PolicyDef& def);

}  // namespace warren::broker
