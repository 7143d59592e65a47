// Stopping and waiting: what follows a process, and the long report.
#include <fmt/format.h>
#include <signal.h>
#include <sys/types.h>

#include <cerrno>
#include <fstream>
#include <ostream>

#include "cluster/transport/node_registry.h"
#include "node/ctl/context.h"
#include "node/ctl/runners.h"

namespace warren::ctl {
namespace {

constexpr Millis kStepMs = 100;
constexpr Millis kWaitDefaultMs = 10'000;
constexpr Millis kStopDefaultMs = 60'000;
constexpr Millis kAttemptMs = 1'000;

bool alive(long pid) { return ::kill(static_cast<pid_t>(pid), 0) == 0 || errno == EPERM; }

long read_pid(const std::string& file) {
  std::ifstream in(file);
  long pid = 0;
  return in >> pid && pid > 0 ? pid : 0;
}

/// Repeats until `ready`, counting its own naps; false when the time is over. 0 = no limit.
template <class Ready>
bool wait_until(Context& context, Millis limit_ms, Ready ready) {
  for (Millis waited = 0; limit_ms == 0 || waited <= limit_ms; waited += kStepMs) {
    if (ready()) return true;
    context.world.sleep_ms(kStepMs);
  }
  return false;
}

int timed_out(Context& context, const std::string& what) {
  context.world.err << "Error:\n" << what << "\n";
  return kExitTempFail;
}

void say(Context& context, const Invocation& invocation, const std::string& line) {
  if (!invocation.globals.quiet && !invocation.globals.silent)
    context.world.out << line << "\n" << std::flush;
}

}  // namespace

/// `stop [pidfile]` and `shutdown [--no-wait]`.
int run_stop(Context& context, const Invocation& invocation) {
  const bool shutdown = invocation.command->name == "shutdown";
  const Result<> reached = try_connect(context, invocation, kAttemptMs * 10);
  if (!reached && invocation.flag("idempotent") && reached.error().code == Errc::unavailable) {
    say(context, invocation, fmt::format("Node {} is no longer running", context.node));
    return kExitOk;
  }
  // The ordinary way prints why.
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  const auto entry = transport::find_node(context.node, context.world.registry);
  long pid = invocation.args.contains("pidfile") ? read_pid(invocation.text("pidfile")) : 0;
  if (pid == 0 && shutdown && entry) pid = entry->pid;
  if (shutdown) {
    print_banner(context, invocation,
                 pid == 0
                     ? "Shutting down RabbitMQ node {node}"
                     : fmt::format("Shutting down RabbitMQ node {{node}} running at PID {}", pid));
  }
  const Outcome outcome = ask(context, invocation, {{"timeout_ms", timeout_of(invocation)}});
  if (outcome.exit != kExitOk) return outcome.exit;
  if (pid == 0 || invocation.flag("no_wait")) return kExitOk;
  if (shutdown) say(context, invocation, fmt::format("Waiting for PID {} to terminate", pid));
  const Millis limit = timeout_of(invocation) > 0 ? timeout_of(invocation) : kStopDefaultMs;
  if (!wait_until(context, limit, [pid] { return !alive(pid); })) {
    return timed_out(context,
                     fmt::format("process {} of node {} is still there", pid, context.node));
  }
  if (shutdown)
    say(context, invocation,
        fmt::format("RabbitMQ node {} running at PID {} successfully shut down", context.node,
                    pid));
  return kExitOk;
}

int run_wait(Context& context, const Invocation& invocation) {
  const std::string file = invocation.text("pidfile");
  const json::value* given = invocation.args.if_contains("pid");
  if (file.empty() == (given == nullptr)) {
    return usage_error(context, invocation,
                       "Error (argument validation): a pid file or --pid is needed, and not both");
  }
  const Millis limit = invocation.globals.timeout_infinite ? 0
                       : timeout_of(invocation) > 0        ? timeout_of(invocation)
                                                           : kWaitDefaultMs;
  context.node = full_node_name(context.world, invocation.globals, invocation.globals.node);
  long pid = given == nullptr ? 0 : given->as_int64();
  if (!file.empty()) {
    say(context, invocation, fmt::format("Waiting for pid file '{}' to appear", file));
    if (!wait_until(context, limit, [&] { return (pid = read_pid(file)) != 0; })) {
      return timed_out(context, fmt::format("pid file {} did not appear in time", file));
    }
    say(context, invocation, fmt::format("pid is {}", pid));
  }
  say(context, invocation,
      fmt::format("Waiting for erlang distribution on node '{}' while OS process '{}' is running",
                  context.node, pid));
  bool gone = false;
  Error last;
  const bool reached = wait_until(context, limit, [&] {
    gone = !alive(pid);
    if (gone) return true;
    const Result<> connected = try_connect(context, invocation, kAttemptMs);
    if (!connected) last = connected.error();
    return static_cast<bool>(connected);
  });
  if (gone) {
    context.world.err << "Error:\nprocess_not_running\n";
    return kExitUnavailable;
  }
  if (!reached)
    return timed_out(context,
                     fmt::format("node {} did not answer in time: {}", context.node, last.text));
  say(context, invocation,
      fmt::format("Waiting for applications 'rabbit_and_plugins' to start on node '{}'",
                  context.node));
  const auto started = context.client->call("await_startup", {{"timeout_ms", limit}}, {}, limit);
  if (!started) return print_error(context, invocation, started.error());
  say(context, invocation,
      fmt::format("Applications 'rabbit_and_plugins' are running on node '{}'", context.node));
  return kExitOk;
}

int run_await_startup(Context& context, const Invocation& invocation) {
  const Millis limit = timeout_of(invocation);
  const bool reached = wait_until(context, limit, [&] {
    return static_cast<bool>(try_connect(context, invocation, kAttemptMs));
  });
  if (!reached) return connect(context, invocation);
  return run_plain(context, invocation);
}

int run_report(Context& context, const Invocation& invocation) {
  if (const int failed = connect(context, invocation); failed != kExitOk) return failed;
  print_banner(context, invocation, "Reporting server status of node {node} ...\n");
  static constexpr std::string_view kParts[] = {
      "status",           "cluster_status",         "environment",
      "list_connections", "list_channels",          "list_vhosts",
      "list_queues",      "list_exchanges",         "list_bindings",
      "list_consumers",   "list_permissions",       "list_policies",
      "list_parameters",  "list_global_parameters", "list_feature_flags"};
  int worst = kExitOk;
  for (const std::string_view part : kParts) {
    Invocation one = invocation;
    one.command = find_command(part, kCtl);
    one.args.clear();
    one.columns.clear();
    context.banner_done = false;
    const int code =
        one.command->run != nullptr ? one.command->run(context, one) : run_plain(context, one);
    if (code != kExitOk) worst = code;
    context.world.out << "\n";
  }
  return worst;
}

}  // namespace warren::ctl
