#include "cluster/metadata/catalogue.h"

#include "cluster/metadata/applier.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::metadata {

BindingKey binding_key(const BindingDef& def) {
  return {def.source, def.destination, def.to_queue, def.routing_key, def.arguments.encode()};
}

// ---- applying -----------------------------------------------------------------------------------

Result<Applied> Catalogue::apply(const Command& command) {
  Applier applier(*this);
  if (auto done = std::visit(applier, command); !done) return done.error();
  return applier.take();
}

void Applier::put_row(RowObject object) {
  std::string key = row_key(object);
  out_.rows.push_back({std::move(key), row_value(object)});
}

void Applier::erase_row(const RowObject& object) {
  out_.rows.push_back({row_key(object), std::nullopt});
}

Vhost* Applier::find_vhost(std::string_view name) {
  const auto at = c_.vhosts_.find(name);
  return at == c_.vhosts_.end() ? nullptr : &at->second;
}

Result<Vhost*> Applier::require_vhost(std::string_view name) {
  if (Vhost* vhost = find_vhost(name)) return vhost;
  return make_error(Errc::not_found, fmt::format("no vhost '{}'", name));
}

// ---- reading ------------------------------------------------------------------------------------

namespace {

template <class Map>
const typename Map::mapped_type* find_in(const Map& map, std::string_view name) {
  const auto at = map.find(name);
  return at == map.end() ? nullptr : &at->second;
}

}  // namespace

const Vhost* Catalogue::find_vhost(std::string_view name) const { return find_in(vhosts_, name); }

const ExchangeDef* Catalogue::find_exchange(std::string_view vhost, std::string_view name) const {
  const Vhost* in = find_vhost(vhost);
  return in == nullptr ? nullptr : find_in(in->exchanges, name);
}

const QueueDef* Catalogue::find_queue(std::string_view vhost, std::string_view name) const {
  const Vhost* in = find_vhost(vhost);
  return in == nullptr ? nullptr : find_in(in->queues, name);
}

const QueueDef* Catalogue::find_queue(QueueUid uid) const {
  const auto at = queues_by_uid_.find(uid);
  return at == queues_by_uid_.end() ? nullptr : find_queue(at->second.first, at->second.second);
}

const MemberDef* Catalogue::find_member(std::uint64_t id) const {
  const auto at = members_.find(id);
  return at == members_.end() ? nullptr : &at->second;
}

const MemberDef* Catalogue::find_member(std::string_view name) const {
  for (const auto& [id, member] : members_)
    if (member.name == name) return &member;
  return nullptr;
}

const UserDef* Catalogue::find_user(std::string_view name) const { return find_in(users_, name); }

const PermissionDef* Catalogue::find_permission(std::string_view user,
                                                std::string_view vhost) const {
  const auto at = permissions_.find({std::string(vhost), std::string(user)});
  return at == permissions_.end() ? nullptr : &at->second;
}

const TopicPermissionDef* Catalogue::find_topic_permission(std::string_view user,
                                                           std::string_view vhost,
                                                           std::string_view exchange) const {
  const auto* list = find_in(topic_permissions_, user);
  if (list == nullptr) return nullptr;
  const auto at = std::find_if(list->begin(), list->end(), [&](const TopicPermissionDef& p) {
    return p.vhost == vhost && p.exchange == exchange;
  });
  return at == list->end() ? nullptr : &*at;
}

std::vector<PermissionDef> Catalogue::permissions() const {
  std::vector<PermissionDef> out;
  for (const auto& [key, permission] : permissions_) out.push_back(permission);
  return out;
}

std::vector<TopicPermissionDef> Catalogue::topic_permissions() const {
  std::vector<TopicPermissionDef> out;
  for (const auto& [user, list] : topic_permissions_)
    out.insert(out.end(), list.begin(), list.end());
  return out;
}

std::vector<ParameterDef> Catalogue::parameters() const {
  std::vector<ParameterDef> out;
  for (const auto& [key, group] : parameters_)
    for (const auto& [name, parameter] : group) out.push_back(parameter);
  return out;
}

