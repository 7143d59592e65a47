// Health checks, and the aliveness test of old monitors.

#include "node/http/call.h"
#include "node/http/handlers.h"

#include <charconv>

namespace warren::http {

namespace json = boost::json;

namespace {

json::array listeners(const CallRef& call) {
  const auto result = call->result("listeners");
  return result.is_object() ? result.as_object().at("listeners").as_array() : json::array{};
}

void failed(const CallRef& call, std::string_view reason, json::object more) {
  Response response;
  response.status = 503;
  more["status"] = "failed";
  more["reason"] = reason;
  response.body = json::serialize(more);
  call->respond(std::move(response));
}

}  // namespace

void check_passes(const CallRef& call) { call->ok(json::object{{"status", "ok"}}); }

namespace {

void check_alarms_of(const CallRef& call, const std::function<bool(const std::string&)>& counts) {
  json::array alarms;
  for (const auto& [node, resource] : call->broker().alarms().list())
    if (counts(node)) alarms.push_back(json::object{{"node", node}, {"resource", resource}});
  if (alarms.empty()) return check_passes(call);
  failed(call, "There are alarms in effect", {{"alarms", std::move(alarms)}});
}

}  // namespace

void check_alarms(const CallRef& call) {
  check_alarms_of(call, [](const std::string&) { return true; });
}

void check_local_alarms(const CallRef& call) {
  check_alarms_of(call, [&](const std::string& node) { return node == call->node.settings().node_name; });
}

void check_quorum_critical(const CallRef& call) {
  call->ask(call->node.settings().node_name, "check_if_node_is_quorum_critical",
            [call](const Result<json::value>& answer) {
              if (answer) return check_passes(call);
              failed(call, answer.error().text, {});
            });
}

void check_in_service(const CallRef& call) {
  if (!call->app().draining()) return check_passes(call);
  failed(call, "this node is in maintenance mode", {});
}

void check_port_listener(const CallRef& call) {
  const std::string text = call->at("port");
  int port = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (ec != std::errc{} || end != text.data() + text.size())
    return call->fail(400, "bad_request", "Invalid port");
  json::array ports;
  for (const auto& listener : listeners(call)) {
    if (listener.at("port") == port) return call->ok(json::object{{"status", "ok"}, {"port", port}});
    ports.push_back(listener.at("port"));
  }
  failed(call, "No active listener", {{"missing", port}, {"ports", std::move(ports)}});
}

void check_protocol_listener(const CallRef& call) {
  std::string wanted = call->at("protocol");
  if (wanted == "amqp091" || wanted == "amqp0.9.1" || wanted == "amqp10" || wanted == "amqp1.0") wanted = "amqp";
  if (wanted == "amqps") wanted = "amqp/ssl";
  json::array protocols;
  for (const auto& listener : listeners(call)) {
    if (listener.at("protocol") == json::string(wanted))
      return call->ok(json::object{{"status", "ok"}, {"protocol", call->at("protocol")}});
    protocols.push_back(listener.at("protocol"));
  }
  failed(call, "No active listener", {{"missing", call->at("protocol")}, {"protocols", std::move(protocols)}});
}

}  // namespace warren::http
