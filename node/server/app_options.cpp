// What the settings mean for the broker, for connections, and for the first start; what plugins ask for.

#include "node/server/app.h"

#include "node/access/passwords.h"

#include <algorithm>
#include <fstream>
#include <sstream>

namespace warren::server {

namespace {

std::uint64_t positive_or_none(std::int64_t value) {
  return value == config::kInfinity || value < 0 ? 0 : static_cast<std::uint64_t>(value);
}

}  // namespace

broker::BrokerOptions App::broker_options() const {
  broker::BrokerOptions options;
  options.self = identity_.self.value;
  options.node_name = settings_.node_name;
  options.cluster_name = settings_.cluster.name.empty() ? settings_.node_name : settings_.cluster.name;
  options.max_message_size = static_cast<std::uint64_t>(settings_.queues.max_message_size);
  options.stamp_time = settings_.queues.stamp_time;
  options.stamp_node = settings_.queues.stamp_node;
  const auto limit = [](std::int64_t value) {
    return value == config::kInfinity ? std::nullopt : std::optional(static_cast<std::uint64_t>(value));
  };
  options.queues_max = limit(settings_.queues.queue_limit);
  options.exchanges_max = limit(settings_.queues.exchange_limit);
  options.vhosts_max = limit(settings_.queues.vhost_limit);
  options.channel_max_per_node = positive_or_none(settings_.connections.channel_max_per_node);
  options.consumers_max_per_channel = positive_or_none(settings_.connections.consumer_max_per_channel);
  options.default_prefetch = settings_.queues.default_consumer_prefetch;
  options.max_connections = positive_or_none(settings_.connections.connection_max);
  options.consumer_timeout_ms = static_cast<Millis>(positive_or_none(settings_.queues.consumer_timeout_ms));
  if (!settings_.queues.default_type.empty()) options.default_queue_type = settings_.queues.default_type;
  options.mechanisms = settings_.access.mechanisms;
  options.anonymous_user = settings_.access.anonymous_user;
  options.access.loopback_users = {settings_.access.loopback_users.begin(),
                                   settings_.access.loopback_users.end()};
  options.access.backends.clear();
  for (const auto& name : settings_.access.backends)
    options.access.backends.push_back(name == "oauth2" ? access::Backend::oauth2 : access::Backend::internal);
  options.flow_bytes = static_cast<std::uint64_t>(settings_.storage.journal_bytes);
  options.queue.resident_bytes_max = static_cast<std::size_t>(settings_.queues.queue_memory);
  options.queues_memory = static_cast<std::size_t>(settings_.queues.queues_memory);
  options.queue.checkpoint_bytes = static_cast<std::size_t>(settings_.storage.write_buffer) * 3 / 4;
  return options;
}

/// Null without the backend oauth2.
Result<std::shared_ptr<const access::TokenVerifier>> App::token_verifier() const {
  const auto& names = settings_.access.backends;
  if (std::find(names.begin(), names.end(), "oauth2") == names.end())
    return std::shared_ptr<const access::TokenVerifier>();
  const auto& from = settings_.access.tokens;
  access::TokenOptions options;
  options.resource_server_id = from.resource_server_id;
  options.verify_audience = from.verify_audience;
  options.scope_prefix = from.scope_prefix;
  options.additional_scopes_key = from.additional_scopes_key;
  options.username_claims = from.username_claims;
  options.default_key = from.default_key;
  options.algorithms = from.algorithms;
  for (const auto& [alias, scopes] : from.scope_aliases) {
    std::istringstream words(scopes);
    auto& list = options.scope_aliases[alias];
    for (std::string word; words >> word;) list.push_back(word);
  }
  for (const auto& [id, path] : from.signing_keys) {
    std::ifstream in(path, std::ios::binary);
    std::ostringstream text;
    if (in) text << in.rdbuf();
    if (!in || !text)
      return make_error(Errc::io, "auth_oauth2.signing_keys." + id + ": cannot read " + path);
    options.signing_keys[id] = text.str();
  }
  auto made = access::TokenVerifier::make(std::move(options));
  if (!made) return make_error(made.error().code, "auth_oauth2: " + made.error().text);
  if (from.resource_server_id.empty())
    log_.warning(LogArea::general, "auth_oauth2.resource_server_id is not set: tokens that were made for others "
                                   "log in here too");
  return made;
}

amqp::ConnectionLimits App::connection_limits() const {
  const auto& from = settings_.connections;
  amqp::ConnectionLimits limits;
  limits.channel_max = from.channel_max;
  limits.frame_max = from.frame_max;
  limits.initial_frame_max = from.initial_frame_max;
  limits.heartbeat_s = from.heartbeat_s;
  limits.handshake_ms = from.handshake_timeout_ms;
  limits.untrusted_close_ms = from.login_delay_ms;
  return limits;
}

CertLogin App::cert_login() const {
  const auto& from = settings_.access;
  CertLogin login;
  if (from.cert_login_from == "common_name") login.from = CertLogin::From::common_name;
  else if (from.cert_login_from != "distinguished_name") login.from = CertLogin::From::alternative_name;
  login.kind = from.cert_login_san_type;
  login.index = static_cast<std::size_t>(from.cert_login_san_index);
  return login;
}

Result<std::vector<metadata::Command>> App::default_objects() {
  const auto& access = settings_.access;
  metadata::UserDef user;
  user.name = access.default_user;
  user.hashing_algorithm = access.password_hashing;
  auto hash = access::hash_password(
      user.hashing_algorithm, access.default_pass, [this](std::span<std::uint8_t> into) {
        random({reinterpret_cast<char*>(into.data()), into.size()});
      });
  if (!hash) return hash.error();
  user.password_hash = *hash;
  user.tags = access.default_user_tags;
  std::vector<metadata::Command> commands;
  if (broker_->catalogue().find_vhost(access.default_vhost) == nullptr) {
    metadata::VhostDef vhost;
    vhost.name = access.default_vhost;
    vhost.description = "Default virtual host";
    commands.push_back(metadata::PutVhost{std::move(vhost)});
  }
  commands.push_back(metadata::PutUser{std::move(user)});
  commands.push_back(metadata::PutPermission{{access.default_user, access.default_vhost,
                                              access.default_configure, access.default_write,
                                              access.default_read}});
  return commands;
}

namespace {

metadata::DeclareExchange own_exchange(const char* name) {
  metadata::ExchangeDef def;
  def.vhost = "/";
  def.name = name;
  def.type = "topic";
  def.internal = true;
  def.user = "rmq-internal";
  return {std::move(def)};
}

}  // namespace

void App::apply_plugins(const std::vector<std::string>& enabled) {
  if (broker_->vhost("/") == nullptr) return;
  const auto propose = [this](metadata::Command command) {
    broker_->apply(command, [this](const Result<void>& result) {
      if (!result) log_.error(LogArea::general, "plugins: {}", result.error().text);
    });
  };
  const std::string name(broker::kEventExchange);
  const bool wanted = std::find(enabled.begin(), enabled.end(), "rabbitmq_event_exchange") != enabled.end();
  const bool there = broker_->catalogue().find_exchange("/", name) != nullptr;
  if (wanted && !there) propose(own_exchange(name.c_str()));
  if (!wanted && there) propose(metadata::DeleteExchange{"/", name, false});
  if (settings_.logs.exchange.on && broker_->catalogue().find_exchange("/", "amq.rabbitmq.log") == nullptr)
    propose(own_exchange("amq.rabbitmq.log"));
}

}  // namespace warren::server
