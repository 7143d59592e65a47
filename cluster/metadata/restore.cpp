// Start-up: rows back into objects; and all objects into rows, for a snapshot.

#include "cluster/metadata/applier.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::metadata {

Result<void> Catalogue::restore_row(std::string_view key, std::string_view value) {
  auto object = decode_row(value);
  if (!object) return object.error();
  if (row_key(*object) != key)
    return make_error(Errc::corruption, "metadata row: the key names another object");

  struct Restore {
    Catalogue& c;
    void operator()(VhostDef&& o) {
      std::string name = o.name;
      c.vhosts_[std::move(name)].def = std::move(o);
    }
    void operator()(UserDef&& o) { c.users_.insert_or_assign(o.name, o); }
    void operator()(PermissionDef&& o) {
      c.permissions_.insert_or_assign({o.vhost, o.user}, o);
    }
    void operator()(TopicPermissionDef&& o) {
      c.topic_permissions_[o.user].push_back(std::move(o));
    }
    void operator()(ExchangeDef&& o) {
      c.vhosts_[o.vhost].exchanges.insert_or_assign(o.name, o);
    }
    void operator()(QueueDef&& o) {
      if (!c.queues_by_uid_.emplace(o.uid, std::pair(o.vhost, o.name)).second)
        c.restore_problems_.push_back(fmt::format("two queues have uid {}", o.uid));
      c.next_uid_ = std::max(c.next_uid_, o.uid + 1);
      c.vhosts_[o.vhost].queues.insert_or_assign(o.name, o);
    }
    void operator()(BindingDef&& o) {
      Vhost& vhost = c.vhosts_[o.vhost];
      BindingKey k = binding_key(o);
      if (!vhost.bindings.contains(k)) Applier::index_binding(vhost, std::move(k), std::move(o));
    }
    void operator()(PolicyDef&& o) {
      Vhost& vhost = c.vhosts_[o.vhost];
      (o.is_operator ? vhost.operator_policies : vhost.policies).insert_or_assign(o.name, o);
    }
    void operator()(ParameterDef&& o) {
      c.parameters_[{o.vhost, o.component}].insert_or_assign(o.name, o);
    }
    void operator()(ClusterDef&& o) { c.cluster_ = std::move(o); }
    void operator()(MemberDef&& o) { c.members_.insert_or_assign(o.id, o); }
    void operator()(UidReservation&& o) { c.next_uid_ = std::max(c.next_uid_, o.ceiling); }
  };
  std::visit([&](auto& o) { Restore{*this}(std::move(o)); }, *object);
  return {};
}

namespace {

/// Takes out of the vhost what refers to nothing; true when it must go itself.
bool drop_dangling(const std::string& name, Vhost& vhost, std::vector<std::string>& problems) {
  if (vhost.def.name != name) {
    problems.push_back(fmt::format("vhost '{}' itself is missing, but objects in it are not", name));
    return true;
  }
  if (!vhost.exchanges.contains(""))
    problems.push_back(fmt::format("vhost '{}' lacks its default exchange", name));
  for (auto at = vhost.bindings.begin(); at != vhost.bindings.end();) {
    const BindingKey& key = at->first;
    const bool has_source = vhost.exchanges.contains(key.source);
    const bool has_destination = key.to_queue ? vhost.queues.contains(key.destination)
                                              : vhost.exchanges.contains(key.destination);
    if (has_source && has_destination) {
      ++at;
      continue;
    }
    problems.push_back(fmt::format("binding from exchange '{}' to {} '{}' in vhost '{}': {} is "
                                   "missing",
                                   key.source, key.to_queue ? "queue" : "exchange",
                                   key.destination, name,
                                   has_source ? "the destination" : "the source"));
    vhost.by_destination.erase(
        {key.destination, key.to_queue, key.source, key.routing_key, key.arguments});
    at = vhost.bindings.erase(at);
  }
  return false;
}

}  // namespace

std::vector<Effect> Catalogue::restored() {
  reserved_uid_ = std::max(reserved_uid_, next_uid_);
  for (auto at = vhosts_.begin(); at != vhosts_.end();) {
    if (!drop_dangling(at->first, at->second, restore_problems_)) {
      ++at;
      continue;
    }
    for (const auto& [name, queue] : at->second.queues) queues_by_uid_.erase(queue.uid);
    at = vhosts_.erase(at);
  }
  std::erase_if(permissions_, [&](const auto& entry) {
    if (vhosts_.contains(entry.first.first) && users_.contains(entry.first.second)) return false;
    restore_problems_.push_back(fmt::format("permission of user '{}' on vhost '{}': one is missing",
                                            entry.first.second, entry.first.first));
    return true;
  });
  for (auto& [user, list] : topic_permissions_)
    std::sort(list.begin(), list.end(), [](const auto& a, const auto& b) {
      return std::tie(a.vhost, a.exchange) < std::tie(b.vhost, b.exchange);
    });
  std::erase_if(topic_permissions_, [&](const auto& entry) {
    if (users_.contains(entry.first)) return false;
    restore_problems_.push_back(
        fmt::format("topic permission of user '{}': the user is missing", entry.first));
    return true;
  });
  std::erase_if(parameters_, [&](const auto& entry) {
    if (entry.first.first.empty() || vhosts_.contains(entry.first.first)) return false;
    restore_problems_.push_back(
        fmt::format("parameters of vhost '{}': the vhost is missing", entry.first.first));
    return true;
  });

  return everything();
}

std::vector<Effect> Catalogue::everything() const {
  std::vector<Effect> effects;
  for (const auto& [name, user] : users_) effects.emplace_back(UserChanged{name});
  for (const auto& [name, vhost] : vhosts_) {
    effects.emplace_back(VhostPut{name});
    for (const auto& [key, exchange] : vhost.exchanges) effects.emplace_back(ExchangePut{exchange});
    for (const auto& [key, queue] : vhost.queues) effects.emplace_back(QueuePut{queue});
    for (const auto& [key, binding] : vhost.bindings) effects.emplace_back(BindingPut{binding});
    if (!vhost.policies.empty() || !vhost.operator_policies.empty())
      effects.emplace_back(PoliciesChanged{name});
  }
  if (!members_.empty()) effects.emplace_back(MembersChanged{});
  for (const auto& [key, group] : parameters_)
    for (const auto& [name, parameter] : group)
      effects.emplace_back(ParametersChanged{key.first, key.second, name});
  return effects;
}

std::vector<RowChange> Catalogue::rows() const {
  std::vector<RowChange> out;
  const auto add = [&](const RowObject& object) {
    out.push_back({row_key(object), row_value(object)});
  };
  for (const auto& [name, vhost] : vhosts_) {
    add(vhost.def);
    for (const auto& [key, exchange] : vhost.exchanges) add(exchange);
    for (const auto& [key, queue] : vhost.queues) add(queue);
    for (const auto& [key, binding] : vhost.bindings) add(binding);
    for (const auto& [key, policy] : vhost.policies) add(policy);
    for (const auto& [key, policy] : vhost.operator_policies) add(policy);
  }
  for (const auto& [name, user] : users_) add(user);
  for (const auto& [key, permission] : permissions_) add(permission);
  for (const auto& [user, list] : topic_permissions_)
    for (const auto& permission : list) add(permission);
  for (const auto& [key, group] : parameters_)
    for (const auto& [name, parameter] : group) add(parameter);
  if (cluster_ != ClusterDef{}) add(cluster_);
  for (const auto& [id, member] : members_) add(member);
  if (reserved_uid_ > 1) add(UidReservation{reserved_uid_});
  return out;
}

}  // namespace warren::metadata
