// Policies, operator policies, runtime parameters and definitions.

#include "node/broker/definitions.h"
#include "node/broker/policy_definition.h"
#include "node/server/admin.h"
#include "node/server/admin_values.h"

#include <fmt/format.h>

namespace warren::server {

namespace json = boost::json;

namespace {

void done(AdminCall& call) { call.sink->done(json::object{}); }

void apply(AdminCall& call, const metadata::Command& command) {
  call.broker().apply(command, [sink = call.sink](Result<void> result) {
    if (!result) return sink->fail(result.error().code, result.error().text);
    sink->done(json::object{});
  });
}

std::string json_text(AdminCall& call, std::string_view key) {
  const auto* value = call.args.if_contains(key);
  return value == nullptr ? "" : json::serialize(*value);
}

json::object policy_row(const metadata::PolicyDef& policy) {
  return {{"vhost", policy.vhost}, {"name", policy.name}, {"pattern", policy.pattern},
          {"apply-to", policy.apply_to}, {"definition", policy.definition},
          {"priority", policy.priority}};
}

template <bool is_operator>
void list_policies(AdminCall& call) {
  const auto* vhost = call.broker().catalogue().find_vhost(call.vhost());
  for (const auto& [name, policy] : is_operator ? vhost->operator_policies : vhost->policies)
    if (!call.sink->row(policy_row(policy))) return;
  done(call);
}

template <bool is_operator>
void set_policy(AdminCall& call) {
  metadata::PolicyDef policy;
  policy.vhost = call.vhost();
  policy.name = call.text("name");
  policy.pattern = call.text("pattern");
  policy.apply_to = call.text("apply_to", is_operator ? "queues" : "all");
  policy.definition = json_text(call, "definition");
  policy.priority = call.number("priority", 0);
  policy.is_operator = is_operator;
  if (auto valid = broker::validate_policy(policy); !valid)
    return call.sink->fail(valid.error().code, valid.error().text);
  apply(call, metadata::PutPolicy{std::move(policy)});
}

template <bool is_operator>
void clear_policy(AdminCall& call) {
  apply(call, metadata::DeletePolicy{call.vhost(), call.text("name"), is_operator});
}

void list_policies_that_match(AdminCall& call) {
  const auto* vhost = call.broker().catalogue().find_vhost(call.vhost());
  const std::string name = call.text("name");
  const std::string kind = call.text("object_type", "queue");
  std::vector<const metadata::PolicyDef*> hits;
  for (const auto& [key, policy] : vhost->policies) {
    const bool fits = policy.apply_to == "all" ||
                      (kind == "exchange" ? policy.apply_to == "exchanges" : policy.apply_to != "exchanges");
    if (fits && call.broker().access().patterns().matches(policy.pattern, name)) hits.push_back(&policy);
  }
  std::stable_sort(hits.begin(), hits.end(), [](auto* a, auto* b) { return a->priority > b->priority; });
  for (const auto* policy : hits) call.sink->row(policy_row(*policy));
  done(call);
}

// ---- parameters ---------------------------------------------------------------------------------

void apply_if(AdminCall& call, const Result<metadata::Command>& command) {
  if (!command) return call.sink->fail(command.error().code, command.error().text);
  apply(call, *command);
}

void set_parameter(AdminCall& call) {
  apply_if(call, broker::put_parameter_command(
                  call.broker().catalogue(),
                  {call.vhost(), call.text("component"), call.text("name"), json_text(call, "value")}));
}

void clear_parameter(AdminCall& call) {
  apply_if(call, broker::delete_parameter_command(call.broker().catalogue(), call.vhost(),
                                               call.text("component"), call.text("name")));
}

void set_global_parameter(AdminCall& call) {
  apply(call, metadata::PutParameter{{"", "", call.text("name"), json_text(call, "value")}});
}

void clear_global_parameter(AdminCall& call) {
  apply(call, metadata::DeleteParameter{"", "", call.text("name")});
}

void list_parameters(AdminCall& call) {
  for (const auto& p : broker::listed_parameters(call.broker().catalogue()))
    if (p.vhost == call.vhost())
      call.sink->row({{"component", p.component}, {"name", p.name}, {"value", p.value}});
  done(call);
}

void list_global_parameters(AdminCall& call) {
  call.sink->row({{"name", "cluster_name"}, {"value", json::serialize(json::value(call.broker().options().cluster_name))}});
  for (const auto& p : call.broker().catalogue().parameters())
    if (p.vhost.empty() && p.component.empty() && p.name != "cluster_name")
      call.sink->row({{"name", p.name}, {"value", p.value}});
  done(call);
}

// ---- definitions --------------------------------------------------------------------------------

void export_all(AdminCall& call) {
  const auto text = broker::export_definitions(call.broker().catalogue(), {});
  call.sink->done(parsed_json(text));
}

void import_all(AdminCall& call) {
  broker::ImportOptions options;
  options.vhost = call.text("into_vhost");
  options.user = call.text("as_user");
  options.password_hashing = call.node.settings().access.password_hashing;
  options.default_queue_type = call.broker().options().default_queue_type;
  options.random = [app = call.app](std::span<std::uint8_t> into) {
    app->random({reinterpret_cast<char*>(into.data()), into.size()});
  };
  auto commands = broker::import_definitions(json_text(call, "definitions"), call.broker().catalogue(), options);
  if (!commands) return call.sink->fail(commands.error().code, commands.error().text);
  call.broker().apply_all(*commands, [sink = call.sink](Result<void> result) {
    if (!result) return sink->fail(result.error().code, result.error().text);
    sink->done(json::object{});
  });
}

}  // namespace

void add_policy_methods(AdminTable& table) {
  table["list_policies"] = {Needs::app_and_vhost, list_policies<false>};
  table["list_operator_policies"] = {Needs::app_and_vhost, list_policies<true>};
  table["set_policy"] = {Needs::app_and_vhost, set_policy<false>};
  table["set_operator_policy"] = {Needs::app_and_vhost, set_policy<true>};
  table["clear_policy"] = {Needs::app_and_vhost, clear_policy<false>};
  table["clear_operator_policy"] = {Needs::app_and_vhost, clear_policy<true>};
  table["list_policies_that_match"] = {Needs::app_and_vhost, list_policies_that_match};
  table["set_parameter"] = {Needs::app_and_vhost, set_parameter};
  table["clear_parameter"] = {Needs::app_and_vhost, clear_parameter};
  table["list_parameters"] = {Needs::app_and_vhost, list_parameters};
  table["set_global_parameter"] = {Needs::app, set_global_parameter};
  table["clear_global_parameter"] = {Needs::app, clear_global_parameter};
  table["list_global_parameters"] = {Needs::app, list_global_parameters};
  table["export_definitions"] = {Needs::app, export_all};
  table["import_definitions"] = {Needs::app, import_all};
}

}  // namespace warren::server
