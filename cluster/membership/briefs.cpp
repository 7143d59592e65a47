#include "cluster/membership/briefs.h"

#include <utility>

namespace warren::membership {

void Briefs::up(std::uint64_t member) { members_[member] = {}; }

std::vector<std::uint64_t> Briefs::due(Millis now) {
  std::vector<std::uint64_t> out;
  for (auto& [id, member] : members_)
    if (now >= member.ask_at && !std::exchange(member.asked, true)) out.push_back(id);
  return out;
}

void Briefs::put(std::uint64_t member, boost::json::value brief, Millis now) {
  const auto found = members_.find(member);
  if (found != members_.end()) found->second = {std::move(brief), now, true, false, now + kRefresh};
}

void Briefs::missed(std::uint64_t member, Millis now) {
  const auto found = members_.find(member);
  if (found == members_.end()) return;
  found->second.asked = false;
  found->second.ask_at = now + kRetry;
}

const boost::json::value* Briefs::find(std::uint64_t member, Millis now) const {
  const auto found = members_.find(member);
  const bool fresh = found != members_.end() && found->second.known && now - found->second.at <= kOldest;
  return fresh ? &found->second.brief : nullptr;
}

}  // namespace warren::membership
