#pragma once
// One run of a tool: what the command line said, what the process around it offers, and the helpers
// that every command uses. Tests make a Surroundings of their own.

#include <boost/json.hpp>
#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/transport/control_client.h"
#include "cluster/transport/cookie.h"
#include "node/ctl/command.h"

namespace warren::ctl {

namespace json = boost::json;

/// Exit codes, as sysexits.h names them.
enum Exit : int {
  kExitOk = 0,
  kExitUsage = 64,
  kExitData = 65,
  kExitNoUser = 67,
  kExitUnavailable = 69,
  kExitSoftware = 70,
  kExitTempFail = 75,
  kExitConfig = 78,
};

/// Everything outside the tool's own code.
struct Surroundings {
  std::ostream& out;
  std::ostream& err;
  std::istream& in;
  bool out_is_tty{false};
  bool in_is_tty{false};
  std::string short_host;
  std::string long_host;
  std::function<std::optional<std::string>(const std::string&)> env;
  std::vector<std::string> registry;                          ///< directories of the node registry
  std::vector<std::string> cookie_files;                      ///< where the cookie is looked for
  std::string plugins_file{"/etc/rabbitmq/enabled_plugins"};  ///< unless the node names another
  std::function<std::string(const std::string&)> data_dir;  ///< of a node of this host, by its name
  std::function<std::string(const std::string&)>
      read_password;  ///< prompt, from a terminal without echo
  std::function<void(long)> sleep_ms;
};

/// Options every command takes.
struct Globals {
  std::string node;  ///< as given; empty: the default
  bool quiet{false};
  bool silent{false};
  std::optional<double> timeout_s;
  bool timeout_infinite{false};
  bool longnames{false};
  std::string vhost{"/"};
  std::string formatter;
  bool no_headers{false};
  bool dry_run{false};
  std::string cookie;
  bool stacktrace{false};
  bool help{false};
  bool version{false};
  bool legacy{false};
};

/// A command line understood.
struct Invocation {
  unsigned scope{kCtl};
  const Command* command{nullptr};
  Globals globals;
  json::object args;                 ///< by JSON key, as the control method wants them
  std::vector<std::string> columns;  ///< of listings
  std::vector<std::string> given;    ///< the command and its words, for messages

  std::string text(std::string_view key) const;
  bool flag(std::string_view key) const;
  /// True for formatters read by programs: no banner.
  bool machine() const;
};

struct Context {
  Surroundings& world;
  std::unique_ptr<transport::ControlClient> client;
  std::string node;  ///< full name of the node asked
  bool banner_done{false};
};

// ---- names

/// `rabbit@host` for what the user gave (or for RABBITMQ_NODENAME, or the default).
std::string full_node_name(const Surroundings& world, const Globals& globals, std::string given);
std::string host_of(std::string_view node);
/// Same name, or same up to the domain.
bool same_node(std::string_view a, std::string_view b);

// ---- talking to the node

/// Milliseconds of -t or of the command's own default; 0 = no limit.
Millis timeout_of(const Invocation& invocation);
transport::CookieSearch cookie_search(const Surroundings& world, const Globals& globals);

/// Finds the node and proves the cookie. Prints diagnostics on failure.
/// Returns kExitOk or the exit code.
int connect(Context& context, const Invocation& invocation);
/// As connect, for a caller that wants to know without anything printed.
Result<> try_connect(Context& context, const Invocation& invocation, Millis deadline_ms);

/// What connect prints when it fails, about another node that the asked one could not reach.
/// Returns the exit code.
int print_unreachable(Context& context, const Invocation& invocation, const std::string& node, const Error& why);

/// args of the invocation with vhost, timeout_ms and columns.
json::object call_args(const Invocation& invocation);
std::string method_of(const Command& command);

/// Gives the value at `from` the key `to`. (Assigning one key from another in place would read
/// freed memory when the object grows.)
void rename_key(json::object& args, std::string_view from, std::string_view to);

/// Calls the command's method. Prints banner before, warnings and messages after; errors too.
/// Returns the result or the exit code as error.
struct Outcome {
  int exit{kExitOk};
  json::value result;
};
Outcome ask(Context& context, const Invocation& invocation, json::object args,
            const transport::ControlClient::OnRow& on_row = {});
Outcome ask_method(Context& context, const Invocation& invocation, const std::string& method,
                   json::object args, const transport::ControlClient::OnRow& on_row = {});

/// The whole of an ordinary command: connect, ask, print rows or messages.
int run_plain(Context& context, const Invocation& invocation, json::object args);
int run_plain(Context& context, const Invocation& invocation);

// ---- printing

/// The banner, once, unless the options say no. `{x}` is args.x, vhost, node.
void print_banner(Context& context, const Invocation& invocation, std::string_view text);
void print_own_banner(Context& context, const Invocation& invocation);
std::string expand(const Invocation& invocation, std::string_view node, std::string_view text);
/// A result as JSON or Erlang when the formatter asks for it. False: the caller prints its own
/// form.
bool print_formatted(Context& context, const Invocation& invocation, const json::value& result);

int usage_error(Context& context, const Invocation& invocation, const std::string& what);
int print_error(Context& context, const Invocation& invocation, const Error& error);
int exit_code_of(const Command& command, const Error& error);

/// Bold on terminals only.
std::string heading(const Context& context, std::string_view text);

/// Runs a whole command line. `args` without argv[0].
int run(Surroundings& world, unsigned scope, const std::vector<std::string>& args);

}  // namespace warren::ctl
