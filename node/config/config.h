#pragma once
// The effective configuration: every option's value and where it came from.
// Owner: the runtime; immutable for readers except through `set`, which the runtime serialises.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "node/config/node_env.h"
#include "node/config/option_table.h"

namespace warren::config {

/// A parsed value: boolean; integer, size or duration; decimal; text, choice or listener.
using OptionValue = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

/// One option (or one key of a `$name` option) with its value.
struct Entry {
  std::string key;
  const OptionSpec* spec{nullptr};
  OptionValue value;  ///< monostate: unset, without default
  std::string text;   ///< as it was written
  Origin origin;

  /// The value for people: secrets hidden, unset empty.
  std::string shown() const;
};

/// Checks one text against its option.
/// Errors: invalid_argument; the text says what would be right.
Result<OptionValue> parse_option(const OptionSpec& spec, std::string_view text);

class Config {
 public:
  /// Every option at its default.
  explicit Config(NodeEnv env = {});

  /// The value of an option without `$` in its key; asserts that it exists and has that type.
  bool get_bool(std::string_view key) const;
  std::int64_t get_int(std::string_view key) const;  ///< integer, size, duration; kInfinity
  double get_decimal(std::string_view key) const;
  std::string get_string(std::string_view key) const;  ///< text, choice; empty when unset
  /// Whether it has a value at all, and whether somebody gave it one.
  bool has_value(std::string_view key) const;
  bool is_given(std::string_view key) const;
  /// The given keys of a `$` option, without the pattern's fixed beginning, in order of key with
  /// numbers counted as numbers: `auth_backends.$num` -> {"1", "internal"}, ...
  std::vector<std::pair<std::string, Entry>> get_all(std::string_view pattern) const;

  /// Gives a value to a concrete key.
  /// Errors: not_found for an unknown key (with the nearest), invalid_argument for a bad value.
  Result<void> set(std::string_view key, std::string_view text, Origin origin);
  /// Takes all given keys of a `$` option away.
  void clear_all(std::string_view pattern);

  /// Every option in the table's order; a `$` option appears once per given key.
  std::vector<Entry> entries() const;

  const NodeEnv& env() const { return env_; }
  /// The files that were read, in order.
  const std::vector<std::string>& files() const { return files_; }
  /// Lines for the log, each said once.
  const std::vector<std::string>& warnings() const { return warnings_; }
  void add_file(std::string path) { files_.push_back(std::move(path)); }
  void warn(std::string line);

 private:
  const Entry& entry(std::string_view key) const;

  NodeEnv env_;
  std::map<std::string, Entry, std::less<>> plain_;  ///< by the table's key
  std::map<std::string, Entry, std::less<>> given_;  ///< of `$` options, by concrete key
  std::vector<std::string> files_;
  std::vector<std::string> warnings_;
};

/// A `key=value` from the command line.
using Override = std::pair<std::string, std::string>;

/// Reads everything: defaults, rabbitmq.conf, conf.d, advanced.config, variables that name a
/// setting, `overrides`, each beating those before; then checks for contradictions.
/// Errors: invalid_argument (not_found for an unknown key) with file and line, or the variable, and
///         the nearest key. The start is to be refused.
Result<Config> load_config(const EnvView& env, const FileSystem& files, NodeEnv node_env,
                           const std::vector<Override>& overrides = {});

/// The whole way from this process' environment: resolve_node_env, then load_config.
Result<Config> load_this_config(const std::vector<Override>& overrides = {},
                                std::string_view node_override = {});

}  // namespace warren::config
