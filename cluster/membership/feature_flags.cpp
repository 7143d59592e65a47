#include "cluster/membership/feature_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace warren::membership {

namespace {

Flags without(const Flags& all, const Flags& these) {
  Flags left;
  std::set_difference(all.begin(), all.end(), these.begin(), these.end(), std::inserter(left, left.end()));
  return left;
}

template <class Names>
std::string listed(const Names& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

const FeatureFlag* find(const Release& release, const std::string& name) {
  const auto found = std::find_if(release.flags.begin(), release.flags.end(),
                                  [&](const FeatureFlag& flag) { return flag.name == name; });
  return found == release.flags.end() ? nullptr : &*found;
}

}  // namespace

FlagView flag_view(const Release& release, std::string node, const std::vector<std::string>& enabled) {
  FlagView view{std::move(node), std::string(release.version), {}, {}, {enabled.begin(), enabled.end()}};
  for (const FeatureFlag& flag : release.flags) {
    view.known.emplace(flag.name);
    if (flag.stability == Stability::required) view.required.emplace(flag.name);
  }
  view.enabled.insert(view.required.begin(), view.required.end());
  return view;
}

std::vector<std::string> founding_flags(const Release& release) {
  std::vector<std::string> names;
  for (const FeatureFlag& flag : release.flags)
    if (flag.stability == Stability::stable) names.emplace_back(flag.name);
  return names;
}

Result<void> flags_fit(const FlagView& newcomer, const FlagView& member) {
  if (const Flags unknown = without(member.enabled, newcomer.known); !unknown.empty())
    return make_error(Errc::conflict,
                      fmt::format("incompatible_feature_flags: {} (release {}) does not know the feature flags {}, which "
                                  "are enabled in the cluster of {} (release {}); install that release on {}",
                                  newcomer.node, newcomer.version, listed(unknown), member.node, member.version,
                                  newcomer.node));
  if (const Flags lacking = without(newcomer.required, member.enabled); !lacking.empty())
    return make_error(Errc::conflict,
                      fmt::format("incompatible_feature_flags: {} (release {}) needs the feature flags {}, which are not "
                                  "enabled in the cluster of {} (release {}); enable them there first: rabbitmqctl -n {} "
                                  "enable_feature_flag all",
                                  newcomer.node, newcomer.version, listed(lacking), member.node, member.version,
                                  member.node));
  return {};
}

Result<void> may_use_data(const Release& release, const std::vector<std::string>& enabled, const std::string& by) {
  const FlagView self = flag_view(release, "", enabled);
  const Flags unknown = without(self.enabled, self.known);
  if (unknown.empty()) return {};
  return make_error(Errc::unsupported,
                    fmt::format("the data directory was used by {}, and the feature flags {} are enabled in it, which "
                                "release {} does not know. There is no way back to an older release: start the newer one "
                                "again, or restore a backup",
                                by.empty() ? "a newer release" : "release " + by, listed(unknown), release.version));
}

const char* flag_state_name(FlagState state) {
  switch (state) {
    case FlagState::enabled: return "enabled";
    case FlagState::disabled: return "disabled";
    case FlagState::unavailable: break;
  }
  return "unavailable";
}

const char* stability_name(Stability stability) {
  switch (stability) {
    case Stability::required: return "required";
    case Stability::stable: return "stable";
    case Stability::experimental: break;
  }
  return "experimental";
}

std::vector<FlagRow> flag_rows(const Release& release, const FlagView& self, const std::vector<FlagView>& others) {
  Flags all = self.known;
  for (const FlagView& other : others) all.insert(other.known.begin(), other.known.end());
  std::vector<FlagRow> rows;
  for (const std::string& name : all) {
    FlagRow row{name, {}, FlagState::disabled, Stability::stable};
    if (const FeatureFlag* flag = find(release, name)) {
      row.about = flag->about;
      row.stability = flag->stability;
    }
    const auto knows = [&](const FlagView& view) { return view.known.contains(name); };
    if (self.enabled.contains(name)) {
      row.state = FlagState::enabled;
    } else if (!knows(self) || !std::all_of(others.begin(), others.end(), knows)) {
      row.state = FlagState::unavailable;
    }
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<std::string>> flags_to_enable(const Release& release, const std::string& name, bool opt_in,
                                                 const FlagView& self, const std::vector<FlagView>& others,
                                                 const std::vector<std::string>& silent) {
  std::vector<std::string> wanted;
  if (name == "all") {
    for (const std::string& flag : founding_flags(release))
      if (!self.enabled.contains(flag)) wanted.push_back(flag);
  } else {
    const FeatureFlag* flag = find(release, name);
    if (flag == nullptr)
      return make_error(Errc::unsupported, fmt::format("feature flag '{}' is not supported: node {} (release {}) does not "
                                                     "know it", name, self.node, release.version));
    if (self.enabled.contains(name)) return wanted;
    if (flag->stability == Stability::experimental && !opt_in)
      return make_error(Errc::invalid_argument, fmt::format("feature flag '{}' is experimental and cannot be switched off "
                                                            "again; to enable it all the same, add --experimental", name));
    wanted.push_back(name);
  }
  if (wanted.empty()) return wanted;
  if (!silent.empty())
    return make_error(Errc::unavailable, fmt::format("all members must run when a feature flag is enabled, and these do "
                                                     "not answer: {}", listed(silent)));
  for (const FlagView& other : others)
    for (const std::string& flag : wanted)
      if (!other.known.contains(flag))
        return make_error(Errc::unsupported,
                          fmt::format("feature flag '{}' is not supported by all members: node {} (release {}) does not "
                                      "know it; upgrade that node first", flag, other.node, other.version));
  return wanted;
}

}  // namespace warren::membership
