#include "node/access/token_login.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace warren::access {

namespace json = boost::json;

namespace {

constexpr std::int64_t kClockLeewayS = 60;  // for nbf: whose clock is a little ahead is no attacker
constexpr std::string_view kNameless = "unknown";
constexpr std::string_view kTagPrefix = "tag:";

std::string_view text_of(const json::string& text) { return {text.data(), text.size()}; }

void add_words(std::string_view text, std::vector<std::string>& out) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (end > at) out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
}

/// The texts of a list, or the words of a text; anything else holds none.
void add_texts(const json::value& value, std::vector<std::string>& out) {
  if (value.is_string()) return add_words(text_of(value.get_string()), out);
  if (!value.is_array()) return;
  for (const auto& one : value.get_array())
    if (one.is_string()) out.emplace_back(text_of(one.get_string()));
}

/// A claim by its name, or by names with dots between that lead into objects.
const json::value* find_claim(const json::object& claims, std::string_view name) {
  if (const auto* found = claims.if_contains({name.data(), name.size()})) return found;
  const auto dot = name.find('.');
  if (dot == name.npos) return nullptr;
  const auto* outer = claims.if_contains({name.data(), dot});
  return outer == nullptr || !outer->is_object() ? nullptr
                                                 : find_claim(outer->get_object(), name.substr(dot + 1));
}

/// Seconds of a numeric date. Errors: of a claim that is there and no number.
Result<std::optional<std::int64_t>> date_of(const json::object& claims, const char* name) {
  const auto* found = claims.if_contains(name);
  if (found == nullptr) return std::optional<std::int64_t>();
  if (found->is_int64()) return std::optional(found->get_int64());
  const double value = found->is_double() ? found->get_double() : std::nan("");
  if (!(std::abs(value) < 1e15))
    return make_error(Errc::unauthenticated, fmt::format("the token's claim {} is no time", name));
  return std::optional(static_cast<std::int64_t>(std::floor(value)));
}

/// Tokens of Keycloak list scopes per resource.
void add_keycloak_scopes(const json::object& claims, std::vector<std::string>& out) {
  const auto* permissions = find_claim(claims, "authorization.permissions");
  if (permissions == nullptr || !permissions->is_array()) return;
  for (const auto& one : permissions->get_array()) {
    const auto* scopes = one.is_object() ? one.get_object().if_contains("scopes") : nullptr;
    if (scopes != nullptr) add_texts(*scopes, out);
  }
}

}  // namespace

bool TokenLogin::enters(std::string_view vhost) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const Scope& s) { return s.vhost.matches(vhost); });
}

bool TokenLogin::can(std::string_view vhost, Permission permission, std::string_view resource_name) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const Scope& s) {
    return s.permission == permission && s.vhost.matches(vhost) && s.name.matches(resource_name);
  });
}

bool TokenLogin::can_use_topic(std::string_view vhost, std::string_view exchange, std::string_view routing_key,
                               Permission permission) const {
  return std::any_of(scopes.begin(), scopes.end(), [&](const Scope& s) {
    return s.permission == permission && s.routing_key && s.vhost.matches(vhost) && s.name.matches(exchange) &&
           s.routing_key->matches(routing_key);
  });
}

Result<std::shared_ptr<const TokenVerifier>> TokenVerifier::make(TokenOptions options) {
  const std::shared_ptr<TokenVerifier> made(new TokenVerifier);
  for (const auto& [id, pem] : options.signing_keys) {
    auto key = SigningKey::from_pem(pem);
    if (!key) return make_error(key.error().code, fmt::format("signing key '{}': {}", id, key.error().text));
    made->keys_.emplace(id, std::move(*key));
  }
  for (const auto& name : options.algorithms)
    if (!is_known_algorithm(name))
      return make_error(Errc::invalid_argument, fmt::format("unknown token algorithm '{}'", name));
  if (!options.default_key.empty() && !made->keys_.contains(options.default_key))
    return make_error(Errc::invalid_argument,
                      fmt::format("the default signing key '{}' is not among the signing keys", options.default_key));
  made->prefix_ = options.scope_prefix.value_or(
      options.resource_server_id.empty() ? std::string() : options.resource_server_id + ".");
  made->options_ = std::move(options);
  return std::shared_ptr<const TokenVerifier>(made);
}

