// Connections, channels and consumers, of all nodes.

#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/rows.h"

namespace warren::http {

namespace json = boost::json;

namespace {

/// Monitors see all connections, others their own.
bool shown(const CallRef& call, const json::object& row) {
  if (call->parameters.contains("vhost") && text_at(row, "vhost") != call->at("vhost")) return false;
  if (call->parameters.contains("user") && text_at(row, "user") != call->at("user")) return false;
  return call->has_tag(Tag::monitoring) || text_at(row, "user") == call->user.name;
}

/// The rows that the user may see, each made by `shape`; in order.
template <class Shape>
json::array shown_rows(const CallRef& call, json::array rows, Shape&& shape) {
  json::array out;
  for (auto& row : rows)
    if (row.is_object() && shown(call, row.get_object())) out.push_back(shape(std::move(row.get_object())));
  sort_rows(out);
  return out;
}

/// The open connection of the path's name that the user may see; null after a 404.
const json::object* connection_in(const CallRef& call, const json::array& rows) {
  for (const auto& value : rows)
    if (const auto* row = value.if_object();
        row != nullptr && text_at(*row, "name") == call->at("name") && shown(call, *row))
      return row;
  call->not_found();
  return nullptr;
}

std::string close_reason(const CallRef& call) {
  return call->request.reason.empty() ? "Closed via management plugin" : call->request.reason;
}

}  // namespace

void list_connections(const CallRef& call) {
  call->gather({"list_connections", {}}, [call](json::array rows) {
    call->list(shown_rows(call, std::move(rows), connection_json));
  });
}

void get_connection(const CallRef& call) {
  call->gather({"list_connections", {}}, [call](const json::array& rows) {
    if (const auto* row = connection_in(call, rows)) call->ok(connection_json(*row));
  });
}

void delete_connection(const CallRef& call) {
  call->gather({"list_connections", {}}, [call](const json::array& rows) {
    const auto* row = connection_in(call, rows);
    if (row == nullptr) return;
    if (!call->has_tag(Tag::administrator) && text_at(*row, "user") != call->user.name)
      return call->fail(401, "not_authorised", "User not authorised to close this connection");
    // By its pid: two nodes may have connections of the same name.
    call->run("close_connection", {{"pid", text_at(*row, "pid")}, {"reason", close_reason(call)}},
              [call] { call->no_content(); });
  });
}

void delete_user_connections(const CallRef& call) {
  call->run("close_all_user_connections", {{"username", call->at("user")}, {"reason", close_reason(call)}},
            [call] { call->no_content(); });
}

void connection_channels(const CallRef& call) {
  call->gather({"list_connections", {}}, {"list_channels", {}},
               [call](const json::array& connections, json::array channels) {
                 if (connection_in(call, connections) == nullptr) return;
                 json::array out;
                 for (auto& row : shown_rows(call, std::move(channels), channel_json))
                   if (connection_of(text_at(row.get_object(), "name")) == call->at("name"))
                     out.push_back(std::move(row));
                 call->list(std::move(out));
               });
}

void list_channels(const CallRef& call) {
  call->gather({"list_channels", {}},
               [call](json::array rows) { call->list(shown_rows(call, std::move(rows), channel_json)); });
}

void get_channel(const CallRef& call) {
  call->gather({"list_channels", {}}, {"list_consumers", {{"all_vhosts", true}}},
               [call](json::array channels, const json::array& all_consumers) {
                 for (auto& value : shown_rows(call, std::move(channels), channel_json)) {
                   json::object& row = value.get_object();
                   if (text_at(row, "name") != call->at("name")) continue;
                   json::array consumers;
                   for (const auto& one : all_consumers)
                     if (const auto* consumer = one.if_object();
                         consumer != nullptr && text_at(*consumer, "channel_name") == call->at("name") &&
                         text_at(*consumer, "node") == text_at(row, "node"))
                       consumers.push_back(consumer_json(*consumer));
                   row["consumer_details"] = std::move(consumers);
                   return call->ok(row);
                 }
                 call->not_found();
               });
}

void list_consumers(const CallRef& call) {
  call->gather({"list_consumers", call->scope()}, [call](const json::array& rows) {
    json::array out;
    for (const auto& value : rows)
      if (const auto* row = value.if_object();
          row != nullptr && call->sees(text_at(*row, "vhost")) && shown(call, *row))
        out.push_back(consumer_json(*row));
    call->list(std::move(out));
  });
}

}  // namespace warren::http
