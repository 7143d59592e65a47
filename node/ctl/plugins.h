#pragma once
// The enabled_plugins file and the plug-ins there are.

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::ctl {

struct PluginInfo {
  std::string_view name;
  std::string_view dependencies;  ///< words
  std::string_view description;
};

/// Names operators know; what is built in switches on with them.
const std::vector<PluginInfo>& known_plugins();
const PluginInfo* find_plugin(std::string_view name);
/// The given ones and everything they need.
std::set<std::string> with_dependencies(const std::set<std::string>& names);

/// Reads an Erlang list of atoms: `[rabbitmq_management,'x'].`; a missing file is an empty list.
/// Errors: invalid_argument naming the place; io.
Result<std::set<std::string>> read_enabled_plugins(const std::string& file);
Result<std::set<std::string>> parse_enabled_plugins(std::string_view text);
/// Replaces the file as a whole. Errors: io, permission_denied naming the file.
Result<> write_enabled_plugins(const std::string& file, const std::set<std::string>& names);

}  // namespace warren::ctl
