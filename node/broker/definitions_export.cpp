#include "node/broker/definitions.h"
#include "node/broker/json_values.h"

#include <boost/json/serialize.hpp>
#include <fmt/format.h>

namespace warren::broker {

namespace json = boost::json;

namespace {

/// Text of the catalogue that holds JSON, as JSON.
json::value raw(const std::string& text) {
  auto parsed = parse_json(text);
  return parsed ? std::move(*parsed) : json::value(text);
}

json::array list_of(const std::vector<std::string>& words) {
  json::array out;
  for (const auto& word : words) out.emplace_back(word);
  return out;
}

json::object object_of(const std::map<std::string, std::int64_t>& numbers) {
  json::object out;
  for (const auto& [name, value] : numbers) out[name] = value;
  return out;
}

json::object to_json(const metadata::UserDef& def) {
  return {{"name", def.name},
          {"password_hash", def.password_hash},
          {"hashing_algorithm", def.hashing_algorithm},
          {"tags", list_of(def.tags)},
          {"limits", object_of(def.limits)}};
}

json::object to_json(const metadata::VhostDef& def) {
  json::object facts{{"description", def.description}, {"tags", list_of(def.tags)}};
  if (!def.default_queue_type.empty()) facts["default_queue_type"] = def.default_queue_type;
  json::object out{{"name", def.name}};
  for (const auto& entry : facts) out.insert(entry);
  out["metadata"] = std::move(facts);
  if (def.tracing) out["tracing"] = true;
  if (def.protected_from_deletion) out["protected_from_deletion"] = true;
  return out;
}

/// Objects of a vhost begin with their name and, in a document of the whole cluster, their vhost.
class VhostWriter {
 public:
  VhostWriter(const metadata::Vhost& vhost, bool with_vhost)
      : vhost_(vhost), with_vhost_(with_vhost) {}

  void policies(json::array& out) const {
    for (const auto& [name, def] : vhost_.policies) {
      json::object object;
      if (with_vhost_) object["vhost"] = def.vhost;
      object["name"] = name;
      fill_policy(object, def);
      out.push_back(std::move(object));
    }
  }
  void operator_policies(json::array& parameters) const {
    for (const auto& [name, def] : vhost_.operator_policies) {
      json::object value;
      fill_policy(value, def);
      json::object object{{"value", std::move(value)}};
      object["vhost"] = def.vhost;
      object["component"] = "operator_policy";
      object["name"] = name;
      parameters.push_back(std::move(object));
    }
  }
  void queues(json::array& out) const {
    for (const auto& [name, def] : vhost_.queues) {
      if (def.exclusive) continue;  // goes with its connection
      json::object object = named(name);
      object["durable"] = def.durable;
      object["auto_delete"] = def.auto_delete;
      json::object arguments = table_to_json(def.arguments);
      // A type that came from a default must not change with the next server's default.
      if (def.type != metadata::QueueType::classic && !arguments.contains("x-queue-type"))
        arguments["x-queue-type"] = metadata::queue_type_name(def.type);
      object["arguments"] = std::move(arguments);
      out.push_back(std::move(object));
    }
  }
  void exchanges(json::array& out) const {
    for (const auto& [name, def] : vhost_.exchanges) {
      if (name.empty() || name.starts_with("amq.")) continue;
      json::object object = named(name);
      object["type"] = def.type;
      object["durable"] = def.durable;
      object["auto_delete"] = def.auto_delete;
      object["internal"] = def.internal;
      object["arguments"] = table_to_json(def.arguments);
      out.push_back(std::move(object));
    }
  }
  void bindings(json::array& out) const {
    for (const auto& [key, def] : vhost_.bindings) {
      if (def.to_queue) {
        const auto queue = vhost_.queues.find(def.destination);
        if (queue == vhost_.queues.end() || queue->second.exclusive) continue;
      }
      json::object object{{"source", def.source}};
      if (with_vhost_) object["vhost"] = def.vhost;
      object["destination"] = def.destination;
      object["destination_type"] = def.to_queue ? "queue" : "exchange";
      object["routing_key"] = def.routing_key;
      object["arguments"] = table_to_json(def.arguments);
      out.push_back(std::move(object));
    }
  }

