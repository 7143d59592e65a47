// Membership and replicas: what is checked or renamed before the node is asked.
#include <fmt/format.h>

#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

/// Node names on the line may lack their host.
std::string node_argument(const Context& context, const Invocation& invocation,
                          std::string_view key) {
  return full_node_name(context.world, invocation.globals, invocation.text(key));
}

}  // namespace

int run_join_cluster(Context& context, const Invocation& invocation) {
  if (invocation.flag("disc") && invocation.flag("ram")) {
    return usage_error(context, invocation,
                       "Error (argument validation): The node type must be either disc or ram.");
  }
  Invocation named = invocation;
  named.args["node_to_join"] = node_argument(context, invocation, "node");
  json::object args{{"node", named.args.at("node_to_join")},
                    {"node_type", invocation.flag("ram") ? "ram" : "disc"},
                    {"timeout_ms", timeout_of(invocation)}};
  return run_plain(context, named, std::move(args));
}

int run_change_type(Context& context, const Invocation& invocation) {
  std::string type = invocation.text("node_type");
  if (type == "disk") type = "disc";
  if (type != "disc" && type != "ram") {
    (void)usage_error(context, invocation,
                      "Error (argument validation): Bad argument: The node type must be either disc or ram.");
    return kExitData;  // as RabbitMQ 3.10.8
  }
  Invocation named = invocation;
  named.args["node_type"] = type;
  return run_plain(context, named);
}

int run_forget_node(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  named.args["node_to_forget"] = node_argument(context, invocation, "node_to_forget");
  json::object args{{"node", named.args.at("node_to_forget")},
                    {"offline", invocation.flag("offline")},
                    {"timeout_ms", timeout_of(invocation)}};
  return run_plain(context, named, std::move(args));
}

int run_rename_node(Context& context, const Invocation& invocation) {
  const json::array& names = invocation.args.at("names").as_array();
  if (names.size() % 2 != 0) {
    return usage_error(context, invocation,
                       "Error (argument validation): names come in pairs: old1 new1 old2 new2 ...");
  }
  json::array pairs;
  std::string shown;
  for (std::size_t i = 0; i + 1 < names.size(); i += 2) {
    const auto full = [&](const json::value& name) {
      return full_node_name(context.world, invocation.globals, std::string(name.as_string()));
    };
    shown +=
        fmt::format("{}{} -> {}", shown.empty() ? "" : ", ", full(names[i]), full(names[i + 1]));
    pairs.push_back(json::array{full(names[i]), full(names[i + 1])});
  }
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  print_banner(context, invocation, "Renaming cluster nodes: " + shown);
  return run_plain(context, invocation,
                   {{"pairs", std::move(pairs)}, {"timeout_ms", timeout_of(invocation)}});
}

int run_update_nodes(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  named.args["seed"] = node_argument(context, invocation, "seed");
  return run_plain(context, named,
                   {{"node", named.args.at("seed")}, {"timeout_ms", timeout_of(invocation)}});
}

int run_member(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  named.args["node_name"] = node_argument(context, invocation, "node_name");
  json::object args = call_args(named);
  rename_key(args, "node_name", "node");
  return run_plain(context, named, std::move(args));
}

int run_grow(Context& context, const Invocation& invocation) {
  const std::string strategy = invocation.text("strategy");
  if (invocation.command->name == "grow" && strategy != "all" && strategy != "even") {
    return usage_error(context, invocation,
                       "Error (argument validation): the strategy must be all or even");
  }
  return run_member(context, invocation);
}

/// `explain queue q`, `explain stop n`, `explain route x key`.
int run_explain(Context& context, const Invocation& invocation) {
  const std::string kind = invocation.text("kind");
  const json::array& subject = invocation.args.at("subject").as_array();
  const std::size_t wanted = kind == "route" ? 2 : 1;
  if ((kind != "queue" && kind != "stop" && kind != "route") || subject.size() != wanted) {
    return usage_error(context, invocation,
                       "Error (argument validation): explain queue <queue> | stop <node> | route "
                       "<exchange> <routing key>");
  }
  json::object args = call_args(invocation);
  args["subject"] = subject[0];
  if (wanted == 2) args["routing_key"] = subject[1];
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, invocation, std::move(args));
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  const json::object* result = outcome.result.if_object();
  const json::value* text = result == nullptr ? nullptr : result->if_contains("text");
  context.world.out << (text != nullptr && text->is_string() ? std::string(text->get_string())
                                                             : json::serialize(outcome.result))
                    << "\n";
  return kExitOk;
}

}  // namespace warren::ctl
