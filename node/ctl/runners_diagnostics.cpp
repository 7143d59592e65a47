// Health checks: questions whose answer decides the exit code.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>
#include <set>

#include "node/ctl/context.h"
#include "node/ctl/diagnostics.h"
#include "node/ctl/format.h"
#include "node/ctl/runners.h"
#include "node/ctl/show.h"

namespace warren::ctl {
namespace {

constexpr Millis kPortProbeMs = 30'000;

json::object object_of(const Outcome& outcome) {
  const json::object* object = outcome.result.if_object();
  return object == nullptr ? json::object() : *object;
}

json::array array_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_array() ? value->get_array() : json::array();
}

/// Connects and asks with the ordinary arguments.
Outcome inquire(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return {failed, {}};
  return ask(context, invocation, call_args(invocation));
}

int refuse(Context& context, const Invocation& invocation, const std::string& text) {
  return print_error(context, invocation, make_error(Errc::unavailable, text));
}

std::string numbers(const json::array& listeners) {
  std::set<std::int64_t> ports;
  for (const json::value& listener : listeners) ports.insert(number_at(listener, "port"));
  std::string out;
  for (const std::int64_t port : ports) out += fmt::format("{}{}", out.empty() ? "" : ", ", port);
  return out;
}

}  // namespace

int run_is(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  const json::object result = object_of(outcome);
  const json::value* value = result.if_contains("result");
  const bool yes = value != nullptr && value->is_bool() && value->get_bool();
  const bool running = invocation.command->name == "is_running";
  context.world.out << fmt::format("RabbitMQ on node {} is {}{}\n", context.node, yes ? "" : "not ",
                                   running ? "running" : "booting");
  return yes || !running ? kExitOk : kExitUnavailable;
}

