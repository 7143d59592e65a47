#include "node/config/settings.h"

#include <algorithm>
#include <cstdlib>

#include "base/assert.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

/// The texts of a `$num` option in order.
std::vector<std::string> texts(const Config& config, std::string_view pattern) {
  std::vector<std::string> out;
  for (const auto& [name, entry] : config.get_all(pattern)) out.push_back(entry.text);
  return out;
}

std::string unescaped(std::string name) {
  for (std::size_t at = 0; (at = name.find("\\.", at)) != std::string::npos; ++at)
    name.erase(at, 1);
  return name;
}

/// The names whose flag is true.
std::vector<std::string> names_on(const Config& config, std::string_view pattern) {
  std::vector<std::string> out;
  for (const auto& [name, entry] : config.get_all(pattern)) {
    if (std::get<bool>(entry.value)) out.push_back(unescaped(name));
  }
  return out;
}

std::map<std::string, std::string> tags(const Config& config, std::string_view pattern) {
  std::map<std::string, std::string> out;
  for (const auto& [name, entry] : config.get_all(pattern)) out[unescaped(name)] = entry.text;
  return out;
}

std::optional<std::int64_t> maybe_int(const Config& config, std::string_view key) {
  if (!config.has_value(key)) return std::nullopt;
  return config.get_int(key);
}

std::vector<Listener> listeners(const Config& config) {
  std::vector<Listener> out;
  const auto add = [&](std::string_view off, std::string_view pattern, bool tls) {
    if (config.get_string(off) == "none") return;
    const auto given = config.get_all(pattern);
    if (given.empty() && !tls) out.push_back({"", kDefaultAmqpPort, false});
    for (const auto& [name, entry] : given) {
      if (entry.text == "none") continue;
      const auto parsed = parse_listener(entry.text);
      WARREN_ASSERT(parsed.has_value());  // load_config parsed it
      out.push_back({parsed.value().address, parsed.value().port, tls});
    }
  };
  add("listeners.tcp", "listeners.tcp.$name", false);
  add("listeners.ssl", "listeners.ssl.$name", true);
  return out;
}

TlsSettings tls(const Config& c, const std::string& prefix) {
  TlsSettings out;
  out.ca_file = c.get_string(prefix + "cacertfile");
  out.cert_file = c.get_string(prefix + "certfile");
  out.key_file = c.get_string(prefix + "keyfile");
  out.key_password = c.get_string(prefix + "password");
  out.verify_peer = c.get_string(prefix + "verify") == "verify_peer";
  out.fail_if_no_peer_cert = c.get_bool(prefix + "fail_if_no_peer_cert");
  if (prefix == "ssl_options.") {
    out.depth = static_cast<int>(c.get_int("ssl_options.depth"));
    out.versions = texts(c, "ssl_options.versions.$num");
    out.ciphers = texts(c, "ssl_options.ciphers.$num");
    out.honor_cipher_order = c.get_bool("ssl_options.honor_cipher_order");
  }
  return out;
}

SocketSettings sockets(const Config& c) {
  SocketSettings out;
  out.backlog = static_cast<int>(c.get_int("tcp_listen_options.backlog"));
  out.nodelay = c.get_bool("tcp_listen_options.nodelay");
  out.keepalive = c.get_bool("tcp_listen_options.keepalive");
  out.send_buffer = maybe_int(c, "tcp_listen_options.sndbuf");
  out.receive_buffer = maybe_int(c, "tcp_listen_options.recbuf");
  return out;
}

