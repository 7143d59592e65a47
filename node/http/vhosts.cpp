// Virtual hosts, and limits of virtual hosts and users.

#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/rows.h"

namespace warren::http {

namespace json = boost::json;

namespace {

json::object vhost_json(const json::object& from, const json::array& nodes) {
  json::object row = from;
  const std::string_view name = text_at(row, "name");
  const NodeSums sums = sum_nodes(nodes, [name](std::string_view vhost) { return vhost == name; });
  row["messages"] = sums.ready + sums.unacked;
  row["messages_ready"] = sums.ready;
  row["messages_unacknowledged"] = sums.unacked;
  // Every node has every vhost; those that do not run are left out, as nobody can say.
  json::object state;
  for (const auto& node : nodes)
    if (const auto* one = node.if_object(); one != nullptr && one->contains("totals"))
      state[text_at(*one, "name")] = "running";
  row["cluster_state"] = std::move(state);
  return row;
}

}  // namespace

void list_vhosts(const CallRef& call) {
  call->gather({"list_nodes", {}}, [call](const json::array& nodes) {
    json::array out;
    for (const auto& row : call->rows("list_vhosts", {}))
      if (call->sees(text_at(row.as_object(), "name"))) out.push_back(vhost_json(row.as_object(), nodes));
    call->list(std::move(out));
  });
}

void get_vhost(const CallRef& call) {
  if (!call->sees(call->at("name")))
    return call->fail(401, "not_authorised", "User not authorised to access virtual host");
  call->gather({"list_nodes", {}}, [call](const json::array& nodes) {
    for (const auto& row : call->rows("list_vhosts", {}))
      if (text_at(row.as_object(), "name") == call->at("name")) return call->ok(vhost_json(row.as_object(), nodes));
    call->not_found();
  });
}

void put_vhost(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  const std::string name = call->at("name");
  if (const auto* tags = body.if_contains("tags"); tags != nullptr && tags->is_string()) {
    json::array words;
    std::string_view left(tags->as_string());
    while (!left.empty()) {
      const auto comma = left.find(',');
      if (comma != 0) words.push_back(json::string(left.substr(0, comma)));
      left = comma == std::string_view::npos ? std::string_view{} : left.substr(comma + 1);
    }
    body["tags"] = std::move(words);
  }
  if (body.contains("defaultqueuetype")) body["default_queue_type"] = body["defaultqueuetype"];
  body["name"] = name;
  const bool existed = call->broker().catalogue().find_vhost(name) != nullptr;
  const bool tracing = body.contains("tracing") && body["tracing"] == true;
  call->run("add_vhost", body, [call, name, existed, tracing, given = body.contains("tracing")] {
    if (!given) return call->created_or_updated(existed);
    call->run(tracing ? "trace_on" : "trace_off", {{"vhost", name}},
              [call, existed] { call->created_or_updated(existed); });
  });
}

void delete_vhost(const CallRef& call) {
  call->run("delete_vhost", {{"name", call->at("name")}}, [call] { call->no_content(); });
}

void protect_vhost(const CallRef& call) {
  call->run("enable_vhost_deletion_protection", {{"name", call->at("vhost")}}, [call] { call->no_content(); });
}

void unprotect_vhost(const CallRef& call) {
  call->run("disable_vhost_deletion_protection", {{"name", call->at("vhost")}}, [call] { call->no_content(); });
}

// ---- limits -------------------------------------------------------------------------------------

namespace {

json::object limits_json(const std::map<std::string, std::int64_t>& limits) {
  json::object out;
  for (const auto& [name, value] : limits) out[name] = value;
  return out;
}

/// The number in {"value": n}. False after a 400.
bool read_value(const CallRef& call, json::value& out) {
  json::object body;
  if (!call->read_body(body)) return false;
  const auto* value = body.if_contains("value");
  if (value == nullptr || !(value->is_int64() || value->is_uint64()))
    return call->fail(400, "bad_request", "value is no integer"), false;
  out = *value;
  return true;
}

}  // namespace

void list_vhost_limits(const CallRef& call) {
  json::array out;
  for (const auto& name : call->vhosts()) {
    const auto& limits = call->broker().catalogue().find_vhost(name)->def.limits;
    if (!limits.empty() || call->parameters.contains("vhost"))
      out.push_back(json::object{{"vhost", name}, {"value", limits_json(limits)}});
  }
  call->list(std::move(out));
}

void put_vhost_limit(const CallRef& call) {
  json::value value;
  if (!read_value(call, value)) return;
  json::object limits = limits_json(call->broker().catalogue().find_vhost(call->at("vhost"))->def.limits);
  limits[call->at("name")] = value;
  call->run("set_vhost_limits", {{"vhost", call->at("vhost")}, {"definition", limits}}, [call] { call->no_content(); });
}

void delete_vhost_limit(const CallRef& call) {
  json::object limits = limits_json(call->broker().catalogue().find_vhost(call->at("vhost"))->def.limits);
  if (limits.erase(call->at("name")) == 0) return call->not_found();
  call->run("set_vhost_limits", {{"vhost", call->at("vhost")}, {"definition", limits}}, [call] { call->no_content(); });
}

void list_user_limits(const CallRef& call) {
  json::array out;
  for (const auto& [name, user] : call->broker().catalogue().users()) {
    if (call->parameters.contains("user") && name != call->at("user")) continue;
    if (!user.limits.empty()) out.push_back(json::object{{"user", name}, {"value", limits_json(user.limits)}});
  }
  call->list(std::move(out));
}

void put_user_limit(const CallRef& call) {
  json::value value;
  if (!read_value(call, value)) return;
  call->run("set_user_limits", {{"username", call->at("user")}, {"definition", json::object{{call->at("name"), value}}}},
            [call] { call->no_content(); });
}

void delete_user_limit(const CallRef& call) {
  call->run("clear_user_limits", {{"username", call->at("user")}, {"limit", call->at("name")}},
            [call] { call->no_content(); });
}

}  // namespace warren::http