std::vector<BindingDef> Catalogue::bindings_to(std::string_view vhost, std::string_view destination,
                                               bool to_queue) const {
  std::vector<BindingDef> out;
  const Vhost* in = find_vhost(vhost);
  if (in == nullptr) return out;
  for (auto at = in->by_destination.lower_bound({std::string(destination), to_queue, "", "", ""});
       at != in->by_destination.end() && at->destination == destination &&
       at->to_queue == to_queue;
       ++at)
    out.push_back(in->bindings.at(
        {at->source, at->destination, at->to_queue, at->routing_key, at->arguments}));
  return out;
}

std::vector<BindingDef> Catalogue::bindings_from(std::string_view vhost,
                                                 std::string_view source) const {
  std::vector<BindingDef> out;
  const Vhost* in = find_vhost(vhost);
  if (in == nullptr) return out;
  for (auto at = in->bindings.lower_bound({std::string(source), "", false, "", ""});
       at != in->bindings.end() && at->first.source == source; ++at)
    out.push_back(at->second);
  return out;
}

bool Catalogue::has_bindings_from(std::string_view vhost, std::string_view source) const {
  const Vhost* in = find_vhost(vhost);
  if (in == nullptr) return false;
  const auto at = in->bindings.lower_bound({std::string(source), "", false, "", ""});
  return at != in->bindings.end() && at->first.source == source;
}

bool Catalogue::operator==(const Catalogue& other) const {
  return vhosts_ == other.vhosts_ && users_ == other.users_ && permissions_ == other.permissions_ &&
         topic_permissions_ == other.topic_permissions_ && parameters_ == other.parameters_ &&
         queues_by_uid_ == other.queues_by_uid_ && cluster_ == other.cluster_ &&
         members_ == other.members_;
}

// ---- invariants ---------------------------------------------------------------------------------

namespace {

std::optional<std::string> check_vhost(const std::string& name, const Vhost& vhost) {
  if (vhost.def.name != name) return "vhost '" + name + "' has no definition of its own";
  if (!vhost.exchanges.contains("")) return "vhost '" + name + "' has no default exchange";
  if (vhost.by_destination.size() != vhost.bindings.size())
    return "vhost '" + name + "': the index of bindings by destination has another size";
  for (const auto& [key, def] : vhost.bindings) {
    if (binding_key(def) != key) return "binding of '" + key.source + "' under a foreign key";
    if (!vhost.exchanges.contains(key.source))
      return "binding from missing exchange '" + key.source + "'";
    const bool reaches = key.to_queue ? vhost.queues.contains(key.destination)
                                      : vhost.exchanges.contains(key.destination);
    if (!reaches) return "binding to missing '" + key.destination + "'";
    if (!vhost.by_destination.contains(
            {key.destination, key.to_queue, key.source, key.routing_key, key.arguments}))
      return "binding to '" + key.destination + "' is not indexed";
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string> Catalogue::check_invariants() const {
  std::size_t queues = 0;
  for (const auto& [name, vhost] : vhosts_) {
    if (auto broken = check_vhost(name, vhost)) return broken;
    queues += vhost.queues.size();
    for (const auto& [queue_name, queue] : vhost.queues) {
      const auto at = queues_by_uid_.find(queue.uid);
      if (at == queues_by_uid_.end() || at->second != std::pair(name, queue_name))
        return "queue '" + queue_name + "' is not found by its uid";
      if (queue.uid >= next_uid_) return "queue '" + queue_name + "' has a uid not yet given out";
    }
  }
  if (queues != queues_by_uid_.size()) return "a uid names no queue";
  if (next_uid_ > reserved_uid_) return "more uids given out than reserved";
  for (const auto& [key, permission] : permissions_)
    if (!vhosts_.contains(key.first) || !users_.contains(key.second))
      return "permission of '" + key.second + "' on '" + key.first + "' without its objects";
  for (const auto& [user, list] : topic_permissions_)
    if (list.empty() || !users_.contains(user)) return "topic permissions without user " + user;
  std::set<std::string_view> names;
  bool disc = members_.empty();
  for (const auto& [id, member] : members_) {
    if (member.id != id || id == 0) return "member '" + member.name + "' under a foreign id";
    if (!names.insert(member.name).second) return "two members are called '" + member.name + "'";
    disc = disc || !member.ram;
  }
  if (!disc) return "a cluster without a disc node";
  for (const auto& [key, group] : parameters_)
    if (group.empty() || (!key.first.empty() && !vhosts_.contains(key.first)))
      return "parameters without vhost '" + key.first + "'";
  return std::nullopt;
}

}  // namespace warren::metadata
