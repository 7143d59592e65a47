// Membership and replicas: what is checked or renamed before the node is asked.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <ostream>

#include "cluster/membership/recovery.h"
#include "cluster/transport/node_registry.h"
#include "node/ctl/context.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

/// Node names on the line may lack their host.
std::string node_argument(const Context& context, const Invocation& invocation,
                          std::string_view key) {
  return full_node_name(context.world, invocation.globals, invocation.text(key));
}

/// What is known of a node of this host whose process does not run.
struct StoppedNode {
  membership::StateLock lock;  ///< the node cannot start meanwhile
  membership::StateFile file;
  membership::LocalState value;
};

/// Nothing when the node runs, lives on another host, or never ran: the node is to be asked then, and
/// whoever asks says what is wrong.
std::optional<StoppedNode> state_of_stopped(Context& context, const Invocation& invocation) {
  constexpr Millis kAttemptMs = 5'000;
  if (try_connect(context, invocation, kAttemptMs) || !context.world.data_dir) return std::nullopt;
  const std::string host = host_of(context.node);
  if (host != context.world.short_host && host != context.world.long_host) return std::nullopt;
  if (transport::find_node(context.node, context.world.registry)) return std::nullopt;  // it runs
  auto lock = membership::StateLock::take(context.world.data_dir(context.node));
  if (!lock) return std::nullopt;  // it is starting
  membership::StateFile file(context.world.data_dir(context.node));
  auto state = file.read();
  if (!state || !*state) return std::nullopt;
  return StoppedNode{std::move(*lock), std::move(file), std::move(**state)};
}

int forget_offline(Context& context, const Invocation& named, const StoppedNode& node) {
  const std::string name = named.text("node_to_forget");
  print_own_banner(context, named);
  auto may = membership::may_forget_offline(node.value, context.node, name);
  if (!may) return print_error(context, named, may.error());
  membership::LocalState next = node.value;
  if (std::find(next.forget.begin(), next.forget.end(), name) == next.forget.end()) next.forget.push_back(name);
  if (auto written = node.file.write(next); !written) return print_error(context, named, written.error());
  if (!named.globals.quiet && !named.globals.silent)
    context.world.out << fmt::format("  * Data of node {}: {}\n  * It is done when {} starts\n", context.node,
                                     node.file.path(), context.node);
  return kExitOk;
}

}  // namespace

int run_join_cluster(Context& context, const Invocation& invocation) {
  if (invocation.flag("disc") && invocation.flag("ram")) {
    (void)usage_error(context, invocation,
                      "Error (argument validation): The node type must be either disc or ram.");
    return kExitData;  // as RabbitMQ 3.10.8
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

int run_force_boot(Context& context, const Invocation& invocation) {
  const auto state = state_of_stopped(context, invocation);
  if (!state) return run_plain(context, invocation);
  if (auto may = membership::may_force_boot(state->value); !may)
    return print_error(context, invocation, may.error());
  if (state->value.alone()) return kExitOk;
  membership::LocalState next = state->value;
  next.force_boot = true;
  const auto written = state->file.write(next);
  return written ? kExitOk : print_error(context, invocation, written.error());
}

/// A stopped node is told to forget at its next start; the last resort when no majority is left.
int run_forget_node(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  named.args["node_to_forget"] = node_argument(context, invocation, "node_to_forget");
  Command offline = *invocation.command;
  if (invocation.flag("offline")) {
    offline.banner = "Removing node {node_to_forget} from the cluster. Warning: queues whose only copy is on "
                     "it are lost";
    named.command = &offline;
    if (const auto state = state_of_stopped(context, invocation)) return forget_offline(context, named, *state);
  }
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
