#include "node/server/admin.h"

#include <algorithm>

namespace warren::server {

std::string AdminCall::text(std::string_view key, std::string fallback) const {
  const auto* value = args.if_contains(key);
  if (value == nullptr || !value->is_string()) return fallback;
  return std::string(value->as_string());
}

bool AdminCall::flag(std::string_view key) const {
  const auto* value = args.if_contains(key);
  return value != nullptr && value->is_bool() && value->as_bool();
}

std::int64_t AdminCall::number(std::string_view key, std::int64_t fallback) const {
  const auto* value = args.if_contains(key);
  if (value == nullptr) return fallback;
  if (value->is_int64()) return value->as_int64();
  if (value->is_uint64()) return static_cast<std::int64_t>(value->as_uint64());
  if (value->is_double()) return static_cast<std::int64_t>(value->as_double());
  return fallback;
}

Millis AdminCall::within(Millis longest) const {
  const Millis wait = sink->deadline_ms();
  return wait <= 0 ? longest : std::min(wait, longest);
}

namespace {

const AdminTable& methods() {
  static const AdminTable table = [] {
    AdminTable all;
    add_lifecycle_methods(all);
    add_list_methods(all);
    add_access_methods(all);
    add_policy_methods(all);
    add_status_methods(all);
    add_cluster_methods(all);
    return all;
  }();
  return table;
}

}  // namespace

void handle_admin_call(Node& node, const std::string& method, const boost::json::object& args,
                       const std::shared_ptr<transport::CallSink>& sink) {
  const auto found = methods().find(method);
  if (found == methods().end())
    return sink->fail(Errc::unsupported, "this node does not know the control method '" + method + "'");
  AdminCall call{node, node.app(), args, sink};
  const Needs needs = found->second.needs;
  if ((needs == Needs::app || needs == Needs::app_and_vhost) && call.app == nullptr)
    return sink->fail(Errc::unavailable, "app_not_running: the broker on this node is stopped");
  if (needs == Needs::stopped_app && call.app != nullptr)
    return sink->fail(Errc::conflict, "app_running: stop the broker on this node first");
  if (needs == Needs::app_and_vhost && call.broker().catalogue().find_vhost(call.vhost()) == nullptr)
    return sink->fail(Errc::not_found, "Virtual host '" + call.vhost() + "' does not exist");
  found->second.run(call);
}

}  // namespace warren::server
