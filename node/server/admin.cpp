#include "node/server/admin.h"

#include "cluster/transport/call_args.h"
#include "node/broker/policy.h"
#include "node/server/admin_values.h"

#include <algorithm>
#include <set>

namespace warren::server {

namespace json = boost::json;

std::string AdminCall::text(std::string_view key, std::string fallback) const {
  return transport::text_arg(args, key, fallback);
}

bool AdminCall::flag(std::string_view key) const { return transport::flag_arg(args, key); }

std::int64_t AdminCall::number(std::string_view key, std::int64_t fallback) const {
  return transport::number_arg(args, key, fallback);
}

Millis AdminCall::within(Millis longest) const {
  const Millis wait = sink->deadline_ms();
  return wait <= 0 ? longest : std::min(wait, longest);
}

namespace {

const AdminTable& methods() {
  static const AdminTable table = [] {
    AdminTable all;
    add_flag_methods(all);
    add_lifecycle_methods(all);
    add_list_methods(all);
    add_access_methods(all);
    add_policy_methods(all);
    add_status_methods(all);
    add_maintenance_methods(all);
    add_cluster_methods(all);
    add_node_methods(all);
    return all;
  }();
  return table;
}

/// Answers of this node's part go on to the caller; when it is done, the other members are asked.
class LocalPart final : public transport::CallSink {
 public:
  using Next = std::function<void(json::value)>;
  LocalPart(std::shared_ptr<transport::CallSink> caller, Next next)
      : caller_(std::move(caller)), next_(std::move(next)) {}
  bool row(const json::object& row) override { return caller_->row(row); }
  void done(const json::value& result) override { next_(result); }
  void fail(Errc code, std::string text) override { caller_->fail(code, std::move(text)); }
  bool closed() const override { return caller_->closed(); }
  Millis deadline_ms() const override { return caller_->deadline_ms(); }
  const transport::PeerIdentity& peer() const override { return caller_->peer(); }

