#pragma once
// From words to an Invocation. Options may stand before or after the command.

#include "node/ctl/context.h"

namespace warren::ctl {

/// What is wrong with a command line, with what could be known of it.
struct ParseFailure {
  std::string text;
  bool unknown_command{false};
};

/// Understands a command line. On failure `invocation` holds what was understood.
/// Errors: a text for people; a command that does not exist is told apart.
std::optional<ParseFailure> parse(unsigned scope, const std::vector<std::string>& words,
                                  Invocation& invocation);

/// A global option for help and completion.
struct GlobalOption {
  std::string_view name;
  char letter;
  bool value;
};
std::span<const GlobalOption> global_options();

/// Formatters that --formatter takes.
const std::vector<std::string>& formatter_names();

}  // namespace warren::ctl
