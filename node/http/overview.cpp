// What the node and the cluster say of themselves.

#include "base/release.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/rows.h"
#include "node/server/admin_values.h"

#include <algorithm>

namespace warren::http {

namespace json = boost::json;

namespace {

json::array listener_rows(const json::array& listeners) {
  json::array out;
  for (const auto& value : listeners)
    if (const auto* row = value.if_object())
      out.push_back(json::object{{"node", text_at(*row, "node")}, {"protocol", text_at(*row, "protocol")},
                                 {"ip_address", text_at(*row, "interface")}, {"port", number_at(*row, "port")},
                                 {"socket_opts", json::object{}}});
  return out;
}

json::array exchange_types() {
  json::array out;
  for (const char* name : {"direct", "fanout", "headers", "topic"})
    out.push_back(json::object{{"name", name}, {"description", ""}, {"enabled", true}});
  return out;
}

json::object tags_json(const std::map<std::string, std::string>& tags) {
  json::object out;
  for (const auto& [key, value] : tags) out[key] = value;
  return out;
}

/// What is on nodes comes from their rows; queues and exchanges from the catalogue, which has also those of
/// nodes that are down.
json::object overview_json(const CallRef& call, const NodeSums& sums) {
  auto& broker = call->broker();
  const auto& settings = call->node.settings();
  std::uint64_t exchanges = 0, queues = 0;
  for (const auto& [name, vhost] : broker.catalogue().vhosts()) {
    if (!call->sees(name)) continue;
    exchanges += vhost.exchanges.size();
    queues += vhost.queues.size();
  }
  const bool monitors = call->has_tag(Tag::monitoring);
  return {{"management_version", broker.options().version}, {"rates_mode", settings.http.rates_mode},
          {"sample_retention_policies", json::object{}}, {"exchange_types", exchange_types()},
          {"product_name", "Warren"}, {"product_version", release().version}, {"rabbitmq_version", broker.options().version},
          {"cluster_name", broker.options().cluster_name}, {"cluster_tags", tags_json(settings.cluster.cluster_tags)},
          {"node_tags", tags_json(settings.cluster.node_tags)}, {"erlang_version", "C++20"},
          {"erlang_full_version", "C++20"}, {"disable_stats", settings.http.disable_stats},
          {"default_queue_type", broker.options().default_queue_type}, {"is_op_policy_updating_enabled", true},
          {"enable_queue_totals", false}, {"message_stats", sums.message_stats}, {"churn_rates", sums.churn_rates},
          {"queue_totals", json::object{{"messages", sums.ready + sums.unacked}, {"messages_ready", sums.ready},
                                        {"messages_unacknowledged", sums.unacked}}},
          {"object_totals", json::object{{"channels", sums.channels}, {"connections", sums.connections},
                                         {"consumers", sums.consumers}, {"exchanges", exchanges},
                                         {"queues", queues}}},
          {"statistics_db_event_queue", 0}, {"node", settings.node_name},
          {"listeners", monitors ? listener_rows(sums.listeners) : json::array{}},
          {"contexts", monitors ? sums.contexts : json::array{}}};
}

bool is_member(const CallRef& call, const std::string& name) {
  const auto members = call->node.cluster().members();
  return name == call->node.settings().node_name ||
         std::any_of(members.begin(), members.end(), [&](const auto& member) { return member.name == name; });
}

}  // namespace

void overview(const CallRef& call) {
  call->gather({"list_nodes", {}}, [call](const json::array& rows) {
    call->ok(overview_json(call, sum_nodes(rows, [&](std::string_view vhost) { return call->sees(vhost); })));
  });
}

void list_nodes(const CallRef& call) {
  call->gather({"list_nodes", {}}, [call](json::array rows) { call->list(nodes_json(std::move(rows))); });
}

void get_node(const CallRef& call) {
  call->gather({"list_nodes", {}}, [call](json::array rows) {
    for (const auto& row : nodes_json(std::move(rows)))
      if (text_at(row.get_object(), "name") == call->at("node")) return call->ok(row);
    call->not_found();
  });
}

void node_memory(const CallRef& call) {
  if (!is_member(call, call->at("node"))) return call->not_found();
  call->ask(call->at("node"), "memory_breakdown", [call](const Result<json::value>& answer) {
    const auto* parts = answer ? answer->if_object() : nullptr;
    const auto* memory = parts == nullptr ? nullptr : parts->if_contains("memory");
    if (memory == nullptr || !memory->is_object()) return call->ok(json::object{{"memory", "not_available"}});
    json::object out = memory->get_object();
    out["total"] = number_at(*parts, "total");
    call->ok(json::object{{"memory", std::move(out)}});
  });
}

void get_cluster_name(const CallRef& call) {
  call->ok(json::object{{"name", call->broker().options().cluster_name}});
}

void put_cluster_name(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  const auto* name = body.if_contains("name");
  if (name == nullptr || !name->is_string()) return call->fail(400, "bad_request", "name is missing");
  call->run("set_cluster_name", {{"name", *name}}, [call] { call->no_content(); });
}

void whoami(const CallRef& call) {
  call->ok(json::object{{"name", call->user.name}, {"tags", server::strings_json(call->tags)},
                        {"is_internal_user", true}});
}

void no_extensions(const CallRef& call) { call->list({}); }

void list_feature_flags(const CallRef& call) { call->list(call->rows("list_feature_flags", {})); }

}  // namespace warren::http
