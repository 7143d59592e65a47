#include "node/ctl/help.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "node/ctl/format.h"
#include "node/ctl/parse.h"

namespace warren::ctl {
namespace {

constexpr std::string_view kVersion = "3.10.8";

constexpr std::string_view kGeneralOptions =
    "The following options are accepted by most or all commands.\n\n"
    "short            | long          | description\n"
    "-----------------|---------------|--------------------------------\n"
    "-?               | --help        | displays command help\n"
    "-n <node>        | --node <node> | connect to node <node>\n"
    "-l               | --longnames   | use long host names\n"
    "-t               | --timeout <n> | for commands that support it, operation timeout in "
    "seconds\n"
    "-q               | --quiet       | suppress informational messages\n"
    "-s               | --silent      | suppress informational messages\n"
    "                                 | and table header row\n"
    "-p               | --vhost       | for commands that are scoped to a virtual host,\n"
    "                 |               | virtual host to use\n"
    "                 | --formatter   | alternative result formatter: table, pretty_table, json,\n"
    "                 |               | json_stream, csv, erlang, string\n"
    "                 | --no-table-headers | tables without the header row\n"
    "                 | --dry-run     | check the command line and do nothing\n"
    "                 | --erlang-cookie <cookie> | use this cookie instead of the file's\n"
    "                 | --legacy-output | old banners, no header rows, cluster_status as a term\n";

std::string option_usage(const OptionSpec& option) {
  return option.kind == OptionSpec::Kind::flag
             ? fmt::format("[--{}]", option.name)
             : fmt::format("[--{} <{}>]", option.name, option.name);
}

std::string argument_usage(const ArgumentSpec& argument) {
  if (argument.name == "columns") return "[<column> ...]";
  std::string text = "<" + argument.name + ">";
  if (argument.repeated) text += " ...";
  return argument.optional ? "[" + text + "]" : text;
}

bool belongs(const Command& command, unsigned scope) {
  return (command.scopes & scope) != 0 && !command.has(kHidden);
}

void keep_prefix(std::vector<std::string>& words, const std::string& prefix) {
  std::erase_if(words, [&](const std::string& word) { return !word.starts_with(prefix); });
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
}

}  // namespace

std::string version_text() { return std::string(kVersion); }

std::string usage_line(unsigned scope, const Command& command) {
  const unsigned program = (command.scopes & scope) != 0 ? scope : kCtl;
  std::string line = fmt::format("{} [--node <node>] [--longnames] [--quiet] {}",
                                 program_name(program), command.name);
  if (command.has(kVhost)) line += " [--vhost <vhost>]";
  for (const ArgumentSpec& argument : arguments_of(command)) line += " " + argument_usage(argument);
  for (const OptionSpec& option : options_of(command)) line += " " + option_usage(option);
  if (command.has(kRows)) line += " [--no-table-headers]";
  return line + " [--timeout <timeout>]";
}

std::string overview_text(const Context& context, unsigned scope) {
  std::string out = fmt::format(
      "\n{}\n\n{} [--node <node>] [--timeout <timeout>] [--longnames] [--quiet] <command> "
      "[<command options>]\n\nAvailable commands:\n",
      heading(context, "Usage"), program_name(scope));
  std::size_t width = 0;
  for (const Command* command : all_commands()) {
    if (belongs(*command, scope)) width = std::max(width, command->name.size());
  }
  for (int group = 0; group < static_cast<int>(Group::count); ++group) {
    std::string lines;
    for (const Command* command : all_commands()) {
      if (!belongs(*command, scope) || command->group != static_cast<Group>(group)) continue;
      lines += fmt::format("   {:<{}}  {}\n", command->name, width, command->summary);
    }
    if (lines.empty()) continue;
    out +=
        fmt::format("\n{}:\n\n{}", heading(context, group_title(static_cast<Group>(group))), lines);
  }
  return out + fmt::format("\nUse '{} help <command>' to learn more about a specific command\n",
                           program_name(scope));
}

std::string command_text(const Context& context, unsigned scope, const Command& command) {
  std::string out = fmt::format("\n{}\n\n{}\n\n{}.\n", heading(context, "Usage"),
                                usage_line(scope, command), command.summary);
  std::string details;
  if (!command.columns.empty() && !command.has(kFixed)) {
    std::vector<std::string> names;
    for (const Column& column : columns_of(command.columns)) names.push_back(column.name);
    std::sort(names.begin(), names.end());
    details += "<column>\n\tmust be one of ";
    for (std::size_t i = 0; i < names.size(); ++i) details += (i > 0 ? ", " : "") + names[i];
    details += fmt::format("\n\tby default: {}\n\n", command.default_columns);
  }
  for (const OptionSpec& option : options_of(command)) {
    static constexpr std::array<std::string_view, 5> kKinds{"", " <text>", " <integer>",
                                                            " <number>", " <a,b,...>"};
    details += option.letter != 0 ? fmt::format("-{}, ", option.letter) : "";
    details += fmt::format("--{}{}\n", option.name, kKinds[static_cast<std::size_t>(option.kind)]);
  }
  if (!details.empty())
    out += fmt::format("\n{}\n\n{}", heading(context, "Arguments and Options"), details);
  return out + fmt::format("\n{}\n\n{}", heading(context, "General Options"), kGeneralOptions);
}

std::vector<std::string> completions(unsigned scope, const std::vector<std::string>& words) {
  const std::string last = words.empty() ? "" : words.back();
  const Command* command = nullptr;
  std::string before;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (command == nullptr && !words[i].starts_with("-")) command = find_command(words[i], scope);
    before = words[i];
  }
  std::vector<std::string> out;
  if (before == "--formatter") {
    out = formatter_names();
  } else if (last.starts_with("-")) {
    for (const GlobalOption& option : global_options())
      out.push_back("--" + std::string(option.name));
    if (command != nullptr) {
      for (const OptionSpec& option : options_of(*command)) out.push_back("--" + option.name);
    }
  } else if (command == nullptr || command->name == "help") {
    for (const Command* known : all_commands()) {
      if (belongs(*known, scope)) out.emplace_back(known->name);
    }
  } else if (!command->has(kFixed)) {
    for (const Column& column : columns_of(command->columns)) out.push_back(column.name);
  }
  keep_prefix(out, last);
  return out;
}

std::string bash_script() {
  return "_warren_ctl() {\n"
         "  local line\n"
         "  COMPREPLY=()\n"
         "  while IFS= read -r line; do COMPREPLY+=(\"$line\"); done < <(\"${COMP_WORDS[0]}\" "
         "autocomplete -- "
         "\"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)\n"
         "}\n"
         "complete -F _warren_ctl rabbitmqctl rabbitmq-diagnostics rabbitmq-queues "
         "rabbitmq-plugins rabbitmq-upgrade "
         "rabbitmq-streams\n";
}

}  // namespace warren::ctl
