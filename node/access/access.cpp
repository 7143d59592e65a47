#include "node/access/access.h"

#include "base/assert.h"
#include "node/access/passwords.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

namespace warren::access {

namespace {

constexpr std::string_view kDefaultExchangeName = "amq.default";  // as permissions see it

std::string_view permission_name(std::string_view resource) {
  return resource.empty() ? kDefaultExchangeName : resource;
}

/// Text as a pattern that matches just it.
std::string quoted(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) {
      out += "\\x00";
      continue;
    }
    if (byte < 128 && std::isalnum(byte) == 0 && c != '_') out += '\\';
    out += c;
  }
  return out;
}

void expand(std::string& pattern, std::string_view variable, std::string_view value) {
  const std::string text = quoted(value);
  for (auto at = pattern.find(variable); at != pattern.npos;
       at = pattern.find(variable, at + text.size()))
    pattern.replace(at, variable.size(), text);
}

std::optional<std::uint64_t> limit_of(const std::map<std::string, std::int64_t>& limits,
                                      const char* name) {
  const auto at = limits.find(name);
  if (at == limits.end() || at->second < 0) return std::nullopt;
  return static_cast<std::uint64_t>(at->second);
}

}  // namespace

Access::Access(const metadata::Catalogue& catalogue, AccessOptions options)
    : catalogue_(catalogue), options_(std::move(options)) {}

Result<Identity> Access::check_password(std::string_view user, std::string_view password) const {
  if (password.empty())
    return make_error(Errc::unauthenticated,
                      fmt::format("user '{}' tried to log in with an empty password", user));
  const metadata::UserDef* found = catalogue_.find_user(user);
  // An unknown user costs as much time as a known one.
  const bool right =
      found != nullptr
          ? verify_password(found->hashing_algorithm, found->password_hash, password)
          : verify_password(kDefaultHashing, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
                            password);
  if (found == nullptr || !right)
    return make_error(Errc::unauthenticated, fmt::format("user '{}' - invalid credentials", user));
  return Identity(user);
}

Result<Identity> Access::check_token(std::string_view token, std::int64_t now_s) const {
  if (!options_.tokens) return make_error(Errc::unauthenticated, "no keys for tokens are set");
  auto login = options_.tokens->verify(token, now_s);
  if (!login) return login.error();
  return Identity(std::move(*login));
}

Result<void> Access::check_place(std::string_view user, bool peer_is_loopback) const {
  if (peer_is_loopback || !options_.loopback_users.contains(user)) return {};
  return make_error(Errc::permission_denied, fmt::format("user '{}' can only connect via localhost", user));
}

Result<Identity> Access::authenticate(std::string_view user, std::string_view password, bool peer_is_loopback,
                                      std::int64_t now_s) const {
  std::string why;
  for (const Backend backend : options_.backends) {
    auto who = backend == Backend::internal ? check_password(user, password) : check_token(password, now_s);
    if (who) {
      if (auto allowed = check_place(who->name, peer_is_loopback); !allowed) return allowed.error();
      return who;
    }
    why += (why.empty() ? "" : "; ") + who.error().text;
  }
  return make_error(Errc::unauthenticated, why.empty() ? "no usable authentication backend is set" : why);
}

Result<Identity> Access::authenticate(const SaslClaim& claim, bool peer_is_loopback, std::int64_t now_s) const {
  if (claim.password) return authenticate(claim.user, *claim.password, peer_is_loopback, now_s);
  const bool asked = std::find(options_.backends.begin(), options_.backends.end(), Backend::internal) !=
                     options_.backends.end();
  if (!asked || catalogue_.find_user(claim.user) == nullptr)
    return make_error(Errc::unauthenticated,
                      fmt::format("user '{}' - invalid credentials", claim.user));
  if (auto allowed = check_place(claim.user, peer_is_loopback); !allowed) return allowed.error();
  return Identity(claim.user);
}

Result<Identity> Access::renew(const Identity& who, std::string_view secret, std::int64_t now_s) const {
  if (!who.token) return who;  // a password does not run out: every new one is taken
  auto next = check_token(secret, now_s);
  if (next && next->name != who.name)
    return make_error(Errc::permission_denied, fmt::format("the new token is of user '{}'", next->name));
  return next;
}

bool Access::can_access_vhost(const Identity& who, std::string_view vhost) const {
  if (who.token) return who.token->enters(vhost);
  return catalogue_.find_permission(who.name, vhost) != nullptr;
}

bool Access::can(const Identity& who, std::string_view vhost, Permission permission,
                 std::string_view resource_name) {
  const std::string_view name = permission_name(resource_name);
  if (who.token) return who.token->can(vhost, permission, name);
  const metadata::PermissionDef* def = catalogue_.find_permission(who.name, vhost);
  if (def == nullptr) return false;
  const std::string* pattern = nullptr;
  switch (permission) {
    case Permission::configure: pattern = &def->configure; break;
    case Permission::write: pattern = &def->write; break;
    case Permission::read: pattern = &def->read; break;
  }
  WARREN_ASSERT(pattern != nullptr);
  if (pattern->empty()) return false;  // ^$, and no resource has an empty name
  if (*pattern == ".*") return true;
  return patterns_.matches(*pattern, name);
}

