#pragma once
// Logins with OAuth 2.0 access tokens: a signed token says who somebody is, what they may do and until
// when; nothing is looked up. Pure: the caller knows the time.
// Source: RFC 7519 (claims), RabbitMQ's documentation of its OAuth 2.0 backend.

#include "node/access/jwt.h"
#include "node/access/scopes.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::access {

struct TokenOptions {
  std::string resource_server_id;           ///< who a token must be for (`aud`); "" = not looked at
  bool verify_audience{true};
  std::optional<std::string> scope_prefix;  ///< scopes of ours begin with it; default: the id and a dot
  std::string additional_scopes_key;        ///< claims with more scopes, separated by spaces
  std::vector<std::string> username_claims; ///< looked at before client_id and sub
  std::map<std::string, std::vector<std::string>> scope_aliases;
  std::map<std::string, std::string> signing_keys;  ///< key id -> PEM text
  std::string default_key;                  ///< id of the key for tokens that name none
  std::vector<std::string> algorithms;      ///< only these; empty: all that the keys can do
};

/// What a token gives, as it was when it was taken. Immutable.
struct TokenLogin {
  std::string user;
  std::vector<std::string> tags;
  std::vector<Scope> scopes;
  std::optional<std::int64_t> expires_s;  ///< Unix time; nothing = never

  bool enters(std::string_view vhost) const;
  bool can(std::string_view vhost, Permission permission, std::string_view resource_name) const;
  bool can_use_topic(std::string_view vhost, std::string_view exchange, std::string_view routing_key,
                     Permission permission) const;
};

/// Proves tokens. Immutable after make().
class TokenVerifier {
 public:
  /// Errors: invalid_argument naming the key or algorithm.
  static Result<std::shared_ptr<const TokenVerifier>> make(TokenOptions options);

  /// Errors: unauthenticated; the text is for the log and never holds the token.
  Result<std::shared_ptr<const TokenLogin>> verify(std::string_view token, std::int64_t now_s) const;

  /// What the claims of a token mean whose signature is right.
  Result<TokenLogin> read_claims(const boost::json::object& claims, std::int64_t now_s) const;

 private:
  TokenVerifier() = default;
  bool audience_is_right(const boost::json::object& claims) const;
  std::vector<std::string> scopes_of(const boost::json::object& claims) const;
  void add_claim(const boost::json::value& claim, std::vector<std::string>& scopes) const;
  std::string user_of(const boost::json::object& claims) const;

  TokenOptions options_;
  std::string prefix_;
  std::map<std::string, SigningKey, std::less<>> keys_;
};

}  // namespace warren::access
