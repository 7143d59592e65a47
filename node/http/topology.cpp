// Queues and exchanges: listed, declared, deleted, purged.

#include "node/broker/definitions.h"
#include "node/broker/queue_arguments.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/listing.h"
#include "node/http/rows.h"

namespace warren::http {

namespace json = boost::json;
using access::Permission;
using access::ResourceKind;

bool permitted(const CallRef& call, Permission permission, ResourceKind kind, const std::string& name) {
  auto granted = call->broker().access().require(call->user, call->at("vhost"), permission, kind, name);
  if (granted) return true;
  call->fail(granted.error());
  return false;
}

bool read_arguments(const CallRef& call, const json::object& body, FieldTable& out) {
  const auto* value = body.if_contains("arguments");
  if (value == nullptr || value->is_null() || (value->is_array() && value->as_array().empty())) return true;
  if (!value->is_object()) return call->fail(400, "bad_request", "arguments are no JSON object"), false;
  auto table = broker::json_to_table(value->as_object());
  if (!table) return call->fail(table.error()), false;
  out = std::move(*table);
  return true;
}

/// A boolean of the body, also as the words true and false. False after a 400.
static bool read_flag(const CallRef& call, const json::object& body, const char* key, bool& out) {
  const auto* value = body.if_contains(key);
  if (value == nullptr || value->is_null()) return true;
  if (value->is_bool()) return out = value->as_bool(), true;
  if (value->is_string() && (value->as_string() == "true" || value->as_string() == "false"))
    return out = value->as_string() == "true", true;
  call->fail(400, "bad_request", std::string(key) + " is no boolean");
  return false;
}

// ---- queues -------------------------------------------------------------------------------------

void list_queues(const CallRef& call) {
  call->gather({"list_queues", call->scope()}, [call](json::array rows) {
    json::array out;
    for (auto& row : rows)
      if (row.is_object() && call->sees(text_at(row.get_object(), "vhost")))
        out.push_back(queue_json(std::move(row.get_object())));
    sort_rows(out);
    call->list(std::move(out));
  });
}

void get_queue(const CallRef& call) {
  const json::object which{{"vhost", call->at("vhost")}, {"name", call->at("name")}};
  call->gather({"list_queues", which}, {"list_consumers", which},
               [call](json::array rows, const json::array& consumers) {
                 if (rows.empty() || !rows[0].is_object()) return call->not_found();
                 json::object row = queue_json(std::move(rows[0].get_object()));
                 json::array details;
                 for (const auto& consumer : consumers)
                   if (consumer.is_object()) details.push_back(consumer_json(consumer.get_object()));
                 row["consumer_details"] = std::move(details);
                 row["incoming"] = json::array{};
                 row["deliveries"] = json::array{};
                 call->ok(row);
               });
}

void put_queue(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  metadata::QueueDef def;
  def.vhost = call->at("vhost");
  def.name = call->at("name");
  def.durable = true;
  def.user = call->user.name;
  if (!read_flag(call, body, "durable", def.durable) || !read_flag(call, body, "auto_delete", def.auto_delete) ||
      !read_arguments(call, body, def.arguments))
    return;
  if (def.name.size() > 255) return call->fail(400, "bad_request", "the name is longer than 255 bytes");
  if (def.name.starts_with("amq."))
    return call->fail(401, "not_authorised", "queue name '" + def.name + "' contains reserved prefix 'amq.*'");
  const auto* vhost = call->broker().catalogue().find_vhost(def.vhost);
  auto type = broker::queue_type_of(def, vhost->def.default_queue_type, call->broker().options().default_queue_type);
  if (!type) return call->fail(type.error());
  def.type = *type;
  if (!permitted(call, Permission::configure, ResourceKind::queue, def.name)) return;
  if (auto existing = call->broker().endpoint(def.vhost, def.name)) {
    if (!existing->reachable())
      return call->fail(404, "Object Not Found", call->broker().home_down_text(existing->def()));
    if (auto same = broker::check_equivalence(existing->def(), def); !same) return call->fail(same.error());
    existing->touched();
    return call->no_content();
  }
  if (auto valid = broker::validate_queue_arguments(def); !valid) return call->fail(valid.error());
  if (const auto dlx = broker::text_argument(def.arguments, "x-dead-letter-exchange"))
    if (!permitted(call, Permission::read, ResourceKind::queue, def.name) ||
        !permitted(call, Permission::write, ResourceKind::exchange, std::string(*dlx)))
      return;
  call->apply(metadata::DeclareQueue{std::move(def)}, [call] { call->created_or_updated(false); });
}

std::shared_ptr<broker::QueueEndpoint> open_queue(const CallRef& call) {
  auto queue = call->broker().endpoint(call->at("vhost"), call->at("name"));
  if (!queue) return call->not_found(), nullptr;
  if (queue->def().exclusive)
    return call->fail(400, "bad_request", "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '" +
                                              queue->def().name + "' in vhost '" + queue->def().vhost + "'"),
           nullptr;
  if (!queue->reachable())
    return call->fail(404, "Object Not Found", call->broker().home_down_text(queue->def())), nullptr;
  return queue;
}

void expect_home(const CallRef& call, const broker::QueueEndpoint& queue) {
  if (!call->broker().is_home(queue.def()))
    call->give_up_in_time("the home node of queue '" + queue.def().name + "' does not answer; it may still do it");
}

void delete_queue(const CallRef& call) {
  auto queue = open_queue(call);
  if (!queue || !permitted(call, Permission::configure, ResourceKind::queue, call->at("name"))) return;
  call->run("delete_queue",
            {{"vhost", call->at("vhost")}, {"name", call->at("name")}, {"if_empty", call->request.flag("if-empty")},
             {"if_unused", call->request.flag("if-unused")}},
            [call] { call->no_content(); });
  expect_home(call, *queue);
}

void purge_queue(const CallRef& call) {
  auto queue = open_queue(call);
  if (!queue || !permitted(call, Permission::read, ResourceKind::queue, call->at("name"))) return;
  if (queue->def().type == metadata::QueueType::stream)
    return call->fail(400, "bad_request", "NOT_IMPLEMENTED - purge of a stream");
  call->run("purge_queue", {{"vhost", call->at("vhost")}, {"name", call->at("name")}}, [call] { call->no_content(); });
  expect_home(call, *queue);
}

void queue_actions(const CallRef& call) {
  json::object body;
  if (!call->read_body(body) || !open_queue(call)) return;
  const auto* action = body.if_contains("action");
  if (action == nullptr || (*action != "sync" && *action != "cancel_sync"))
    return call->fail(400, "bad_request", "action must be sync or cancel_sync");
  call->no_content();  // copies of a queue are always in step
}

// ---- exchanges ----------------------------------------------------------------------------------

namespace {

json::object exchange_json(json::object row) {
  row["arguments"] = plain_table(row["arguments"]);
  if (row["policy"].is_string() && row["policy"].as_string().empty()) row["policy"] = nullptr;
  return row;
}

}  // namespace

void list_exchanges(const CallRef& call) {
  json::array out;
  for (const auto& vhost : call->vhosts())
    for (auto& row : call->rows("list_exchanges", {{"vhost", vhost}})) out.push_back(exchange_json(row.as_object()));
  call->list(std::move(out));
}

void get_exchange(const CallRef& call) {
  for (auto& row : call->rows("list_exchanges", {{"vhost", call->at("vhost")}}))
    if (row.at("name") == json::string(exchange_name(call->at("name")))) {
      json::object found = exchange_json(row.as_object());
      found["incoming"] = json::array{};
      found["outgoing"] = json::array{};
      return call->ok(found);
    }
  call->not_found();
}

void put_exchange(const CallRef& call) {
  json::object body;
  if (!call->read_body(body)) return;
  metadata::ExchangeDef def;
  def.vhost = call->at("vhost");
  def.name = call->at("name");
  def.user = call->user.name;
  const auto* type = body.if_contains("type");
  def.type = type != nullptr && type->is_string() ? std::string(type->as_string()) : "direct";
  if (!read_flag(call, body, "durable", def.durable) || !read_flag(call, body, "auto_delete", def.auto_delete) ||
      !read_flag(call, body, "internal", def.internal) || !read_arguments(call, body, def.arguments))
    return;
  if (def.name.size() > 255) return call->fail(400, "bad_request", "the name is longer than 255 bytes");
  if (!broker::routing::known_exchange_type(def.type))
    return call->fail(400, "bad_request", "invalid exchange type '" + def.type + "'");
  if (!permitted(call, Permission::configure, ResourceKind::exchange, def.name)) return;
  if (const auto* existing = call->broker().catalogue().find_exchange(def.vhost, def.name)) {
    if (auto same = broker::check_equivalence(*existing, def); !same) return call->fail(same.error());
    return call->no_content();
  }
  if (def.name.starts_with("amq.") || exchange_name(def.name).empty())
    return call->fail(401, "not_authorised", "exchange name '" + def.name + "' is reserved");
  if (auto valid = broker::routing::validate_exchange(def); !valid) return call->fail(valid.error());
  if (auto valid = broker::validate_exchange_arguments(def); !valid) return call->fail(valid.error());
  if (const auto alternate = broker::text_argument(def.arguments, "alternate-exchange"))
    if (!permitted(call, Permission::read, ResourceKind::exchange, def.name) ||
        !permitted(call, Permission::write, ResourceKind::exchange, std::string(*alternate)))
      return;
  call->apply(metadata::DeclareExchange{std::move(def)}, [call] { call->created_or_updated(false); });
}

void delete_exchange(const CallRef& call) {
  const std::string name = call->at("name");
  if (call->broker().catalogue().find_exchange(call->at("vhost"), name) == nullptr) return call->not_found();
  if (name.starts_with("amq."))
    return call->fail(401, "not_authorised", "deletion of system exchange '" + name + "' not allowed");
  if (!permitted(call, Permission::configure, ResourceKind::exchange, name)) return;
  call->apply(metadata::DeleteExchange{call->at("vhost"), name, call->request.flag("if-unused")},
              [call] { call->no_content(); });
}

}  // namespace warren::http
