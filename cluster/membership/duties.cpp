#include "cluster/membership/duties.h"

#include <algorithm>
#include <utility>

namespace warren::membership {

std::vector<metadata::MemberDef> listed(const metadata::Catalogue& catalogue) {
  std::vector<metadata::MemberDef> out;
  for (const auto& [id, member] : catalogue.members()) out.push_back(member);
  return out;
}

std::vector<metadata::Command> introduction(const LocalState& self, const std::string& self_name,
                                            const std::string& wanted_name, std::vector<std::string> flags,
                                            const metadata::Catalogue& catalogue) {
  std::vector<metadata::Command> out;
  if (catalogue.cluster().id.empty())
    out.emplace_back(metadata::PutCluster{{self.cluster_id, wanted_name.empty() ? self_name : wanted_name, std::move(flags)}});
  const std::uint64_t number = member_number(self.node_id);
  const auto* entry = catalogue.find_member(number);
  const bool founder = entry == nullptr && catalogue.members().empty();
  if (founder || (entry != nullptr && entry->name != self_name))
    out.emplace_back(metadata::PutMember{{number, self.node_id, self_name, self.ram}});
  return out;
}

std::vector<metadata::MemberDef> kept_in_touch(const std::vector<metadata::MemberDef>& knew,
                                               const metadata::Catalogue& catalogue, const Counted& counted) {
  std::vector<metadata::MemberDef> out = listed(catalogue);
  for (const auto& member : knew) {
    if (catalogue.find_member(member.id) != nullptr) continue;
    if (counted.changing || counted.config.is_member(raft::NodeId(member.id))) out.push_back(member);
  }
  return out;
}

std::vector<metadata::MemberDef> known_at_start(const std::vector<metadata::MemberDef>& knew,
                                                const metadata::Catalogue& catalogue) {
  std::vector<metadata::MemberDef> out = knew;
  for (const auto& [id, member] : catalogue.members()) {
    const bool there = std::any_of(knew.begin(), knew.end(), [&](const auto& other) { return other.id == member.id; });
    if (!there) out.push_back(member);
  }
  return out;
}

std::optional<LocalState> remembered(const LocalState& self, const metadata::Catalogue& catalogue,
                                     const Counted& counted) {
  if (catalogue.find_member(member_number(self.node_id)) == nullptr) return std::nullopt;
  LocalState now = self;
  now.members = kept_in_touch(self.members, catalogue, counted);
  now.synced = !now.ram;
  now.flags = catalogue.cluster().flags;
  if (!catalogue.cluster().name.empty()) now.cluster_name = catalogue.cluster().name;
  if (now == self) return std::nullopt;
  return now;
}

Result<void> may_dismiss(const metadata::Catalogue& catalogue, const Counted& counted, std::uint64_t member) {
  if (!counted.config.is_voter(raft::NodeId(member)) || catalogue.members().size() <= 1) return {};
  for (const raft::NodeId voter : counted.config.voters)
    if (voter.value != member && catalogue.find_member(voter.value) != nullptr) return {};
  return make_error(Errc::conflict, "resetting_only_disc_node: no other disc node has the cluster's metadata yet; wait "
                                    "until one that joined has started, or convert another node to a disc node first");
}

metadata::PutMember entry_of(const JoinRequest& request) {
  metadata::PutMember put;
  put.def = {member_number(request.node_id), request.node_id, request.name, request.ram};
  if (!request.replaces.empty()) put.replaces = member_number(request.replaces);
  return put;
}

}  // namespace warren::membership