 private:
  std::shared_ptr<transport::CallSink> caller_;
  Next next_;
};

/// Listings of what lives on single nodes are of the whole cluster unless the caller says otherwise.
bool is_cluster_wide(const std::string& method, const json::object& args) {
  static const std::set<std::string, std::less<>> methods{"list_queues",    "list_connections",
                                                          "list_channels",  "list_consumers",
                                                          "list_nodes",     "list_unresponsive_queues"};
  return methods.contains(method) && !transport::flag_arg(args, "local_only") && !transport::flag_arg(args, "local");
}

/// The members whose part of a listing is elsewhere: all others, or the home of the one queue that is asked for.
std::vector<std::string> asked_members(Node& node, const std::string& method, const json::object& args) {
  auto others = node.cluster().other_names();
  if ((method != "list_queues" && method != "list_consumers") || !args.contains("name")) return others;
  const auto& catalogue = node.app()->broker().catalogue();
  const auto* def = catalogue.find_queue(transport::text_arg(args, "vhost", "/"), transport::text_arg(args, "name", ""));
  const auto* home = def == nullptr ? nullptr : catalogue.find_member(def->home);
  std::erase_if(others, [&](const auto& name) { return home == nullptr || name != home->name; });
  return others;
}

json::object down_row(Node& node, const metadata::QueueDef& def, const std::string& home) {
  const auto policies = node.app()->broker().policies_for(def);
  const auto name_of = [](const metadata::PolicyDef* policy) { return policy == nullptr ? "" : policy->name; };
  return {{"name", def.name}, {"vhost", def.vhost}, {"durable", def.durable}, {"auto_delete", def.auto_delete},
          {"exclusive", def.exclusive}, {"arguments", table_json(def.arguments)},
          {"policy", name_of(policies.policy)}, {"operator_policy", name_of(policies.operator_policy)},
          {"effective_policy_definition", parsed_json(broker::effective_policy_definition(policies))},
          {"type", metadata::queue_type_name(def.type)}, {"node", home}, {"state", "down"}};
}

/// Queues whose home did not answer are shown from the catalogue (D9).
void list_out_of_reach(Node& node, const json::object& args, const metadata::MemberDef& home,
                       const std::shared_ptr<transport::CallSink>& sink) {
  if (transport::flag_arg(args, "online")) return;
  const auto& catalogue = node.app()->broker().catalogue();
  const bool only_one = args.contains("name");
  const std::string wanted = transport::text_arg(args, "name", "");
  for (const auto& [vhost_name, vhost] : catalogue.vhosts()) {
    if (!transport::flag_arg(args, "all_vhosts") && vhost_name != transport::text_arg(args, "vhost", "/")) continue;
    for (const auto& [name, def] : vhost.queues)
      if (def.home == home.id && (!only_one || name == wanted))
        if (!sink->row(down_row(node, def, home.name))) return;
  }
}

/// What is known here of a member that gave no answer.
void stand_in(Node& node, const std::string& method, const json::object& args, const std::string& name,
              const std::shared_ptr<transport::CallSink>& sink) {
  if (node.app() == nullptr) return;
  const auto* member = node.app()->broker().catalogue().find_member(std::string_view(name));
  if (member == nullptr) return;
  if (method == "list_queues") list_out_of_reach(node, args, *member, sink);
  if (method == "list_nodes") sink->row(absent_node_row(*member));
}

/// One wave of questions to all members at once, within a second: who does not answer costs the caller
/// no more than that.
std::shared_ptr<transport::CallSink> and_the_others(Node& node, const std::string& method, json::object args,
                                                    const std::shared_ptr<transport::CallSink>& sink) {
  args["local_only"] = true;
  return std::make_shared<LocalPart>(sink, [&node, method, args, sink](const json::value& result) {
    const Millis deadline = node.settings().cluster.status_timeout_ms;
    node.cluster().ask_members(
        asked_members(node, method, args), method, args, deadline,
        [&node, method, args, sink, result](std::vector<transport::NodeAnswer> answers) {
          for (const auto& one : answers) {
            if (!one.answer) stand_in(node, method, args, one.node_name, sink);
            if (!one.answer) continue;
            for (const auto& row : one.answer->rows)
              if (!sink->row(row)) return;
          }
          sink->done(result);
        });
  });
}

}  // namespace

namespace {

bool asks_for_change(const std::string& method) {
  return !method.starts_with("list_") && !method.starts_with("check_") && !method.starts_with("await_") &&
         !method.starts_with("member_");
}

void carry_out(Node& node, const std::string& method, const json::object& args,
               const std::shared_ptr<transport::CallSink>& sink, bool caught_up) {
  const auto found = methods().find(method);
  if (found == methods().end())
    return sink->fail(Errc::unsupported, "this node does not know the control method '" + method + "'");
  AdminCall call{node, node.app(), args, sink};
  const Needs needs = found->second.needs;
  if ((needs == Needs::app || needs == Needs::app_and_vhost) && call.app == nullptr)
    return sink->fail(Errc::unavailable, "app_not_running: the broker on this node is stopped");
  if (needs == Needs::stopped_app && call.app != nullptr)
    return sink->fail(Errc::conflict, "app_running: stop the broker on this node first");
  if (needs == Needs::app_and_vhost && !call.flag("all_vhosts") && call.broker().catalogue().find_vhost(call.vhost()) == nullptr)
    return sink->fail(Errc::not_found, "Virtual host '" + call.vhost() + "' does not exist");
  if (needs != Needs::nothing && needs != Needs::stopped_app && !caught_up && asks_for_change(method) &&
      call.app->may_be_behind()) {
    // What it names may just have been made through another node.
    return call.app->catch_up([&node, method, args, sink] { carry_out(node, method, args, sink, true); });
  }
  if (call.app != nullptr && is_cluster_wide(method, args) && node.cluster().members().size() > 1)
    call.sink = and_the_others(node, method, args, sink);
  found->second.run(call);
}

}  // namespace

void handle_admin_call(Node& node, const std::string& method, const json::object& args,
                       const std::shared_ptr<transport::CallSink>& sink) {
  carry_out(node, method, args, sink, false);
}

}  // namespace warren::server
