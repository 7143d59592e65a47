// The order in which sources are read, and what contradicts what.

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "node/config/advanced.h"
#include "node/config/conf_file.h"
#include "node/config/config.h"
#include "node/config/log_format.h"
#include "node/config/settings.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

/// Fills one Config. Owner: load_config's stack.
class Loader {
 public:
  Loader(const EnvView& env, const FileSystem& files, NodeEnv node_env)
      : env_(env), files_(files), out_(std::move(node_env)) {}

  Result<Config> run(const std::vector<Override>& overrides);

 private:
  Result<void> read_main_file();
  Result<void> read_conf(const std::string& path);
  Result<void> read_terms(const std::string& path);
  Result<void> apply(const std::string& key, const std::string& value, const Origin& origin);
  Result<void> apply_variables();
  Result<void> apply_log_levels(const std::string& spec, const Origin& origin);
  std::vector<std::string> further_files() const;
  Result<void> check() const;
  Result<void> check_backends();
  std::string origin_of(std::string_view key) const;

  const EnvView& env_;
  const FileSystem& files_;
  Config out_;
  std::set<std::string> foreign_seen_;
};

Result<void> Loader::apply(const std::string& key, const std::string& value, const Origin& origin) {
  const OptionSpec* spec = find_option(key);
  if (spec == nullptr) {
    for (const auto& foreign : foreign_prefixes()) {
      if (!key.starts_with(foreign.prefix)) continue;
      // Close to a key of ours it is a slip of the pen, not a key of a plugin.
      const std::string near = nearest_key(key);
      if (!near.empty() && near.size() + 1 >= key.size() && near.size() <= key.size() + 1 &&
          near.substr(0, near.rfind('.')) == key.substr(0, key.rfind('.'))) {
        break;
      }
      if (foreign_seen_.insert(foreign.prefix).second) {
        out_.warn(
            fmt::format("{}: {}* configures {}, which this server does not have; such keys "
                        "have no effect",
                        origin.text(), foreign.prefix, foreign.feature));
      }
      return {};
    }
  }
  auto done = out_.set(key, value, origin);
  if (!done) return make_error(done.error().code, origin.text() + ": " + done.error().text);
  if (spec->state == OptionState::accepted) {
    out_.warn(fmt::format("{}: {} has no effect here. {}", origin.text(), spec->key, spec->doc));
  }
  return {};
}

Result<void> Loader::read_conf(const std::string& path) {
  auto text = files_.read(path);
  if (!text) return text.error();
  auto parsed = parse_conf(text.value(), path, env_);
  if (!parsed) return parsed.error();
  out_.add_file(path);
  for (const auto& note : parsed.value().notes) out_.warn(note);
  for (const auto& line : parsed.value().lines) {
    if (auto done = apply(line.key, line.value, Origin{OriginKind::file, line.where()}); !done) {
      return done.error();
    }
  }
  return {};
}

Result<void> Loader::read_terms(const std::string& path) {
  auto text = files_.read(path);
  if (!text) return text.error();
  auto parsed = parse_advanced(text.value(), path);
  if (!parsed) return parsed.error();
  out_.add_file(path);
  for (const auto& note : parsed.value().notes) out_.warn(note);
  for (const auto& pattern : parsed.value().replaces) out_.clear_all(pattern);
  for (const auto& line : parsed.value().lines) {
    if (auto done = apply(line.key, line.value, Origin{OriginKind::file, line.where()}); !done) {
      return done.error();
    }
  }
  return {};
}

Result<void> Loader::read_main_file() {
  const NodeEnv& node = out_.env();
  const std::string& given = node.config_file;
  std::vector<std::string> candidates;
  if (given.ends_with(".conf") || given.ends_with(".config")) {
    candidates = {given};
  } else {
    candidates = {given + ".conf", given + ".config", given};
  }
  for (const auto& path : candidates) {
    if (!files_.exists(path) || files_.is_directory(path)) continue;
    return path.ends_with(".config") ? read_terms(path) : read_conf(path);
  }
  if (node.config_file_from_env) {
    out_.warn(fmt::format("RABBITMQ_CONFIG_FILE names {}, which does not exist: going on without",
                          given));
  }
  return {};
}

std::vector<std::string> Loader::further_files() const {
  const std::string& where = out_.env().config_files;
  std::string directory = where;
  std::string pattern = "*.conf";
  if (!files_.is_directory(where)) {
    const std::size_t slash = where.rfind('/');
    if (slash == std::string::npos) return {};
    directory = where.substr(0, slash);
    pattern = where.substr(slash + 1);
  }
  std::vector<std::string> paths;
  for (const auto& name : files_.list(directory)) {
    const std::string path = directory + "/" + name;
    if (glob_match(pattern, name) && !name.starts_with('.') && !files_.is_directory(path)) {
      paths.push_back(path);
    }
  }
  return paths;
}

