#include "cluster/membership/reconcile.h"

#include <vector>

namespace warren::membership {

namespace {

std::vector<raft::NodeId> without(const std::vector<raft::NodeId>& list, raft::NodeId node) {
  std::vector<raft::NodeId> out;
  for (const auto id : list)
    if (id != node) out.push_back(id);
  return out;
}

std::vector<raft::NodeId> with(std::vector<raft::NodeId> list, raft::NodeId node) {
  list.push_back(node);
  return list;
}

}  // namespace

std::optional<raft::Config> next_step(const std::map<std::uint64_t, metadata::MemberDef>& members,
                                      const raft::Config& current, raft::NodeId self,
                                      const std::function<Reachability(raft::NodeId)>& look) {
  if (current.joint() || members.empty()) return std::nullopt;
  const auto member = [&](raft::NodeId node) -> const metadata::MemberDef* {
    const auto at = members.find(node.value);
    return at == members.end() ? nullptr : &at->second;
  };
  for (const auto node : current.learners)
    if (member(node) == nullptr)
      return raft::make_config(current.voters, without(current.learners, node));
  // Who left votes no more; the leader itself only when nobody else is to be changed, and never the
  // last voter.
  for (const auto node : current.voters)
    if (node != self && member(node) == nullptr)
      return raft::make_config(without(current.voters, node), current.learners);
  for (const auto node : current.learners) {
    const Reachability now = look(node);
    if (!member(node)->ram && now.connected && now.caught_up)
      return raft::make_config(with(current.voters, node), without(current.learners, node));
  }
  for (const auto& [id, def] : members) {
    const raft::NodeId node{id};
    if (!current.is_member(node) && look(node).connected)
      return raft::make_config(current.voters, with(current.learners, node));
  }
  if (member(self) == nullptr && current.voters.size() > 1)
    return raft::make_config(without(current.voters, self), current.learners);
  return std::nullopt;
}

}  // namespace warren::membership
