// The cluster's own name and its nodes.

#include "cluster/metadata/applier.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <string>

namespace warren::metadata {

namespace {

/// Would the cluster have a disc node without these two?
bool disc_node_left(const std::map<std::uint64_t, MemberDef>& members, std::uint64_t without,
                    std::uint64_t and_without) {
  return std::any_of(members.begin(), members.end(), [&](const auto& entry) {
    return !entry.second.ram && entry.first != without && entry.first != and_without;
  });
}

}  // namespace

void Applier::erase_queues_of(std::uint64_t home, bool only_transient) {
  std::vector<QueueUid> uids;
  for (const auto& [name, vhost] : c_.vhosts_)
    for (const auto& [queue_name, queue] : vhost.queues)
      if (queue.home == home && (!only_transient || !is_durable(queue))) uids.push_back(queue.uid);
  (*this)(DeleteQueues{std::move(uids)});
}

Result<void> Applier::operator()(const PutCluster& command) {
  ClusterDef wanted = command.def;
  if (wanted.id.empty()) wanted.id = c_.cluster_.id;
  if (!c_.cluster_.id.empty() && wanted.id != c_.cluster_.id)
    return make_error(Errc::conflict, "the cluster has another id already");
  if (wanted.name.empty() && !wanted.flags.empty()) wanted.name = c_.cluster_.name;
  if (wanted.name.empty()) return make_error(Errc::invalid_argument, "a cluster needs a name");
  std::set<std::string> flags(c_.cluster_.flags.begin(), c_.cluster_.flags.end());
  flags.insert(wanted.flags.begin(), wanted.flags.end());
  wanted.flags.assign(flags.begin(), flags.end());
  if (wanted == c_.cluster_) return {};
  c_.cluster_ = std::move(wanted);
  put_row(c_.cluster_);
  effect(MembersChanged{});
  return {};
}

Result<void> Applier::operator()(const PutMember& command) {
  const MemberDef& def = command.def;
  if (def.id == 0 || def.node_id.size() != 16 || def.name.empty())
    return make_error(Errc::invalid_argument, "a member needs an id and a name");
  if (const MemberDef* same_name = c_.find_member(std::string_view(def.name));
      same_name != nullptr && same_name->id != def.id && same_name->id != command.replaces)
    return make_error(Errc::already_exists,
                      fmt::format("inconsistent_cluster: another node is a member as '{}'", def.name));
  if (def.ram && !disc_node_left(c_.members_, def.id, command.replaces))
    return make_error(Errc::conflict, fmt::format("resetting_only_disc_node: '{}' is the only disc node "
                                                  "of the cluster", def.name));
  if (command.replaces != 0 && command.replaces != def.id) {
    const auto old = c_.members_.find(command.replaces);
    if (old != c_.members_.end()) {
      erase_queues_of(old->first, false);
      erase_row(old->second);
      c_.members_.erase(old);
      effect(MembersChanged{});
    }
  }
  auto [at, is_new] = c_.members_.try_emplace(def.id, def);
  if (!is_new && at->second == def) return {};
  at->second = def;
  put_row(def);
  effect(MembersChanged{});
  return {};
}

Result<void> Applier::operator()(const RemoveMember& command) {
  const auto at = c_.members_.find(command.id);
  if (at == c_.members_.end())
    return make_error(Errc::not_found, "not_a_cluster_node: the node is not a member of this cluster");
  if (!disc_node_left(c_.members_, command.id, 0))
    return make_error(Errc::conflict, fmt::format("resetting_only_disc_node: '{}' is the only disc node "
                                                  "of the cluster", at->second.name));
  erase_queues_of(command.id, false);
  erase_row(at->second);
  c_.members_.erase(at);
  effect(MembersChanged{});
  return {};
}

Result<void> Applier::operator()(const DropTransient& command) {
  if (command.home == 0) return make_error(Errc::invalid_argument, "queues of no node");
  erase_queues_of(command.home, true);
  if (!command.alone) return {};
  for (auto& [name, vhost] : c_.vhosts_) {
    std::vector<std::string> transient;
    for (const auto& [exchange_name, exchange] : vhost.exchanges)
      if (!exchange.durable) transient.push_back(exchange_name);
    std::deque<std::string> sources;
    for (const std::string& exchange_name : transient) erase_exchange(vhost, exchange_name, sources);
    sweep_auto_delete(vhost, std::move(sources));
  }
  return {};
}

}  // namespace warren::metadata
