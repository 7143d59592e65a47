#pragma once
// What this release is: its version, what it speaks to other nodes, and the feature flags it knows. One
// object file holds it, so that tests can build the same program as the next release.

#include <cstdint>
#include <span>
#include <string_view>

namespace warren {

/// required: always on in this release, and a cluster must have it on before this release may be a member.
/// stable: on in new clusters; an operator enables it in old ones, once all members know it.
/// experimental: an operator enables it by name, and says that he means it.
enum class Stability : std::uint8_t { required, stable, experimental };

/// Something that all members must know before one of them may use it: a new form of what they store or say.
struct FeatureFlag {
  std::string_view name;
  Stability stability;
  std::string_view about;
};

struct Release {
  std::string_view version;    ///< major.minor.patch
  std::uint32_t protocol_min;  ///< between nodes
  std::uint32_t protocol_max;
  std::span<const FeatureFlag> flags;  ///< by name
};

/// Owner: immutable, for the life of the process.
const Release& release();

}  // namespace warren