ConnectionSettings connections(const Config& c) {
  ConnectionSettings out;
  out.heartbeat_s = static_cast<std::uint16_t>(c.get_int("heartbeat"));
  out.frame_max = static_cast<std::uint32_t>(c.get_int("frame_max"));
  out.initial_frame_max = static_cast<std::uint32_t>(c.get_int("initial_frame_max"));
  out.channel_max = static_cast<std::uint16_t>(c.get_int("channel_max"));
  out.channel_max_per_node = c.get_int("channel_max_per_node");
  out.connection_max = c.get_int("connection_max");
  out.consumer_max_per_channel = c.get_int("consumer_max_per_channel");
  out.handshake_timeout_ms = c.get_int("handshake_timeout");
  out.tls_handshake_timeout_ms = c.get_int("ssl_handshake_timeout");
  out.login_delay_ms = c.get_int("warren.login_delay");
  out.close_timeout_ms = c.get_int("warren.close_timeout");
  out.proxy_protocol = c.get_bool("proxy_protocol");
  out.read_buffer = c.get_int("warren.read_buffer");
  out.output_buffer = c.get_int("warren.output_buffer");
  out.publish_window = c.get_int("warren.publish_window");
  out.unauthenticated_connections = c.get_int("warren.unauthenticated_connections");
  return out;
}

TokenSettings tokens(const Config& c) {
  TokenSettings out;
  out.resource_server_id = c.get_string("auth_oauth2.resource_server_id");
  out.verify_audience = c.get_bool("auth_oauth2.verify_aud");
  if (c.is_given("auth_oauth2.scope_prefix")) out.scope_prefix = c.get_string("auth_oauth2.scope_prefix");
  out.additional_scopes_key = c.get_string("auth_oauth2.additional_scopes_key");
  out.username_claims = texts(c, "auth_oauth2.preferred_username_claims.$num");
  out.scope_aliases = tags(c, "auth_oauth2.scope_aliases.$name");
  out.signing_keys = tags(c, "auth_oauth2.signing_keys.$name");
  out.default_key = c.get_string("auth_oauth2.default_key");
  out.algorithms = texts(c, "auth_oauth2.algorithms.$name");
  return out;
}

AccessSettings access(const Config& c) {
  AccessSettings out;
  out.default_user = c.get_string("default_user");
  out.default_pass = c.get_string("default_pass");
  out.default_vhost = c.get_string("default_vhost");
  out.default_user_tags = names_on(c, "default_user_tags.$name");
  if (c.get_all("default_user_tags.$name").empty()) out.default_user_tags = {"administrator"};
  out.default_configure = c.get_string("default_permissions.configure");
  out.default_write = c.get_string("default_permissions.write");
  out.default_read = c.get_string("default_permissions.read");
  out.loopback_users = names_on(c, "loopback_users.$name");
  const bool any_loopback = !c.get_all("loopback_users.$name").empty();
  if (!any_loopback) out.loopback_users = {"guest"};
  if (c.get_string("loopback_users") == "none") out.loopback_users.clear();
  out.mechanisms = texts(c, "auth_mechanisms.$num");
  out.backends = known_auth_backends(c);
  out.tokens = tokens(c);
  out.anonymous_user = c.get_string("anonymous_login_user");
  if (out.anonymous_user == "none") out.anonymous_user.clear();
  out.cert_login_from = c.get_string("ssl_cert_login_from");
  out.cert_login_san_type = c.get_string("ssl_cert_login_san_type");
  out.cert_login_san_index = static_cast<int>(c.get_int("ssl_cert_login_san_index"));
  out.password_hashing = c.get_string("password_hashing_module");
  out.password_check = c.get_string("credential_validator.validation_backend");
  out.password_check.erase(0, std::string_view{"rabbit_credential_validator_"}.size());
  out.password_min_length = static_cast<int>(c.get_int("credential_validator.min_length"));
  out.password_regexp = c.get_string("credential_validator.regexp");
  out.permission_cache = c.get_int("warren.permission_cache");
  out.regex_match_limit = c.get_int("warren.regex_match_limit");
  return out;
}

