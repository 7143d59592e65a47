// rabbitmq-plugins: changes the enabled_plugins file and tells the running node.
#include "node/ctl/plugins.h"

#include <fmt/format.h>
#include <regex.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/runners.h"
#include "node/ctl/show.h"
#include "node/ctl/suggest.h"

namespace warren::ctl {
namespace {

constexpr Millis kAttemptMs = 5'000;
using Names = std::set<std::string>;

/// What is known before a plug-in command does its work.
struct Plugins {
  bool online{false};
  std::string file;
  Names explicit_names;
  Names running;
  std::map<std::string, std::string> versions;
};

/// A regular expression that is looked for anywhere in a name.
class Pattern {
 public:
  explicit Pattern(const std::string& text)
      : good_(::regcomp(&form_, text.c_str(), REG_EXTENDED | REG_NOSUB) == 0) {}
  ~Pattern() {
    if (good_) ::regfree(&form_);
  }
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;
  bool good() const { return good_; }
  bool matches(const std::string& name) const {
    return ::regexec(&form_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t form_{};
  bool good_;
};

std::string default_file(const Context& context, const Invocation& invocation) {
  if (const std::string given = invocation.text("enabled_plugins_file"); !given.empty())
    return given;
  if (const auto env = context.world.env("RABBITMQ_ENABLED_PLUGINS_FILE"); env && !env->empty())
    return *env;
  return context.world.plugins_file;
}

void ask_node(Context& context, const Invocation& invocation, Plugins& plugins) {
  const auto places =
      context.client->call("plugin_directories", {{"timeout_ms", kAttemptMs}}, {}, kAttemptMs);
  if (places && invocation.text("enabled_plugins_file").empty()) {
    const std::string file = text_at(*places, "enabled_plugins_file");
    if (!file.empty()) plugins.file = file;
  }
  (void)context.client->call(
      "list_plugins", {{"timeout_ms", kAttemptMs}},
      [&](const json::object& row) {
        const json::value value(row);
        const json::value* running = row.if_contains("running");
        const std::string name = text_at(value, "name");
        plugins.versions[name] = text_at(value, "version");
        if (running != nullptr && running->is_bool() && running->get_bool())
          plugins.running.insert(name);
      },
      kAttemptMs);
}

/// Reads the file and, when it runs, asks the node. Returns kExitOk or the exit code.
int gather(Context& context, const Invocation& invocation, Plugins& plugins) {
  plugins.file = default_file(context, invocation);
  context.node = full_node_name(context.world, invocation.globals, invocation.globals.node);
  if (!invocation.flag("offline")) {
    plugins.online = static_cast<bool>(try_connect(context, invocation, kAttemptMs));
    if (!plugins.online && invocation.flag("online")) return connect(context, invocation);
    if (plugins.online) ask_node(context, invocation, plugins);
  }
  auto names = read_enabled_plugins(plugins.file);
  if (!names) {
    context.world.err << "Error:\n" << names.error().text << "\n";
    return kExitConfig;
  }
  plugins.explicit_names = std::move(*names);
  return kExitOk;
}

void say(Context& context, const Invocation& invocation, const std::string& text) {
  if (!invocation.globals.quiet && !invocation.globals.silent && !invocation.machine())
    context.world.out << text << "\n";
}

void say_list(Context& context, const Invocation& invocation, const std::string& title,
              const Names& names) {
  if (names.empty()) return;
  std::string text = title;
  for (const std::string& name : names) text += "\n  " + name;
  say(context, invocation, text);
}

Names wanted_names(const Invocation& invocation) {
  Names names;
  if (const json::value* given = invocation.args.if_contains("plugins");
      given != nullptr && given->is_array()) {
    for (const json::value& name : given->get_array()) names.emplace(name.as_string());
  }
  if (invocation.flag("all") && invocation.command->name == "enable") {
    for (const PluginInfo& plugin : known_plugins()) names.emplace(plugin.name);
  }
  return names;
}

/// A name that nobody knows: 3.x's text and a suggestion.
int refuse_unknown(Context& context, const Names& names) {
  std::string unknown;
  std::string hints;
  std::vector<std::string> known;
  for (const PluginInfo& plugin : known_plugins()) known.emplace_back(plugin.name);
  for (const std::string& name : names) {
    if (find_plugin(name) != nullptr) continue;
    unknown += (unknown.empty() ? ":" : ", :") + name;
    if (const auto near = nearest(name, known))
      hints += fmt::format("Did you mean '{}' instead of '{}'?\n", *near, name);
  }
  if (unknown.empty()) return kExitOk;
  context.world.err << "Error:\n{:plugins_not_found, [" << unknown << "]}\n" << hints;
  return kExitSoftware;
}

Names difference(const Names& a, const Names& b) {
  Names out;
  std::set_difference(a.begin(), a.end(), b.begin(), b.end(), std::inserter(out, out.end()));
  return out;
}

/// Tells the node; prints what it started and stopped.
int apply(Context& context, const Invocation& invocation, const Names& names,
          const std::string& file) {
  json::array enabled;
  for (const std::string& name : names) enabled.emplace_back(name);
  const auto done = context.client->call(
      "plugins_changed",
      {{"enabled", std::move(enabled)}, {"file", file}, {"timeout_ms", timeout_of(invocation)}}, {},
      timeout_of(invocation));
  if (!done) return print_error(context, invocation, done.error());
  for (const auto& [key, word] :
       {std::pair{"started", "started"}, std::pair{"stopped", "stopped"}}) {
    const json::value* list = find_at(*done, key);
    if (list == nullptr || !list->is_array() || list->get_array().empty()) continue;
    say(context, invocation, fmt::format("{} {} plugins.", word, list->get_array().size()));
  }
  return kExitOk;
}

}  // namespace

int run_plugins_change(Context& context, const Invocation& invocation) {
  const std::string_view name = invocation.command->name;
  const Names given = wanted_names(invocation);
  const bool all = invocation.flag("all");
  if (given.empty() && !all && name != "set") {
    return usage_error(context, invocation, "Error (argument validation): not enough arguments.");
  }
  Plugins plugins;
  if (const int failed = gather(context, invocation, plugins); failed != kExitOk) return failed;
  std::string title = name == "disable" ? fmt::format("Disabling plugins on node {}:", context.node)
                                        : fmt::format("Enabling plugins on node {}:", context.node);
  for (const std::string& plugin : given) title += "\n" + plugin;
  say(context, invocation, title);
  if (name != "disable") {
    if (const int bad = refuse_unknown(context, given); bad != kExitOk) return bad;
  }
  Names names = name == "set" ? given : plugins.explicit_names;
  if (name == "enable") names.insert(given.begin(), given.end());
  if (name == "disable") {
    // A plug-in goes with everything that needs it.
    std::erase_if(names, [&](const std::string& kept) {
      const Names needs = with_dependencies({kept});
      return all || std::any_of(given.begin(), given.end(),
                                [&](const std::string& gone) { return needs.contains(gone); });
    });
  }
  const Names before = with_dependencies(plugins.explicit_names);
  const Names after = with_dependencies(names);
  if (const Result<> written = write_enabled_plugins(plugins.file, names); !written) {
    context.world.err << "Error:\n" << written.error().text << "\n";
    return kExitSoftware;
  }
  if (names.empty()) {
    say(context, invocation, "All plugins have been disabled.");
  } else {
    say_list(context, invocation, "The following plugins have been configured:", after);
  }
  say(context, invocation, fmt::format("Applying plugin configuration to {}...", context.node));
  if (before == after && plugins.explicit_names == names)
    say(context, invocation, "Plugin configuration unchanged.");
  say_list(context, invocation,
           "The following plugins have been enabled:", difference(after, before));
  say_list(context, invocation,
           "The following plugins have been disabled:", difference(before, after));
  if (plugins.online) return apply(context, invocation, names, plugins.file);
  say(context, invocation,
      fmt::format("\nset {} plugins.\nOffline change; changes will take effect at broker restart.",
                  after.size()));
  return kExitOk;
}

int run_plugins_list(Context& context, const Invocation& invocation) {
  const std::string pattern =
      invocation.text("pattern").empty() ? ".*" : invocation.text("pattern");
  const Pattern form(pattern);
  if (!form.good()) {
    return usage_error(context, invocation,
                       "Error (argument validation): the pattern is not a regular expression");
  }
  Plugins plugins;
  if (const int failed = gather(context, invocation, plugins); failed != kExitOk) return failed;
  const Names enabled = with_dependencies(plugins.explicit_names);
  say(context, invocation, fmt::format("Listing plugins with pattern \"{}\" ...", pattern));
  std::vector<const PluginInfo*> shown;
  std::size_t width = 0;
  for (const PluginInfo& plugin : known_plugins()) {
    const std::string name(plugin.name);
    if (!form.matches(name)) continue;
    if (invocation.flag("enabled") && !plugins.explicit_names.contains(name)) continue;
    if (invocation.flag("implicitly_enabled") && !enabled.contains(name)) continue;
    shown.push_back(&plugin);
    width = std::max(width, name.size());
  }
  const auto mark = [&](const std::string& name) {
    const char* on = plugins.explicit_names.contains(name) ? "E"
                     : enabled.contains(name)              ? "e"
                                                           : " ";
    return fmt::format("[{}{}]", on, plugins.running.contains(name) ? "*" : " ");
  };
  const auto version = [&](const std::string& name) {
    const auto found = plugins.versions.find(name);
    return found == plugins.versions.end() || found->second.empty() ? std::string("3.10.8")
                                                                    : found->second;
  };
  if (invocation.globals.formatter == "json") {
    json::array rows;
    for (const PluginInfo* plugin : shown) {
      const std::string name(plugin->name);
      const char* state = plugins.explicit_names.contains(name) ? "enabled"
                          : enabled.contains(name)              ? "implicit"
                                                                : "not_enabled";
      rows.push_back({{"name", name},
                      {"version", version(name)},
                      {"enabled", state},
                      {"running", plugins.running.contains(name)}});
    }
    context.world.out << json::serialize(
                             json::object{{"status", plugins.online ? "running" : "node_down"},
                                          {"plugins", std::move(rows)}})
                      << "\n";
    return kExitOk;
  }
  if (invocation.flag("minimal")) {
    for (const PluginInfo* plugin : shown) context.world.out << plugin->name << "\n";
    return kExitOk;
  }
  const std::string state =
      plugins.online ? fmt::format("* = running on {}", context.node)
                     : fmt::format("[failed to contact {} - status not shown]", context.node);
  context.world.out << " Configured: E = explicitly enabled; e = implicitly enabled\n | Status: "
                    << state << "\n |/\n";
  for (const PluginInfo* plugin : shown) {
    const std::string name(plugin->name);
    if (!invocation.flag("verbose")) {
      context.world.out << fmt::format("{} {:<{}} {}\n", mark(name), name, width, version(name));
      continue;
    }
    std::string needs(plugin->dependencies);
    std::replace(needs.begin(), needs.end(), ' ', ',');
    context.world.out << fmt::format(
        "{} {}\n     Version:     \t{}\n     Dependencies:\t[{}]\n     Description: \t{}\n",
        mark(name), name, version(name), needs, plugin->description);
  }
  return kExitOk;
}

int run_plugins_is_enabled(Context& context, const Invocation& invocation) {
  Plugins plugins;
  if (const int failed = gather(context, invocation, plugins); failed != kExitOk) return failed;
  const Names enabled = with_dependencies(plugins.explicit_names);
  const Names wanted = wanted_names(invocation);
  std::string all;
  std::string missing;
  for (const std::string& name : wanted) {
    all += (all.empty() ? "" : ", ") + name;
    if (!enabled.contains(name)) missing += (missing.empty() ? "" : ", ") + name;
  }
  const char* word = wanted.size() == 1 ? "plugin" : "plugins";
  const char* is = wanted.size() == 1 ? "is" : "are";
  say(context, invocation,
      fmt::format("Asking node {} if {} {} {} enabled...", context.node, word, all, is));
  if (missing.empty()) {
    if (!invocation.globals.silent) {
      context.world.out << fmt::format("{} {} {} enabled on node {}\n",
                                       wanted.size() == 1 ? "Plugin" : "Plugins", all, is,
                                       context.node);
    }
    return kExitOk;
  }
  std::string have;
  for (const std::string& name : enabled) have += (have.empty() ? "" : ", ") + name;
  return print_error(
      context, invocation,
      make_error(
          Errc::unavailable,
          fmt::format("Plugin {} is not enabled on node {}. Enabled plugins and dependencies: {}",
                      missing, context.node, have)));
}

int run_plugins_directories(Context& context, const Invocation& invocation) {
  Plugins plugins;
  if (const int failed = gather(context, invocation, plugins); failed != kExitOk) return failed;
  json::object places{{"plugin_archives_directory", ""},
                      {"plugin_expansion_directory", ""},
                      {"enabled_plugins_file", plugins.file}};
  if (plugins.online) {
    const auto answer =
        context.client->call("plugin_directories", {{"timeout_ms", kAttemptMs}}, {}, kAttemptMs);
    if (answer && answer->is_object()) places = answer->get_object();
  }
  say(context, invocation,
      plugins.online ? fmt::format("Listing plugin directories used by node {}", context.node)
                     : "Listing plugin directories inferred from local environment...");
  if (print_formatted(context, invocation, places)) return kExitOk;
  context.world.out << "Plugin archives directory: " << text_at(places, "plugin_archives_directory")
                    << "\n"
                    << "Plugin expansion directory: "
                    << text_at(places, "plugin_expansion_directory") << "\n"
                    << "Enabled plugins file: " << text_at(places, "enabled_plugins_file") << "\n";
  return kExitOk;
}

}  // namespace warren::ctl
