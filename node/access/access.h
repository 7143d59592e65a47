#pragma once
// Who may do what: logins, permissions, topic permissions, limits, the user_id property. Reads the
// catalogue, changes nothing. Owner: the catalogue's owner.

#include "base/result.h"
#include "cluster/metadata/catalogue.h"
#include "node/access/patterns.h"
#include "node/access/sasl.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace warren::access {

enum class Permission : std::uint8_t { configure, write, read };
enum class ResourceKind : std::uint8_t { queue, exchange };

struct AccessOptions {
  std::set<std::string, std::less<>> loopback_users{"guest"};
};

/// What patterns of topic permissions may name in braces.
struct TopicContext {
  std::string client_id;  ///< MQTT client id; "" for AMQP clients
};

class Access {
 public:
  explicit Access(const metadata::Catalogue& catalogue, AccessOptions options = {});

  /// The user, when name and password are right and the peer's place is allowed.
  /// Errors: unauthenticated, permission_denied (not from this place). The text is for the log, not
  ///         for the client.
  Result<metadata::UserDef> authenticate(std::string_view user, std::string_view password,
                                         bool peer_is_loopback) const;
  /// The same for a claim of any mechanism; without password it counts as proven.
  Result<metadata::UserDef> authenticate(const SaslClaim& claim, bool peer_is_loopback) const;

  /// Whether the user may enter the vhost at all (has a permission there).
  bool can_access_vhost(std::string_view user, std::string_view vhost) const;
  /// Patterns are searched unanchored; "" allows nothing. The default exchange is `amq.default`.
  bool can(std::string_view user, std::string_view vhost, Permission permission,
           std::string_view resource_name);
  /// Whether the routing key is allowed; true where the exchange has no topic permission for the user.
  /// Requires: permission is write (publish) or read (bind).
  bool can_use_topic(std::string_view user, std::string_view vhost, std::string_view exchange,
                     std::string_view routing_key, Permission permission,
                     const TopicContext& context = {});
  /// As `can` and `can_use_topic`, with the 403 text.
  /// Errors: permission_denied.
  Result<void> require(std::string_view user, std::string_view vhost, Permission permission,
                       ResourceKind kind, std::string_view resource_name);
  Result<void> require_topic(std::string_view user, std::string_view vhost,
                             std::string_view exchange, std::string_view routing_key,
                             Permission permission, const TopicContext& context = {});

  std::vector<std::string> tags(std::string_view user) const;
  bool has_tag(std::string_view user, std::string_view tag) const;

  /// The property of a message against who sends it; an impersonator may be anybody.
  /// Errors: invalid_argument (406).
  Result<void> check_user_id(std::string_view user, std::string_view claimed) const;

  // Limits: a negative or absent one is none, 0 refuses all. `now` counts those that exist without
  // the new one. Errors: exhausted (530), with the text for the client.
  Result<void> check_vhost_connections(std::string_view user, std::string_view vhost,
                                       std::uint64_t now) const;
  Result<void> check_user_connections(std::string_view user, std::uint64_t now) const;
  Result<void> check_user_channels(std::string_view user, std::uint64_t now) const;

  Patterns& patterns() { return patterns_; }

 private:
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
