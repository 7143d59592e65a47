#include "cluster/membership/recovery.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::membership {

namespace {

std::string names_of(const std::vector<metadata::MemberDef>& members) {
  std::string out;
  for (const auto& member : members) out += (out.empty() ? "" : ", ") + member.name;
  return out;
}

/// The member answered as itself, as a part of our cluster. Whether its broker runs does not matter: an
/// operator can start it, and then there is nothing to force.
bool is_there(const LocalState& self, const metadata::MemberDef& member, const std::vector<PeerAnswer>& answers) {
  if (member.node_id == self.node_id) return true;
  return std::any_of(answers.begin(), answers.end(), [&](const PeerAnswer& answer) {
    return answer.view && answer.view->node_id == member.node_id && answer.view->cluster_id == self.cluster_id;
  });
}

}  // namespace

Result<void> may_force_boot(const LocalState& self) {
  if (self.alone()) return {};
  if (self.ram)
    return make_error(Errc::conflict, "cannot_force_boot: a RAM node has no copy of the metadata to start from; "
                                      "do this on a disc node");
  if (!self.synced)
    return make_error(Errc::conflict, "cannot_force_boot: this node joined, but never received the metadata; do "
                                      "this on another disc node, or 'rabbitmqctl force_reset' this one");
  return {};
}

Result<metadata::MemberDef> may_forget_offline(const LocalState& self, const std::string& self_name,
                                               const std::string& name) {
  auto member = may_forget(self.members, self_name, name, false);
  if (!member) return member;
  if (auto may = may_force_boot(self); !may) return may.error();
  return member;
}

Recovery plan_recovery(const LocalState& self, const std::string& self_name,
                       const std::vector<PeerAnswer>& answers) {
  if (!self.force_boot && self.forget.empty()) return {};
  std::vector<metadata::MemberDef> others, staying;
  std::size_t discs = 0, there = 0;
  std::string reached;
  for (const auto& member : self.members) {
    const bool forgotten = std::find(self.forget.begin(), self.forget.end(), member.name) != self.forget.end();
    if (member.node_id != self.node_id) {
      others.push_back(member);
      if (!forgotten && !member.ram) staying.push_back(member);
    }
    if (member.ram) continue;
    ++discs;
    if (!is_there(self, member, answers)) continue;
    ++there;
    reached += (reached.empty() ? "" : ", ") + member.name;
  }
  const std::size_t majority = discs / 2 + 1;
  const char* asked = self.force_boot ? "force_boot" : "forget_cluster_node --offline";
  if (others.empty()) return {Recovery::Kind::ordinary, {}, fmt::format("{}: this node is alone anyway", asked)};
  if (there >= majority)
    return {Recovery::Kind::ordinary, {},
            fmt::format("{}: not needed to start, {} of {} disc nodes answer ({}): starts with them", asked, there,
                        discs, reached)};
  if (!self.force_boot && !staying.empty())
    return {Recovery::Kind::ordinary, {},
            fmt::format("{}: waits for a majority of the disc nodes, of which {} stay; forgets the others then. If "
                        "there can be no majority any more: {}", asked, names_of(staying), way_out(self_name))};
  return {Recovery::Kind::alone, others,
          fmt::format("{}: THIS NODE GOES ON ALONE, without {}. Only {} of {} disc nodes could be reached. What the "
                      "others had decided and this node had not heard is lost, and so are the queues and messages "
                      "that live on them. They are refused from now on: on each, delete the data directory (or "
                      "'rabbitmqctl force_reset' while its app is stopped), start it and 'rabbitmqctl join_cluster "
                      "{}'", asked, names_of(others), there, discs, self_name)};
}

LocalState taken_over(LocalState self, std::string cluster_id) {
  std::erase_if(self.members, [&](const auto& member) { return member.node_id != self.node_id; });
  self.cluster_id = std::move(cluster_id);
  self.taking_over = true;
  self.force_boot = false;  // done with this: nothing is asked for any more
  self.forget.clear();
  return self;
}

Error left_behind(const std::string& self_name, const std::string& other) {
  return make_error(Errc::conflict,
                    inconsistent(self_name, other).text +
                        fmt::format(": {0} was started without a majority (force_boot or forget_cluster_node "
                                    "--offline) and went on without this node. To join it there, delete this node's "
                                    "data directory, start it and type 'rabbitmqctl join_cluster {0}'; what only this "
                                    "node held is lost then", other));
}

std::string way_out(const std::string& self_name) {
  return fmt::format("if the missing disc nodes never come back, stop this node and go on without them: "
                     "'rabbitmqctl -n {0} force_boot' (without any of them) or 'rabbitmqctl -n {0} "
                     "forget_cluster_node --offline NODE', then start it", self_name);
}

}  // namespace warren::membership
