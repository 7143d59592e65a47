#pragma once
// A node's name, ports and paths, from the RABBITMQ_* variables and rabbitmq-env.conf.
// Small on purpose: the command-line tools use this without loading the option table.
// Owner: the thread that starts the process; a value afterwards.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "node/config/environment.h"

namespace warren::config {

inline constexpr std::uint16_t kDefaultAmqpPort = 5672;
/// Inter-node port = AMQP port + this, unless RABBITMQ_DIST_PORT says otherwise.
inline constexpr std::uint16_t kDistPortOffset = 20000;

/// A variable we know, for reading, documentation and `did you mean`.
struct VariableSpec {
  const char* name;          ///< without RABBITMQ_
  const char* default_text;  ///< for people
  bool used;                 ///< false: accepted, without effect
  const char* doc;
};

/// Every variable of RabbitMQ that is recognised.
const std::vector<VariableSpec>& known_variables();

/// The effective value of one variable.
struct VariableValue {
  std::string name;  ///< with RABBITMQ_
  std::string value;
  Origin origin;
};

/// Everything the environment decides.
struct NodeEnv {
  std::string node_name;  ///< rabbit@host
  bool long_names{false};
  std::string home;

  std::string node_ip_address;  ///< empty: all interfaces
  std::uint16_t node_port{kDefaultAmqpPort};
  bool listener_from_env{
      false};  ///< NODE_PORT or NODE_IP_ADDRESS was given: it replaces the file's listeners
  Origin listener_origin;
  std::uint16_t dist_port{kDefaultAmqpPort + kDistPortOffset};
  bool dist_port_from_env{false};
  std::uint16_t ctl_dist_port_min{35672};
  std::uint16_t ctl_dist_port_max{35682};

  std::string conf_env_file;
  std::string config_file;  ///< as configured, with or without extension
  bool config_file_from_env{false};
  std::string config_files;  ///< directory or glob of further files
  std::string advanced_config_file;
  std::string data_base;  ///< parent of all nodes' data directories
  std::string data_dir;   ///< this node's data
  std::string log_base;
  std::string logs;  ///< path of the log file; "-" is standard output
  bool logs_from_env{false};
  Origin logs_origin;
  std::string log_levels;  ///< RABBITMQ_LOG, as `debug,+color`
  Origin log_levels_origin;
  std::string pid_file;
  bool keep_pid_file{false};
  std::string enabled_plugins_file;
  std::optional<std::vector<std::string>> enabled_plugins;  ///< set: overrides the file
  std::string feature_flags_file;
  std::string cookie_file;
  std::optional<std::string> cookie;  ///< RABBITMQ_ERLANG_COOKIE: overrides the file

  std::string default_pass;  ///< RABBITMQ_DEFAULT_PASS; hidden in `variables`

  std::vector<VariableValue> variables;  ///< every known variable, in the table's order
  std::vector<std::string> notes;        ///< one line each, to be logged as warnings

  /// The part before the `@`.
  std::string name_part() const;
  /// The part behind the `@`.
  std::string host_part() const;
  /// The value of one variable (without RABBITMQ_); null when it is unset and has no default.
  const VariableValue* variable(std::string_view name) const;
};

/// Completes and checks a node name: `rabbit` becomes `rabbit@host`.
/// Errors: invalid_argument when a part is empty or holds a character that no host or node has.
Result<std::string> complete_node_name(std::string_view name, const std::string& host);

/// Works out name, ports and paths.
/// Shape:  `node_override` is the tools' `-n` (may lack the host); empty: none. Precedence:
/// variable,
///         rabbitmq-env.conf, default. An empty variable counts as unset.
/// Errors: invalid_argument naming the variable and where it was set.
Result<NodeEnv> resolve_node_env(const EnvView& env, const FileSystem& files, const HostInfo& host,
                                 std::string_view node_override = {});

/// What a tool's look-up of an environment variable gives: the process' own, else what
/// rabbitmq-env.conf assigns. Shape: `name` in full (`RABBITMQ_NODENAME`, `HOME`).
std::optional<std::string> look_up(const EnvView& env, const NodeEnv& node, std::string_view name);

/// resolve_node_env over this process' environment, the real files and the real host.
Result<NodeEnv> this_node_env(std::string_view node_override = {});

/// The cookie file that server and tools of this user share: the first that exists of
/// $HOME/.erlang.cookie and /var/lib/rabbitmq/.erlang.cookie, else where it is to be made. With a
/// redirected HOME it is always the former, so that such nodes keep to themselves.
std::string choose_cookie_file(const FileSystem& files, const HostInfo& host);

}  // namespace warren::config
