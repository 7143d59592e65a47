#pragma once
// What is printed when a node cannot be reached: what was tried, what answered, what to do.

#include "cluster/transport/control_client.h"
#include "node/ctl/context.h"

namespace warren::ctl {

/// Prints the DIAGNOSTICS block on stderr.
void print_diagnostics(const Context& context, const transport::ControlTarget& target,
                       const transport::Cookie& cookie, const Error& error);

/// Is a TCP port open? Waits at most `deadline_ms`. Errors: the reason as text.
Result<> probe_port(const std::string& address, std::uint16_t port, Millis deadline_ms);

}  // namespace warren::ctl