AlarmSettings alarms(const Config& c) {
  AlarmSettings out;
  out.memory_relative = c.get_decimal("vm_memory_high_watermark.relative");
  out.memory_absolute = maybe_int(c, "vm_memory_high_watermark.absolute");
  out.memory_total = maybe_int(c, "total_memory_available_override_value");
  out.memory_interval_ms = c.get_int("memory_monitor_interval");
  out.disk_absolute = c.get_int("disk_free_limit.absolute");
  const bool relative = c.has_value("disk_free_limit.relative");
  if (relative && !c.is_given("disk_free_limit.absolute")) {
    out.disk_relative = c.get_decimal("disk_free_limit.relative");
  }
  return out;
}

QueueSettings queues(const Config& c) {
  QueueSettings out;
  out.max_message_size = c.get_int("max_message_size");
  out.consumer_timeout_ms = c.get_int("consumer_timeout");
  out.leader_locator = c.get_string("queue_leader_locator");
  out.default_type = c.get_string("default_queue_type");
  out.queue_limit = c.get_int("cluster_queue_limit");
  out.exchange_limit = c.get_int("cluster_exchange_limit");
  out.vhost_limit = c.get_int("vhost_max");
  out.quorum_initial_size = static_cast<int>(c.get_int("quorum_queue.initial_cluster_size"));
  out.relaxed_redeclaration =
      c.get_bool("quorum_queue.property_equivalence.relaxed_checks_on_redeclaration");
  out.replicas = static_cast<int>(c.get_int("warren.replicas"));
  out.replica_replace_after_ms = c.get_int("warren.replica_replace_after");
  out.rebuild_rate = c.get_int("warren.rebuild_rate");
  out.confirm_after = c.get_string("warren.confirm_after");
  out.default_consumer_prefetch =
      static_cast<std::uint16_t>(c.get_int("warren.default_consumer_prefetch"));
  const auto stamp = [&](const std::string& key) -> std::optional<bool> {
    const std::string text = c.get_string("message_interceptors.incoming." + key + ".overwrite");
    return text.empty() ? std::nullopt : std::optional{text == "true"};
  };
  out.stamp_time = stamp("set_header_timestamp");
  out.stamp_node = stamp("set_header_routing_node");
  out.consumer_grace_ms = c.get_int("warren.consumer_grace");
  out.queue_memory = c.get_int("warren.queue_memory");
  out.queues_memory = c.get_int("warren.queues_memory");
  out.uncommitted_bytes = c.get_int("warren.uncommitted_bytes");
  return out;
}

StorageSettings storage(const Config& c) {
  StorageSettings out;
  out.fsync_deadline_ms = c.get_int("warren.fsync_deadline");
  out.fsync_transfer_ms = c.get_int("warren.fsync_transfer");
  out.journal_bytes = c.get_int("warren.journal_bytes");
  out.write_buffer = c.get_int("warren.store_write_buffer");
  out.block_cache = c.get_int("warren.store_block_cache");
  return out;
}

