#include "node/config/listing.h"

#include <fmt/core.h>

#include <iterator>

namespace warren::config {

namespace {

std::string range_text(const OptionSpec& spec) {
  std::string out = option_type_name(spec.type);
  if (spec.type == OptionType::choice) {
    out.clear();
    for (const char c : std::string_view{spec.choices}) {
      if (c == '|') {
        out += "`, `";
      } else {
        out.push_back(c);
      }
    }
    return "`" + out + "`";
  }
  if (spec.unit[0] != '\0') out += fmt::format(" in {}", spec.unit);
  const bool number = spec.type == OptionType::integer || spec.type == OptionType::size ||
                      spec.type == OptionType::duration || spec.type == OptionType::decimal;
  const bool bounded = spec.max < (std::int64_t{1} << 61);
  if (number && bounded) out += fmt::format(", {} to {}", spec.min, spec.max);
  if (number && !bounded && spec.min > 0) out += fmt::format(", at least {}", spec.min);
  if (spec.infinity) out += ", or `infinity`";
  return out;
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '|' || c == '<') out.push_back('\\');
    out.push_back(c);
  }
  return out;
}

void append_option(std::string& out, const OptionSpec& spec) {
  const auto to = std::back_inserter(out);
  fmt::format_to(to, "| `{}`{}{} | ", spec.key, spec.needs_restart ? "" : " ↻",
                 spec.state == OptionState::accepted ? " ∅" : "");
  const std::string value =
      spec.default_text[0] == '\0' ? "" : fmt::format("`{}`", spec.default_text);
  fmt::format_to(to, "{} | {} | {}", value, range_text(spec), escaped(spec.doc));
  if (spec.alias[0] != '\0') fmt::format_to(to, " Also `{}`.", spec.alias);
  if (spec.env[0] != '\0') fmt::format_to(to, " Variable: `RABBITMQ_{}`.", spec.env);
  if (spec.scope == OptionScope::cluster) out += " Give all nodes the same.";
  if (spec.example[0] != '\0') fmt::format_to(to, " Example: `{}`", spec.example);
  out += " |\n";
}

constexpr const char* kIntroduction = R"(# Configuration

Nothing has to be configured: without any setting a node listens on port 5672 of all interfaces, is called
`rabbit@<short host name>` and keeps its data in `/var/lib/rabbitmq` (or in `~/.local/share/warren` where it may not
write there). This page is made from the program's own tables; `rabbitmqctl environment` shows every effective value
of a running node and where it came from.

## Where values come from

1. **Variables** named `RABBITMQ_…`. An empty one counts as unset.
2. **`rabbitmq-env.conf`** (`/etc/rabbitmq/rabbitmq-env.conf`, or what `RABBITMQ_CONF_ENV_FILE` names): the same names without
   the prefix, as shell assignments. It is read, not run.
3. **`rabbitmq.conf`** (`/etc/rabbitmq/rabbitmq.conf`, or what `RABBITMQ_CONFIG_FILE` names, with or without its extension): lines
   `key = value`; `#` begins a comment; a value with a `#` goes in single quotes; `$(NAME)` is replaced by that variable.
4. **`conf.d/*.conf`** (or what `RABBITMQ_CONFIG_FILES` names: a folder or a pattern), in the order of the names. A later value wins.
5. **`advanced.config`**: Erlang terms, `[{rabbit, [{key, value}]}].` An old `rabbitmq.config` is read when there is no `rabbitmq.conf`.
6. Variables that name a setting (`RABBITMQ_NODE_PORT`, `RABBITMQ_DEFAULT_USER`, …) beat the files.

An unknown key, a value out of range, or two values that contradict each other stop the start; the message names the file, the line and
the nearest key. Keys of plugins that are not part of this server (`mqtt.*`, `stomp.*`, …) are accepted with a warning.

Sizes may have a unit: `k`, `M`, `G`, `T`, `P` and `kiB`, `MiB`, … count in 1024s, `kB`, `MB`, … in 1000s. Times may have `ms`, `s`, `m`, `h` or `d`;
a bare number counts in the unit of the table. True is `true`, `on` or `yes`.

)";

}  // namespace

std::vector<ListedSetting> list_settings(const Config& config) {
  std::vector<ListedSetting> out;
  for (const auto& variable : config.env().variables) {
    out.push_back({variable.name, variable.value, variable.origin.text()});
  }
  for (const auto& entry : config.entries()) {
    out.push_back({entry.key, entry.shown(), entry.origin.text()});
  }
  return out;
}

std::string configuration_page() {
  std::string out = kIntroduction;
  const auto to = std::back_inserter(out);
  out += "## Variables\n\nAll begin with `RABBITMQ_`. ∅: accepted, without effect here.\n\n";
  out += "| variable | default | meaning |\n|---|---|---|\n";
  for (const auto& spec : known_variables()) {
    fmt::format_to(to, "| `{}`{} | {} | {} |\n", spec.name, spec.used ? "" : " ∅",
                   escaped(spec.default_text), escaped(spec.doc));
  }
  out += "\n## Keys of `rabbitmq.conf`\n\n";
  out +=
      "`$name` and `$num` stand for a name and a number of your own. ↻: can be changed while the "
      "node "
      "runs. ∅: accepted and checked, without effect here.\n";
  for (const auto& group : option_groups()) {
    fmt::format_to(to, "\n### {}\n\n| key | default | value | meaning |\n|---|---|---|---|\n",
                   group.title);
    for (const auto& spec : *group.options) append_option(out, spec);
  }
  return out;
}

}  // namespace warren::config
