// rabbitmq.conf to settings: order of sources, refusals, origins.

#include "node/config/config.h"

#include <gtest/gtest.h>

#include "node/config/settings.h"
#include "node/config/values.h"

namespace warren::config {
namespace {

class ConfigTest : public ::testing::Test {
 protected:
  ConfigTest() {
    host.short_name = "h";
    host.home = "/home/k";
  }

  Result<Config> load(const std::vector<Override>& overrides = {}) {
    auto node = resolve_node_env(env, files, host);
    if (!node) return node.error();
    return load_config(env, files, node.value(), overrides);
  }
  Config loaded(const std::vector<Override>& overrides = {}) {
    auto config = load(overrides);
    EXPECT_TRUE(config.has_value()) << (config ? "" : config.error().text);
    return config ? config.value() : Config{};
  }
  Config with(const std::string& text) {
    files.add("/etc/rabbitmq/rabbitmq.conf", text);
    return loaded();
  }
  std::string refusal(const std::string& text) {
    files.add("/etc/rabbitmq/rabbitmq.conf", text);
    auto config = load();
    EXPECT_FALSE(config.has_value()) << text;
    return config ? "" : config.error().text;
  }
  static std::string origin(const Config& config, std::string_view key) {
    for (const auto& entry : config.entries()) {
      if (entry.key == key) return entry.origin.text();
    }
    return "(no entry)";
  }

