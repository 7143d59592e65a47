#pragma once
// Help pages, usage lines and completion, all made from the command table.

#include "node/ctl/context.h"

namespace warren::ctl {

std::string overview_text(const Context& context, unsigned scope);
std::string command_text(const Context& context, unsigned scope, const Command& command);
/// `rabbitmqctl [--node <node>] ... add_user <username> [<password>]`
std::string usage_line(unsigned scope, const Command& command);
std::string version_text();

/// What could stand for the last of `words` (which may be empty), given those before it.
std::vector<std::string> completions(unsigned scope, const std::vector<std::string>& words);
/// The script that makes bash ask `<program> autocomplete`.
std::string bash_script();

}  // namespace warren::ctl
