#pragma once
// rabbitmq-env.conf: assignments in shell syntax, read without a shell.

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/config/environment.h"

namespace warren::config {

/// One assignment of the file.
struct EnvConfValue {
  std::string value;
  int line{0};
};

/// The outcome of reading the file: last assignment of each name wins.
struct EnvConf {
  std::map<std::string, EnvConfValue, std::less<>> values;
  std::vector<std::string> notes;  ///< lines that were left out, with the reason
};

/// Reads assignments: `NAME=value`, `export NAME=value`, several on a line, quotes, backslashes,
/// `$NAME`, `${NAME}`, `${NAME:-word}`, comments, `: "${NAME:=word}"` is left out with a note.
/// Shape:  no command is ever run; a line that needs a shell (command substitution, `if`, `.`) is
///         left out and noted, because refusing it would refuse files that other brokers accept.
/// Errors: invalid_argument for an unfinished quote, with file and line.
Result<EnvConf> parse_env_conf(std::string_view text, const std::string& path, const EnvView& env);

}  // namespace warren::config
