#include "node/config/node_env.h"

#include <fmt/core.h>

#include <algorithm>

#include "node/config/env_conf.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

constexpr const char* kEtc = "/etc/rabbitmq";
constexpr const char* kVarLib = "/var/lib/rabbitmq";
constexpr const char* kVarLog = "/var/log/rabbitmq";
constexpr const char* kPrefix = "RABBITMQ_";

/// Looks variables up in order of precedence and remembers what was found.
class Resolver {
 public:
  Resolver(const EnvView& env, const FileSystem& files, const HostInfo& host)
      : env_(env), files_(files), host_(host) {}

  Result<NodeEnv> run(std::string_view node_override);

 private:
  struct Found {
    std::string value;
    Origin origin;
  };

  /// The variable's value by precedence; nothing when it is unset everywhere.
  std::optional<Found> find(const std::string& name) const {
    const std::string full = kPrefix + name;
    if (const auto it = env_.find(full); it != env_.end() && !it->second.empty()) {
      return Found{it->second, Origin{OriginKind::environment, full}};
    }
    for (const std::string& key : {name, full}) {
      // HOME, LOG and the like without prefix are only ours inside the file.
      const auto it = conf_.values.find(key);
      if (it == conf_.values.end() || it->second.value.empty()) continue;
      return Found{it->second.value,
                   Origin{OriginKind::env_conf,
                          fmt::format("{}:{} {}", out_.conf_env_file, it->second.line, key)}};
    }
    return std::nullopt;
  }

  /// Records the effective value for `variables` and returns it.
  std::string take(const std::string& name, const std::string& fallback) {
    auto found = find(name);
    const std::string value = found ? found->value : fallback;
    out_.variables.push_back({kPrefix + name, value, found ? found->origin : Origin{}});
    return value;
  }

  Result<void> read_conf_env_file();
  Result<void> take_name(std::string_view node_override);
  Result<void> take_ports();
  void take_paths();
  void take_logs();
  void take_rest();
  Result<std::uint16_t> take_port(const std::string& name, std::uint16_t fallback);
  bool take_flag(const std::string& name);

  /// The system's directory when this process may use it, else one below the user's own.
  std::string system_or_own(const std::string& system, const std::string& own) const {
    return files_.can_write_into(system) ? system : own_base() + "/" + own;
  }
  std::string own_base() const { return host_.home + "/.local/share/warren"; }

  const EnvView& env_;
  const FileSystem& files_;
  const HostInfo& host_;
  EnvConf conf_;
  NodeEnv out_;
};

Result<void> Resolver::read_conf_env_file() {
  const auto given = env_.find("RABBITMQ_CONF_ENV_FILE");
  const bool named = given != env_.end() && !given->second.empty();
  out_.conf_env_file = named ? given->second : std::string{kEtc} + "/rabbitmq-env.conf";
  out_.variables.push_back(
      {"RABBITMQ_CONF_ENV_FILE", out_.conf_env_file,
       named ? Origin{OriginKind::environment, "RABBITMQ_CONF_ENV_FILE"} : Origin{}});
  auto text = files_.read(out_.conf_env_file);
  if (!text) {
    if (named || text.error().code != Errc::not_found) {
      out_.notes.push_back(text.error().text + " (named by RABBITMQ_CONF_ENV_FILE)");
    }
    return {};
  }
  auto parsed = parse_env_conf(text.value(), out_.conf_env_file, env_);
  if (!parsed) return parsed.error();
  conf_ = std::move(parsed.value());
  for (const auto& note : conf_.notes) out_.notes.push_back(note);
  std::vector<std::string> names;
  for (const auto& spec : known_variables()) names.emplace_back(spec.name);
  for (const auto& [name, value] : conf_.values) {
    std::string bare = name;
    if (bare.starts_with(kPrefix)) bare.erase(0, std::string_view{kPrefix}.size());
    if (std::find(names.begin(), names.end(), bare) != names.end()) continue;
    const std::string nearest = nearest_name(bare, names);
    if (!nearest.empty()) {
      out_.notes.push_back(
          fmt::format("{}:{}: {} is not a variable of this server; did you mean {}?",
                      out_.conf_env_file, value.line, name, nearest));
    }
  }
  return {};
}

bool Resolver::take_flag(const std::string& name) {
  const std::string text = take(name, "false");
  return text == "true" || text == "1" || text == "yes" || text == "on";
}

Result<void> Resolver::take_name(std::string_view node_override) {
  out_.long_names = take_flag("USE_LONGNAME");
  const auto found = find("NODENAME");
  std::string wanted = found ? found->value : "rabbit";
  Origin origin = found ? found->origin : Origin{};
  if (!node_override.empty()) {
    wanted = node_override;
    origin = Origin{OriginKind::command, "-n"};
  }
  std::string host = host_.short_name;
  if (out_.long_names && wanted.find('@') == std::string::npos && host_.full_name) {
    host = host_.full_name();
  }
  auto name = complete_node_name(wanted, host);
  if (!name) return make_error(Errc::invalid_argument, origin.text() + ": " + name.error().text);
  out_.node_name = std::move(name.value());
  out_.variables.push_back({"RABBITMQ_NODENAME", out_.node_name, origin});
  return {};
}

