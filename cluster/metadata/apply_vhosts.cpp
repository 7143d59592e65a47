// Virtual hosts, policies and parameters.

#include "cluster/metadata/applier.h"

#include <fmt/format.h>

namespace warren::metadata {

namespace {

struct Predeclared {
  const char* name;
  const char* type;
  bool internal;
};
constexpr Predeclared kPredeclared[] = {
    {"", "direct", false},           {"amq.direct", "direct", false},
    {"amq.fanout", "fanout", false}, {"amq.headers", "headers", false},
    {"amq.match", "headers", false}, {"amq.rabbitmq.trace", "topic", true},
    {"amq.topic", "topic", false}};

}  // namespace

void Applier::add_predeclared_exchanges(Vhost& vhost) {
  for (const auto& [name, type, internal] : kPredeclared) {
    ExchangeDef def;
    def.vhost = vhost.def.name;
    def.name = name;
    def.type = type;
    def.internal = internal;
    put_row(def);
    effect(ExchangePut{def});
    vhost.exchanges.emplace(name, std::move(def));
  }
}

Result<void> Applier::operator()(const PutVhost& command) {
  const VhostDef& def = command.def;
  if (def.name.empty()) return make_error(Errc::invalid_argument, "a vhost needs a name");
  if (auto ok = check_short_text("vhost name", def.name); !ok) return ok;
  Vhost* existing = find_vhost(def.name);
  if (existing != nullptr && existing->def == def) return {};
  Vhost& vhost = existing != nullptr ? *existing : c_.vhosts_[def.name];
  vhost.def = def;
  put_row(def);
  effect(VhostPut{def.name});
  if (existing == nullptr) add_predeclared_exchanges(vhost);
  return {};
}

Result<void> Applier::operator()(const DeleteVhost& command) {
  auto found = require_vhost(command.name);
  if (!found) return found.error();
  Vhost& vhost = **found;
  if (vhost.def.protected_from_deletion)
    return make_error(Errc::permission_denied,
                      fmt::format("vhost '{}' is protected from deletion", command.name));
  const std::string name = vhost.def.name;
  for (const auto& [key, binding] : vhost.bindings)
    erase_row(binding);
  for (const auto& [key, queue] : vhost.queues) {
    erase_row(queue);
    c_.queues_by_uid_.erase(queue.uid);
    effect(QueueDeleted{queue});
  }
  for (const auto& [key, exchange] : vhost.exchanges)
    erase_row(exchange);
  for (const auto& [key, policy] : vhost.policies) erase_row(policy);
  for (const auto& [key, policy] : vhost.operator_policies) erase_row(policy);
  for (auto at = c_.parameters_.lower_bound({name, ""});
       at != c_.parameters_.end() && at->first.first == name; at = c_.parameters_.erase(at))
    for (const auto& [key, parameter] : at->second) erase_row(parameter);

  std::set<std::string> users;
  for (auto at = c_.permissions_.lower_bound({name, ""});
       at != c_.permissions_.end() && at->first.first == name; at = c_.permissions_.erase(at)) {
    users.insert(at->second.user);
    erase_row(at->second);
  }
  for (auto at = c_.topic_permissions_.begin(); at != c_.topic_permissions_.end();) {
    auto& list = at->second;
    for (const auto& permission : list)
      if (permission.vhost == name) {
        users.insert(permission.user);
        erase_row(permission);
      }
    std::erase_if(list, [&](const auto& permission) { return permission.vhost == name; });
    at = list.empty() ? c_.topic_permissions_.erase(at) : std::next(at);
  }
  erase_row(vhost.def);
  c_.vhosts_.erase(name);
  for (const auto& user : users) effect(UserChanged{user});
  effect(VhostDeleted{name});
  return {};
}

Result<void> Applier::operator()(const PutPolicy& command) {
  auto vhost = require_vhost(command.def.vhost);
  if (!vhost) return vhost.error();
  if (command.def.name.empty()) return make_error(Errc::invalid_argument, "a policy needs a name");
  auto& policies =
      command.def.is_operator ? (*vhost)->operator_policies : (*vhost)->policies;
  auto [at, is_new] = policies.try_emplace(command.def.name, command.def);
  if (!is_new && at->second == command.def) return {};
  at->second = command.def;
  put_row(command.def);
  effect(PoliciesChanged{command.def.vhost});
  return {};
}

Result<void> Applier::operator()(const DeletePolicy& command) {
  auto vhost = require_vhost(command.vhost);
  if (!vhost) return vhost.error();
  auto& policies = command.is_operator ? (*vhost)->operator_policies : (*vhost)->policies;
  const auto at = policies.find(command.name);
  if (at == policies.end())
    return make_error(Errc::not_found,
                      fmt::format("no {}policy '{}' in vhost '{}'",
                                  command.is_operator ? "operator " : "", command.name,
                                  command.vhost));
  erase_row(at->second);
  policies.erase(at);
  effect(PoliciesChanged{command.vhost});
  return {};
}

Result<void> Applier::operator()(const PutParameter& command) {
  const ParameterDef& def = command.def;
  if (def.vhost.empty() != def.component.empty())
    return make_error(Errc::invalid_argument,
                      fmt::format("parameter '{}' needs both a vhost and a component, or neither",
                                  def.name));
  if (def.name.empty()) return make_error(Errc::invalid_argument, "a parameter needs a name");
  if (!def.vhost.empty())
    if (auto vhost = require_vhost(def.vhost); !vhost) return vhost.error();
  auto [at, is_new] = c_.parameters_[{def.vhost, def.component}].try_emplace(def.name, def);
  if (!is_new && at->second == def) return {};
  at->second = def;
  put_row(def);
  effect(ParametersChanged{def.vhost, def.component, def.name});
  return {};
}

Result<void> Applier::operator()(const DeleteParameter& command) {
  if (!command.vhost.empty())
    if (auto vhost = require_vhost(command.vhost); !vhost) return vhost.error();
  const auto group = c_.parameters_.find({command.vhost, command.component});
  const auto missing = [&] {
    return make_error(Errc::not_found,
                      command.vhost.empty()
                          ? fmt::format("no global parameter '{}'", command.name)
                          : fmt::format("no parameter '{}' of component '{}' in vhost '{}'",
                                        command.name, command.component, command.vhost));
  };
  if (group == c_.parameters_.end()) return missing();
  const auto at = group->second.find(command.name);
  if (at == group->second.end()) return missing();
  erase_row(at->second);
  group->second.erase(at);
  if (group->second.empty()) c_.parameters_.erase(group);
  effect(ParametersChanged{command.vhost, command.component, command.name});
  return {};
}

}  // namespace warren::metadata