 private:
  json::object named(const std::string& name) const {
    json::object out{{"name", name}};
    if (with_vhost_) out["vhost"] = vhost_.def.name;
    return out;
  }
  static void fill_policy(json::object& to, const metadata::PolicyDef& def) {
    to["pattern"] = def.pattern;
    to["apply-to"] = def.apply_to.empty() ? "all" : def.apply_to;
    to["definition"] = raw(def.definition);
    to["priority"] = def.priority;
  }

  const metadata::Vhost& vhost_;
  const bool with_vhost_;
};

json::object to_json(const metadata::ParameterDef& def) {
  return {{"value", raw(def.value)},
          {"vhost", def.vhost},
          {"component", def.component},
          {"name", def.name}};
}

void add_topology(json::object& out, const std::vector<const metadata::Vhost*>& vhosts,
                  bool with_vhost) {
  json::array policies, queues, exchanges, bindings;
  for (const auto* vhost : vhosts) {
    const VhostWriter write(*vhost, with_vhost);
    write.policies(policies);
    write.queues(queues);
    write.exchanges(exchanges);
    write.bindings(bindings);
  }
  out["policies"] = std::move(policies);
  out["queues"] = std::move(queues);
  out["exchanges"] = std::move(exchanges);
  out["bindings"] = std::move(bindings);
}

}  // namespace

std::vector<metadata::ParameterDef> listed_parameters(const metadata::Catalogue& catalogue) {
  std::vector<metadata::ParameterDef> out;
  for (auto& def : catalogue.parameters())
    if (!def.vhost.empty()) out.push_back(std::move(def));
  for (const auto& [name, vhost] : catalogue.vhosts())
    if (!vhost.def.limits.empty())
      out.push_back({name, "vhost-limits", "limits",
                     json::serialize(object_of(vhost.def.limits))});
  return out;
}

std::string export_definitions(const metadata::Catalogue& catalogue, const ProductInfo& product) {
  json::object out{{"rabbit_version", product.compatible_version},
                   {"rabbitmq_version", product.compatible_version},
                   {"product_name", product.name},
                   {"product_version", product.version}};
  json::array users, vhosts, permissions, topic_permissions, parameters, global_parameters;
  std::vector<const metadata::Vhost*> all;
  for (const auto& [name, user] : catalogue.users()) users.push_back(to_json(user));
  for (const auto& [name, vhost] : catalogue.vhosts()) {
    vhosts.push_back(to_json(vhost.def));
    all.push_back(&vhost);
  }
  for (const auto& def : catalogue.permissions())
    permissions.push_back(json::object{{"user", def.user},
                                       {"vhost", def.vhost},
                                       {"configure", def.configure},
                                       {"write", def.write},
                                       {"read", def.read}});
  for (const auto& def : catalogue.topic_permissions())
    topic_permissions.push_back(json::object{{"user", def.user},
                                             {"vhost", def.vhost},
                                             {"exchange", def.exchange},
                                             {"write", def.write},
                                             {"read", def.read}});
  for (const auto& def : listed_parameters(catalogue)) parameters.push_back(to_json(def));
  for (const auto* vhost : all) VhostWriter(*vhost, true).operator_policies(parameters);
  for (const auto& def : catalogue.parameters())
    if (def.vhost.empty())
      global_parameters.push_back(json::object{{"name", def.name}, {"value", raw(def.value)}});
  out["users"] = std::move(users);
  out["vhosts"] = std::move(vhosts);
  out["permissions"] = std::move(permissions);
  out["topic_permissions"] = std::move(topic_permissions);
  out["parameters"] = std::move(parameters);
  out["global_parameters"] = std::move(global_parameters);
  add_topology(out, all, true);
  return json::serialize(out);
}

Result<std::string> export_vhost_definitions(const metadata::Catalogue& catalogue,
                                             std::string_view vhost, const ProductInfo& product) {
  const metadata::Vhost* found = catalogue.find_vhost(vhost);
  if (found == nullptr) return make_error(Errc::not_found, fmt::format("no vhost '{}'", vhost));
  json::object out{{"rabbit_version", product.compatible_version}};
  json::array parameters;
  for (const auto& def : listed_parameters(catalogue))
    if (def.vhost == vhost) parameters.push_back(to_json(def));
  VhostWriter(*found, false).operator_policies(parameters);
  out["parameters"] = std::move(parameters);
  add_topology(out, {found}, false);
  return json::serialize(out);
}

}  // namespace warren::broker
