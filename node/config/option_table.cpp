#include "node/config/option_table.h"

#include <map>

#include "node/config/options.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

/// Splits at dots; `\.` is a dot inside a part.
std::vector<std::string> parts_of(std::string_view key) {
  std::vector<std::string> parts{""};
  for (std::size_t i = 0; i < key.size(); ++i) {
    if (key[i] == '\\' && i + 1 < key.size() && key[i + 1] == '.') {
      parts.back().push_back('.');
      ++i;
    } else if (key[i] == '.') {
      parts.emplace_back();
    } else {
      parts.back().push_back(key[i]);
    }
  }
  return parts;
}

struct Index {
  std::map<std::string, const OptionSpec*, std::less<>> plain;
  std::vector<std::pair<std::vector<std::string>, const OptionSpec*>> patterns;
};

const Index& table_index() {
  static const Index index = [] {
    Index built;
    for (const auto& group : option_groups()) {
      for (const auto& spec : *group.options) {
        if (spec.wildcard()) {
          built.patterns.emplace_back(parts_of(spec.key), &spec);
        } else {
          built.plain.emplace(spec.key, &spec);
        }
        if (spec.alias[0] != '\0') built.plain.emplace(spec.alias, &spec);
      }
    }
    return built;
  }();
  return index;
}

bool pattern_matches(const std::vector<std::string>& pattern,
                     const std::vector<std::string>& parts) {
  if (pattern.size() != parts.size()) return false;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty()) return false;
    if (!pattern[i].starts_with('$') && pattern[i] != parts[i]) return false;
  }
  return true;
}

}  // namespace

const std::vector<OptionGroup>& option_groups() {
  static const std::vector<OptionGroup> groups{
      {"Network and connections", &network_options()},
      {"Users and authentication", &access_options()},
      {"Logins with OAuth 2.0 tokens", &oauth2_options()},
      {"Limits, memory, disc and queues", &limit_options()},
      {"Cluster", &cluster_options()},
      {"Logs", &log_options()},
      {"Management and metrics", &plugin_options()},
      {"Warren's own", &warren_options()},
  };
  return groups;
}

const OptionSpec* find_option(std::string_view key) {
  const Index& index = table_index();
  if (const auto it = index.plain.find(key); it != index.plain.end()) return it->second;
  const auto parts = parts_of(key);
  for (const auto& [pattern, spec] : index.patterns) {
    if (pattern_matches(pattern, parts)) return spec;
  }
  return nullptr;
}

std::string nearest_key(std::string_view key) {
  std::vector<std::string> names;
  for (const auto& group : option_groups()) {
    for (const auto& spec : *group.options) {
      if (!spec.wildcard()) names.emplace_back(spec.key);
    }
  }
  // Give patterns the misspelt key's own parts where they are free, so that they can be compared.
  const auto parts = parts_of(key);
  for (const auto& [pattern, spec] : table_index().patterns) {
    if (pattern.size() != parts.size()) continue;
    std::string name;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      if (i > 0) name.push_back('.');
      name += pattern[i].starts_with('$') ? parts[i] : pattern[i];
    }
    names.push_back(std::move(name));
  }
  return nearest_name(key, names);
}

const char* option_type_name(OptionType type) {
  switch (type) {
    case OptionType::boolean: return "true or false";
    case OptionType::integer: return "integer";
    case OptionType::decimal: return "number";
    case OptionType::size: return "size";
    case OptionType::duration: return "time";
    case OptionType::choice: return "one of";
    case OptionType::text: return "text";
    case OptionType::listener: return "port or address:port";
  }
  return "unknown";
}

}  // namespace warren::config
