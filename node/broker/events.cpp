#include "node/broker/events.h"

#include "node/amqp/properties.h"
#include "node/broker/session.h"

namespace warren::broker {

namespace {

using Pairs = std::initializer_list<std::pair<const char*, std::string>>;

FieldTable texts(Pairs pairs) {
  FieldTable table;
  for (const auto& [name, value] : pairs) table.set(name, FieldValue(value));
  return table;
}

FieldTable describe(const metadata::QueueDef& def) {
  FieldTable t = texts({{"name", def.name}, {"vhost", def.vhost}, {"type", metadata::queue_type_name(def.type)},
                        {"user_who_performed_action", def.user}});
  t.set("durable", FieldValue(def.durable));
  t.set("auto_delete", FieldValue(def.auto_delete));
  t.set("exclusive", FieldValue(def.exclusive));
  t.set("arguments", FieldValue(def.arguments));
  return t;
}

FieldTable describe(const metadata::ExchangeDef& def) {
  FieldTable t = texts({{"name", def.name}, {"vhost", def.vhost}, {"type", def.type},
                        {"user_who_performed_action", def.user}});
  t.set("durable", FieldValue(def.durable));
  t.set("auto_delete", FieldValue(def.auto_delete));
  t.set("internal", FieldValue(def.internal));
  t.set("arguments", FieldValue(def.arguments));
  return t;
}

FieldTable describe(const metadata::BindingDef& def) {
  FieldTable t = texts({{"source_name", def.source}, {"source_kind", "exchange"},
                        {"destination_name", def.destination},
                        {"destination_kind", def.to_queue ? "queue" : "exchange"},
                        {"routing_key", def.routing_key}, {"vhost", def.vhost}});
  t.set("arguments", FieldValue(def.arguments));
  return t;
}

FieldTable describe(const Session& session) {
  const auto& peer = session.peer();
  FieldTable t = texts({{"name", session.name()}, {"user", session.user()}, {"vhost", session.vhost_name()},
                        {"host", peer.host}, {"peer_host", peer.peer_host}, {"protocol", "{0,9,1}"},
                        {"auth_mechanism", session.mechanism()},
                        {"user_provided_name", session.user_provided_name()}});
  t.set("port", FieldValue(static_cast<std::int32_t>(peer.port)));
  t.set("peer_port", FieldValue(static_cast<std::int32_t>(peer.peer_port)));
  t.set("ssl", FieldValue(peer.tls));
  t.set("client_properties", FieldValue(session.connection().client_properties()));
  return t;
}

using Found = std::vector<std::pair<std::string, FieldTable>>;

/// Compares a command with the catalogue as it stands before it.
struct CommandEvents {
  const metadata::Catalogue& catalogue;
  Found found;

  void add(const char* key, FieldTable data) { found.emplace_back(key, std::move(data)); }

