// Commands that need no node, and those that are refused.
#include <fmt/format.h>
#include <unistd.h>

#include <ostream>

#include "node/ctl/context.h"
#include "node/ctl/format.h"
#include "node/ctl/help.h"
#include "node/ctl/runners.h"
#include "node/ctl/suggest.h"

namespace warren::ctl {
namespace {

const char* yes_no(bool value) { return value ? "true" : "false"; }

std::string access_text(const transport::CookieFileFacts& facts) {
  if (!facts.exists) return "none";
  if (facts.readable && facts.writable) return "read_write";
  return facts.readable ? "read" : "none";
}

}  // namespace

int run_help(Context& context, const Invocation& invocation) {
  const std::string name = invocation.text("command");
  if (invocation.flag("list_commands")) {
    for (const std::string& command : completions(invocation.scope, {""}))
      context.world.out << command << "\n";
    return kExitOk;
  }
  if (name.empty()) {
    context.world.out << overview_text(context, invocation.scope);
    return kExitOk;
  }
  if (const Command* command = find_command(name, invocation.scope)) {
    context.world.out << command_text(context, invocation.scope, *command);
    return kExitOk;
  }
  context.world.err << "Error:\n\nCommand '" << name << "' not found.\n";
  if (const auto near = nearest(name, completions(invocation.scope, {""}))) {
    context.world.err << "Did you mean '" << *near << "'?\n";
  }
  return kExitUsage;
}

int run_version(Context& context, const Invocation& invocation) {
  (void)invocation;
  context.world.out << version_text() << "\n";
  return kExitOk;
}

int run_autocomplete(Context& context, const Invocation& invocation) {
  if (invocation.flag("bash")) {
    context.world.out << bash_script();
    return kExitOk;
  }
  std::vector<std::string> words;
  for (const json::value& word : invocation.args.at("words").as_array())
    words.emplace_back(word.as_string());
  for (const std::string& line : completions(invocation.scope, words))
    context.world.out << line << "\n";
  return kExitOk;
}

int run_cookie_sources(Context& context, const Invocation& invocation) {
  const Surroundings& world = context.world;
  const transport::CookieSearch search = cookie_search(world, invocation.globals);
  print_own_banner(context, invocation);
  std::ostream& out = world.out;
  out << heading(context, "Cookie File") << "\n\n";
  out << "Effective user: " << transport::user_name(::geteuid()) << "\n";
  out << "Effective home directory: " << transport::home_directory() << "\n";
  for (const std::string& path : search.files) {
    const transport::CookieFileFacts facts = transport::cookie_file_facts(path);
    out << "Cookie file path: " << path << "\n";
    out << "Cookie file exists? " << yes_no(facts.exists) << "\n";
    if (!facts.exists) continue;
    out << "Cookie file type: " << (facts.regular ? "regular" : "other") << "\n";
    out << "Cookie file access: " << access_text(facts) << "\n";
    out << "Cookie file owner: " << facts.owner << "\n";
    out << fmt::format("Cookie file mode: {:03o}\n", facts.mode);
    out << "Cookie file size: " << facts.size << "\n";
  }
  out << "\n" << heading(context, "Cookie CLI Switch") << "\n\n";
  out << "--erlang-cookie value set? " << yes_no(!search.option.empty()) << "\n";
  out << "--erlang-cookie value length: " << search.option.size() << "\n";
  out << "\n" << heading(context, "Env variable ") << "\n\n";
  out << "RABBITMQ_ERLANG_COOKIE value set? " << yes_no(!search.environment.empty()) << "\n";
  out << "RABBITMQ_ERLANG_COOKIE value length: " << search.environment.size() << "\n\n";
  const auto cookie = transport::find_cookie(search);
  if (!cookie) {
    world.err << "Error:\n" << cookie.error().text << "\n";
    return kExitConfig;
  }
  out << heading(context, "Effective cookie") << "\n\n";
  out << "Used: " << cookie->describe() << "\n";
  out << "Erlang cookie hash: " << cookie->erlang_hash() << "\n";
  return kExitOk;
}

int run_static_list(Context& context, const Invocation& invocation) {
  const bool hashes = invocation.command->name == "list_hashes";
  print_banner(context, invocation,
               hashes ? "Listing supported hash algorithms ..." : "Listing supported ciphers ...");
  context.world.out << (hashes ? "[md5,sha256,sha512]" : "[aes_cbc256,aes_gcm256]") << "\n";
  return kExitOk;
}

/// No Erlang here; the one question that scripts ask this way is answered.
int run_eval(Context& context, const Invocation& invocation) {
  const std::string expression = invocation.text("expression");
  if (invocation.command->name == "eval" &&
      expression.find("rabbit_nodes:all_running()") != std::string::npos) {
    if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
    const Outcome outcome =
        ask_method(context, invocation, "cluster_status", {{"timeout_ms", timeout_of(invocation)}});
    if (outcome.exit != kExitOk) return outcome.exit;
    std::vector<Term> nodes;
    if (const json::object* status = outcome.result.if_object()) {
      if (const json::value* running = status->if_contains("running_nodes");
          running != nullptr && running->is_array()) {
        for (const json::value& node : running->get_array())
          nodes.push_back(Term::atom(node.as_string()));
      }
    }
    context.world.out << flat(Term::list(std::move(nodes))) << "\n";
    return kExitOk;
  }
  context.world.err
      << "Error:\n"
      << invocation.command->name
      << " is not supported by this server: it runs no Erlang. See 'rabbitmqctl help' for the "
         "commands there are; "
         "cluster_status, environment and explain answer what eval is mostly used for.\n";
  return kExitUsage;
}

int run_no_longer(Context& context, const Invocation& invocation) {
  context.world.out << "This command does nothing any more.";
  if (invocation.command->name == "node_health_check") {
    context.world.out << " Use 'rabbitmq-diagnostics check_running', 'check_local_alarms', "
                         "'check_port_connectivity'.";
  }
  context.world.out << "\n";
  return kExitOk;
}

}  // namespace warren::ctl
