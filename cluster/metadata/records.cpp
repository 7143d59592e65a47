#include "cluster/metadata/records.h"

namespace warren::metadata {

namespace {

constexpr std::size_t kIdBytes = 16;

template <class Limits, class Repeated>
void write_limits(const Limits& from, Repeated& to) {
  for (const auto& [name, value] : from) {
    auto* limit = to.Add();
    limit->set_name(name);
    limit->set_value(value);
  }
}

template <class Repeated>
void read_limits(const Repeated& from, std::map<std::string, std::int64_t>& to) {
  for (const auto& limit : from) to[limit.name()] = limit.value();
}

bool read_table(const std::string& from, FieldTable& to) {
  auto table = FieldTable::decode(from);
  if (!table) return false;
  to = std::move(*table);
  return true;
}

}  // namespace

void write(const VhostDef& from, pb::Vhost& to) {
  to.set_name(from.name);
  to.set_description(from.description);
  for (const auto& tag : from.tags) to.add_tags(tag);
  to.set_default_queue_type(from.default_queue_type);
  to.set_tracing(from.tracing);
  to.set_protected_from_deletion(from.protected_from_deletion);
  write_limits(from.limits, *to.mutable_limits());
}

bool read(const pb::Vhost& from, VhostDef& to) {
  to.name = from.name();
  to.description = from.description();
  to.tags.assign(from.tags().begin(), from.tags().end());
  to.default_queue_type = from.default_queue_type();
  to.tracing = from.tracing();
  to.protected_from_deletion = from.protected_from_deletion();
  read_limits(from.limits(), to.limits);
  return true;
}

void write(const UserDef& from, pb::User& to) {
  to.set_name(from.name);
  to.set_password_hash(from.password_hash);
  to.set_hashing_algorithm(from.hashing_algorithm);
  for (const auto& tag : from.tags) to.add_tags(tag);
  write_limits(from.limits, *to.mutable_limits());
}

bool read(const pb::User& from, UserDef& to) {
  to.name = from.name();
  to.password_hash = from.password_hash();
  to.hashing_algorithm = from.hashing_algorithm();
  to.tags.assign(from.tags().begin(), from.tags().end());
  read_limits(from.limits(), to.limits);
  return true;
}

void write(const PermissionDef& from, pb::Permission& to) {
  to.set_user(from.user);
  to.set_vhost(from.vhost);
  to.set_configure(from.configure);
  to.set_write(from.write);
  to.set_read(from.read);
}

bool read(const pb::Permission& from, PermissionDef& to) {
  to = {from.user(), from.vhost(), from.configure(), from.write(), from.read()};
  return true;
}

void write(const TopicPermissionDef& from, pb::TopicPermission& to) {
  to.set_user(from.user);
  to.set_vhost(from.vhost);
  to.set_exchange(from.exchange);
  to.set_write(from.write);
  to.set_read(from.read);
}

bool read(const pb::TopicPermission& from, TopicPermissionDef& to) {
  to = {from.user(), from.vhost(), from.exchange(), from.write(), from.read()};
  return true;
}

void write(const ExchangeDef& from, pb::Exchange& to) {
  to.set_vhost(from.vhost);
  to.set_name(from.name);
  to.set_type(from.type);
  to.set_durable(from.durable);
  to.set_auto_delete(from.auto_delete);
  to.set_internal(from.internal);
  to.set_arguments(from.arguments.encode());
  to.set_user(from.user);
}

bool read(const pb::Exchange& from, ExchangeDef& to) {
  to.vhost = from.vhost();
  to.name = from.name();
  to.type = from.type();
  to.durable = from.durable();
  to.auto_delete = from.auto_delete();
  to.internal = from.internal();
  to.user = from.user();
  return read_table(from.arguments(), to.arguments);
}

void write(const QueueDef& from, pb::Queue& to) {
  to.set_vhost(from.vhost);
  to.set_name(from.name);
  to.set_uid(from.uid);
  to.set_type(static_cast<std::uint32_t>(from.type));
  to.set_durable(from.durable);
  to.set_exclusive(from.exclusive);
  to.set_auto_delete(from.auto_delete);
  to.set_arguments(from.arguments.encode());
  to.set_owner_connection(from.owner_connection);
  to.set_home(from.home);
  to.set_user(from.user);
}

bool read(const pb::Queue& from, QueueDef& to) {
  if (from.type() > static_cast<std::uint32_t>(QueueType::stream)) return false;
  to.vhost = from.vhost();
  to.name = from.name();
  to.uid = from.uid();
  to.type = static_cast<QueueType>(from.type());
  to.durable = from.durable();
  to.exclusive = from.exclusive();
  to.auto_delete = from.auto_delete();
  to.owner_connection = from.owner_connection();
  to.home = from.home();
  to.user = from.user();
  return read_table(from.arguments(), to.arguments);
}

void write(const BindingDef& from, pb::Binding& to) {
  to.set_vhost(from.vhost);
  to.set_source(from.source);
  to.set_destination(from.destination);
  to.set_to_exchange(!from.to_queue);
  to.set_routing_key(from.routing_key);
  to.set_arguments(from.arguments.encode());
}

bool read(const pb::Binding& from, BindingDef& to) {
  to.vhost = from.vhost();
  to.source = from.source();
  to.destination = from.destination();
  to.to_queue = !from.to_exchange();
  to.routing_key = from.routing_key();
  return read_table(from.arguments(), to.arguments);
}

void write(const PolicyDef& from, pb::Policy& to) {
  to.set_vhost(from.vhost);
  to.set_name(from.name);
  to.set_pattern(from.pattern);
  to.set_apply_to(from.apply_to);
  to.set_definition(from.definition);
  to.set_priority(from.priority);
  to.set_is_operator(from.is_operator);
}

bool read(const pb::Policy& from, PolicyDef& to) {
  to = {from.vhost(),      from.name(),     from.pattern(),    from.apply_to(),
        from.definition(), from.priority(), from.is_operator()};
  return true;
}

void write(const ParameterDef& from, pb::Parameter& to) {
  to.set_vhost(from.vhost);
  to.set_component(from.component);
  to.set_name(from.name);
  to.set_value(from.value);
}

bool read(const pb::Parameter& from, ParameterDef& to) {
  to = {from.vhost(), from.component(), from.name(), from.value()};
  return true;
}

void write(const ClusterDef& from, pb::Cluster& to) {
  to.set_id(from.id);
  to.set_name(from.name);
  for (const auto& flag : from.flags) to.add_flags(flag);
}

bool read(const pb::Cluster& from, ClusterDef& to) {
  to = {from.id(), from.name(), {from.flags().begin(), from.flags().end()}};
  return to.id.empty() || to.id.size() == kIdBytes;
}

void write(const MemberDef& from, pb::Member& to) {
  to.set_id(from.id);
  to.set_node_id(from.node_id);
  to.set_name(from.name);
  to.set_ram(from.ram);
}

bool read(const pb::Member& from, MemberDef& to) {
  to = {from.id(), from.node_id(), from.name(), from.ram()};
  return to.id != 0 && to.node_id.size() == kIdBytes;
}

}  // namespace warren::metadata
