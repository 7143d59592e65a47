#pragma once
// The configuration as the server uses it: plain typed fields, one struct per concern.
// Filled from Config; a value, handed to each room at start. Owner: whoever holds the copy.

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "node/config/config.h"
#include "node/config/values.h"

namespace warren::config {

struct Listener {
  std::string address;  ///< empty: all interfaces
  std::uint16_t port{0};
  bool tls{false};
};

struct TlsSettings {
  std::string ca_file, cert_file, key_file, key_password;
  bool verify_peer{false};
  bool fail_if_no_peer_cert{false};
  int depth{1};
  std::vector<std::string> versions;  ///< tlsv1.2, tlsv1.3; empty: both
  std::vector<std::string> ciphers;   ///< empty: OpenSSL's choice
  bool honor_cipher_order{true};
};

struct SocketSettings {
  int backlog{128};
  bool nodelay{true};
  bool keepalive{false};
  std::optional<std::int64_t> send_buffer, receive_buffer;
};

struct ConnectionSettings {
  std::uint16_t heartbeat_s{60};
  std::uint32_t frame_max{131072};
  std::uint32_t initial_frame_max{4096};
  std::uint16_t channel_max{2047};
  std::int64_t channel_max_per_node{kInfinity}, connection_max{kInfinity};
  std::int64_t consumer_max_per_channel{kInfinity};
  std::int64_t handshake_timeout_ms{10000}, tls_handshake_timeout_ms{5000};
  std::int64_t login_delay_ms{3000}, close_timeout_ms{30000};
  bool proxy_protocol{false};
  std::int64_t read_buffer{128 << 10}, output_buffer{1 << 20}, publish_window{4 << 20};
  std::int64_t unauthenticated_connections{4096};
};

/// auth_oauth2.*; the keys are still in their files.
struct TokenSettings {
  std::string resource_server_id;
  bool verify_audience{true};
  std::optional<std::string> scope_prefix;  ///< set: instead of the id and a dot
  std::string additional_scopes_key;
  std::vector<std::string> username_claims;
  std::map<std::string, std::string> scope_aliases;  ///< alias -> scopes with spaces between
  std::map<std::string, std::string> signing_keys;   ///< key id -> file
  std::string default_key;
  std::vector<std::string> algorithms;
};

struct AccessSettings {
  std::string default_user, default_pass, default_vhost;
  std::vector<std::string> default_user_tags;
  std::string default_configure, default_write, default_read;
  std::vector<std::string> loopback_users;
  std::vector<std::string> mechanisms;  ///< only these of PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS; empty: all that fit
  std::vector<std::string> backends;  ///< internal, oauth2, in order
  TokenSettings tokens;
  std::string anonymous_user;  ///< empty: off
  std::string cert_login_from, cert_login_san_type;
  int cert_login_san_index{0};
  std::string password_hashing;  ///< rabbit_password_hashing_sha256, ...
  std::string password_check;    ///< accept_everything, min_password_length, password_regexp
  int password_min_length{8};
  std::string password_regexp;
  std::int64_t permission_cache{12}, regex_match_limit{100000};
};

struct AlarmSettings {
  double memory_relative{0.4};
  std::optional<std::int64_t> memory_absolute;  ///< goes before the relative one
  std::optional<std::int64_t> memory_total;     ///< stands for the machine's memory
  std::int64_t memory_interval_ms{1000};
  std::int64_t disk_absolute{50'000'000};
  std::optional<double> disk_relative;  ///< set: times the machine's memory
};

struct QueueSettings {
  std::int64_t max_message_size{134217728};
  std::int64_t consumer_timeout_ms{1800000};  ///< kInfinity: none
  std::string leader_locator, default_type;
  std::int64_t queue_limit{kInfinity}, exchange_limit{kInfinity}, vhost_limit{kInfinity};
  int quorum_initial_size{3};
  bool relaxed_redeclaration{false};
  int replicas{3};
  std::int64_t replica_replace_after_ms{600000};  ///< 0 or kInfinity: never
  std::int64_t rebuild_rate{50 << 20};
  std::string confirm_after;
  std::uint16_t default_consumer_prefetch{0};  ///< 0: unlimited
  std::optional<bool> stamp_time;              ///< set: put the time on messages; true: overwrite
  std::optional<bool> stamp_node;              ///< the same for the routing node
  std::int64_t consumer_grace_ms{2000};
  std::int64_t queue_memory{16 << 20}, queues_memory{256 << 20};
  std::int64_t uncommitted_bytes{64 << 20};
};

struct StorageSettings {
  std::int64_t fsync_deadline_ms{2000}, fsync_transfer_ms{500};
  std::int64_t journal_bytes{64 << 20};
  std::int64_t write_buffer{16 << 20}, block_cache{64 << 20};
};

struct ClusterSettings {
  std::string name;          ///< empty: the first node's name
  std::string dist_address;  ///< empty: all interfaces
  std::uint16_t dist_port{25672};
  bool ram_node{false};            ///< kind on joining at first start
  std::string discovery;           ///< classic_config or dns
  std::vector<std::string> peers;  ///< rabbit@host
  std::string dns_hostname;
  std::int64_t discovery_retry_limit{10}, discovery_retry_interval_ms{500};
  std::int64_t size_hint{0};  ///< 0: unknown
  std::map<std::string, std::string> cluster_tags, node_tags;
  std::int64_t peer_heartbeat_ms{100}, suspect_min_ms{400}, suspect_max_ms{3000}, lease_ms{300};
  std::int64_t connect_timeout_ms{2000}, clock_skew_max_ms{60000};
  std::int64_t peer_window{32 << 20}, append_bytes{256 << 10}, snapshot_chunk{1 << 20};
  std::int64_t metadata_timeout_ms{30000}, command_timeout_ms{5000}, status_timeout_ms{1000};
  std::int64_t drain_spread_s{0}, stop_timeout_ms{30000};
  std::string on_leader_elected, on_leader_lost;  ///< lines for `sh -c`; empty: nothing is run
  std::int64_t hook_timeout_ms{30000};
  std::string compat_level;  ///< 3.10, 4.2, 4.3
  std::map<std::string, bool> deprecated_features;
};

struct LogOutput {
  bool on{false};
  LogLevel level{LogLevel::info};
  bool json{false};
};

struct LogSettings {
  LogOutput file, console, exchange, syslog;
  std::string path;             ///< the file, whole path
  std::int64_t rotate_size{0};  ///< 0: never by size
  std::string rotate_date;      ///< empty: never by date
  int rotate_count{0};
  bool console_stderr{false};
  std::string colors;  ///< auto, on, off
  std::string syslog_identity, syslog_facility;
  LogLevel default_level{LogLevel::info};
  std::array<std::optional<LogLevel>, static_cast<std::size_t>(LogArea::count)> areas{};
};

struct HttpSettings {
  std::uint16_t port{15672};
  std::string address;
  std::optional<std::uint16_t> tls_port;
  std::string tls_address;
  TlsSettings tls;
  std::string path_prefix;
  std::string rates_mode;
  bool disable_stats{false};
  std::vector<std::string> cors_origins;
  std::int64_t cors_max_age_s{1800}, session_timeout_min{480};
  std::int64_t sample_interval_ms{5000};
  std::uint16_t metrics_port{15692};
  std::string metrics_address, metrics_path;
  bool metrics_per_object{false};
};

struct Settings {
  std::string node_name;
  std::string data_dir, pid_file, cookie_file, enabled_plugins_file, feature_flags_file, motd_file;
  std::optional<std::string> cookie;
  std::optional<std::vector<std::string>> enabled_plugins;
  bool keep_pid_file{false};
  int shards{0};                         ///< 0: one per usable processor
  std::vector<std::string> definitions;  ///< files or directories to load at start
  bool definitions_skip_if_unchanged{false};
  std::vector<Listener> listeners;
  TlsSettings tls;
  SocketSettings sockets;
  ConnectionSettings connections;
  AccessSettings access;
  AlarmSettings alarms;
  QueueSettings queues;
  StorageSettings storage;
  ClusterSettings cluster;
  LogSettings logs;
  HttpSettings http;
};

/// The backends of `auth_backends` that are known here, in order: internal, oauth2. Without any given: internal.
std::vector<std::string> known_auth_backends(const Config& config);
/// internal or oauth2, by any name of theirs; empty for another one.
std::string_view known_auth_backend(std::string_view name);

/// The configuration in typed form. Total: load_config has checked everything.
Settings make_settings(const Config& config);

/// A level's name as rabbitmq.conf writes it; alert and emergency count as critical.
std::optional<LogLevel> parse_log_level(std::string_view name);

}  // namespace warren::config