Result<std::uint16_t> Resolver::take_port(const std::string& name, std::uint16_t fallback) {
  const std::string text = take(name, std::to_string(fallback));
  const auto port = parse_port(text);
  if (port) return port.value();
  return make_error(Errc::invalid_argument,
                    fmt::format("{}: {}", out_.variables.back().origin.text(), port.error().text));
}

Result<void> Resolver::take_ports() {
  out_.node_ip_address = take("NODE_IP_ADDRESS", "");
  if (out_.node_ip_address == "auto") out_.node_ip_address.clear();
  const Origin address_origin = out_.variables.back().origin;
  auto port = take_port("NODE_PORT", kDefaultAmqpPort);
  if (!port) return port.error();
  out_.node_port = port.value();
  const Origin port_origin = out_.variables.back().origin;
  const bool port_given = port_origin.kind != OriginKind::default_value;
  const bool address_given = !out_.node_ip_address.empty();
  out_.listener_from_env = port_given || address_given;
  out_.listener_origin = port_given ? port_origin : address_origin;

  const bool dist_fits = out_.node_port <= 65535 - kDistPortOffset;
  const int dist_fallback = dist_fits ? out_.node_port + kDistPortOffset : 0;
  auto dist = take_port("DIST_PORT", static_cast<std::uint16_t>(dist_fallback));
  if (!dist) {
    if (dist_fits || find("DIST_PORT")) return dist.error();
    return make_error(
        Errc::invalid_argument,
        fmt::format("RABBITMQ_NODE_PORT {} + {} is not a port: set RABBITMQ_DIST_PORT to the "
                    "inter-node port",
                    out_.node_port, kDistPortOffset));
  }
  out_.dist_port = dist.value();
  out_.dist_port_from_env = find("DIST_PORT").has_value();
  auto low = take_port("CTL_DIST_PORT_MIN",
                       static_cast<std::uint16_t>(std::min(65535, out_.dist_port + 10000)));
  if (!low) return low.error();
  auto high =
      take_port("CTL_DIST_PORT_MAX", static_cast<std::uint16_t>(std::min(65535, low.value() + 10)));
  if (!high) return high.error();
  if (low.value() > high.value()) {
    return make_error(Errc::invalid_argument, fmt::format("RABBITMQ_CTL_DIST_PORT_MIN {} is above "
                                                          "RABBITMQ_CTL_DIST_PORT_MAX {}",
                                                          low.value(), high.value()));
  }
  out_.ctl_dist_port_min = low.value();
  out_.ctl_dist_port_max = high.value();
  return {};
}

void Resolver::take_paths() {
  out_.home = take("HOME", host_.home);
  out_.config_file = take("CONFIG_FILE", std::string{kEtc} + "/rabbitmq");
  out_.config_file_from_env = out_.variables.back().origin.kind != OriginKind::default_value;
  out_.config_files = take("CONFIG_FILES", std::string{kEtc} + "/conf.d");
  out_.advanced_config_file = take("ADVANCED_CONFIG_FILE", std::string{kEtc} + "/advanced.config");
  const std::string mnesia = std::string{kVarLib} + "/mnesia";
  out_.data_base = take("MNESIA_BASE", system_or_own(mnesia, "mnesia"));
  out_.data_dir = take("MNESIA_DIR", out_.data_base + "/" + out_.node_name);
  out_.pid_file = take("PID_FILE", out_.data_dir + ".pid");
  out_.keep_pid_file = take_flag("KEEP_PID_FILE_ON_EXIT");
  const std::string plugins = std::string{kEtc} + "/enabled_plugins";
  const bool etc_usable = files_.can_write_into(kEtc) || files_.can_read(plugins);
  out_.enabled_plugins_file =
      take("ENABLED_PLUGINS_FILE", etc_usable ? plugins : own_base() + "/enabled_plugins");
  const std::string list = take("ENABLED_PLUGINS", "");
  if (!list.empty()) out_.enabled_plugins = split_list(list, ',');
  out_.feature_flags_file = take("FEATURE_FLAGS_FILE", out_.data_dir + "-feature_flags");
}

void Resolver::take_logs() {
  out_.log_base = take("LOG_BASE", system_or_own(kVarLog, "log"));
  const std::string file = out_.log_base + "/" + out_.node_name + ".log";
  out_.logs = take("LOGS", file);
  out_.logs_origin = out_.variables.back().origin;
  out_.logs_from_env = out_.logs_origin.kind != OriginKind::default_value;
  if (out_.logs.empty()) out_.logs = file;
  out_.log_levels = take("LOG", "");
  out_.log_levels_origin = out_.variables.back().origin;
}

