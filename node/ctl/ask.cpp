// Calls, banners and errors: what all commands have in common.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/format.h"
#include "node/ctl/help.h"

namespace warren::ctl {
namespace {

constexpr std::string_view kAppNotRunning = "app_not_running:";
constexpr std::string_view kAppRunning = "app_running:";

bool app_objects(const Error& error) {
  return error.text.starts_with(kAppNotRunning) || error.text.starts_with(kAppRunning);
}

std::string value_text(const json::value& value) {
  if (!value.is_array()) return plain_text(value);
  std::string out;
  for (const json::value& item : value.get_array())
    out += (out.empty() ? "" : ", ") + value_text(item);
  return out;
}

std::string seconds_text(Millis ms) { return fmt::format("{}", ms / 1000); }

}  // namespace

std::string Invocation::text(std::string_view key) const {
  const json::value* value = args.if_contains(key);
  return value == nullptr || value->is_null() ? std::string() : value_text(*value);
}

bool Invocation::flag(std::string_view key) const {
  const json::value* value = args.if_contains(key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

bool Invocation::machine() const {
  return globals.formatter == "json" || globals.formatter == "json_stream" ||
         globals.formatter == "csv";
}

Millis timeout_of(const Invocation& invocation) {
  const Globals& globals = invocation.globals;
  if (globals.timeout_infinite) return 0;
  if (globals.timeout_s) return static_cast<Millis>(std::llround(*globals.timeout_s * 1000));
  if (invocation.command == nullptr) return 0;
  if (invocation.command->has(kTimeout60)) return 60'000;
  if (invocation.command->has(kTimeout120)) return 120'000;
  if (invocation.command->has(kTimeout300)) return 300'000;
  return 0;
}

std::string method_of(const Command& command) {
  return std::string(command.method.empty() ? command.name : command.method);
}

json::object call_args(const Invocation& invocation) {
  const Command& command = *invocation.command;
  json::object args = invocation.args;
  for (const ArgumentSpec& spec : arguments_of(command)) {
    if (spec.kind == ArgumentSpec::Kind::json) args.erase(spec.name + "_text");
  }
  if (command.has(kVhost)) args["vhost"] = invocation.globals.vhost;
  args["timeout_ms"] = timeout_of(invocation);
  if (command.has(kRows) && !command.has(kFixed)) {
    json::array columns;
    for (const std::string& column : invocation.columns) columns.emplace_back(column);
    if (columns.empty()) {
      for (const Column& column : columns_of(command.default_columns))
        columns.emplace_back(column.name);
    }
    args["columns"] = std::move(columns);
  }
  return args;
}

void rename_key(json::object& args, std::string_view from, std::string_view to) {
  if (const json::value* value = args.if_contains(from)) {
    json::value kept = *value;
    args.erase(from);
    args[to] = std::move(kept);
  }
}

std::string expand(const Invocation& invocation, std::string_view node, std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::size_t close = text[i] == '{' ? text.find('}', i) : std::string_view::npos;
    if (close == std::string_view::npos) {
      out += text[i];
      continue;
    }
    const std::string key(text.substr(i + 1, close - i - 1));
    i = close;
    if (key == "node") {
      out += node;
    } else if (key == "vhost") {
      out += invocation.globals.vhost;
    } else if (key == "timeout_ms") {
      out += std::to_string(timeout_of(invocation));
    } else if (key == "timeout_s") {
      out += timeout_of(invocation) == 0 ? "infinite" : seconds_text(timeout_of(invocation));
    } else {
      const std::string as_given = invocation.text(key + "_text");
      out += as_given.empty() ? invocation.text(key) : as_given;
    }
  }
  return out;
}

void print_banner(Context& context, const Invocation& invocation, std::string_view text) {
  const Globals& globals = invocation.globals;
  if (context.banner_done || text.empty()) return;
  context.banner_done = true;
  if (globals.quiet || globals.silent || invocation.machine()) return;
  const Command& command = *invocation.command;
  if (command.has(kTimeout60) && command.has(kRows) && !globals.legacy) {
    const Millis timeout = timeout_of(invocation);
    context.world.out << (timeout == 0 ? "Timeout: infinity ...\n"
                                       : fmt::format("Timeout: {:.1f} seconds ...\n",
                                                     static_cast<double>(timeout) / 1000));
  }
  context.world.out << expand(invocation, context.node, text) << "\n" << std::flush;
}

void print_own_banner(Context& context, const Invocation& invocation) {
  const Command& command = *invocation.command;
  const bool old = invocation.globals.legacy && !command.old_banner.empty();
  print_banner(context, invocation, old ? command.old_banner : command.banner);
}

Outcome ask(Context& context, const Invocation& invocation, json::object args,
            const transport::ControlClient::OnRow& on_row) {
  return ask_method(context, invocation, method_of(*invocation.command), std::move(args), on_row);
}

Outcome ask_method(Context& context, const Invocation& invocation, const std::string& method,
                   json::object args, const transport::ControlClient::OnRow& on_row) {
  const bool waits_for_app = invocation.command->has(kApp);
  if (!waits_for_app) print_own_banner(context, invocation);
  auto result = context.client->call(
      method, args,
      [&](json::object row) {
        print_own_banner(context, invocation);
        if (on_row) on_row(std::move(row));
      },
      timeout_of(invocation));
  if (!result) {
    if (!app_objects(result.error())) print_own_banner(context, invocation);
    return {print_error(context, invocation, result.error()), {}};
  }
  print_own_banner(context, invocation);
  if (const json::object* object = result->if_object()) {
    if (const json::value* warnings = object->if_contains("warnings");
        warnings != nullptr && warnings->is_array()) {
      for (const json::value& warning : warnings->get_array())
        context.world.err << "Warning: " << value_text(warning) << "\n";
    }
    const json::value* message = object->if_contains("message");
    if (message != nullptr && message->is_string() && !invocation.machine()) {
      context.world.out << value_text(*message) << "\n";
    }
  }
  return {kExitOk, std::move(*result)};
}

bool print_formatted(Context& context, const Invocation& invocation, const json::value& result) {
  const std::string& formatter = invocation.globals.formatter;
  if (formatter == "json" || formatter == "json_stream") {
    context.world.out << json::serialize(result) << "\n";
    return true;
  }
  if (formatter == "erlang") {
    context.world.out << pretty(generic_term(result)) << "\n";
    return true;
  }
  return false;
}

int usage_error(Context& context, const Invocation& invocation, const std::string& what) {
  std::ostream& err = context.world.err;
  err << what << "\nArguments given:\n\t";
  for (const std::string& word : invocation.given) err << word << " ";
  err << "\n\n" << heading(context, "Usage") << "\n\n";
  if (invocation.command != nullptr)
    err << usage_line(invocation.scope, *invocation.command) << "\n";
  return kExitUsage;
}

int exit_code_of(const Command& command, const Error& error) {
  if (command.name == "delete_queue" &&
      (error.code == Errc::not_found || error.code == Errc::conflict)) {
    return kExitUsage;
  }
  if (error.code == Errc::not_found && error.text.starts_with("User ")) return kExitNoUser;
  // As RabbitMQ 3.10.8 answers: a join to itself is a defect to it, all else about members a refusal.
  if (error.text.starts_with("cannot_cluster_node_with_itself")) return kExitSoftware;
  if (error.text.starts_with("online_node_offline_flag")) return kExitUsage;
  if (command.group == Group::cluster && error.code != Errc::timeout && error.code != Errc::internal &&
      (command.name == "join_cluster" || command.name == "reset"))
    return kExitUnavailable;
  if (command.name == "reset" && error.code == Errc::conflict) return kExitUnavailable;
  if (error.code == Errc::timeout || error.code == Errc::cancelled) return kExitTempFail;
  if (error.code == Errc::unsupported) return kExitUsage;
  if (command.has(kCheck)) return kExitUnavailable;
  if (command.name == "set_permissions" && error.code != Errc::internal) return kExitUnavailable;
  switch (error.code) {
    case Errc::invalid_argument:
    case Errc::not_found:
    case Errc::unauthenticated: return kExitData;
    case Errc::unavailable:
    case Errc::exhausted: return kExitUnavailable;
    default: return kExitSoftware;
  }
}

int print_error(Context& context, const Invocation& invocation, const Error& error) {
  std::ostream& err = context.world.err;
  if (app_objects(error)) {
    const bool running = error.text.starts_with(kAppRunning);
    const std::string_view program = program_name(kCtl);
    return usage_error(
        context, invocation,
        fmt::format(
            "Error: this command requires the 'rabbit' app to be {} on the target node. {} it with "
            "'{} {}'.",
            running ? "stopped" : "running", running ? "Stop" : "Start", program,
            running ? "stop_app" : "start_app"));
  }
  constexpr std::string_view kUnreachable = "target_unreachable: ";
  if (error.text.starts_with(kUnreachable) && invocation.globals.formatter != "json") {
    const std::size_t end = error.text.find(": ", kUnreachable.size());
    return print_unreachable(context, invocation,
                             error.text.substr(kUnreachable.size(), end - kUnreachable.size()),
                             make_error(error.code, error.text.substr(std::min(end + 2, error.text.size()))));
  }
  if (error.text.starts_with("online_node_offline_flag"))
    return usage_error(context, invocation, "Error: this command requires the target node to be stopped.");
  if (invocation.globals.formatter == "json") {
    err << json::serialize(json::object{{"result", "error"},
                                        {"error", errc_name(error.code)},
                                        {"message", error.text},
                                        {"node", context.node}})
        << "\n";
  } else {
    err << "Error:\n" << error.text << "\n";
  }
  return exit_code_of(*invocation.command, error);
}

std::string heading(const Context& context, std::string_view text) {
  return context.world.out_is_tty ? fmt::format("\x1b[1m{}\x1b[0m", text) : std::string(text);
}

}  // namespace warren::ctl
