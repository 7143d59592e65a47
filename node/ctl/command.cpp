#include "node/ctl/command.h"

#include <algorithm>
#include <array>
#include <sstream>

#include "base/assert.h"

namespace warren::ctl {
namespace {

struct Program {
  unsigned scope;
  std::string_view name;
};

constexpr std::array<Program, 6> kPrograms{{{kCtl, "rabbitmqctl"},
                                            {kDiagnostics, "rabbitmq-diagnostics"},
                                            {kQueues, "rabbitmq-queues"},
                                            {kPlugins, "rabbitmq-plugins"},
                                            {kUpgrade, "rabbitmq-upgrade"},
                                            {kStreams, "rabbitmq-streams"}}};

std::vector<std::string> words(std::string_view text) {
  std::istringstream in{std::string(text)};
  std::vector<std::string> out;
  for (std::string word; in >> word;) out.push_back(std::move(word));
  return out;
}

}  // namespace

const std::vector<const Command*>& all_commands() {
  static const std::vector<const Command*> all = [] {
    std::vector<const Command*> list;
    for (const auto part :
         {user_commands(), object_commands(), policy_commands(), node_commands(),
          cluster_commands(), diagnostic_commands(), plugin_commands(), local_commands()}) {
      for (const Command& command : part) list.push_back(&command);
    }
    std::sort(list.begin(), list.end(),
              [](const Command* a, const Command* b) { return a->name < b->name; });
    return list;
  }();
  return all;
}

const Command* find_command(std::string_view name, unsigned scope) {
  const Command* elsewhere = nullptr;
  for (const Command* command : all_commands()) {
    if (command->name != name) continue;
    if ((command->scopes & scope) != 0) return command;
    if (command->scopes != kPlugins && scope != kPlugins) elsewhere = command;
  }
  return elsewhere;
}

std::string_view program_name(unsigned scope) {
  for (const Program& program : kPrograms) {
    if (program.scope == scope) return program.name;
  }
  return kPrograms.front().name;
}

unsigned scope_of(std::string_view argv0) {
  const std::size_t slash = argv0.rfind('/');
  const std::string_view base = slash == std::string_view::npos ? argv0 : argv0.substr(slash + 1);
  for (const Program& program : kPrograms) {
    if (program.name == base) return program.scope;
  }
  return kCtl;
}

std::string_view group_title(Group group) {
  switch (group) {
    case Group::help: return "Help";
    case Group::nodes: return "Nodes";
    case Group::cluster: return "Cluster";
    case Group::replication: return "Replication";
    case Group::users: return "Users";
    case Group::access: return "Access Control";
    case Group::observe: return "Monitoring, observability and health checks";
    case Group::parameters: return "Parameters";
    case Group::policies: return "Policies";
    case Group::vhosts: return "Virtual hosts";
    case Group::configuration: return "Configuration and Environment";
    case Group::definitions: return "Definitions";
    case Group::feature_flags: return "Feature flags";
    case Group::operations: return "Operations";
    case Group::queues: return "Queues";
    case Group::plugins: return "Plugin Management";
    case Group::deprecated: return "Deprecated";
    case Group::count: break;
  }
  return "";
}

std::string OptionSpec::key() const {
  std::string out = name;
  std::replace(out.begin(), out.end(), '-', '_');
  return out;
}

std::vector<ArgumentSpec> arguments_of(const Command& command) {
  std::vector<ArgumentSpec> out;
  for (std::string word : words(command.arguments)) {
    ArgumentSpec spec;
    const char last = word.back();
    spec.optional = last == '?' || last == '*';
    spec.repeated = last == '*' || last == '+';
    if (spec.optional || spec.repeated) word.pop_back();
    const std::size_t colon = word.find(':');
    if (colon != std::string::npos) {
      const std::string kind = word.substr(colon + 1);
      WARREN_ASSERT(kind == "json" || kind == "int");
      spec.kind = kind == "json" ? ArgumentSpec::Kind::json : ArgumentSpec::Kind::integer;
      word.resize(colon);
    }
    spec.name = word;
    out.push_back(std::move(spec));
  }
  return out;
}

std::vector<OptionSpec> options_of(const Command& command) {
  std::vector<OptionSpec> out;
  for (std::string word : words(command.options)) {
    OptionSpec spec;
    if (word.size() > 2 && word[word.size() - 2] == ',') {
      spec.letter = word.back();
      word.resize(word.size() - 2);
    }
    const std::size_t equals = word.find('=');
    if (equals != std::string::npos) {
      const std::string kind = word.substr(equals + 1);
      spec.kind = kind == "int"    ? OptionSpec::Kind::integer
                  : kind == "num"  ? OptionSpec::Kind::number
                  : kind == "list" ? OptionSpec::Kind::list
                                   : OptionSpec::Kind::text;
      word.resize(equals);
    } else {
      WARREN_ASSERT(word.back() == '!');
      word.pop_back();
    }
    spec.name = word;
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace warren::ctl
