// Connections, channels and consumers.

#include "node/broker/definitions.h"
#include "node/broker/session.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/listing.h"

namespace warren::http {

namespace json = boost::json;

namespace {

/// Monitors see all connections, others their own.
bool shown(const CallRef& call, const json::object& row) {
  if (call->parameters.contains("vhost") && row.at("vhost") != json::string(call->at("vhost"))) return false;
  if (call->parameters.contains("user") && row.at("user") != json::string(call->at("user"))) return false;
  return call->has_tag(Tag::monitoring) || row.at("user") == json::string(call->user.name);
}

json::object connection_json(json::object row) {
  row["client_properties"] = plain_table(row["client_properties"]);
  row["protocol"] = "AMQP 0-9-1";
  row["type"] = "network";
  row["user_who_performed_action"] = row["user"];
  for (const char* key : {"ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash", "peer_cert_subject",
                          "peer_cert_issuer", "peer_cert_validity", "user_provided_name"})
    if (row[key].is_string() && row[key].as_string().empty()) row[key] = nullptr;
  row.erase("pid");
  return row;
}

json::array connections(const CallRef& call) {
  json::array out;
  for (auto& row : call->rows("list_connections", {}))
    if (shown(call, row.as_object())) out.push_back(connection_json(row.as_object()));
  return out;
}

/// The name of a channel is that of its connection with " (n)" behind it.
std::string connection_of(std::string_view channel) { return std::string(channel.substr(0, channel.rfind(" ("))); }

json::object peer_details(const CallRef& call, const std::string& connection) {
  for (const auto& [id, session] : call->broker().sessions())
    if (session->name() == connection)
      return {{"name", connection}, {"peer_host", session->peer().peer_host},
              {"peer_port", session->peer().peer_port}};
  return {{"name", connection}};
}

json::array channels(const CallRef& call) {
  json::array out;
  for (auto& value : call->rows("list_channels", {})) {
    json::object row = value.as_object();
    if (!shown(call, row)) continue;
    row["connection_details"] = peer_details(call, connection_of(row.at("name").as_string()));
    row.erase("pid");
    row.erase("connection");
    out.push_back(std::move(row));
  }
  return out;
}

/// The open session of the path's name that the user may see; null after a 404.
broker::Session* session_of(const CallRef& call) {
  for (const auto& [id, session] : call->broker().sessions())
    if (session->name() == call->at("name") && !session->vhost_name().empty() &&
        (call->has_tag(Tag::monitoring) || session->user() == call->user.name))
      return session;
  call->not_found();
  return nullptr;
}

std::string close_reason(const CallRef& call) {
  return call->request.reason.empty() ? "Closed via management plugin" : call->request.reason;
}

}  // namespace

json::object consumer_json(const CallRef& call, const metadata::QueueDef& queue,
                           const broker::ConsumerInfo& consumer) {
  const std::string connection = connection_of(consumer.spec.channel_name);
  json::object channel = peer_details(call, connection);
  channel["connection_name"] = connection;
  channel["name"] = consumer.spec.channel_name;
  channel["node"] = call->node.settings().node_name;
  channel["user"] = consumer.spec.user;
  return {{"consumer_tag", consumer.spec.tag}, {"queue", json::object{{"name", queue.name}, {"vhost", queue.vhost}}},
          {"channel_details", std::move(channel)}, {"ack_required", !consumer.spec.no_ack},
          {"prefetch_count", consumer.spec.prefetch}, {"active", consumer.active},
          {"activity_status", consumer.activity_status}, {"exclusive", consumer.spec.exclusive},
          {"arguments", broker::table_to_json(consumer.spec.arguments)}};
}

void list_connections(const CallRef& call) { call->list(connections(call)); }

void get_connection(const CallRef& call) {
  for (auto& row : connections(call))
    if (row.at("name") == json::string(call->at("name"))) return call->ok(row);
  call->not_found();
}

void delete_connection(const CallRef& call) {
  broker::Session* session = session_of(call);
  if (session == nullptr) return;
  if (!call->has_tag(Tag::administrator) && session->user() != call->user.name)
    return call->fail(401, "not_authorised", "User not authorised to close this connection");
  session->close(amqp::ReplyCode::connection_forced, close_reason(call));
  call->no_content();
}

void delete_user_connections(const CallRef& call) {
  call->run("close_all_user_connections", {{"username", call->at("user")}, {"reason", close_reason(call)}},
            [call] { call->no_content(); });
}

void connection_channels(const CallRef& call) {
  if (session_of(call) == nullptr) return;
  json::array out;
  for (auto& row : channels(call))
    if (connection_of(row.at("name").as_string()) == call->at("name")) out.push_back(std::move(row));
  call->list(std::move(out));
}

void list_channels(const CallRef& call) { call->list(channels(call)); }

void get_channel(const CallRef& call) {
  for (auto& row : channels(call)) {
    if (row.at("name") != json::string(call->at("name"))) continue;
    json::array consumers;
    for (const auto& [uid, queue] : call->broker().queues())
      for (const auto& c : queue->consumers())
        if (c.spec.channel_name == call->at("name")) consumers.push_back(consumer_json(call, queue->def(), c));
    row.as_object()["consumer_details"] = std::move(consumers);
    return call->ok(row);
  }
  call->not_found();
}

void list_consumers(const CallRef& call) {
  json::array out;
  for (const auto& [uid, queue] : call->broker().queues()) {
    const auto& vhost = queue->def().vhost;
    if (call->parameters.contains("vhost") ? vhost != call->at("vhost") : !call->sees(vhost)) continue;
    for (const auto& c : queue->consumers())
      if (call->has_tag(Tag::monitoring) || c.spec.user == call->user.name)
        out.push_back(consumer_json(call, queue->def(), c));
  }
  call->list(std::move(out));
}

}  // namespace warren::http