bool Access::can_use_topic(const Identity& who, std::string_view vhost,
                           std::string_view exchange, std::string_view routing_key,
                           Permission permission, const TopicContext& context) {
  WARREN_ASSERT(permission != Permission::configure);
  if (who.token) return who.token->can_use_topic(vhost, permission_name(exchange), routing_key, permission);
  const std::string& user = who.name;
  const metadata::TopicPermissionDef* def =
      catalogue_.find_topic_permission(user, vhost, exchange);
  if (def == nullptr) return true;
  std::string pattern = permission == Permission::write ? def->write : def->read;
  if (pattern.empty()) pattern = "^$";
  if (pattern.find('{') != pattern.npos) {
    expand(pattern, "{username}", user);
    expand(pattern, "{vhost}", vhost);
    expand(pattern, "{client_id}", context.client_id);
  }
  return patterns_.matches(pattern, routing_key);
}

Result<void> Access::require(const Identity& who, std::string_view vhost, Permission permission,
                             ResourceKind kind, std::string_view resource_name) {
  if (can(who, vhost, permission, resource_name)) return {};
  return make_error(Errc::permission_denied,
                    refused_text(permission, kind, resource_name, vhost, who.name));
}

Result<void> Access::require_topic(const Identity& who, std::string_view vhost,
                                   std::string_view exchange, std::string_view routing_key,
                                   Permission permission, const TopicContext& context) {
  if (can_use_topic(who, vhost, exchange, routing_key, permission, context)) return {};
  return make_error(
      Errc::permission_denied,
      fmt::format("access to topic '{}' in exchange '{}' in vhost '{}' refused for user '{}'",
                  routing_key, permission_name(exchange), vhost, who.name));
}

std::vector<std::string> Access::tags(const Identity& who) const {
  if (who.token) return who.token->tags;
  const metadata::UserDef* def = catalogue_.find_user(who.name);
  return def == nullptr ? std::vector<std::string>() : def->tags;
}

bool Access::has_tag(const Identity& who, std::string_view tag) const {
  const auto all = tags(who);
  return std::find(all.begin(), all.end(), tag) != all.end();
}

Result<void> Access::check_user_id(const Identity& who, std::string_view claimed) const {
  if (claimed == who.name || has_tag(who, "impersonator")) return {};
  return make_error(Errc::invalid_argument,
                    fmt::format("user_id property set to '{}' but authenticated user was '{}'",
                                claimed, who.name));
}

Result<void> Access::check_vhost_connections(std::string_view user, std::string_view vhost,
                                             std::uint64_t now) const {
  const metadata::Vhost* in = catalogue_.find_vhost(vhost);
  if (in == nullptr) return {};
  const auto limit = limit_of(in->def.limits, "max-connections");
  if (!limit || now < *limit) return {};
  return make_error(
      Errc::exhausted,
      fmt::format("access to vhost '{}' refused for user '{}': connection limit ({}) is reached",
                  vhost, user, *limit));
}

Result<void> Access::check_user_connections(std::string_view user, std::uint64_t now) const {
  const metadata::UserDef* def = catalogue_.find_user(user);
  if (def == nullptr) return {};
  const auto limit = limit_of(def->limits, "max-connections");
  if (!limit || now < *limit) return {};
  return make_error(
      Errc::exhausted,
      fmt::format("connection refused for user '{}': user connection limit ({}) is reached", user,
                  *limit));
}

Result<void> Access::check_user_channels(std::string_view user, std::uint64_t now) const {
  const metadata::UserDef* def = catalogue_.find_user(user);
  if (def == nullptr) return {};
  const auto limit = limit_of(def->limits, "max-channels");
  if (!limit || now < *limit) return {};
  return make_error(Errc::exhausted,
                    fmt::format("number of channels opened for user '{}' has reached the maximum "
                                "allowed user limit of ({})",
                                user, *limit));
}

std::string refused_text(Permission permission, ResourceKind kind, std::string_view name,
                         std::string_view vhost, std::string_view user) {
  const char* wanted = permission == Permission::configure ? "configure"
                       : permission == Permission::write   ? "write"
                                                           : "read";
  return fmt::format("{} access to {} '{}' in vhost '{}' refused for user '{}'", wanted,
                     kind == ResourceKind::queue ? "queue" : "exchange", permission_name(name),
                     vhost, user);
}

Result<void> check_limit_names(std::string_view kind,
                               const std::map<std::string, std::int64_t>& limits) {
  const std::string_view second = kind == "vhost" ? "max-queues" : "max-channels";
  for (const auto& [name, value] : limits)
    if (name != "max-connections" && name != second)
      return make_error(Errc::invalid_argument,
                        fmt::format("unknown {} limit '{}'; known: max-connections, {}", kind, name,
                                    second));
  return {};
}

}  // namespace warren::access