  void operator()(const metadata::PutUser& c) {
    const auto* old = catalogue.find_user(c.def.name);
    if (old == nullptr) return add("user.created", texts({{"name", c.def.name}}));
    if (old->password_hash != c.def.password_hash)
      add(c.def.password_hash.empty() ? "user.password.cleared" : "user.password.changed",
          texts({{"name", c.def.name}}));
    if (old->tags != c.def.tags) {
      FieldTable data = texts({{"name", c.def.name}});
      FieldArray tags;
      for (const auto& tag : c.def.tags) tags.emplace_back(FieldValue(tag));
      data.set("tags", FieldValue(std::move(tags)));
      add("user.tags.set", std::move(data));
    }
  }
  void operator()(const metadata::DeleteUser& c) { add("user.deleted", texts({{"name", c.name}})); }
  void operator()(const metadata::PutPermission& c) {
    add("permission.created", texts({{"user", c.def.user}, {"vhost", c.def.vhost},
                                     {"configure", c.def.configure}, {"write", c.def.write},
                                     {"read", c.def.read}}));
  }
  void operator()(const metadata::DeletePermission& c) {
    add("permission.deleted", texts({{"user", c.user}, {"vhost", c.vhost}}));
  }
  void operator()(const metadata::PutTopicPermission& c) {
    add("topic.permission.created", texts({{"user", c.def.user}, {"vhost", c.def.vhost},
                                           {"exchange", c.def.exchange}, {"write", c.def.write},
                                           {"read", c.def.read}}));
  }
  void operator()(const metadata::DeleteTopicPermission& c) {
    add("topic.permission.deleted", texts({{"user", c.user}, {"vhost", c.vhost}, {"exchange", c.exchange}}));
  }
  void operator()(const metadata::PutPolicy& c) {
    add("policy.set", texts({{"name", c.def.name}, {"vhost", c.def.vhost}, {"pattern", c.def.pattern},
                             {"apply-to", c.def.apply_to}, {"definition", c.def.definition}}));
  }
  void operator()(const metadata::DeletePolicy& c) {
    add("policy.cleared", texts({{"name", c.name}, {"vhost", c.vhost}}));
  }
  void operator()(const metadata::PutParameter& c) {
    add("parameter.set", texts({{"name", c.def.name}, {"vhost", c.def.vhost}, {"component", c.def.component}}));
  }
  void operator()(const metadata::DeleteParameter& c) {
    add("parameter.cleared", texts({{"name", c.name}, {"vhost", c.vhost}, {"component", c.component}}));
  }
  void operator()(const metadata::PutVhost& c) {
    const auto* old = catalogue.find_vhost(c.def.name);
    if (old == nullptr) return add("vhost.created", texts({{"name", c.def.name}}));
    if (old->def.limits != c.def.limits)
      add(c.def.limits.empty() ? "vhost.limits.cleared" : "vhost.limits.set", texts({{"name", c.def.name}}));
  }
  template <class Other>
  void operator()(const Other&) {}  // told by its effects
};

}  // namespace

bool Events::on() const {
  VhostRuntime* vhost = broker_.vhost("/");
  return vhost != nullptr && vhost->router.has_exchange(kEventExchange);
}

void Events::emit(std::string_view key, FieldTable data) {
  VhostRuntime* vhost = broker_.vhost("/");
  if (vhost == nullptr || !vhost->router.has_exchange(kEventExchange)) return;
  amqp::BasicProperties properties;
  data.set("timestamp_in_ms", FieldValue(static_cast<std::int64_t>(broker_.wall_ms())));
  properties.headers = std::move(data);
  properties.delivery_mode = std::uint8_t{2};
  properties.timestamp = static_cast<std::uint64_t>(broker_.wall_ms()) / 1000;
  const std::string routing_key(key);
  broker_.publish_internal(*vhost, kEventExchange, {&routing_key, 1},
                           amqp::encode_properties(properties), {});
}

Found Events::of_command(const metadata::Command& command) const {
  if (!on()) return {};
  CommandEvents events{broker_.catalogue(), {}};
  std::visit(events, command);
  return std::move(events.found);
}

void Events::of_effect(const metadata::Effect& effect, bool fresh) {
  if (!on()) return;
  if (const auto* e = std::get_if<metadata::QueuePut>(&effect); e != nullptr && fresh)
    emit("queue.created", describe(e->def));
  if (const auto* e = std::get_if<metadata::QueueDeleted>(&effect)) emit("queue.deleted", describe(e->def));
  if (const auto* e = std::get_if<metadata::ExchangePut>(&effect); e != nullptr && fresh)
    emit("exchange.created", describe(e->def));
  if (const auto* e = std::get_if<metadata::ExchangeDeleted>(&effect))
    emit("exchange.deleted", texts({{"name", e->name}, {"vhost", e->vhost}}));
  if (const auto* e = std::get_if<metadata::BindingPut>(&effect)) emit("binding.created", describe(e->def));
  if (const auto* e = std::get_if<metadata::BindingDeleted>(&effect)) emit("binding.deleted", describe(e->def));
  if (const auto* e = std::get_if<metadata::VhostDeleted>(&effect))
    emit("vhost.deleted", texts({{"name", e->name}}));
}

void Events::connection(const Session& session, bool created) {
  if (on()) emit(created ? "connection.created" : "connection.closed", describe(session));
}

void Events::channel(const Session& session, std::uint16_t number, bool created) {
  if (!on()) return;
  FieldTable data = texts({{"connection", session.name()}, {"user", session.user()}, {"vhost", session.vhost_name()},
                           {"name", session.name() + " (" + std::to_string(number) + ")"}});
  data.set("number", FieldValue(static_cast<std::int32_t>(number)));
  emit(created ? "channel.created" : "channel.closed", std::move(data));
}

void Events::consumer(const Session& session, std::uint16_t channel, const std::string& tag,
                      const metadata::QueueDef& queue, bool ack_required, bool created) {
  if (!on()) return;
  FieldTable data = texts({{"consumer_tag", tag}, {"queue", queue.name}, {"vhost", queue.vhost},
                           {"channel", session.name() + " (" + std::to_string(channel) + ")"}});
  data.set("ack_required", FieldValue(ack_required));
  emit(created ? "consumer.created" : "consumer.deleted", std::move(data));
}

void Events::login(const Session& session, std::string_view user, bool success, std::string_view why) {
  if (!on()) return;
  FieldTable data = texts({{"name", std::string(user)}, {"connection_name", session.name()},
                           {"connection_type", "network"}, {"protocol", "{0,9,1}"},
                           {"auth_mechanism", session.mechanism()}, {"peer_host", session.peer().peer_host}});
  if (!success) data.set("error", FieldValue(std::string(why)));
  emit(success ? "user.authentication.success" : "user.authentication.failure", std::move(data));
}

void Events::alarm(const std::string& node, const std::string& resource, bool set) {
  if (on()) emit(set ? "alarm.set" : "alarm.cleared", texts({{"node", node}, {"resource", resource}}));
}

}  // namespace warren::broker