/// RABBITMQ_LOG: `debug`, `connection=debug`, `+color`, `+json`, separated by commas.
Result<void> Loader::apply_log_levels(const std::string& spec, const Origin& origin) {
  for (const auto& item : split_list(spec, ',')) {
    std::string key = "log.default.level";
    std::string value = item;
    if (item == "+color" || item == "-color") {
      key = "log.console.use_colors";
      value = item == "+color" ? "on" : "off";
    } else if (item == "+json" || item == "-json") {
      const std::string form = item == "+json" ? "json" : "plaintext";
      if (auto done = apply("log.file.formatter", form, origin); !done) return done.error();
      key = "log.console.formatter";
      value = form;
    } else if (item.starts_with('+') || item.starts_with('-')) {
      out_.warn(fmt::format("{}: {} has no effect here", origin.text(), item));
      continue;
    } else if (const std::size_t equals = item.find('='); equals != std::string::npos) {
      key = "log." + item.substr(0, equals) + ".level";
      value = item.substr(equals + 1);
    }
    if (auto done = apply(key, value, origin); !done) return done.error();
  }
  return {};
}

Result<void> Loader::apply_variables() {
  const NodeEnv& node = out_.env();
  if (node.listener_from_env) {
    out_.clear_all("listeners.tcp.$name");
    const std::string address =
        node.node_ip_address.empty() ? "" : "[" + node.node_ip_address + "]:";
    const std::string value = address + std::to_string(node.node_port);
    if (auto done = apply("listeners.tcp.default", value, node.listener_origin); !done) {
      return done.error();
    }
  }
  if (node.dist_port_from_env) {
    const VariableValue* port = node.variable("DIST_PORT");
    if (auto done = apply("distribution.listener.port_range.min", std::to_string(node.dist_port),
                          port->origin);
        !done) {
      return done.error();
    }
  }
  for (const char* name :
       {"DEFAULT_USER", "DEFAULT_PASS", "DEFAULT_VHOST", "MOTD_FILE", "LOG_BASE"}) {
    const VariableValue* given = node.variable(name);
    if (given == nullptr || given->origin.kind == OriginKind::default_value) continue;
    std::string key = std::string_view{name} == "LOG_BASE" ? "log.dir" : name;
    if (key != "log.dir") {
      for (char& c : key) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    const std::string value =
        std::string_view{name} == "DEFAULT_PASS" ? node.default_pass : given->value;
    if (auto done = apply(key, value, given->origin); !done) return done.error();
  }
  if (node.logs_from_env) {
    if (node.logs == "-" || node.logs == "-stderr") {
      if (auto done = apply("log.console", "true", node.logs_origin); !done) return done.error();
      if (auto done =
              apply("log.console.stdio", node.logs == "-" ? "stdout" : "stderr", node.logs_origin);
          !done) {
        return done.error();
      }
      if (auto done = apply("log.file", "false", node.logs_origin); !done) return done.error();
    } else if (auto done = apply("log.file", node.logs, node.logs_origin); !done) {
      return done.error();
    }
  }
  return apply_log_levels(node.log_levels, node.log_levels_origin);
}

std::string Loader::origin_of(std::string_view key) const {
  for (const auto& entry : out_.entries()) {
    if (entry.key == key) return fmt::format("{} ({})", key, entry.origin.text());
  }
  return std::string{key};
}

/// Refuses values that are right each by itself and wrong together.
Result<void> Loader::check() const {
  const auto wrong = [](std::string text) {
    return make_error(Errc::invalid_argument, std::move(text));
  };
  if (out_.get_int("initial_frame_max") > out_.get_int("frame_max")) {
    return wrong(fmt::format("{} is above {}: the first frames may not be larger than all others",
                             origin_of("initial_frame_max"), origin_of("frame_max")));
  }
  if (out_.get_int("warren.lease") >= out_.get_int("warren.suspect_min")) {
    return wrong(fmt::format("{} must be less than {}: two leaders could act at once",
                             origin_of("warren.lease"), origin_of("warren.suspect_min")));
  }
  if (out_.get_int("warren.suspect_min") > out_.get_int("warren.suspect_max")) {
    return wrong(fmt::format("{} is above {}", origin_of("warren.suspect_min"),
                             origin_of("warren.suspect_max")));
  }
  if (out_.get_int("warren.peer_heartbeat") * 2 > out_.get_int("warren.suspect_min")) {
    return wrong(fmt::format("{} must be at least twice {}: one late sign of life would do",
                             origin_of("warren.suspect_min"), origin_of("warren.peer_heartbeat")));
  }
  if (out_.get_int("warren.fsync_transfer") > out_.get_int("warren.fsync_deadline")) {
    return wrong(fmt::format("{} is above {}", origin_of("warren.fsync_transfer"),
                             origin_of("warren.fsync_deadline")));
  }
  const std::string rotation = out_.get_string("log.file.rotation.date");
  if (!rotation.empty() && !parse_rotation_date(rotation)) {
    return wrong(fmt::format("{}: '{}' is not of the form $D0, $H, $W0, $W5D16, $M1 or $M1D16",
                             origin_of("log.file.rotation.date"), rotation));
  }
  std::string tls_key;
  for (const auto& [name, entry] : out_.get_all("listeners.ssl.$name")) {
    if (entry.text != "none") tls_key = entry.key;
  }
  if (!tls_key.empty()) {
    for (const char* needed : {"ssl_options.certfile", "ssl_options.keyfile"}) {
      if (!out_.has_value(needed)) {
        return wrong(fmt::format("{} needs {}, which is not set", origin_of(tls_key), needed));
      }
    }
  }
  for (const char* needed : {"management.ssl.certfile", "management.ssl.keyfile"}) {
    if (out_.has_value("management.ssl.port") && !out_.has_value(needed)) {
      return wrong(
          fmt::format("{} needs {}, which is not set", origin_of("management.ssl.port"), needed));
    }
  }
  if (out_.get_bool("ssl_options.fail_if_no_peer_cert") &&
      out_.get_string("ssl_options.verify") == "verify_none") {
    return wrong(fmt::format("{} = true needs ssl_options.verify = verify_peer",
                             origin_of("ssl_options.fail_if_no_peer_cert")));
  }
  return {};
}

/// Who may let people in must be plain: a backend that is not here is left out, never stood in for.
Result<void> Loader::check_backends() {
  const auto unsupported = [](std::string text) { return make_error(Errc::unsupported, std::move(text)); };
  std::map<std::string, std::string> authn;
  for (const auto& [name, entry] : out_.get_all("auth_backends.$num.$name")) {
    const std::string number = name.substr(0, name.find('.'));
    if (name.ends_with(".authn")) authn[number] = entry.text;
  }
  for (const auto& [name, entry] : out_.get_all("auth_backends.$num.$name")) {
    const std::string& other = authn[name.substr(0, name.find('.'))];
    if (name.ends_with(".authz") && known_auth_backend(entry.text) != known_auth_backend(other))
      return unsupported(fmt::format("{}: different backends for the two halves of access are not supported",
                                     origin_of(entry.key)));
  }
  std::string unknown;
  for (const char* pattern : {"auth_backends.$num", "auth_backends.$num.$name"})
    for (const auto& [name, entry] : out_.get_all(pattern)) {
      if (!known_auth_backend(entry.text).empty()) continue;
      unknown = entry.text;
      out_.warn(fmt::format("{}: {} = {} is left out: this server has internal and oauth2", entry.origin.text(),
                            entry.key, entry.text));
    }
  const auto known = known_auth_backends(out_);
  if (known.empty())
    return unsupported(fmt::format("auth_backends: '{}' is not known here, and nobody could log in", unknown));
  if (std::find(known.begin(), known.end(), "oauth2") == known.end()) return {};
  for (const char* fetched : {"auth_oauth2.jwks_url", "auth_oauth2.jwks_uri", "auth_oauth2.issuer"})
    if (out_.has_value(fetched))
      return unsupported(fmt::format("{}: signing keys are not fetched over HTTPS; give them as "
                                     "auth_oauth2.signing_keys.<key id> = <PEM file>, and take this one out",
                                     origin_of(fetched)));
  if (out_.get_all("auth_oauth2.signing_keys.$name").empty())
    return make_error(Errc::invalid_argument,
                      "auth_backends names oauth2, which needs auth_oauth2.signing_keys.<key id> = <PEM file>");
  return {};
}

Result<Config> Loader::run(const std::vector<Override>& overrides) {
  for (const auto& note : out_.env().notes) out_.warn(note);
  if (auto done = read_main_file(); !done) return done.error();
  for (const auto& path : further_files()) {
    if (auto done = read_conf(path); !done) return done.error();
  }
  const std::string& advanced = out_.env().advanced_config_file;
  for (const auto& path : {advanced, advanced + ".config"}) {
    if (!files_.exists(path) || files_.is_directory(path)) continue;
    if (auto done = read_terms(path); !done) return done.error();
    break;
  }
  if (auto done = apply_variables(); !done) return done.error();
  for (const auto& [key, value] : overrides) {
    if (auto done = apply(key, value, Origin{OriginKind::command, "line"}); !done) {
      return done.error();
    }
  }
  if (auto done = check(); !done) return done.error();
  if (auto done = check_backends(); !done) return done.error();
  return std::move(out_);
}

}  // namespace

Result<Config> load_config(const EnvView& env, const FileSystem& files, NodeEnv node_env,
                           const std::vector<Override>& overrides) {
  return Loader{env, files, std::move(node_env)}.run(overrides);
}

Result<Config> load_this_config(const std::vector<Override>& overrides,
                                std::string_view node_override) {
  const EnvView env = process_environment();
  auto node_env = resolve_node_env(env, os_files(), host_info(env), node_override);
  if (!node_env) return node_env.error();
  return load_config(env, os_files(), std::move(node_env.value()), overrides);
}

}  // namespace warren::config
