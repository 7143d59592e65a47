// A row per node of the cluster: what /api/nodes shows, and the sums behind /api/overview and /api/vhosts.

#include "node/broker/session.h"
#include "node/server/admin.h"
#include "node/server/admin_values.h"

#include <sys/resource.h>
#include <unistd.h>


namespace warren::server {

namespace json = boost::json;

namespace {

json::array exchange_types() {
  json::array out;
  for (const char* name : {"direct", "fanout", "headers", "topic"})
    out.push_back(json::object{{"name", name}, {"description", ""}, {"enabled", true}});
  return out;
}

/// By vhost, since not everybody may see every vhost.
json::object sums_by_vhost(broker::Broker& broker) {
  struct Sums {
    std::uint64_t ready{0}, unacked{0}, consumers{0}, connections{0}, channels{0};
  };
  std::map<std::string, Sums> sums;
  for (const auto& [uid, queue] : broker.queues()) {
    const auto stats = queue->stats();
    Sums& sum = sums[queue->def().vhost];
    sum.ready += stats.ready;
    sum.unacked += stats.unacked;
    sum.consumers += stats.consumers;
  }
  for (const auto& [id, session] : broker.sessions()) {
    if (session->vhost_name().empty()) continue;  // not opened yet
    Sums& sum = sums[session->vhost_name()];
    ++sum.connections;
    sum.channels += session->connection().channel_count();
  }
  json::object out;
  for (const auto& [vhost, sum] : sums)
    out[vhost] = json::object{{"messages_ready", sum.ready}, {"messages_unacknowledged", sum.unacked},
                              {"consumers", sum.consumers}, {"connections", sum.connections},
                              {"channels", sum.channels}};
  return out;
}

json::object totals(broker::Broker& broker) {
  const auto& t = broker.totals;
  return {{"vhosts", sums_by_vhost(broker)},
          {"message_stats", json::object{{"publish", t.published}, {"confirm", t.confirmed},
                                         {"return_unroutable", t.unroutable_returned},
                                         {"drop_unroutable", t.unroutable_dropped},
                                         {"deliver_get", t.delivered}, {"ack", t.acknowledged}}},
          {"churn_rates", json::object{{"connection_created", t.connections_created},
                                       {"connection_closed", t.connections_closed},
                                       {"channel_created", t.channels_created},
                                       {"channel_closed", t.channels_closed},
                                       {"queue_declared", t.queues_declared},
                                       {"queue_created", t.queues_declared},
                                       {"queue_deleted", t.queues_deleted}}}};
}

json::array cluster_links(Node& node) {
  json::array out;
  for (const auto& peer : node.cluster().net().states()) {
    if (!peer.up) continue;
    const auto colon = peer.address.rfind(':');
    out.push_back(json::object{{"name", peer.peer.node_name}, {"peer_addr", peer.address.substr(0, colon)},
                               {"peer_port", colon == std::string::npos ? "" : peer.address.substr(colon + 1)},
                               {"stats", json::object{{"send_bytes", peer.bytes_sent},
                                                      {"recv_bytes", peer.bytes_received}}}});
  }
  return out;
}

void list_nodes(AdminCall& call) {
  Node& node = call.node;
  const auto& settings = node.settings();
  call.app->check_resources();  // what is due: just after the start nothing has been read yet
  auto& monitor = call.app->monitor();
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  std::uint64_t sockets = 0;
  for (const auto& [id, session] : call.broker().sessions()) sockets += session->vhost_name().empty() ? 0 : 1;
  json::array cut, contexts;
  for (const auto& peer : node.cluster().net().states())
    if (!peer.up) cut.push_back(json::value(peer.peer.node_name));
  for (const auto& plugin : node.plugin_listeners)
    contexts.push_back(json::object{{"node", settings.node_name}, {"description", "RabbitMQ Management"},
                                    {"path", "/"}, {"port", std::to_string(plugin.port)}});
  call.sink->row({{"name", settings.node_name}, {"type", node.local_state().ram ? "ram" : "disc"},
                  {"running", true}, {"os_pid", std::to_string(getpid())},
                  {"uptime", node.loop().wall_ms() - node.started_wall_ms()},
                  {"mem_used", monitor.memory_used()}, {"mem_limit", monitor.memory_limit()},
                  {"mem_alarm", monitor.memory_alarm()}, {"mem_calculation_strategy", "rss"},
                  {"disk_free", monitor.disk_free()}, {"disk_free_limit", monitor.disk_limit()},
                  {"disk_free_alarm", monitor.disk_alarm()},
                  {"fd_used", open_files()}, {"fd_total", static_cast<std::uint64_t>(files.rlim_cur)},
                  {"sockets_used", sockets}, {"sockets_total", static_cast<std::uint64_t>(files.rlim_cur)},
                  {"proc_used", 1}, {"proc_total", 1}, {"run_queue", 0},
                  {"processors", static_cast<std::int64_t>(sysconf(_SC_NPROCESSORS_ONLN))},
                  {"partitions", std::move(cut)}, {"net_ticktime", 60},
                  {"enabled_plugins", strings_json(node.running_plugins())}, {"applications", json::array{}},
                  {"exchange_types", exchange_types()}, {"auth_mechanisms", json::array{}},
                  {"log_files", strings_json(node.log().places())}, {"db_dir", settings.data_dir},
                  {"config_files", strings_json(node.config().files())},
                  {"cluster_links", cluster_links(node)}, {"contexts", std::move(contexts)},
                  {"rates_mode", settings.http.rates_mode}, {"being_drained", call.app->draining()}, {"context_switches", 0},
                  {"gc_num", 0}, {"io_read_count", 0}, {"io_write_count", 0}, {"io_sync_count", 0},
                  {"mnesia_ram_tx_count", 0}, {"mnesia_disk_tx_count", 0},
                  {"listeners", listeners_json(node)}, {"totals", totals(call.broker())}});
  call.sink->done(json::object{});
}

}  // namespace

json::object absent_node_row(const metadata::MemberDef& member) {
  return {{"name", member.name}, {"type", member.ram ? "ram" : "disc"}, {"running", false}};
}

void add_node_methods(AdminTable& table) { table["list_nodes"] = {Needs::app, list_nodes}; }

}  // namespace warren::server
