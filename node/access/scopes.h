#pragma once
// OAuth scopes as permissions: `read:vhost/name` and `write:vhost/name/routing-key`, where each part is
// percent-encoded and `*` stands for any characters. Pure values.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::access {

enum class Permission : std::uint8_t { configure, write, read };

/// A text in which `*` stands for any characters, also none.
class Wildcard {
 public:
  /// Nothing when the percent-encoding is broken.
  static std::optional<Wildcard> parse(std::string_view encoded);
  bool matches(std::string_view text) const;
  bool operator==(const Wildcard&) const = default;

 private:
  std::vector<std::string> pieces_{std::string()};  // what stands between the stars; never empty
};

/// One permission that a scope grants.
struct Scope {
  Permission permission{Permission::read};
  Wildcard vhost, name;
  std::optional<Wildcard> routing_key;  ///< without it, nothing is said about topics

  bool operator==(const Scope&) const = default;
};

/// Nothing when it is a scope of somebody else's.
std::optional<Scope> parse_scope(std::string_view text);

}  // namespace warren::access