ClusterSettings cluster(const Config& c) {
  ClusterSettings out;
  out.name = c.get_string("cluster_name");
  out.dist_address = c.get_string("distribution.listener.interface");
  const auto range = maybe_int(c, "distribution.listener.port_range.min");
  out.dist_port = range ? static_cast<std::uint16_t>(*range) : c.env().dist_port;
  out.ram_node = c.get_string("cluster_formation.node_type") == "ram";
  const std::string backend = c.get_string("cluster_formation.peer_discovery_backend");
  out.discovery = backend.ends_with("dns") ? "dns" : "classic_config";
  out.peers = texts(c, "cluster_formation.classic_config.nodes.$num");
  out.dns_hostname = c.get_string("cluster_formation.dns.hostname");
  out.discovery_retry_limit = c.get_int("cluster_formation.discovery_retry_limit");
  out.discovery_retry_interval_ms = c.get_int("cluster_formation.discovery_retry_interval");
  out.size_hint = maybe_int(c, "cluster_formation.target_cluster_size_hint").value_or(0);
  out.cluster_tags = tags(c, "cluster_tags.$name");
  out.node_tags = tags(c, "node_tags.$name");
  out.peer_heartbeat_ms = c.get_int("warren.peer_heartbeat");
  out.suspect_min_ms = c.get_int("warren.suspect_min");
  out.suspect_max_ms = c.get_int("warren.suspect_max");
  out.lease_ms = c.get_int("warren.lease");
  out.connect_timeout_ms = c.get_int("warren.connect_timeout");
  out.clock_skew_max_ms = c.get_int("warren.clock_skew_max");
  out.peer_window = c.get_int("warren.peer_window");
  out.append_bytes = c.get_int("warren.append_bytes");
  out.snapshot_chunk = c.get_int("warren.snapshot_chunk");
  out.metadata_timeout_ms = c.get_int("metadata_store.khepri.default_timeout");
  out.command_timeout_ms = c.get_int("warren.command_timeout");
  out.status_timeout_ms = c.get_int("warren.status_timeout");
  out.on_leader_elected = c.get_string("warren.on_leader_elected");
  out.on_leader_lost = c.get_string("warren.on_leader_lost");
  out.hook_timeout_ms = c.get_int("warren.hook_timeout");
  out.drain_spread_s = c.get_int("warren.drain_spread");
  out.stop_timeout_ms = c.get_int("warren.stop_timeout");
  out.compat_level = c.get_string("warren.compat_level");
  for (const auto& [name, entry] : c.get_all("deprecated_features.permit.$name")) {
    out.deprecated_features[name] = std::get<bool>(entry.value);
  }
  return out;
}

LogSettings logs(const Config& c) {
  LogSettings out;
  const auto level = [&](const std::string& key) { return parse_log_level(c.get_string(key)); };
  out.default_level = level("log.default.level").value_or(LogLevel::info);
  const auto output = [&](const std::string& key, bool on) {
    return LogOutput{on, level(key + ".level").value_or(LogLevel::debug),
                     c.get_string(key + ".formatter") == "json"};
  };
  const std::string file = c.get_string("log.file");
  out.file = output("log.file", file != "false");
  out.console = output("log.console", c.get_bool("log.console"));
  out.exchange = output("log.exchange", c.get_bool("log.exchange"));
  out.syslog = output("log.syslog", c.get_bool("log.syslog"));
  const std::string dir = c.has_value("log.dir") ? c.get_string("log.dir") : c.env().log_base;
  if (file.starts_with('/')) {
    out.path = file;
  } else {
    out.path = dir + "/" + (file.empty() || file == "false" ? c.env().node_name + ".log" : file);
  }
  out.rotate_size = c.get_int("log.file.rotation.size");
  out.rotate_date = c.get_string("log.file.rotation.date");
  out.rotate_count = static_cast<int>(c.get_int("log.file.rotation.count"));
  out.console_stderr = c.get_string("log.console.stdio") == "stderr";
  out.colors = c.get_string("log.console.use_colors");
  if (out.colors == "true") out.colors = "on";
  if (out.colors == "false") out.colors = "off";
  out.syslog_identity = c.get_string("log.syslog.identity");
  out.syslog_facility = c.get_string("log.syslog.facility");
  const auto area = [&](LogArea which, const std::string& name) {
    out.areas[static_cast<std::size_t>(which)] = level("log." + name + ".level");
  };
  area(LogArea::connection, "connection");
  area(LogArea::channel, "channel");
  area(LogArea::queue, "queue");
  area(LogArea::raft, "ra");
  area(LogArea::cluster, "cluster");
  area(LogArea::storage, "storage");
  area(LogArea::access, "access");
  return out;
}

