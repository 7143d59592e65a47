#include "cluster/membership/rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::membership {

namespace {

bool is_only_disc_node(const LocalState& self) {
  if (self.ram || self.alone()) return false;
  return std::none_of(self.members.begin(), self.members.end(), [&](const auto& member) {
    return !member.ram && member.node_id != self.node_id;
  });
}

Error only_disc_node() {
  return make_error(Errc::conflict,
                    "resetting_only_disc_node: You cannot reset a node when it is the only disc node in a "
                    "cluster. Please convert another node of the cluster to a disc node first.");
}

}  // namespace

Error inconsistent(const std::string& self_name, const std::string& other) {
  return make_error(Errc::conflict,
                    fmt::format("inconsistent_cluster: Node {} thinks it's clustered with node {}, but {} "
                                "disagrees", self_name, other, other));
}

Error unreachable(const std::string& node, const Error& why) {
  return make_error(why.code, fmt::format("target_unreachable: {}: {}", node, why.text));
}

Result<JoinVerdict> may_join(const LocalState& self, const std::string& self_name, const NodeView& target,
                             const Release& release) {
  if (target.node_id == self.node_id || target.name == self_name)
    return make_error(Errc::invalid_argument,
                      "cannot_cluster_node_with_itself: cannot cluster node with itself: " + self_name);
  if (is_only_disc_node(self))
    return make_error(Errc::conflict,
                      "clustering_only_disc_node: You cannot cluster a node if it is the only disc node in "
                      "its existing cluster. If new nodes joined while this node was offline, use "
                      "'update_cluster_nodes' to add them manually.");
  const bool listed = std::any_of(target.members.begin(), target.members.end(), [&](const auto& member) {
    return member.node_id == self.node_id;
  });
  if (listed && target.cluster_id == self.cluster_id) return JoinVerdict::already_member;
  if (!target.app_running)
    return make_error(Errc::unavailable,
                      fmt::format("node_not_running: the broker on node {} is stopped; start it with "
                                  "'rabbitmqctl -n {} start_app'", target.name, target.name));
  for (const auto& member : target.members)
    if (member.name == self_name && member.node_id != self.joining_as)
      return make_error(Errc::conflict, inconsistent(target.name, self_name).text +
                                            fmt::format("; remove it there first: rabbitmqctl -n {} "
                                                        "forget_cluster_node {}", target.name, self_name));
  if (auto fit = flags_fit(flag_view(release, self_name, {}), target.flags); !fit) return fit.error();
  return JoinVerdict::join;
}

Result<void> may_leave(const LocalState& self) {
  if (is_only_disc_node(self)) return only_disc_node();
  return {};
}

Result<TypeVerdict> may_change_type(const LocalState& self, bool to_ram) {
  if (self.ram == to_ram) return TypeVerdict::is_already;
  if (self.alone())
    return make_error(Errc::conflict, "not_clustered: Non-clustered nodes can only be disc nodes.");
  if (to_ram && is_only_disc_node(self)) return only_disc_node();
  return TypeVerdict::change;
}

Result<metadata::MemberDef> may_forget(const std::vector<metadata::MemberDef>& members,
                                       const std::string& self_name, const std::string& name,
                                       bool running) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& member) { return member.name == name; });
  if (found == members.end())
    return make_error(Errc::not_found, "not_a_cluster_node: The node selected is not in the cluster.");
  if (name == self_name)
    return make_error(Errc::conflict,
                      fmt::format("failed_to_remove_node: {} cannot remove itself; use 'rabbitmqctl reset'", name));
  if (running)
    return make_error(Errc::conflict,
                      fmt::format("RabbitMQ on node {} must be stopped with 'rabbitmqctl -n {} stop_app' "
                                  "before it can be removed", name, name));
  return *found;
}

CanLose can_lose(std::size_t disc, std::size_t running) {
  const std::size_t majority = disc / 2 + 1;
  const auto nodes = [](std::size_t n) { return fmt::format("{} disc node{}", n, n == 1 ? "" : "s"); };
  if (running < majority)
    return {0, fmt::format("no majority: {} of {} run, {} needed; changes fail until they are back; if "
                           "they never come: force_boot, or forget_cluster_node --offline",
                           running, nodes(disc), majority)};
  CanLose out{running - majority, {}};
  out.text = fmt::format("can lose {} more disc node{}", out.nodes, out.nodes == 1 ? "" : "s");
  if (disc == 1) out.text += ": this is the only one";
  if (disc == 2) out.text += ": two disc nodes survive no loss, join a third";
  if (disc > 2 && running < disc)
    out.text += fmt::format(": {} of {} run", running, nodes(disc));
  return out;
}

}  // namespace warren::membership