int run_check_running(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Outcome outcome =
      ask_method(context, invocation, "is_running", {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  const json::object result = object_of(outcome);
  const json::value* value = result.if_contains("result");
  if (value == nullptr || !value->is_bool() || !value->get_bool()) {
    return refuse(context, invocation,
                  fmt::format("RabbitMQ on node {} is not running or has not fully booted yet "
                              "(check with is_booting)",
                              context.node));
  }
  if (print_formatted(context, invocation, json::object{{"result", "ok"}})) return kExitOk;
  if (!invocation.globals.silent) {
    context.world.out << fmt::format("RabbitMQ on node {} is fully booted and running\n",
                                     context.node);
  }
  return kExitOk;
}

int run_alarms(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  const bool local = invocation.command->name == "check_local_alarms";
  const json::array alarms = array_at(object_of(outcome), local ? "local" : "alarms");
  std::string lines;
  for (const json::value& alarm : alarms) lines += alarm_line(alarm) + "\n";
  if (invocation.command->has(kCheck)) {
    if (!alarms.empty()) {
      return refuse(context, invocation,
                    fmt::format("Node {} reported {} alarms:\n{}", context.node,
                                local ? "local" : "", lines));
    }
    if (print_formatted(context, invocation, json::object{{"result", "ok"}})) return kExitOk;
  } else if (print_formatted(context, invocation, outcome.result)) {
    return kExitOk;
  }
  if (alarms.empty()) {
    if (invocation.globals.silent) return kExitOk;
    context.world.out << fmt::format("Node {} reported no {}\n", context.node,
                                     local ? "local alarms" : "alarms, local or clusterwide");
  } else {
    context.world.out << lines;
  }
  return kExitOk;
}

int run_listeners(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  for (const json::value& listener : array_at(object_of(outcome), "listeners")) {
    context.world.out << listener_line(listener, false) << "\n";
  }
  return kExitOk;
}

int run_cluster_doctor(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  json::object args = call_args(invocation);
  if (const json::value* node = args.if_contains("node"); node != nullptr && node->is_string())
    args["node"] = full_node_name(context.world, invocation.globals, std::string(node->get_string()));
  const Outcome outcome = ask(context, invocation, std::move(args));
  if (outcome.exit != kExitOk) return outcome.exit;
  const json::object report = object_of(outcome);
  const json::value* ok = report.if_contains("ok");
  const int exit = ok != nullptr && ok->is_bool() && ok->get_bool() ? kExitOk : kExitUnavailable;
  if (print_formatted(context, invocation, outcome.result)) return exit;
  std::size_t failed = 0, warned = 0;
  for (const json::value& line : array_at(report, "checks")) {
    const std::string status = text_at(line, "status");
    failed += status == "failed" ? 1 : 0;
    warned += status == "warning" ? 1 : 0;
    context.world.out << fmt::format("{:<8} {:<11} {}\n", status, text_at(line, "check"),
                                     text_at(line, "text"));
  }
  if (!invocation.globals.silent) {
    context.world.out << (failed == 0 ? fmt::format("Nothing stands in the way; {} warnings\n", warned)
                                      : fmt::format("{} checks failed, {} warnings\n", failed, warned));
  }
  return exit;
}

int run_check_ports(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  const json::array listeners = array_at(object_of(outcome), "listeners");
  std::string failed;
  for (const json::value& listener : listeners) {
    std::string address = invocation.text("address");
    const std::string interface = text_at(listener, "interface");
    const bool any =
        interface.empty() || interface == "[::]" || interface == "0.0.0.0" || interface == "::";
    if (address.empty()) address = any ? host_of(context.node) : interface;
    const auto port = static_cast<std::uint16_t>(number_at(listener, "port"));
    const auto addresses = transport::resolve_host(address);
    Result<> open =
        addresses ? Result<>(make_error(Errc::unavailable, "closed")) : Result<>(addresses.error());
    if (addresses) {
      for (const std::string& at : *addresses) {
        open = probe_port(at, port, kPortProbeMs);
        if (open) break;
      }
    }
    if (!open) failed += fmt::format("\n{}: {}", listener_line(listener, false), open.error().text);
  }
  if (!failed.empty()) {
    return refuse(context, invocation,
                  fmt::format("Connection to ports of the following listeners on node {} failed:{}",
                              context.node, failed));
  }
  if (print_formatted(context, invocation, json::object{{"result", "ok"}})) return kExitOk;
  if (!invocation.globals.silent) {
    context.world.out << fmt::format("Successfully connected to ports {} on node {}.\n",
                                     numbers(listeners), context.node);
  }
  return kExitOk;
}

int run_check_listener(Context& context, const Invocation& invocation) {
  const bool by_port = invocation.command->name == "check_port_listener";
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  const json::array listeners = array_at(object_of(outcome), "listeners");
  const std::string wanted = by_port ? invocation.text("port") : invocation.text("protocol");
  std::set<std::string> protocols;
  bool found = false;
  for (const json::value& listener : listeners) {
    protocols.insert(text_at(listener, "protocol"));
    found = found || (by_port ? std::to_string(number_at(listener, "port")) == wanted
                              : text_at(listener, "protocol") == wanted);
  }
  if (found) {
    if (print_formatted(context, invocation, json::object{{"result", "ok"}})) return kExitOk;
    if (!invocation.globals.silent) {
      context.world.out << fmt::format("A listener for {} {} is running on node {}.\n",
                                       by_port ? "port" : "protocol", wanted, context.node);
    }
    return kExitOk;
  }
  std::string all;
  for (const std::string& protocol : protocols) all += (all.empty() ? "" : ", ") + protocol;
  return refuse(context, invocation,
                by_port ? fmt::format("No listener for port {} is active on node {}. Found "
                                      "listeners that use the following ports: {}",
                                      wanted, context.node, numbers(listeners))
                        : fmt::format("No listener for protocol {} is active on node {}. Found "
                                      "listeners for the following protocols: {}",
                                      wanted, context.node, all));
}

int run_server_version(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  const bool runtime = invocation.command->name == "erlang_version";
  context.world.out << text_at(outcome.result, runtime ? "runtime" : "rabbitmq_version") << "\n";
  return kExitOk;
}

int run_cookie_hash(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  context.world.out << text_at(outcome.result, "hash") << "\n";
  return kExitOk;
}

int run_resolve(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  std::string family = invocation.text("address_family");
  std::transform(family.begin(), family.end(), family.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  if (family.empty()) family = "ipv4";
  if (family != "ipv4" && family != "ipv6" && family != "any") {
    return usage_error(context, invocation,
                       "Error (argument validation): --address-family must be IPv4, IPv6 or any");
  }
  named.args["family"] = family;
  named.args["family_title"] = family == "ipv4" ? "IPv4" : family == "ipv6" ? "IPv6" : "IP";
  if (invocation.flag("offline")) {
    const auto addresses = transport::resolve_host(invocation.text("hostname"));
    if (!addresses) return print_error(context, invocation, addresses.error());
    for (const std::string& address : *addresses) context.world.out << address << "\n";
    return kExitOk;
  }
  if (const int failed = connect(context, named); failed != kExitOk) return failed;
  const Outcome outcome = ask(context, named,
                              {{"hostname", named.args.at("hostname")},
                               {"family", family},
                               {"timeout_ms", timeout_of(named)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  for (const json::value& address : array_at(object_of(outcome), "addresses")) {
    if (address.is_string()) context.world.out << address.get_string().c_str() << "\n";
  }
  return kExitOk;
}

/// Whatever the node gives, a line each.
int run_lines(Context& context, const Invocation& invocation) {
  Invocation named = invocation;
  if (invocation.command->name == "log_tail" && !named.args.contains("number"))
    named.args["number"] = 50;
  const Outcome outcome = inquire(context, named);
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, named, outcome.result)) return kExitOk;
  const json::object result = object_of(outcome);
  for (const char* key : {"lines", "locations", "addresses"}) {
    for (const json::value& line : array_at(result, key)) {
      context.world.out << plain_text(line) << "\n";
    }
  }
  return kExitOk;
}

int run_stream(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  json::object args = call_args(invocation);
  rename_key(args, "duration", "duration_s");
  const Outcome outcome = ask(context, invocation, std::move(args), [&](const json::object& row) {
    if (const json::value* line = row.if_contains("line"); line != nullptr && line->is_string()) {
      context.world.out << line->get_string().c_str() << "\n" << std::flush;
    } else if (const json::value* event = row.if_contains("event")) {
      context.world.out << json::serialize(*event) << "\n" << std::flush;
    }
  });
  return outcome.exit;
}

int run_show_object(Context& context, const Invocation& invocation) {
  const Outcome outcome = inquire(context, invocation);
  if (outcome.exit != kExitOk) return outcome.exit;
  if (print_formatted(context, invocation, outcome.result)) return kExitOk;
  for (const auto& item : object_of(outcome)) {
    context.world.out << std::string_view(item.key()) << ": " << plain_text(item.value()) << "\n";
  }
  return kExitOk;
}

}  // namespace warren::ctl
