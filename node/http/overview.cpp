// What the node and the cluster say of themselves.

#include "node/broker/routing/exchange_types.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/listing.h"
#include "node/server/admin_values.h"

#include <unistd.h>

namespace warren::http {

namespace json = boost::json;

namespace {

json::object counters(const broker::QueueCounters& c) {
  return {{"publish", c.publish}, {"deliver", c.deliver}, {"deliver_no_ack", c.deliver_no_ack},
          {"get", c.get}, {"get_no_ack", c.get_no_ack}, {"get_empty", c.get_empty},
          {"deliver_get", c.deliver + c.deliver_no_ack + c.get + c.get_no_ack},
          {"redeliver", c.redeliver}, {"ack", c.ack}};
}

json::array listener_rows(const CallRef& call) {
  json::array out;
  for (const auto& listener : server::listeners_json(call->node))
    out.push_back(json::object{{"node", listener.at("node")}, {"protocol", listener.at("protocol")},
                               {"ip_address", listener.at("interface")}, {"port", listener.at("port")},
                               {"socket_opts", json::object{}}});
  return out;
}

json::array exchange_types() {
  json::array out;
  for (const char* name : {"direct", "fanout", "headers", "topic"})
    out.push_back(json::object{{"name", name}, {"description", ""}, {"enabled", true}});
  return out;
}

json::array contexts(const CallRef& call) {
  return {json::object{{"node", call->node.settings().node_name}, {"description", "Management"}, {"path", "/"},
                       {"port", std::to_string(call->node.settings().http.port)}}};
}

std::uint64_t number(const json::object& object, std::string_view key) {
  const auto* value = object.if_contains(key);
  return value != nullptr && value->is_number() ? value->to_number<std::uint64_t>() : 0;
}

}  // namespace

json::object queue_counters(const broker::QueueStats& stats) { return counters(stats.counters); }

void overview(const CallRef& call) {
  auto& broker = call->broker();
  const auto& settings = call->node.settings();
  std::uint64_t ready = 0, unacked = 0, consumers = 0, exchanges = 0, queues = 0, connections = 0, channels = 0;
  for (const auto& name : call->vhosts()) exchanges += broker.catalogue().find_vhost(name)->exchanges.size();
  for (const auto& [uid, queue] : broker.queues()) {
    if (!call->sees(queue->def().vhost)) continue;
    const auto stats = queue->stats();
    ++queues;
    ready += stats.ready;
    unacked += stats.unacked;
    consumers += stats.consumers;
  }
  for (const auto& [id, session] : broker.sessions()) {
    if (session->vhost_name().empty() || !call->sees(session->vhost_name())) continue;
    ++connections;
    channels += session->connection().channel_count();
  }
  const auto& t = broker.totals;
  json::object tags;
  for (const auto& [key, value] : settings.cluster.cluster_tags) tags[key] = value;
  json::object node_tags;
  for (const auto& [key, value] : settings.cluster.node_tags) node_tags[key] = value;
  call->ok(json::object{
      {"management_version", broker.options().version}, {"rates_mode", settings.http.rates_mode},
      {"sample_retention_policies", json::object{}}, {"exchange_types", exchange_types()},
      {"product_name", "Warren"}, {"product_version", "0.1.0"}, {"rabbitmq_version", broker.options().version},
      {"cluster_name", broker.options().cluster_name}, {"cluster_tags", tags}, {"node_tags", node_tags},
      {"erlang_version", "C++20"}, {"erlang_full_version", "C++20"}, {"disable_stats", settings.http.disable_stats},
      {"default_queue_type", broker.options().default_queue_type}, {"is_op_policy_updating_enabled", true},
      {"enable_queue_totals", false},
      {"message_stats", json::object{{"publish", t.published}, {"confirm", t.confirmed},
                                     {"return_unroutable", t.unroutable_returned},
                                     {"drop_unroutable", t.unroutable_dropped},
                                     {"deliver_get", t.delivered}, {"ack", t.acknowledged}}},
      {"churn_rates", json::object{{"connection_created", t.connections_created},
                                   {"connection_closed", t.connections_closed},
                                   {"channel_created", t.channels_created},
                                   {"channel_closed", t.channels_closed},
                                   {"queue_declared", t.queues_declared},
                                   {"queue_created", t.queues_declared}, {"queue_deleted", t.queues_deleted}}},
      {"queue_totals", json::object{{"messages", ready + unacked}, {"messages_ready", ready},
                                    {"messages_unacknowledged", unacked}}},
      {"object_totals", json::object{{"channels", channels}, {"connections", connections},
                                     {"consumers", consumers}, {"exchanges", exchanges}, {"queues", queues}}},
      {"statistics_db_event_queue", 0}, {"node", settings.node_name},
      {"listeners", call->has_tag(Tag::monitoring) ? listener_rows(call) : json::array{}},
      {"contexts", call->has_tag(Tag::monitoring) ? contexts(call) : json::array{}}});
}

namespace {

json::object node_row(const CallRef& call) {
  const auto result = call->result("status");
  const json::object status = result.is_object() ? result.as_object() : json::object{};
  auto& monitor = call->app().monitor();
  const auto& settings = call->node.settings();
  json::object files, processes;
  if (const auto* value = status.if_contains("file_descriptors"); value != nullptr && value->is_object())
    files = value->as_object();
  std::uint64_t sockets = 0;
  for (const auto& [id, session] : call->broker().sessions()) sockets += session->vhost_name().empty() ? 0 : 1;
  json::array plugins;
  if (const auto* value = status.if_contains("active_plugins"); value != nullptr && value->is_array())
    plugins = value->as_array();
  return {{"name", settings.node_name}, {"type", settings.cluster.ram_node ? "ram" : "disc"}, {"running", true},
          {"os_pid", std::to_string(getpid())},
          {"uptime", call->node.loop().wall_ms() - call->node.started_wall_ms()},
          {"mem_used", monitor.memory_used()}, {"mem_limit", monitor.memory_limit()},
          {"mem_alarm", monitor.memory_alarm()}, {"mem_calculation_strategy", "rss"},
          {"disk_free", monitor.disk_free()}, {"disk_free_limit", monitor.disk_limit()},
          {"disk_free_alarm", monitor.disk_alarm()},
          {"fd_used", number(files, "total_used")}, {"fd_total", number(files, "total_limit")},
          {"sockets_used", sockets}, {"sockets_total", number(files, "sockets_limit")},
          {"proc_used", 1}, {"proc_total", 1}, {"run_queue", 0},
          {"processors", sysconf(_SC_NPROCESSORS_ONLN)}, {"partitions", json::array{}}, {"net_ticktime", 60},
          {"enabled_plugins", plugins}, {"applications", json::array{}},
          {"exchange_types", exchange_types()}, {"auth_mechanisms", json::array{}},
          {"log_files", server::strings_json(call->node.log().places())}, {"db_dir", settings.data_dir},
          {"config_files", server::strings_json(call->node.config().files())},
          {"cluster_links", json::array{}}, {"contexts", contexts(call)},
          {"rates_mode", settings.http.rates_mode}, {"being_drained", false}, {"context_switches", 0},
          {"gc_num", 0}, {"io_read_count", 0}, {"io_write_count", 0}, {"io_sync_count", 0},
          {"mnesia_ram_tx_count", 0}, {"mnesia_disk_tx_count", 0}};
}

bool this_node(const CallRef& call) {
  if (call->at("node") == call->node.settings().node_name) return true;
  call->not_found();
  return false;
}

}  // namespace

void list_nodes(const CallRef& call) { call->list({node_row(call)}); }

void get_node(const CallRef& call) {
  if (this_node(call)) call->ok(node_row(call));
}

void node_memory(const CallRef& call) {
  if (!this_node(call)) return;
  auto result = call->result("memory_breakdown");
  if (!result.is_object()) return call->not_found();
  json::object memory = result.as_object().at("memory").as_object();
  memory["total"] = result.as_object().at("total");
  call->ok(json::object{{"memory", std::move(memory)}});
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
  call->ok(json::object{{"name", call->user.name}, {"tags", server::strings_json(call->user.tags)},
                        {"is_internal_user", true}});
}

void no_extensions(const CallRef& call) { call->list({}); }

void list_feature_flags(const CallRef& call) { call->list(call->rows("list_feature_flags", {})); }

}  // namespace warren::http
