#pragma once
// The command table of rabbitmqctl and its family: data only. One row per command; what a row
// cannot say is done by its runner. Owner: node/ctl; read-only, any thread.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::ctl {

struct Context;
struct Invocation;

/// Programs a command belongs to, as bits.
enum Scope : unsigned {
  kCtl = 1,
  kDiagnostics = 2,
  kQueues = 4,
  kPlugins = 8,
  kUpgrade = 16,
  kStreams = 32,
};

/// Headings of the help page, in its order.
enum class Group {
  help,
  nodes,
  cluster,
  replication,
  users,
  access,
  observe,
  parameters,
  policies,
  vhosts,
  configuration,
  definitions,
  feature_flags,
  operations,
  queues,
  plugins,
  deprecated,
  count
};

enum Flag : unsigned {
  kVhost = 1,         ///< takes -p; args.vhost is sent
  kApp = 2,           ///< needs a running app: the banner waits until the node did not object
  kRows = 4,          ///< answers with rows
  kFixed = 8,         ///< rows with columns that cannot be chosen
  kCheck = 16,        ///< any refusal is exit 69
  kTimeout60 = 32,    ///< default timeout 60 s
  kTimeout120 = 64,   ///< default timeout 120 s
  kTimeout300 = 128,  ///< default timeout 300 s
  kHidden = 256,      ///< not in help and completion
  kLocal = 512,       ///< never asks a node
};

/// Does what the row cannot say; returns the exit code.
using Runner = int (*)(Context& context, const Invocation& invocation);

/// Shape of the little languages below:
///   arguments  "username password?" : `?` may be missing, `*` any number, `+` one or more,
///              `:json` parsed, `:int` a number; the JSON key is the name.
///   options    "online! priority=int if-unused!,u" : `!` a flag, `=str|int|num|list` with a value,
///   `,x` short. columns    "name durable=bool arguments=table" : kinds of format.h; no kind means
///   text. banner     text with {argument}, {vhost}, {node}
struct Command {
  std::string_view name;
  unsigned scopes{kCtl};
  Group group{Group::operations};
  std::string_view summary;
  std::string_view arguments{};
  std::string_view options{};
  unsigned flags{0};
  std::string_view banner{};
  std::string_view columns{};
  std::string_view default_columns{};
  std::string_view old_banner{};  ///< with --legacy-output
  std::string_view success{};     ///< printed after success
  std::string_view method{};      ///< when it differs from the name
  Runner run{nullptr};

  bool has(Flag flag) const { return (flags & flag) != 0; }
};

std::span<const Command> user_commands();
std::span<const Command> object_commands();
std::span<const Command> policy_commands();
std::span<const Command> node_commands();
std::span<const Command> cluster_commands();
std::span<const Command> diagnostic_commands();
std::span<const Command> plugin_commands();
std::span<const Command> local_commands();

/// Every command, ordered by name.
const std::vector<const Command*>& all_commands();

/// The command of that name in a program; plug-in commands only in theirs. Null when there is none.
const Command* find_command(std::string_view name, unsigned scope);

/// "rabbitmq-queues" for a scope, and back (by the base name of argv[0]; unknown names are
/// rabbitmqctl).
std::string_view program_name(unsigned scope);
unsigned scope_of(std::string_view argv0);

std::string_view group_title(Group group);

// ---- the little languages, taken apart

struct ArgumentSpec {
  std::string name;
  bool optional{false};
  bool repeated{false};
  enum class Kind { text, json, integer } kind{Kind::text};
};

struct OptionSpec {
  std::string name;  ///< without dashes, words joined by '-'
  char letter{0};
  enum class Kind { flag, text, integer, number, list } kind{Kind::flag};
  std::string key() const;  ///< JSON key
};

std::vector<ArgumentSpec> arguments_of(const Command& command);
std::vector<OptionSpec> options_of(const Command& command);

}  // namespace warren::ctl
