#pragma once
// Who may do what: logins, permissions, topic permissions, limits, the user_id property. Reads the
// catalogue, changes nothing. Owner: the catalogue's owner.

#include "base/result.h"
#include "cluster/metadata/catalogue.h"
#include "node/access/patterns.h"
#include "node/access/sasl.h"
#include "node/access/token_login.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace warren::access {

enum class ResourceKind : std::uint8_t { queue, exchange };

enum class Backend : std::uint8_t { internal, oauth2 };

struct AccessOptions {
  std::set<std::string, std::less<>> loopback_users{"guest"};
  std::vector<Backend> backends{Backend::internal};  ///< asked in order; the first that agrees counts
  std::shared_ptr<const TokenVerifier> tokens;       ///< of oauth2; null: nobody has a token
};

/// Who somebody is, and where their rights come from: the catalogue, or the token of their login.
struct Identity {
  std::string name;
  std::shared_ptr<const TokenLogin> token;  ///< null: the catalogue

  Identity() = default;
  Identity(std::string user) : name(std::move(user)) {}  // NOLINT(google-explicit-constructor)
  Identity(std::string_view user) : name(user) {}        // NOLINT(google-explicit-constructor)
  Identity(const char* user) : name(user) {}             // NOLINT(google-explicit-constructor)
  explicit Identity(std::shared_ptr<const TokenLogin> login) : name(login->user), token(std::move(login)) {}
};

/// What patterns of topic permissions may name in braces.
struct TopicContext {
  std::string client_id;  ///< MQTT client id; "" for AMQP clients
};

class Access {
 public:
  explicit Access(const metadata::Catalogue& catalogue, AccessOptions options = {});

  /// Who it is, when name and password are right, or the password is a good token, and the peer's place is
  /// allowed. `now_s` is Unix time.
  /// Errors: unauthenticated, permission_denied (not from this place). The text is for the log, not
  ///         for the client.
  Result<Identity> authenticate(std::string_view user, std::string_view password, bool peer_is_loopback,
                                std::int64_t now_s) const;
  /// The same for a claim of any mechanism; without password it counts as proven, for the catalogue's users.
  Result<Identity> authenticate(const SaslClaim& claim, bool peer_is_loopback, std::int64_t now_s) const;
  /// The same person with a new password or token (connection.update-secret).
  /// Errors: unauthenticated; permission_denied: the token is somebody else's.
  Result<Identity> renew(const Identity& who, std::string_view secret, std::int64_t now_s) const;

  /// Whether they may enter the vhost at all (have a permission there).
  bool can_access_vhost(const Identity& who, std::string_view vhost) const;
  /// Patterns are searched unanchored; "" allows nothing. The default exchange is `amq.default`.
  bool can(const Identity& who, std::string_view vhost, Permission permission,
           std::string_view resource_name);
  /// Whether the routing key is allowed; without a token true where the exchange has no topic permission for
  /// the user.
  /// Requires: permission is write (publish) or read (bind).
  bool can_use_topic(const Identity& who, std::string_view vhost, std::string_view exchange,
                     std::string_view routing_key, Permission permission,
                     const TopicContext& context = {});
  /// As `can` and `can_use_topic`, with the 403 text.
  /// Errors: permission_denied.
  Result<void> require(const Identity& who, std::string_view vhost, Permission permission,
                       ResourceKind kind, std::string_view resource_name);
  Result<void> require_topic(const Identity& who, std::string_view vhost,
                             std::string_view exchange, std::string_view routing_key,
                             Permission permission, const TopicContext& context = {});

  std::vector<std::string> tags(const Identity& who) const;
  bool has_tag(const Identity& who, std::string_view tag) const;

  /// The property of a message against who sends it; an impersonator may be anybody.
  /// Errors: invalid_argument (406).
  Result<void> check_user_id(const Identity& who, std::string_view claimed) const;

  // Limits: a negative or absent one is none, 0 refuses all. `now` counts those that exist without
  // the new one. Errors: exhausted (530), with the text for the client.
  Result<void> check_vhost_connections(std::string_view user, std::string_view vhost,
                                       std::uint64_t now) const;
  Result<void> check_user_connections(std::string_view user, std::uint64_t now) const;
  Result<void> check_user_channels(std::string_view user, std::uint64_t now) const;

  Patterns& patterns() { return patterns_; }

 private:
  Result<Identity> check_password(std::string_view user, std::string_view password) const;
  Result<Identity> check_token(std::string_view token, std::int64_t now_s) const;
  Result<void> check_place(std::string_view user, bool peer_is_loopback) const;

  const metadata::Catalogue& catalogue_;
  const AccessOptions options_;
  Patterns patterns_;
};

/// The text of a 403 on a queue or exchange.
std::string refused_text(Permission permission, ResourceKind kind, std::string_view name,
                         std::string_view vhost, std::string_view user);

/// Checks a JSON-free limits table: known names only. Kind: "vhost" or "user".
/// Errors: invalid_argument naming the limit.
Result<void> check_limit_names(std::string_view kind,
                               const std::map<std::string, std::int64_t>& limits);

}  // namespace warren::access
