// Policies, operator policies, parameters and definitions.

#include "node/broker/definitions.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/server/admin_values.h"

namespace warren::http {

namespace json = boost::json;

namespace {

/// Values that control methods hand out as JSON text, as JSON.
json::object opened(json::object row, const char* key) {
  if (row[key].is_string()) row[key] = server::parsed_json(std::string(row[key].as_string()));
  return row;
}

template <bool is_operator>
const metadata::PolicyDef* find(const CallRef& call) {
  const auto* vhost = call->broker().catalogue().find_vhost(call->at("vhost"));
  const auto& all = is_operator ? vhost->operator_policies : vhost->policies;
  const auto found = all.find(call->at("name"));
  return found == all.end() ? nullptr : &found->second;
}

template <bool is_operator>
void list(const CallRef& call) {
  json::array out;
  for (const auto& vhost : call->vhosts())
    for (auto& row : call->rows(is_operator ? "list_operator_policies" : "list_policies", {{"vhost", vhost}}))
      out.push_back(opened(row.as_object(), "definition"));
  call->list(std::move(out));
}

template <bool is_operator>
void get(const CallRef& call) {
  const auto* p = find<is_operator>(call);
  if (p == nullptr) return call->not_found();
  call->ok(json::object{{"vhost", p->vhost}, {"name", p->name}, {"pattern", p->pattern}, {"apply-to", p->apply_to},
                        {"definition", server::parsed_json(p->definition)}, {"priority", p->priority}});
}

template <bool is_operator>
void put(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  for (const char* key : {"pattern", "definition"})
    if (!body.contains(key)) return call->fail(400, "bad_request", std::string("key_missing: ") + key);
  if (!body["pattern"].is_string()) return call->fail(400, "bad_request", "pattern is no text");
  if (body.contains("priority") && !body["priority"].is_int64() && !body["priority"].is_uint64())
    return call->fail(400, "bad_request", "priority is no integer");
  json::object args{{"vhost", call->at("vhost")}, {"name", call->at("name")}, {"pattern", body["pattern"]},
                    {"definition", body["definition"]}};
  if (body.contains("apply-to")) args["apply_to"] = body["apply-to"];
  if (body.contains("priority")) args["priority"] = body["priority"];
  const bool existed = find<is_operator>(call) != nullptr;
  call->run(is_operator ? "set_operator_policy" : "set_policy", args,
            [call, existed] { call->created_or_updated(existed); });
}

template <bool is_operator>
void remove(const CallRef& call) {
  if (find<is_operator>(call) == nullptr) return call->not_found();
  call->run(is_operator ? "clear_operator_policy" : "clear_policy",
            {{"vhost", call->at("vhost")}, {"name", call->at("name")}}, [call] { call->no_content(); });
}

}  // namespace

void list_policies(const CallRef& call) { list<false>(call); }
void get_policy(const CallRef& call) { get<false>(call); }
void put_policy(const CallRef& call) { put<false>(call); }
void delete_policy(const CallRef& call) { remove<false>(call); }
void list_operator_policies(const CallRef& call) { list<true>(call); }
void get_operator_policy(const CallRef& call) { get<true>(call); }
void put_operator_policy(const CallRef& call) { put<true>(call); }
void delete_operator_policy(const CallRef& call) { remove<true>(call); }

// ---- parameters ---------------------------------------------------------------------------------

namespace {

json::array parameters(const CallRef& call) {
  json::array out;
  for (const auto& vhost : call->vhosts())
    for (auto& row : call->rows("list_parameters", {{"vhost", vhost}})) {
      if (call->parameters.contains("component") && row.at("component") != json::string(call->at("component")))
        continue;
      json::object parameter = opened(row.as_object(), "value");
      parameter["vhost"] = vhost;
      out.push_back(std::move(parameter));
    }
  return out;
}

const json::object* named(const CallRef& call, const json::array& rows) {
  for (const auto& row : rows)
    if (row.at("name") == json::string(call->at("name"))) return &row.as_object();
  return nullptr;
}

json::array global_parameters(const CallRef& call) {
  json::array out;
  for (auto& row : call->rows("list_global_parameters", {})) out.push_back(opened(row.as_object(), "value"));
  return out;
}

}  // namespace

void list_parameters(const CallRef& call) { call->list(parameters(call)); }

void get_parameter(const CallRef& call) {
  const auto all = parameters(call);
  const auto* found = named(call, all);
  if (found == nullptr) return call->not_found();
  call->ok(*found);
}

void put_parameter(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  if (!body.contains("value")) return call->fail(400, "bad_request", "key_missing: value");
  const auto all = parameters(call);
  const bool existed = named(call, all) != nullptr;
  call->run("set_parameter",
            {{"vhost", call->at("vhost")}, {"component", call->at("component")}, {"name", call->at("name")},
             {"value", body["value"]}},
            [call, existed] { call->created_or_updated(existed); });
}

void delete_parameter(const CallRef& call) {
  call->run("clear_parameter",
            {{"vhost", call->at("vhost")}, {"component", call->at("component")}, {"name", call->at("name")}},
            [call] { call->no_content(); });
}

void list_global_parameters(const CallRef& call) { call->list(global_parameters(call)); }

void get_global_parameter(const CallRef& call) {
  const auto all = global_parameters(call);
  const auto* found = named(call, all);
  if (found == nullptr) return call->not_found();
  call->ok(*found);
}

void put_global_parameter(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  if (!body.contains("value")) return call->fail(400, "bad_request", "key_missing: value");
  const auto all = global_parameters(call);
  const bool existed = named(call, all) != nullptr;
  call->run("set_global_parameter", {{"name", call->at("name")}, {"value", body["value"]}},
            [call, existed] { call->created_or_updated(existed); });
}

void delete_global_parameter(const CallRef& call) {
  call->run("clear_global_parameter", {{"name", call->at("name")}}, [call] { call->no_content(); });
}

// ---- definitions --------------------------------------------------------------------------------

void get_definitions(const CallRef& call) {
  auto text = call->parameters.contains("vhost")
                  ? broker::export_vhost_definitions(call->broker().catalogue(), call->at("vhost"), {})
                  : Result<std::string>(broker::export_definitions(call->broker().catalogue(), {}));
  if (!text) return call->fail(text.error());
  Response response;
  response.body = std::move(*text);
  if (const auto file = call->request.parameter("download");
      !file.empty() && file.find_first_of("\"\\\r\n") == std::string::npos)
    response.headers.emplace_back("content-disposition", "attachment; filename=\"" + file + "\"");
  call->respond(std::move(response));
}

void post_definitions(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  json::object args{{"definitions", std::move(body)}, {"as_user", call->user.name}};
  if (call->parameters.contains("vhost")) args["into_vhost"] = call->at("vhost");
  call->run("import_definitions", args, [call] { call->no_content(); });
}

}  // namespace warren::http