void Resolver::take_rest() {
  out_.cookie_file = choose_cookie_file(files_, host_);
  if (auto cookie = find("ERLANG_COOKIE")) {
    out_.cookie = cookie->value;
    out_.variables.push_back({"RABBITMQ_ERLANG_COOKIE", "(hidden)", cookie->origin});
  }
  for (const auto& spec : known_variables()) {
    const std::string full = std::string{kPrefix} + spec.name;
    if (out_.variable(spec.name) != nullptr || std::string_view{spec.name} == "ERLANG_COOKIE") {
      continue;
    }
    auto found = find(spec.name);
    if (!found) continue;
    const bool secret = std::string_view{spec.name} == "DEFAULT_PASS";
    if (secret) out_.default_pass = found->value;
    out_.variables.push_back({full, secret ? "(hidden)" : found->value, found->origin});
    if (!spec.used) {
      out_.notes.push_back(
          fmt::format("{} ({}) is accepted and has no effect here", full, found->origin.text()));
    }
  }
  std::vector<std::string> names;
  for (const auto& spec : known_variables()) names.push_back(std::string{kPrefix} + spec.name);
  for (auto it = env_.lower_bound(kPrefix); it != env_.end() && it->first.starts_with(kPrefix);
       ++it) {
    if (std::find(names.begin(), names.end(), it->first) != names.end()) continue;
    const std::string nearest = nearest_name(it->first, names);
    out_.notes.push_back(fmt::format("env {} is not a variable of this server{}", it->first,
                                     nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
}

Result<NodeEnv> Resolver::run(std::string_view node_override) {
  if (auto done = read_conf_env_file(); !done) return done.error();
  if (auto done = take_name(node_override); !done) return done.error();
  if (auto done = take_ports(); !done) return done.error();
  take_paths();
  take_logs();
  take_rest();
  const auto rank = [](const VariableValue& value) {
    const auto& table = known_variables();
    const std::string_view bare = std::string_view{value.name}.substr(9);
    return std::find_if(table.begin(), table.end(),
                        [&](const VariableSpec& spec) { return bare == spec.name; }) -
           table.begin();
  };
  std::stable_sort(out_.variables.begin(), out_.variables.end(),
                   [&](const auto& a, const auto& b) { return rank(a) < rank(b); });
  return std::move(out_);
}

}  // namespace

std::string NodeEnv::name_part() const { return node_name.substr(0, node_name.find('@')); }

std::string NodeEnv::host_part() const {
  const std::size_t at = node_name.find('@');
  return at == std::string::npos ? std::string{} : node_name.substr(at + 1);
}

const VariableValue* NodeEnv::variable(std::string_view name) const {
  for (const auto& value : variables) {
    if (std::string_view{value.name}.substr(std::string_view{kPrefix}.size()) == name) {
      return &value;
    }
  }
  return nullptr;
}

Result<std::string> complete_node_name(std::string_view name, const std::string& host) {
  std::string whole{name};
  if (whole.find('@') == std::string::npos) whole += "@" + host;
  const std::size_t at = whole.find('@');
  const std::string_view left = std::string_view{whole}.substr(0, at);
  const std::string_view right = std::string_view{whole}.substr(at + 1);
  const auto bad = [](std::string_view part, std::string_view more) {
    return part.empty() || part.size() > 253 || !std::all_of(part.begin(), part.end(), [&](char c) {
             return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    more.find(c) != std::string_view::npos;
           });
  };
  if (bad(left, "_-.") || left == "." || left == ".." || bad(right, "-._:[]")) {
    return make_error(Errc::invalid_argument,
                      fmt::format("'{}' is not a node name: it has the form name@host", name));
  }
  return whole;
}

std::string choose_cookie_file(const FileSystem& files, const HostInfo& host) {
  const std::string own = host.home + "/.erlang.cookie";
  const std::string shared = std::string{kVarLib} + "/.erlang.cookie";
  if (files.exists(own) || host.home_redirected) return own;
  if (files.exists(shared) && files.can_read(shared)) return shared;
  // Where the first start makes it: a root without a cookie of its own makes the host's.
  if (host.is_root && files.can_write_into(kVarLib)) return shared;
  return own;
}

Result<NodeEnv> resolve_node_env(const EnvView& env, const FileSystem& files, const HostInfo& host,
                                 std::string_view node_override) {
  return Resolver{env, files, host}.run(node_override);
}

std::optional<std::string> look_up(const EnvView& env, const NodeEnv& node, std::string_view name) {
  if (const auto it = env.find(name); it != env.end() && !it->second.empty()) return it->second;
  if (name == "RABBITMQ_ERLANG_COOKIE") return node.cookie;
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const VariableValue* found = node.variable(name.substr(std::string_view{kPrefix}.size()));
  if (found == nullptr || found->origin.kind != OriginKind::env_conf) return std::nullopt;
  return found->value;
}

Result<NodeEnv> this_node_env(std::string_view node_override) {
  const EnvView env = process_environment();
  return resolve_node_env(env, os_files(), host_info(env), node_override);
}

}  // namespace warren::config
