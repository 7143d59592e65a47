// From one catalogue to another: what a node must do when a snapshot takes the place of entries.

#include "cluster/metadata/catalogue.h"
#include "cluster/raft/mutant.h"

namespace warren::metadata {

namespace {

template <class Map, class Key>
bool has_same(const Map& map, const Key& key, const typename Map::mapped_type& value) {
  const auto at = map.find(key);
  return at != map.end() && at->second == value;
}

/// True when the binding and both its ends are the same in the other vhost.
bool has_same_binding(const Vhost& other, const Vhost& own, const BindingKey& key, const BindingDef& def) {
  if (!has_same(other.bindings, key, def)) return false;
  if (WARREN_MUTANT(37)) return true;
  if (!has_same(other.exchanges, key.source, own.exchanges.at(key.source))) return false;
  return key.to_queue ? has_same(other.queues, key.destination, own.queues.at(key.destination))
                      : has_same(other.exchanges, key.destination, own.exchanges.at(key.destination));
}

/// What is in `before` and not in `after`, ends first.
void take_down(const Vhost& before, const Vhost& after, std::vector<Effect>& effects) {
  for (const auto& [key, binding] : before.bindings)
    if (!has_same_binding(after, before, key, binding)) effects.emplace_back(BindingDeleted{binding});
  for (const auto& [name, queue] : before.queues)
    if (!has_same(after.queues, name, queue)) effects.emplace_back(QueueDeleted{queue});
  for (const auto& [name, exchange] : before.exchanges)
    if (!has_same(after.exchanges, name, exchange))
      effects.emplace_back(ExchangeDeleted{before.def.name, name});
}

void build_up(const Vhost& before, const Vhost& after, std::vector<Effect>& effects) {
  if (before.def != after.def) effects.emplace_back(VhostPut{after.def.name});
  for (const auto& [name, exchange] : after.exchanges)
    if (!has_same(before.exchanges, name, exchange)) effects.emplace_back(ExchangePut{exchange});
  for (const auto& [name, queue] : after.queues)
    if (!has_same(before.queues, name, queue)) effects.emplace_back(QueuePut{queue});
  for (const auto& [key, binding] : after.bindings)
    if (!has_same_binding(before, after, key, binding)) effects.emplace_back(BindingPut{binding});
  if (before.policies != after.policies || before.operator_policies != after.operator_policies)
    effects.emplace_back(PoliciesChanged{after.def.name});
}

}  // namespace

std::vector<Effect> Catalogue::difference(const Catalogue& before) const {
  static const Vhost kNone;
  std::vector<Effect> effects;
  for (const auto& [name, vhost] : before.vhosts_) {
    const Vhost* now = find_vhost(name);
    take_down(vhost, now != nullptr ? *now : kNone, effects);
    if (now == nullptr) effects.emplace_back(VhostDeleted{name});
  }
  if (users_ != before.users_ || permissions_ != before.permissions_ ||
      topic_permissions_ != before.topic_permissions_) {
    std::set<std::string> names;
    for (const auto& [name, user] : before.users_) names.insert(name);
    for (const auto& [name, user] : users_) names.insert(name);
    for (const std::string& name : names) effects.emplace_back(UserChanged{name});
  }
  for (const auto& [name, vhost] : vhosts_) {
    const Vhost* was = before.find_vhost(name);
    build_up(was != nullptr ? *was : kNone, vhost, effects);
  }
  const auto compare = [&effects](const auto& all, const auto& other, bool both) {
    for (const auto& [place, group] : all) {
      const auto at = other.find(place);
      for (const auto& [name, parameter] : group) {
        const bool known = at != other.end() && at->second.contains(name);
        if (!known || (both && at->second.at(name) != parameter))
          effects.emplace_back(ParametersChanged{place.first, place.second, name});
      }
    }
  };
  compare(before.parameters_, parameters_, false);
  compare(parameters_, before.parameters_, true);
  if (members_ != before.members_ || cluster_ != before.cluster_) effects.emplace_back(MembersChanged{});
  return effects;
}

}  // namespace warren::metadata
