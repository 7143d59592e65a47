#pragma once
// rabbitmq.conf's syntax: `key = value` lines, comments, `$(VAR)`. Knows no option.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/config/environment.h"

namespace warren::config {

/// One line `key = value`.
struct ConfLine {
  std::string key;
  std::string value;
  std::string file;
  int line{0};

  std::string where() const { return file + ":" + std::to_string(line); }
};

struct ConfText {
  std::vector<ConfLine> lines;
  std::vector<std::string> notes;
};

/// Reads one file.
/// Shape:  `#` begins a comment, except inside a value in single quotes; `$(NAME)` in a value is
/// replaced
///         by that environment variable.
/// Errors: invalid_argument naming file and line: no `=`, empty key or value, unset variable,
///         encrypted value.
Result<ConfText> parse_conf(std::string_view text, const std::string& file, const EnvView& env);

}  // namespace warren::config
