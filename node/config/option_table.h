#pragma once
// The one table of options. Parsing, validation, docs/configuration.md and `rabbitmqctl
// environment` all come from it; an option exists by being here. Constant after start.

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace warren::config {

enum class OptionType { boolean, integer, decimal, size, duration, choice, text, listener };

enum class OptionScope { node, cluster };

/// What the server does with an option.
enum class OptionState {
  active,    ///< has an effect
  accepted,  ///< RabbitMQ knows it; here it is checked and has no effect
};

/// One option. A `$name` or `$num` part of the key stands for any one part: such an option may be
/// given many times and reads as a map or list.
struct OptionSpec {
  const char* key;
  OptionType type{OptionType::text};
  const char* default_text{""};  ///< empty: unset
  std::int64_t min{0};           ///< integer, size, duration (in its unit); decimal
  std::int64_t max{std::numeric_limits<std::int64_t>::max() - 1};
  const char* unit{""};     ///< "ms", "s", "bytes", ...; a duration must have ms or s
  bool infinity{false};     ///< `infinity` (also `undefined`) is allowed
  const char* choices{""};  ///< a|b|c for a choice
  bool needs_restart{true};
  OptionScope scope{OptionScope::node};
  OptionState state{OptionState::active};
  bool secret{false};     ///< never shown
  const char* alias{""};  ///< another name for the same option
  const char* env{""};    ///< variable that beats the file, without RABBITMQ_
  const char* doc{""};
  const char* example{""};

  bool wildcard() const { return std::string_view{key}.find('$') != std::string_view::npos; }
};

/// A titled part of the table.
struct OptionGroup {
  const char* title;
  const std::vector<OptionSpec>* options;
};

const std::vector<OptionGroup>& option_groups();

/// The spec of a concrete key (or of an alias), null when there is none.
const OptionSpec* find_option(std::string_view key);

/// A prefix of keys that RabbitMQ's plugins know and this server does not use.
struct ForeignPrefix {
  const char* prefix;
  const char* feature;
};
const std::vector<ForeignPrefix>& foreign_prefixes();

/// The nearest key of the table to a misspelt one, empty when none is near.
std::string nearest_key(std::string_view key);

const char* option_type_name(OptionType type);

}  // namespace warren::config