HttpSettings http(const Config& c) {
  HttpSettings out;
  out.port = static_cast<std::uint16_t>(c.get_int("management.tcp.port"));
  out.address = c.get_string("management.tcp.ip");
  if (const auto port = maybe_int(c, "management.ssl.port")) {
    out.tls_port = static_cast<std::uint16_t>(*port);
  }
  out.tls_address = c.get_string("management.ssl.ip");
  out.tls = tls(c, "management.ssl.");
  out.path_prefix = c.get_string("management.path_prefix");
  out.rates_mode = c.get_string("management.rates_mode");
  out.disable_stats = c.get_bool("management.disable_stats");
  out.cors_origins = texts(c, "management.cors.allow_origins.$num");
  out.cors_max_age_s = c.get_int("management.cors.max_age");
  out.session_timeout_min = c.get_int("management.login_session_timeout");
  out.sample_interval_ms = c.get_int("collect_statistics_interval");
  out.metrics_port = static_cast<std::uint16_t>(c.get_int("prometheus.tcp.port"));
  out.metrics_address = c.get_string("prometheus.tcp.ip");
  out.metrics_path = c.get_string("prometheus.path");
  out.metrics_per_object = c.get_bool("prometheus.return_per_object_metrics");
  return out;
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view name) {
  if (name == "debug") return LogLevel::debug;
  if (name == "info") return LogLevel::info;
  if (name == "notice") return LogLevel::notice;
  if (name == "warning") return LogLevel::warning;
  if (name == "error") return LogLevel::error;
  if (name == "critical" || name == "alert" || name == "emergency") return LogLevel::critical;
  if (name == "none") return LogLevel::none;
  return std::nullopt;
}

std::string_view known_auth_backend(std::string_view name) {
  if (name == "internal" || name == "rabbit_auth_backend_internal") return "internal";
  if (name == "oauth2" || name == "oauth" || name == "rabbit_auth_backend_oauth2") return "oauth2";
  return {};
}

std::vector<std::string> known_auth_backends(const Config& config) {
  std::map<std::int64_t, std::string> given;
  const auto number = [](const std::string& name) { return std::strtoll(name.c_str(), nullptr, 10); };
  for (const auto& [name, entry] : config.get_all("auth_backends.$num")) given[number(name)] = entry.text;
  for (const auto& [name, entry] : config.get_all("auth_backends.$num.$name"))
    if (name.ends_with(".authn")) given[number(name)] = entry.text;
  if (given.empty()) return {"internal"};
  std::vector<std::string> out;
  for (const auto& [place, name] : given)
    if (const auto known = known_auth_backend(name); !known.empty()) out.emplace_back(known);
  return out;
}

Settings make_settings(const Config& c) {
  Settings out;
  const NodeEnv& env = c.env();
  out.node_name = env.node_name;
  out.data_dir = env.data_dir;
  out.pid_file = env.pid_file;
  out.cookie_file = env.cookie_file;
  out.cookie = env.cookie;
  out.enabled_plugins_file = env.enabled_plugins_file;
  out.enabled_plugins = env.enabled_plugins;
  out.feature_flags_file = env.feature_flags_file;
  out.keep_pid_file = env.keep_pid_file;
  out.motd_file = c.get_string("motd_file");
  out.shards = static_cast<int>(c.get_int("warren.shards"));
  for (const char* key :
       {"load_definitions", "management.load_definitions", "definitions.local.path"}) {
    const std::string path = c.get_string(key);
    const bool known =
        std::find(out.definitions.begin(), out.definitions.end(), path) != out.definitions.end();
    if (!path.empty() && !known) out.definitions.push_back(path);
  }
  out.definitions_skip_if_unchanged = c.get_bool("definitions.skip_if_unchanged");
  out.listeners = listeners(c);
  out.tls = tls(c, "ssl_options.");
  out.sockets = sockets(c);
  out.connections = connections(c);
  out.access = access(c);
  out.alarms = alarms(c);
  out.queues = queues(c);
  out.storage = storage(c);
  out.cluster = cluster(c);
  out.logs = logs(c);
  out.http = http(c);
  return out;
}

}  // namespace warren::config