Result<std::shared_ptr<const TokenLogin>> TokenVerifier::verify(std::string_view token, std::int64_t now_s) const {
  const auto refused = [](std::string why) { return make_error(Errc::unauthenticated, std::move(why)); };
  auto parts = split_token(token);
  if (!parts) return refused(parts.error().text);
  const auto& wanted = options_.algorithms;
  if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), parts->algorithm) == wanted.end())
    return refused("the token is signed by an algorithm that is not among auth_oauth2.algorithms");
  const auto key = keys_.find(parts->key_id.empty() ? options_.default_key : parts->key_id);
  if (key == keys_.end())
    return refused(parts->key_id.empty() ? "the token names no signing key, and there is no default key"
                                         : "the token's signing key is not known");
  if (!key->second.verifies(parts->algorithm, parts->signed_text, parts->signature))
    return refused("the token's signature is not right");
  auto login = read_claims(parts->claims, now_s);
  if (!login) return login.error();
  return std::shared_ptr<const TokenLogin>(std::make_shared<TokenLogin>(std::move(*login)));
}

Result<TokenLogin> TokenVerifier::read_claims(const json::object& claims, std::int64_t now_s) const {
  const auto refused = [](std::string why) { return make_error(Errc::unauthenticated, std::move(why)); };
  TokenLogin login;
  auto expires = date_of(claims, "exp");
  if (!expires) return expires.error();
  login.expires_s = *expires;
  if (login.expires_s && *login.expires_s <= now_s)
    return refused(fmt::format("the token expired at {} (now it is {})", *login.expires_s, now_s));
  auto begins = date_of(claims, "nbf");
  if (!begins) return begins.error();
  if (*begins && **begins > now_s + kClockLeewayS)
    return refused(fmt::format("the token is good from {} on (now it is {})", **begins, now_s));
  if (!audience_is_right(claims))
    return refused(fmt::format("the token is not for '{}' (claim aud)", options_.resource_server_id));
  login.user = user_of(claims);
  for (const auto& full : scopes_of(claims)) {
    if (!full.starts_with(prefix_)) continue;
    const std::string_view scope = std::string_view(full).substr(prefix_.size());
    if (scope.starts_with(kTagPrefix)) login.tags.emplace_back(scope.substr(kTagPrefix.size()));
    else if (auto parsed = parse_scope(scope)) login.scopes.push_back(std::move(*parsed));
  }
  std::sort(login.tags.begin(), login.tags.end());
  login.tags.erase(std::unique(login.tags.begin(), login.tags.end()), login.tags.end());
  return login;
}

bool TokenVerifier::audience_is_right(const json::object& claims) const {
  if (!options_.verify_audience || options_.resource_server_id.empty()) return true;
  std::vector<std::string> audience;
  if (const auto* found = claims.if_contains("aud")) add_texts(*found, audience);
  return std::find(audience.begin(), audience.end(), options_.resource_server_id) != audience.end();
}

/// A claim of the operator's choice: a list or text of scopes, or an object that has one under our id and
/// without our prefix.
void TokenVerifier::add_claim(const json::value& claim, std::vector<std::string>& scopes) const {
  if (!claim.is_object()) return add_texts(claim, scopes);
  const auto* ours = claim.get_object().if_contains(options_.resource_server_id);
  if (ours == nullptr) return;
  std::vector<std::string> bare;
  add_texts(*ours, bare);
  for (const auto& one : bare) scopes.push_back(prefix_ + one);
}

std::vector<std::string> TokenVerifier::scopes_of(const json::object& claims) const {
  std::vector<std::string> scopes;
  if (const auto* own = claims.if_contains("scope")) add_texts(*own, scopes);
  std::vector<std::string> more;
  add_words(options_.additional_scopes_key, more);
  for (const auto& name : more)
    if (const auto* found = find_claim(claims, name)) add_claim(*found, scopes);
  add_keycloak_scopes(claims, scopes);
  const std::size_t given = scopes.size();  // an alias does not lead to another
  for (std::size_t i = 0; i < given; ++i) {
    const auto alias = options_.scope_aliases.find(scopes[i]);
    if (alias != options_.scope_aliases.end())
      scopes.insert(scopes.end(), alias->second.begin(), alias->second.end());
  }
  return scopes;
}

std::string TokenVerifier::user_of(const json::object& claims) const {
  std::vector<std::string> names = options_.username_claims;
  names.insert(names.end(), {"client_id", "sub"});
  for (const auto& name : names) {
    const auto* found = find_claim(claims, name);
    if (found != nullptr && found->is_string() && !found->get_string().empty())
      return std::string(text_of(found->get_string()));
  }
  return std::string(kNameless);
}

}  // namespace warren::access
