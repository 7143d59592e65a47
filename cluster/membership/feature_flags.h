#pragma once
// Feature flags: what every member must know before one may use it. The catalogue says which are on (they
// are never switched off again); each release says which it knows. Pure. features.md CLU-25, CLU-26.

#include "base/release.h"
#include "base/result.h"

#include <set>
#include <string>
#include <vector>

namespace warren::membership {

using Flags = std::set<std::string>;

/// What one node says of itself: its release's flags, and those that are on in its cluster.
struct FlagView {
  std::string node, version;
  Flags known, required;
  Flags enabled;  ///< with the required ones
  bool operator==(const FlagView&) const = default;
};
FlagView flag_view(const Release& release, std::string node, const std::vector<std::string>& enabled);

/// Those that a new cluster begins with.
std::vector<std::string> founding_flags(const Release& release);

/// May `newcomer` be a member of the cluster of `member`, which knows what is on there?
/// Errors: incompatible_feature_flags, naming both nodes, both releases, the flags and the remedy.
Result<void> flags_fit(const FlagView& newcomer, const FlagView& member);

/// May this release use data in which these flags are on? `by`: the release that used them last, or "".
/// Errors: unsupported, naming the flags and both releases.
Result<void> may_use_data(const Release& release, const std::vector<std::string>& enabled, const std::string& by);

enum class FlagState : std::uint8_t { enabled, disabled, unavailable };
const char* flag_state_name(FlagState state);
const char* stability_name(Stability stability);

struct FlagRow {
  std::string name, about;
  FlagState state{FlagState::disabled};
  Stability stability{Stability::stable};
};
/// All flags that any of these nodes knows, by name. Unavailable: not on, and a node does not know it.
std::vector<FlagRow> flag_rows(const Release& release, const FlagView& self, const std::vector<FlagView>& others);

/// What to switch on for `enable_feature_flag NAME`; "all" is every stable one. `silent`: members that gave no
/// answer. Errors: unsupported (a node does not know it), invalid_argument (experimental, not opted in),
/// unavailable (not all members were heard).
Result<std::vector<std::string>> flags_to_enable(const Release& release, const std::string& name, bool opt_in,
                                                 const FlagView& self, const std::vector<FlagView>& others,
                                                 const std::vector<std::string>& silent);

}  // namespace warren::membership
