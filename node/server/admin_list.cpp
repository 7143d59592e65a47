// Listings: queues, exchanges, bindings, connections, channels, consumers.

#include "node/broker/channel.h"
#include "node/server/admin.h"
#include "node/server/admin_values.h"

#include <fmt/format.h>

namespace warren::server {

namespace json = boost::json;

namespace {

void done(AdminCall& call) { call.sink->done(json::object{}); }

std::string name_of(const metadata::PolicyDef* policy) { return policy == nullptr ? "" : policy->name; }

json::object queue_row(AdminCall& call, const broker::Queue& queue) {
  const auto& def = queue.def();
  const auto stats = queue.stats();
  const auto policies = call.broker().policies_for(def);
  const std::string& node = call.node.settings().node_name;
  const auto& count = stats.counters;
  json::object row{
      {"name", def.name}, {"vhost", def.vhost}, {"durable", def.durable},
      {"auto_delete", def.auto_delete}, {"exclusive", def.exclusive},
      {"arguments", table_json(def.arguments)},
      {"policy", name_of(policies.policy)}, {"operator_policy", name_of(policies.operator_policy)},
      {"effective_policy_definition", parsed_json(broker::effective_policy_definition(policies))},
      {"pid", queue_pid(call.node, def.uid)}, {"type", metadata::queue_type_name(def.type)},
      {"messages_ready", stats.ready}, {"messages_unacknowledged", stats.unacked},
      {"messages", stats.ready + stats.unacked}, {"messages_ready_ram", stats.ready_ram},
      {"messages_unacknowledged_ram", stats.unacked_ram},
      {"messages_ram", stats.ready_ram + stats.unacked_ram},
      {"messages_persistent", stats.persistent},
      {"message_bytes", stats.ready_bytes + stats.unacked_bytes},
      {"message_bytes_ready", stats.ready_bytes}, {"message_bytes_unacknowledged", stats.unacked_bytes},
      {"message_bytes_ram", stats.bytes_ram}, {"message_bytes_persistent", stats.persistent_bytes},
      {"disk_reads", 0}, {"disk_writes", 0}, {"consumers", stats.consumers},
      {"consumer_utilisation", stats.consumers == 0 ? 0.0 : 1.0},
      {"consumer_capacity", stats.consumers == 0 ? 0.0 : 1.0},
      {"memory", stats.memory_bytes}, {"state", stats.state}, {"node", node}, {"leader", node},
      {"members", json::array{node}}, {"online", json::array{node}},
      {"slave_pids", json::array{}}, {"synchronised_slave_pids", json::array{}},
      {"mirror_pids", json::array{}}, {"synchronised_mirror_pids", json::array{}}};
  row["head_message_timestamp"] = stats.head_timestamp ? json::value(*stats.head_timestamp) : json::value(nullptr);
  row["owner_pid"] = nullptr;
  if (def.exclusive)
    if (auto owner = call.broker().sessions().find(def.owner_connection); owner != call.broker().sessions().end()) {
      row["owner_pid"] = connection_pid(call.node, *owner->second);
      row["owner_pid_details"] = json::object{{"name", owner->second->name()},
                                              {"peer_host", owner->second->peer().peer_host},
                                              {"peer_port", owner->second->peer().peer_port}};
    }
  row["message_stats"] = json::object{
      {"publish", count.publish}, {"deliver", count.deliver}, {"deliver_no_ack", count.deliver_no_ack},
      {"get", count.get}, {"get_no_ack", count.get_no_ack}, {"get_empty", count.get_empty},
      {"deliver_get", count.deliver + count.deliver_no_ack + count.get + count.get_no_ack},
      {"redeliver", count.redeliver}, {"ack", count.ack}};
  row["exclusive_consumer_tag"] = stats.exclusive_consumer_tag;
  row["exclusive_consumer_pid"] = nullptr;
  row["single_active_consumer_tag"] = stats.single_active_tag;
  return row;
}

void list_queues(AdminCall& call) {
  if (call.flag("offline")) return done(call);  // those are listed for members that do not answer
  if (call.args.contains("name")) {  // only this one
    if (auto queue = call.broker().queue(call.vhost(), call.text("name"))) call.sink->row(queue_row(call, *queue));
    return done(call);
  }
  for (const auto& [vhost_name, vhost] : call.broker().catalogue().vhosts()) {
    if (!call.flag("all_vhosts") && vhost_name != call.vhost()) continue;
    for (const auto& [name, def] : vhost.queues)
      if (auto queue = call.broker().queue(def.uid))
        if (!call.sink->row(queue_row(call, *queue))) return;
  }
  done(call);
}

void list_exchanges(AdminCall& call) {
  const auto* vhost = call.broker().catalogue().find_vhost(call.vhost());
  // The default exchange stands in no catalogue; listings show it all the same.
  const bool stored = vhost->exchanges.contains("");
  if (!stored)
    call.sink->row({{"name", ""}, {"vhost", call.vhost()}, {"type", "direct"}, {"durable", true},
                    {"auto_delete", false}, {"internal", false}, {"arguments", json::array{}},
                    {"policy", ""}, {"user_who_performed_action", "rmq-internal"}});
  for (const auto& [name, def] : vhost->exchanges)
    if (!call.sink->row({{"name", name}, {"vhost", def.vhost}, {"type", def.type},
                         {"durable", def.durable}, {"auto_delete", def.auto_delete},
                         {"internal", def.internal}, {"arguments", table_json(def.arguments)},
                         {"policy", name_of(call.broker().policies_for(def).policy)},
                         {"user_who_performed_action", def.user}}))
      return;
  done(call);
}

void list_bindings(AdminCall& call) {
  const auto* vhost = call.broker().catalogue().find_vhost(call.vhost());
  const auto row = [&](const std::string& source, const std::string& destination, bool to_queue,
                       const std::string& key, json::array arguments) {
    return call.sink->row({{"source_name", source}, {"source_kind", "exchange"},
                           {"destination_name", destination},
                           {"destination_kind", to_queue ? "queue" : "exchange"},
                           {"routing_key", key}, {"arguments", std::move(arguments)},
                           {"vhost", call.vhost()}});
  };
  for (const auto& [name, def] : vhost->queues)
    if (!row("", name, true, name, {})) return;
  for (const auto& [key, def] : vhost->bindings)
    if (!row(def.source, def.destination, def.to_queue, def.routing_key, table_json(def.arguments))) return;
  done(call);
}

void list_connections(AdminCall& call) {
  for (const auto& [id, session] : call.broker().sessions()) {
    const auto& peer = session->peer();
    const auto& connection = session->connection();
    const auto& traffic = session->traffic();
    if (session->vhost_name().empty()) continue;  // not opened yet
    if (!call.sink->row(
            {{"pid", connection_pid(call.node, *session)}, {"name", session->name()},
             {"port", peer.port}, {"host", peer.host}, {"peer_port", peer.peer_port},
             {"peer_host", peer.peer_host}, {"ssl", peer.tls}, {"ssl_protocol", peer.tls_protocol},
             {"ssl_key_exchange", peer.tls_key_exchange}, {"ssl_cipher", peer.tls_cipher},
             {"ssl_hash", peer.tls_hash}, {"peer_cert_subject", peer.cert_subject},
             {"peer_cert_issuer", peer.cert_issuer}, {"peer_cert_validity", peer.cert_validity},
             {"state", session->state_name()}, {"channels", connection.channel_count()},
             {"protocol", "{0,9,1}"}, {"auth_mechanism", session->mechanism()},
             {"user", session->user()}, {"vhost", session->vhost_name()},
             {"timeout", connection.heartbeat_s()}, {"frame_max", connection.frame_max()},
             {"channel_max", connection.channel_max()},
             {"client_properties", table_json(connection.client_properties())},
             {"recv_oct", traffic.recv_oct}, {"recv_cnt", traffic.recv_cnt},
             {"send_oct", traffic.send_oct}, {"send_cnt", traffic.send_cnt},
             {"send_pend", session->output_bytes()}, {"connected_at", session->connected_at()},
             {"user_provided_name", session->user_provided_name()},
             {"node", call.node.settings().node_name}}))
      return;
  }
  done(call);
}

void list_channels(AdminCall& call) {
  for (const auto& [id, session] : call.broker().sessions()) {
    bool open = true;
    session->connection().for_each_channel([&](std::uint16_t number, amqp::ChannelHandler& handler) {
      const auto& channel = static_cast<broker::Channel&>(handler);
      const auto info = channel.info();
      open = open && call.sink->row(
          {{"pid", channel_pid(call.node, *session, number)},
           {"connection", connection_pid(call.node, *session)}, {"name", channel.name()},
           {"number", number}, {"user", session->user()}, {"vhost", session->vhost_name()},
           {"transactional", info.transactional}, {"confirm", info.confirm},
           {"consumer_count", info.consumers}, {"messages_unacknowledged", info.unacked},
           {"messages_uncommitted", info.uncommitted}, {"acks_uncommitted", info.acks_uncommitted},
           {"messages_unconfirmed", info.unconfirmed}, {"prefetch_count", info.prefetch},
           {"global_prefetch_count", info.global_prefetch}, {"state", "running"},
           {"node", call.node.settings().node_name}});
    });
    if (!open) return;
  }
  done(call);
}

void list_consumers(AdminCall& call) {
  for (const auto& [uid, queue] : call.broker().queues()) {
    const auto& def = queue->def();
    if (!call.flag("all_vhosts") && def.vhost != call.vhost()) continue;
    if (call.args.contains("name") && def.name != call.text("name")) continue;
    for (const auto& consumer : queue->consumers()) {
      const auto& spec = consumer.spec;
      // Its client may be on another node than the queue.
      const auto* client = spec.node == 0 ? nullptr : call.broker().catalogue().find_member(spec.node);
      if (!call.sink->row({{"queue_name", def.name}, {"vhost", def.vhost},
                           {"channel_pid", pid_text(call.node, spec.connection * 8 + 1)},
                           {"channel_name", spec.channel_name}, {"user", spec.user},
                           {"node", client == nullptr ? call.node.settings().node_name : client->name},
                           {"consumer_tag", spec.tag}, {"ack_required", !spec.no_ack},
                           {"exclusive", spec.exclusive}, {"prefetch_count", spec.prefetch},
                           {"active", consumer.active}, {"activity_status", consumer.activity_status},
                           {"arguments", table_json(spec.arguments)}}))
        return;
    }
  }
  done(call);
}

void nothing_unresponsive(AdminCall& call) { done(call); }  // queues answer in the same loop turn

std::size_t close_sessions(AdminCall& call, const std::function<bool(broker::Session&)>& chosen,
                           std::size_t limit) {
  const std::string reason = call.text("reason");
  std::vector<broker::Session*> doomed;
  for (const auto& [id, session] : call.broker().sessions())
    if (doomed.size() < limit && chosen(*session)) doomed.push_back(session);
  for (broker::Session* session : doomed) session->close(amqp::ReplyCode::connection_forced, reason);
  return doomed.size();
}

/// After this node's part: all others do the same with theirs, at once; silent ones are not waited for.
void close_on_others(AdminCall& call, const char* method, std::size_t closed) {
  const auto others = call.node.cluster().other_names();
  if (call.flag("local_only") || others.empty()) return call.sink->done(json::object{{"closed", closed}});
  json::object args = call.args;
  args["local_only"] = true;
  call.node.cluster().ask_members(
      others, method, args, call.within(call.node.settings().cluster.status_timeout_ms),
      [sink = call.sink, closed](std::vector<transport::NodeAnswer> answers) {
        std::uint64_t all = closed;
        for (const auto& one : answers) {
          const auto* said = one.answer ? one.answer->result.if_object() : nullptr;
          const auto* count = said == nullptr ? nullptr : said->if_contains("closed");
          boost::system::error_code ec;
          if (count != nullptr && count->is_number()) all += count->to_number<std::uint64_t>(ec);
        }
        sink->done(json::object{{"closed", all}});
      });
}

void close_connection(AdminCall& call) {
  const std::string pid = call.text("pid");
  const auto closed = close_sessions(
      call, [&](broker::Session& s) { return connection_pid(call.node, s) == pid || s.name() == pid; }, 1);
  if (closed > 0) return call.sink->done(json::object{{"closed", closed}});
  close_on_others(call, "close_connection", 0);
}

void close_all_connections(AdminCall& call) {
  const bool global = call.flag("global");
  const auto limit = call.number("limit", 0);
  const auto closed =
      close_sessions(call, [&](broker::Session& s) { return global || s.vhost_name() == call.vhost(); },
                     limit <= 0 ? SIZE_MAX : static_cast<std::size_t>(limit));
  // A limit is of the node that is asked: several at once could not keep to it.
  if (limit > 0) return call.sink->done(json::object{{"closed", closed}});
  close_on_others(call, "close_all_connections", closed);
}

void close_all_user_connections(AdminCall& call) {
  const auto closed =
      close_sessions(call, [&](broker::Session& s) { return s.user() == call.text("username"); }, SIZE_MAX);
  close_on_others(call, "close_all_user_connections", closed);
}

void purge_queue(AdminCall& call) {
  const std::string name = call.text("name");
  auto queue = call.broker().endpoint(call.vhost(), name);
  if (!queue)
    return call.sink->fail(Errc::not_found, fmt::format("no queue '{}' in vhost '{}'", name, call.vhost()));
  queue->purge([sink = call.sink, broker = &call.broker(), queue](const broker::Asked<std::uint64_t>& removed) {
    if (removed.error != broker::QueueError::none)
      return sink->fail(Errc::unavailable, broker->home_down_text(queue->def()));
    sink->done(json::object{{"purged", removed.value}});
  });
}

template <bool paused>
void pause_queue(AdminCall& call) {
  const std::string name = call.text("name");
  auto queue = call.broker().endpoint(call.vhost(), name);
  if (!queue)
    return call.sink->fail(Errc::not_found, fmt::format("no queue '{}' in vhost '{}'", name, call.vhost()));
  queue->set_paused(paused);
  done(call);
}

void delete_queue(AdminCall& call) {
  const std::string name = call.text("name");
  auto queue = call.broker().endpoint(call.vhost(), name);
  if (!queue)
    return call.sink->fail(Errc::not_found, fmt::format("no queue '{}' in vhost '{}'", name, call.vhost()));
  queue->ask_depth([sink = call.sink, &broker = call.broker(), queue, if_empty = call.flag("if_empty"),
                    if_unused = call.flag("if_unused")](const broker::Asked<broker::QueueDepth>& depth) {
    const auto& def = queue->def();
    if (depth.error != broker::QueueError::none) return sink->fail(Errc::unavailable, broker.home_down_text(def));
    if (if_empty && depth.value.ready > 0)
      return sink->fail(Errc::conflict, fmt::format("queue '{}' in vhost '{}' is not empty", def.name, def.vhost));
    if (if_unused && depth.value.consumers > 0)
      return sink->fail(Errc::conflict, fmt::format("queue '{}' in vhost '{}' is in use", def.name, def.vhost));
    broker.apply(metadata::DeleteQueue{def.vhost, def.name, def.uid},
                 [sink, count = depth.value.ready](Result<void> result) {
                   if (!result) return sink->fail(result.error().code, result.error().text);
                   sink->done(json::object{{"messages", count}});
                 });
  });
}

}  // namespace

void add_list_methods(AdminTable& table) {
  table["list_queues"] = {Needs::app_and_vhost, list_queues};
  table["list_unresponsive_queues"] = {Needs::app_and_vhost, nothing_unresponsive};
  table["list_exchanges"] = {Needs::app_and_vhost, list_exchanges};
  table["list_bindings"] = {Needs::app_and_vhost, list_bindings};
  table["list_connections"] = {Needs::app, list_connections};
  table["list_channels"] = {Needs::app, list_channels};
  table["list_consumers"] = {Needs::app_and_vhost, list_consumers};
  table["close_connection"] = {Needs::app, close_connection};
  table["close_all_connections"] = {Needs::app, close_all_connections};
  table["close_all_user_connections"] = {Needs::app, close_all_user_connections};
  table["purge_queue"] = {Needs::app_and_vhost, purge_queue};
  table["pause_queue"] = {Needs::app_and_vhost, pause_queue<true>};
  table["resume_queue"] = {Needs::app_and_vhost, pause_queue<false>};
  table["delete_queue"] = {Needs::app_and_vhost, delete_queue};
}

}  // namespace warren::server
