// The course of one command: understand, refuse or run, print.
#include <fmt/format.h>

#include <algorithm>
#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/format.h"
#include "node/ctl/help.h"
#include "node/ctl/parse.h"
#include "node/ctl/suggest.h"

namespace warren::ctl {
namespace {

/// A JSON argument that did not parse: said after the banner, as users know it.
int check_json_arguments(Context& context, const Invocation& invocation) {
  for (const ArgumentSpec& spec : arguments_of(*invocation.command)) {
    if (spec.kind != ArgumentSpec::Kind::json || !invocation.args.contains(spec.name + "_text"))
      continue;
    if (invocation.args.contains(spec.name)) continue;
    context.node = full_node_name(context.world, invocation.globals, invocation.globals.node);
    print_own_banner(context, invocation);
    return print_error(context, invocation,
                       make_error(Errc::invalid_argument,
                                  fmt::format("JSON decoding error. The {} is not JSON: {}",
                                              spec.name, invocation.text(spec.name + "_text"))));
  }
  return kExitOk;
}

int unknown_command(Surroundings& world, unsigned scope, const std::string& name) {
  std::vector<std::string> known;
  for (const Command* command : all_commands()) {
    if (find_command(command->name, scope) == command && !command->has(kHidden))
      known.emplace_back(command->name);
  }
  world.err << "\nCommand '" << name << "' not found. \n";
  if (const auto near = nearest(name, known)) world.err << "Did you mean '" << *near << "'? \n";
  for (const Command* command : all_commands()) {
    if (command->name == name && command->scopes == kPlugins) {
      world.err << "It belongs to another program: rabbitmq-plugins " << name << "\n";
    }
  }
  world.err << "\n";
  return kExitUsage;
}

bool asks_to_detach(const std::vector<std::string>& args) {
  return args.size() == 1 && (args[0] == "-detached" || args[0] == "--detached");
}

}  // namespace

int run(Surroundings& world, unsigned scope, const std::vector<std::string>& args) {
  if (asks_to_detach(args)) {
    world.err << "Error: " << program_name(scope)
              << " does not start nodes.\nDid you mean 'rabbitmq-server -detached'?\n";
    return kExitUsage;
  }
  Invocation invocation;
  const auto failure = parse(scope, args, invocation);
  if (!world.env("WARREN_LEGACY_OUTPUT").value_or("").empty()) invocation.globals.legacy = true;
  Context context{world, nullptr, {}, false};
  if (invocation.globals.version && !failure) {
    world.out << version_text() << "\n";
    return kExitOk;
  }
  if (failure && failure->unknown_command) return unknown_command(world, scope, failure->text);
  if (invocation.globals.help) {
    world.out << (invocation.command == nullptr
                      ? overview_text(context, scope)
                      : command_text(context, scope, *invocation.command));
    return kExitOk;
  }
  if (failure)
    return usage_error(context, invocation, "Error (argument validation): " + failure->text);
  if (invocation.command == nullptr) {
    world.err << overview_text(context, scope);
    return kExitUsage;
  }
  if (const int bad = check_json_arguments(context, invocation); bad != kExitOk) return bad;
  if (invocation.globals.dry_run) {
    if (!invocation.globals.quiet && !invocation.globals.silent)
      world.out << "Dry run: nothing was done.\n";
    return kExitOk;
  }
  if (invocation.command->run != nullptr) return invocation.command->run(context, invocation);
  return run_plain(context, invocation);
}

int run_plain(Context& context, const Invocation& invocation) {
  return run_plain(context, invocation, call_args(invocation));
}

int run_plain(Context& context, const Invocation& invocation, json::object args) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const Command& command = *invocation.command;
  if (!command.has(kRows)) {
    const Outcome outcome = ask(context, invocation, std::move(args));
    if (outcome.exit != kExitOk) return outcome.exit;
    const bool empty = outcome.result.is_null() ||
                       (outcome.result.is_object() && outcome.result.get_object().empty());
    const bool json_wanted = invocation.globals.formatter == "json";
    if (json_wanted)
      context.world.out << (empty ? "{\"result\":\"ok\"}" : json::serialize(outcome.result))
                        << "\n";
    if (!json_wanted && !command.success.empty() && !invocation.globals.silent) {
      context.world.out << expand(invocation, context.node, command.success) << "\n";
    }
    return kExitOk;
  }
  std::vector<Column> columns = columns_of(command.columns);
  std::vector<std::string> wanted = invocation.columns;
  if (wanted.empty()) {
    for (const Column& column : columns_of(command.default_columns)) wanted.push_back(column.name);
  }
  std::vector<Column> chosen;
  for (const std::string& name : wanted) {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const Column& c) { return c.name == name; });
    if (found != columns.end()) chosen.push_back(*found);
  }
  FormatOptions options;
  options.headers =
      !invocation.globals.silent && !invocation.globals.no_headers && !invocation.globals.legacy;
  options.bold = context.world.out_is_tty;
  const auto formatter =
      make_formatter(invocation.globals.formatter, context.world.out, chosen, options);
  const Outcome outcome = ask(context, invocation, std::move(args),
                              [&](const json::object& row) { formatter->row(row); });
  if (outcome.exit != kExitOk) return outcome.exit;
  formatter->end();
  return kExitOk;
}

}  // namespace warren::ctl
