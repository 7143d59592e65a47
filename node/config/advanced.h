#pragma once
// advanced.config and the old rabbitmq.config: the common part of their Erlang terms, as option
// lines.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/config/conf_file.h"

namespace warren::config {

/// What a file of terms says, in the words of rabbitmq.conf.
struct AdvancedText {
  std::vector<ConfLine> lines;
  std::vector<std::string> replaces;  ///< `$` options that the file gives anew as a whole
  std::vector<std::string> notes;
};

/// Reads `[{rabbit, [{key, value}, ...]}, {app, [...]}].`
/// Errors: invalid_argument with file and line for text that is no such term, unsupported for a
///         setting of `rabbit` that has no counterpart here.
Result<AdvancedText> parse_advanced(std::string_view text, const std::string& file);

}  // namespace warren::config