  EnvView env;
  MemoryFiles files;
  HostInfo host;
};

void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << text << "' lacks '" << part << "'";
}

TEST_F(ConfigTest, DefaultsAreThoseOf310) {
  const auto config = loaded();
  const auto s = make_settings(config);
  EXPECT_EQ(s.connections.heartbeat_s, 60);
  EXPECT_EQ(s.connections.frame_max, 131072u);
  EXPECT_EQ(s.connections.initial_frame_max, 4096u);
  EXPECT_EQ(s.connections.channel_max, 2047);
  EXPECT_EQ(s.connections.connection_max, kInfinity);
  EXPECT_EQ(s.connections.handshake_timeout_ms, 10000);
  EXPECT_EQ(s.queues.max_message_size, 134217728);
  EXPECT_EQ(s.queues.consumer_timeout_ms, 1800000);
  EXPECT_DOUBLE_EQ(s.alarms.memory_relative, 0.4);
  EXPECT_EQ(s.alarms.disk_absolute, 50'000'000);
  EXPECT_EQ(s.access.default_user, "guest");
  EXPECT_EQ(s.access.default_pass, "guest");
  EXPECT_EQ(s.access.default_vhost, "/");
  EXPECT_EQ(s.access.default_user_tags, std::vector<std::string>{"administrator"});
  EXPECT_EQ(s.access.loopback_users, std::vector<std::string>{"guest"});
  EXPECT_TRUE(s.access.mechanisms.empty());
  EXPECT_EQ(s.cluster.dist_port, 25672);
  EXPECT_FALSE(s.cluster.ram_node);
  EXPECT_EQ(s.http.port, 15672);
  EXPECT_EQ(s.http.metrics_port, 15692);
  ASSERT_EQ(s.listeners.size(), 1u);
  EXPECT_EQ(s.listeners[0].port, 5672);
  EXPECT_EQ(s.listeners[0].address, "");
  EXPECT_TRUE(config.warnings().empty());
  EXPECT_EQ(origin(config, "heartbeat"), "default");
}

TEST_F(ConfigTest, FileThenConfDThenOverrides) {
  files.add("/etc/rabbitmq/conf.d/20-b.conf", "heartbeat = 20\n");
  files.add("/etc/rabbitmq/conf.d/10-a.conf", "heartbeat = 10\nchannel_max = 10\n");
  files.add("/etc/rabbitmq/conf.d/30-c.conf.off", "heartbeat = 30\n");
  auto config = with("\n# first\nheartbeat = 5\nframe_max = 8192\nchannel_max = 5\n");
  EXPECT_EQ(config.get_int("heartbeat"), 20);
  EXPECT_EQ(config.get_int("channel_max"), 10);
  EXPECT_EQ(config.get_int("frame_max"), 8192);
  EXPECT_EQ(origin(config, "frame_max"), "/etc/rabbitmq/rabbitmq.conf:4");
  EXPECT_EQ(origin(config, "heartbeat"), "/etc/rabbitmq/conf.d/20-b.conf:1");
  EXPECT_EQ(config.files().size(), 3u);
  config = loaded({{"heartbeat", "7"}});
  EXPECT_EQ(config.get_int("heartbeat"), 7);
  expect_contains(origin(config, "heartbeat"), "command");
}

TEST_F(ConfigTest, ConfigFileWithAndWithoutExtension) {
  files.add("/opt/my.conf", "heartbeat = 9\n");
  for (const char* name : {"/opt/my", "/opt/my.conf"}) {
    env["RABBITMQ_CONFIG_FILE"] = name;
    EXPECT_EQ(loaded().get_int("heartbeat"), 9) << name;
  }
  files.add("/opt/plain", "heartbeat = 8\n");
  env["RABBITMQ_CONFIG_FILE"] = "/opt/plain";
  EXPECT_EQ(loaded().get_int("heartbeat"), 8);
}

TEST_F(ConfigTest, NamedButMissingFileIsSaid) {
  env["RABBITMQ_CONFIG_FILE"] = "/opt/none";
  const auto config = loaded();
  ASSERT_EQ(config.warnings().size(), 1u);
  expect_contains(config.warnings()[0], "/opt/none");
}

TEST_F(ConfigTest, ConfigFilesIsADirectoryOrAGlob) {
  files.add("/opt/c/a.conf", "heartbeat = 1\n");
  files.add("/opt/c/b.conf", "channel_max = 2\n");
  env["RABBITMQ_CONFIG_FILES"] = "/opt/c";
  EXPECT_EQ(loaded().get_int("heartbeat"), 1);
  EXPECT_EQ(loaded().get_int("channel_max"), 2);
  env["RABBITMQ_CONFIG_FILES"] = "/opt/c/b*.conf";
  EXPECT_EQ(loaded().get_int("heartbeat"), 60);
  EXPECT_EQ(loaded().get_int("channel_max"), 2);
}

TEST_F(ConfigTest, VariablesBeatTheFile) {
  env["RABBITMQ_NODE_PORT"] = "5680";
  env["RABBITMQ_NODE_IP_ADDRESS"] = "::1";
  env["RABBITMQ_DEFAULT_USER"] = "kevin";
  env["RABBITMQ_DEFAULT_PASS"] = "pw";
  auto config =
      with("listeners.tcp.default = 5690\nlisteners.tcp.2 = 5691\ndefault_user = other\n");
  const auto s = make_settings(config);
  ASSERT_EQ(s.listeners.size(), 1u);
  EXPECT_EQ(s.listeners[0].port, 5680);
  EXPECT_EQ(s.listeners[0].address, "::1");
  EXPECT_EQ(s.access.default_user, "kevin");
  EXPECT_EQ(s.access.default_pass, "pw");
  EXPECT_EQ(origin(config, "listeners.tcp.default"), "env RABBITMQ_NODE_PORT");
}

TEST_F(ConfigTest, ListenersCanBeSeveralOrNone) {
  auto s = make_settings(with("listeners.tcp.1 = 127.0.0.1:5672\nlisteners.tcp.2 = [::1]:5673\n"));
  ASSERT_EQ(s.listeners.size(), 2u);
  EXPECT_EQ(s.listeners[1].address, "::1");
  EXPECT_TRUE(make_settings(with("listeners.tcp = none\n")).listeners.empty());
  EXPECT_TRUE(make_settings(with("listeners.tcp.default = none\n")).listeners.empty());
}

TEST_F(ConfigTest, ListsAreInTheOrderOfTheirNumbers) {
  const auto s =
      make_settings(with("cluster_formation.classic_config.nodes.10 = rabbit@c\n"
                         "cluster_formation.classic_config.nodes.2 = rabbit@b\n"
                         "cluster_formation.classic_config.nodes.1 = rabbit@a\n"));
  EXPECT_EQ(s.cluster.peers, (std::vector<std::string>{"rabbit@a", "rabbit@b", "rabbit@c"}));
}

TEST_F(ConfigTest, EnvironmentIsSubstitutedInValues) {
  env["PW"] = "s3cret";
  EXPECT_EQ(with("default_pass = a$(PW)b\n").get_string("default_pass"), "as3cretb");
  expect_contains(refusal("heartbeat = $(NO_SUCH)\n"), "$(NO_SUCH)");
}

TEST_F(ConfigTest, CommentsAndQuotes) {
  auto config = with("heartbeat = 5 # five\ndefault_pass = 'a#b'\n");
  EXPECT_EQ(config.get_int("heartbeat"), 5);
  EXPECT_EQ(config.get_string("default_pass"), "a#b");
  config = with("default_pass = a#b\n");
  EXPECT_EQ(config.get_string("default_pass"), "a");
  ASSERT_EQ(config.warnings().size(), 1u);
  expect_contains(config.warnings()[0], "rabbitmq.conf:1");
}

TEST_F(ConfigTest, UnknownKeyNamesFileLineAndNearestKey) {
  const auto text = refusal("\n\nhearbeat = 5\n");
  expect_contains(text, "/etc/rabbitmq/rabbitmq.conf:3");
  expect_contains(text, "hearbeat");
  expect_contains(text, "did you mean heartbeat?");
  expect_contains(refusal("listener.tcp.default = 1\n"), "listeners.tcp.default");
  expect_contains(refusal("ssl_options.cacertfil = x\n"), "ssl_options.cacertfile");
  expect_contains(refusal("management.tcp.prot = 1\n"), "management.tcp.port");
}

TEST_F(ConfigTest, BadValuesNameFileLineAndWhatIsRight) {
  auto text = refusal("heartbeat = soon\n");
  expect_contains(text, "rabbitmq.conf:1");
  expect_contains(text, "'soon' is not a whole number");
  expect_contains(refusal("frame_max = 100\n"), "4096");
  expect_contains(refusal("channel_max = 65536\n"), "0 to 65535");
  expect_contains(refusal("log.console = perhaps\n"), "neither true nor false");
  expect_contains(refusal("disk_free_limit.absolute = 5QB\n"), "5QB");
  expect_contains(refusal("default_queue_type = quorom\n"), "classic, quorum, stream");
  expect_contains(refusal("vm_memory_high_watermark.relative = 1.2\n"), "0 to 1");
  expect_contains(refusal("listeners.tcp.1 = 99999\n"), "99999");
  expect_contains(refusal("heartbeat\n"), "key = value");
  expect_contains(refusal("heartbeat =\n"), "no value");
  expect_contains(refusal("default_pass = encrypted:abc\n"), "encrypted");
}

TEST_F(ConfigTest, ContradictionsAreRefused) {
  expect_contains(refusal("listeners.ssl.default = 5671\n"), "ssl_options.certfile");
  expect_contains(refusal("frame_max = 4096\ninitial_frame_max = 8192\n"), "initial_frame_max");
  expect_contains(refusal("warren.lease = 400\n"), "warren.suspect_min");
  expect_contains(refusal("warren.peer_heartbeat = 300\n"), "warren.peer_heartbeat");
  expect_contains(refusal("ssl_options.fail_if_no_peer_cert = true\n"), "verify_peer");
}

TEST_F(ConfigTest, KeysOfAbsentFeaturesAreSaidOnce) {
  const auto config =
      with("mqtt.listeners.tcp.default = 1883\nmqtt.exchange = x\nstomp.tcp_port = 1\n");
  ASSERT_EQ(config.warnings().size(), 2u);
  expect_contains(config.warnings()[0], "MQTT");
  expect_contains(config.warnings()[1], "STOMP");
}

TEST_F(ConfigTest, AcceptedKeysAreSaidAndStillChecked) {
  const auto config = with("num_acceptors.tcp = 20\n");
  ASSERT_EQ(config.warnings().size(), 1u);
  expect_contains(refusal("num_acceptors.tcp = many\n"), "many");
}

TEST_F(ConfigTest, InterceptorsAreOffUntilSet) {
  EXPECT_EQ(make_settings(loaded()).queues.stamp_time, std::nullopt);
  const std::string key = "message_interceptors.incoming.set_header_timestamp.overwrite";
  EXPECT_EQ(make_settings(with(key + " = true\n")).queues.stamp_time, true);
  EXPECT_EQ(make_settings(with(key + " = false\n")).queues.stamp_time, false);
}

TEST_F(ConfigTest, AliasesMeanTheSame) {
  EXPECT_EQ(with("max_connections = 7\n").get_int("connection_max"), 7);
  EXPECT_EQ(with("connection_max = infinity\n").get_int("connection_max"), kInfinity);
}

TEST_F(ConfigTest, LoopbackUsers) {
  EXPECT_TRUE(make_settings(with("loopback_users = none\n")).access.loopback_users.empty());
  EXPECT_TRUE(make_settings(with("loopback_users.guest = false\n")).access.loopback_users.empty());
  EXPECT_EQ(make_settings(with("loopback_users.kevin = true\n")).access.loopback_users,
            std::vector<std::string>{"kevin"});
}

TEST_F(ConfigTest, LogVariables) {
  env["RABBITMQ_LOG"] = "warning,connection=debug,+json";
  env["RABBITMQ_LOGS"] = "-";
  const auto s = make_settings(loaded());
  EXPECT_EQ(s.logs.default_level, LogLevel::warning);
  EXPECT_EQ(s.logs.areas[static_cast<std::size_t>(LogArea::connection)], LogLevel::debug);
  EXPECT_FALSE(s.logs.file.on);
  EXPECT_TRUE(s.logs.console.on);
  EXPECT_TRUE(s.logs.console.json);
}

TEST_F(ConfigTest, LogPath) {
  files.make_writable("/var/log/rabbitmq");
  EXPECT_EQ(make_settings(loaded()).logs.path, "/var/log/rabbitmq/rabbit@h.log");
  EXPECT_EQ(make_settings(with("log.file = b.log\nlog.dir = /l\n")).logs.path, "/l/b.log");
  EXPECT_EQ(make_settings(with("log.file = /x/b.log\nlog.dir = /l\n")).logs.path, "/x/b.log");
  env["RABBITMQ_LOGS"] = "/env.log";
  EXPECT_EQ(make_settings(loaded()).logs.path, "/env.log");
}

TEST_F(ConfigTest, SecretsAreHiddenInListings) {
  env["RABBITMQ_DEFAULT_PASS"] = "hunter2";
  const auto config = loaded();
  EXPECT_EQ(config.get_string("default_pass"), "hunter2");
  for (const auto& entry : config.entries()) {
    EXPECT_EQ(entry.shown().find("hunter2"), std::string::npos);
  }
}

TEST_F(ConfigTest, SetAtRunTimeIsCheckedToo) {
  auto config = loaded();
  EXPECT_TRUE(config.set("max_message_size", "1MB", {OriginKind::command, "x"}).has_value());
  EXPECT_EQ(config.get_int("max_message_size"), 1'000'000);
  EXPECT_FALSE(config.set("max_message_size", "1EB", {OriginKind::command, "x"}).has_value());
  EXPECT_EQ(config.set("nope_nope_nope", "1", {}).error().code, Errc::not_found);
}

/// ACC-11: who lets people in is what the file says, and nothing stands in for what is not here.
TEST_F(ConfigTest, ACC11_AuthBackends) {
  const auto backends = [this](const std::string& text) { return make_settings(with(text)).access.backends; };
  const std::string key = "auth_oauth2.signing_keys.k = /k.pem\n";
  using Names = std::vector<std::string>;
  EXPECT_EQ(backends(""), Names{"internal"});
  EXPECT_EQ(backends("auth_backends.1 = rabbit_auth_backend_internal\n"), Names{"internal"});
  EXPECT_EQ(backends(key + "auth_backends.2 = internal\nauth_backends.1 = oauth2\n"), (Names{"oauth2", "internal"}));
  EXPECT_EQ(backends("auth_backends.1 = ldap\nauth_backends.2 = internal\n"), Names{"internal"});
  EXPECT_EQ(backends(key + "auth_backends.1.authn = oauth2\nauth_backends.1.authz = rabbit_auth_backend_oauth2\n"),
            Names{"oauth2"});
  expect_contains(refusal("auth_backends.1.authn = internal\nauth_backends.1.authz = oauth2\n"), "two halves");
  expect_contains(refusal("auth_backends.1.authn = ldap\nauth_backends.1.authz = internal\n"), "two halves");
  expect_contains(refusal("auth_backends.1 = ldap\n"), "nobody could log in");
  expect_contains(refusal("auth_backends.1 = oauth2\n"), "signing_keys");
  expect_contains(refusal(key + "auth_backends.1 = oauth2\nauth_oauth2.jwks_url = https://h/k\n"), "HTTPS");
  expect_contains(refusal(key + "auth_backends.1 = oauth2\nauth_oauth2.issuer = https://h/k\n"), "HTTPS");
}

TEST_F(ConfigTest, ACC12_TokenSettings) {
  const auto s = make_settings(with(
      "auth_oauth2.resource_server_id = mq\nauth_oauth2.signing_keys.a = /a.pem\nauth_oauth2.signing_keys.b\\.c = /b.pem\n"
      "auth_oauth2.default_key = a\nauth_oauth2.algorithms.1 = RS256\nauth_oauth2.verify_aud = false\n"
      "auth_oauth2.scope_prefix = p:\nauth_oauth2.additional_scopes_key = roles\n"
      "auth_oauth2.preferred_username_claims.1 = user_name\nauth_oauth2.preferred_username_claims.2 = mail\n"
      "auth_oauth2.scope_aliases.dev = mq.read:*/* mq.write:*/*\n")).access.tokens;
  EXPECT_EQ(s.resource_server_id, "mq");
  EXPECT_EQ(s.signing_keys, (std::map<std::string, std::string>{{"a", "/a.pem"}, {"b.c", "/b.pem"}}));
  EXPECT_EQ(s.default_key, "a");
  EXPECT_EQ(s.algorithms, std::vector<std::string>{"RS256"});
  EXPECT_FALSE(s.verify_audience);
  EXPECT_EQ(s.scope_prefix, "p:");
  EXPECT_EQ(s.additional_scopes_key, "roles");
  EXPECT_EQ(s.username_claims, (std::vector<std::string>{"user_name", "mail"}));
  EXPECT_EQ(s.scope_aliases.at("dev"), "mq.read:*/* mq.write:*/*");
  EXPECT_FALSE(make_settings(with("")).access.tokens.scope_prefix);
}

}  // namespace
}  // namespace warren::config
