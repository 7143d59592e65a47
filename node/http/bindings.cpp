// Bindings: listed, made and removed by the key that names them in a path.

#include "node/broker/definitions.h"
#include "node/http/call.h"
#include "node/http/handlers.h"
#include "node/http/listing.h"

#include <fmt/format.h>

namespace warren::http {

namespace json = boost::json;
using access::Permission;
using access::ResourceKind;

namespace {

/// Names a binding among those between the same two: the routing key, and a hash of the arguments
/// when there are any. The hash (FNV-1a) only has to tell apart and stay the same.
std::string properties_key(const std::string& routing_key, const FieldTable& arguments) {
  if (arguments.empty()) return routing_key.empty() ? "~" : quote_plus(routing_key);
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const char c : arguments.encode()) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return fmt::format("{}~{:016x}", quote_plus(routing_key), hash);
}

json::object binding_json(const metadata::BindingDef& b) {
  return {{"source", b.source}, {"vhost", b.vhost}, {"destination", b.destination},
          {"destination_type", b.to_queue ? "queue" : "exchange"}, {"routing_key", b.routing_key},
          {"arguments", broker::table_to_json(b.arguments)},
          {"properties_key", properties_key(b.routing_key, b.arguments)}};
}

metadata::BindingDef implicit(const std::string& vhost, const std::string& queue) {
  metadata::BindingDef b;
  b.vhost = vhost;
  b.destination = b.routing_key = queue;
  return b;
}

/// All bindings of a vhost, those of the default exchange first.
template <class F>
void each(const CallRef& call, const std::string& name, F&& take) {
  const auto* vhost = call->broker().catalogue().find_vhost(name);
  for (const auto& [queue, def] : vhost->queues) take(implicit(name, queue));
  for (const auto& [key, def] : vhost->bindings) take(def);
}

bool path_to_queue(const CallRef& call) { return call->request.path.size() > 5 && call->request.path[5] == "q"; }

bool between(const CallRef& call, const metadata::BindingDef& b) {
  return b.source == exchange_name(call->at("source")) && b.destination == call->at("destination") &&
         b.to_queue == path_to_queue(call);
}

/// Both ends of the path exist; answers 404 when not.
bool ends_exist(const CallRef& call) {
  const auto& catalogue = call->broker().catalogue();
  const std::string source = exchange_name(call->at("source"));
  const bool there = (source.empty() || catalogue.find_exchange(call->at("vhost"), source) != nullptr) &&
                     (path_to_queue(call)
                          ? catalogue.find_queue(call->at("vhost"), call->at("destination")) != nullptr
                          : catalogue.find_exchange(call->at("vhost"), call->at("destination")) != nullptr);
  if (!there) call->not_found();
  return there;
}

bool may_bind(const CallRef& call) {
  return permitted(call, Permission::write, path_to_queue(call) ? ResourceKind::queue : ResourceKind::exchange,
                   call->at("destination")) &&
         permitted(call, Permission::read, ResourceKind::exchange, exchange_name(call->at("source")));
}

void list_where(const CallRef& call, const std::function<bool(const metadata::BindingDef&)>& wanted) {
  json::array out;
  for (const auto& vhost : call->vhosts())
    each(call, vhost, [&](const metadata::BindingDef& b) {
      if (wanted(b)) out.push_back(binding_json(b));
    });
  call->list(std::move(out));
}

std::optional<metadata::BindingDef> binding_of(const CallRef& call) {
  std::optional<metadata::BindingDef> found;
  each(call, call->at("vhost"), [&](const metadata::BindingDef& b) {
    if (between(call, b) && properties_key(b.routing_key, b.arguments) == call->at("props")) found = b;
  });
  return found;
}

}  // namespace

std::string exchange_name(const std::string& in_path) { return in_path == "amq.default" ? "" : in_path; }

void list_bindings(const CallRef& call) {
  list_where(call, [](const auto&) { return true; });
}

void queue_bindings(const CallRef& call) {
  if (!call->broker().endpoint(call->at("vhost"), call->at("name"))) return call->not_found();
  list_where(call, [&](const auto& b) { return b.to_queue && b.destination == call->at("name"); });
}

void exchange_source_bindings(const CallRef& call) {
  list_where(call, [&](const auto& b) { return b.source == exchange_name(call->at("name")); });
}

void exchange_destination_bindings(const CallRef& call) {
  list_where(call, [&](const auto& b) { return !b.to_queue && b.destination == call->at("name"); });
}

void list_bindings_between(const CallRef& call) {
  if (ends_exist(call)) list_where(call, [&](const auto& b) { return between(call, b); });
}

void post_binding(const CallRef& call) {
  json::object body;
  if (!call->read_body(body) || !ends_exist(call)) return;
  metadata::BindingDef def;
  def.vhost = call->at("vhost");
  def.source = exchange_name(call->at("source"));
  def.destination = call->at("destination");
  def.to_queue = path_to_queue(call);
  if (const auto* key = body.if_contains("routing_key"); key != nullptr && key->is_string())
    def.routing_key = std::string(key->as_string());
  if (!read_arguments(call, body, def.arguments)) return;
  if (def.routing_key.size() > 255) return call->fail(400, "bad_request", "the routing key is longer than 255 bytes");
  if (def.source.empty())
    return call->fail(401, "not_authorised", "operation not permitted on the default exchange");
  if (!may_bind(call)) return;
  const auto* source = call->broker().catalogue().find_exchange(def.vhost, def.source);
  if (source->type == "topic")
    if (auto granted = call->broker().access().require_topic(call->user, def.vhost, def.source,
                                                             def.routing_key, Permission::read);
        !granted)
      return call->fail(granted.error());
  if (auto valid = broker::routing::validate_binding(*source, def); !valid) return call->fail(valid.error());
  const std::string location = quote_plus(def.destination) + "/" + quote_plus(properties_key(def.routing_key, def.arguments));
  call->apply(metadata::Bind{std::move(def)}, [call, location] {
    Response response;
    response.status = 201;
    response.headers.emplace_back("location", location);
    call->respond(std::move(response));
  });
}

void get_binding(const CallRef& call) {
  const auto found = binding_of(call);
  if (!found) return call->not_found();
  call->ok(binding_json(*found));
}

void delete_binding(const CallRef& call) {
  const auto found = binding_of(call);
  if (!found) return call->not_found();
  if (found->source.empty())
    return call->fail(401, "not_authorised", "operation not permitted on the default exchange");
  if (may_bind(call)) call->apply(metadata::Unbind{*found}, [call] { call->no_content(); });
}

}  // namespace warren::http
