#include "node/ctl/parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

#include "node/ctl/format.h"
#include "node/ctl/suggest.h"

namespace warren::ctl {
namespace {

constexpr std::array<GlobalOption, 15> kGlobals{{{"node", 'n', true},
                                                 {"quiet", 'q', false},
                                                 {"silent", 's', false},
                                                 {"timeout", 't', true},
                                                 {"longnames", 'l', false},
                                                 {"vhost", 'p', true},
                                                 {"formatter", 0, true},
                                                 {"no-table-headers", 0, false},
                                                 {"table-headers", 0, false},
                                                 {"dry-run", 0, false},
                                                 {"erlang-cookie", 0, true},
                                                 {"print-stacktrace", 0, false},
                                                 {"help", '?', false},
                                                 {"version", 0, false},
                                                 {"legacy-output", 0, false}}};

/// An option as it stood on the line, before anyone knows the command.
struct RawOption {
  std::string shown;  ///< "--priority"
  std::string name;   ///< "priority"; one letter for short ones
  bool is_short{false};
  std::optional<std::string> value;
};

struct Line {
  std::vector<std::string> words;
  std::vector<RawOption> options;
  std::string error;
};

std::string dashed(std::string text) {
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

const GlobalOption* global_of(const RawOption& option) {
  for (const GlobalOption& global : kGlobals) {
    if (option.is_short ? global.letter == option.name[0] : global.name == option.name)
      return &global;
  }
  return nullptr;
}

std::optional<OptionSpec> command_option(const Command& command, const RawOption& option) {
  for (OptionSpec& spec : options_of(command)) {
    if (option.is_short ? spec.letter == option.name[0] : spec.name == option.name) return spec;
  }
  return std::nullopt;
}

/// Does this option take the next word? Before the command is known, any command's option counts.
bool takes_value(const Command* command, const RawOption& option) {
  if (command != nullptr) {
    if (const auto spec = command_option(*command, option))
      return spec->kind != OptionSpec::Kind::flag;
    const GlobalOption* global = global_of(option);
    return global != nullptr && global->value;
  }
  if (const GlobalOption* global = global_of(option)) return global->value;
  for (const Command* any : all_commands()) {
    if (const auto spec = command_option(*any, option)) return spec->kind != OptionSpec::Kind::flag;
  }
  return false;
}

/// "-qs" and "-t5" as single options.
void split_short(const Command* command, const std::string& word, std::vector<RawOption>& into) {
  for (std::size_t i = 1; i < word.size(); ++i) {
    RawOption option{std::string("-") + word[i], std::string(1, word[i]), true, std::nullopt};
    if (takes_value(command, option) && i + 1 < word.size()) {
      const std::size_t from = word[i + 1] == '=' ? i + 2 : i + 1;
      option.value = word.substr(from);
      into.push_back(std::move(option));
      return;
    }
    into.push_back(std::move(option));
  }
}

Line read_line(unsigned scope, const std::vector<std::string>& words) {
  Line line;
  const Command* command = nullptr;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") {
      line.words.insert(line.words.end(), words.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                        words.end());
      break;
    }
    const bool number =
        word.size() > 1 && word[0] == '-' && std::isdigit(static_cast<unsigned char>(word[1])) != 0;
    if (word.size() < 2 || word[0] != '-' || number) {
      if (line.words.empty()) command = find_command(word, scope);
      line.words.push_back(word);
      continue;
    }
    const std::size_t before = line.options.size();
    if (word[1] == '-') {
      const std::size_t equals = word.find('=');
      RawOption option;
      option.shown = word.substr(0, equals);
      option.name = dashed(option.shown.substr(2));
      if (equals != std::string::npos) option.value = word.substr(equals + 1);
      line.options.push_back(std::move(option));
    } else {
      split_short(command, word, line.options);
    }
    if (line.options.size() == before) continue;
    RawOption& last = line.options.back();
    if (!last.value && takes_value(command, last)) {
      if (i + 1 >= words.size()) {
        line.error =
            fmt::format("Invalid options for this command:\n{} : a value is missing", last.shown);
        return line;
      }
      last.value = words[++i];
    }
  }
  return line;
}

bool to_integer(const std::string& text, std::int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

bool to_number(const std::string& text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

/// False when the value does not fit.
bool set_global(const GlobalOption& global, const RawOption& option, Globals& to) {
  const std::string value = option.value.value_or("");
  const std::string_view name = global.name;
  if (!global.value && option.value && *option.value != "true") return false;
  if (name == "node") to.node = value;
  if (name == "quiet") to.quiet = true;
  if (name == "silent") to.silent = true;
  if (name == "longnames") to.longnames = true;
  if (name == "vhost") to.vhost = value;
  if (name == "no-table-headers") to.no_headers = true;
  if (name == "dry-run") to.dry_run = true;
  if (name == "erlang-cookie") to.cookie = value;
  if (name == "print-stacktrace") to.stacktrace = true;
  if (name == "help") to.help = true;
  if (name == "version") to.version = true;
  if (name == "legacy-output") to.legacy = true;
  if (name == "timeout") {
    double seconds = 0;
    to.timeout_infinite = value == "infinity";
    if (to.timeout_infinite) return true;
    if (!to_number(value, seconds) || seconds < 0 || seconds > 1e9) return false;
    to.timeout_s = seconds;
  }
  if (name == "formatter") {
    const auto& known = formatter_names();
    if (std::find(known.begin(), known.end(), value) == known.end()) return false;
    to.formatter = value;
  }
  return true;
}

json::array split_list(const std::string& text) {
  json::array out;
  std::size_t from = 0;
  while (from <= text.size()) {
    const std::size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) out.emplace_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return out;
}

bool set_option(const OptionSpec& spec, const RawOption& option, json::object& args) {
  using Kind = OptionSpec::Kind;
  const std::string value = option.value.value_or("");
  switch (spec.kind) {
    case Kind::flag:
      args[spec.key()] = value != "false";
      return value.empty() || value == "true" || value == "false";
    case Kind::text: args[spec.key()] = value; return true;
    case Kind::list: args[spec.key()] = split_list(value); return true;
    case Kind::integer: {
      std::int64_t number = 0;
      if (!to_integer(value, number)) return false;
      args[spec.key()] = number;
      return true;
    }
    case Kind::number: {
      double number = 0;
      if (!to_number(value, number)) return false;
      args[spec.key()] = number;
      return true;
    }
  }
  return false;
}

std::optional<ParseFailure> set_options(const Line& line, Invocation& to) {
  std::string bad;
  for (const RawOption& option : line.options) {
    std::optional<OptionSpec> spec;
    if (to.command != nullptr) spec = command_option(*to.command, option);
    const GlobalOption* global = spec ? nullptr : global_of(option);
    bool good = false;
    if (spec) good = set_option(*spec, option, to.args);
    if (global != nullptr) good = set_global(*global, option, to.globals);
    if (!good) bad += fmt::format("\n{} : {}", option.shown, option.value.value_or(""));
  }
  if (bad.empty()) return std::nullopt;
  return ParseFailure{"Invalid options for this command:" + bad};
}

/// Columns come as words, also joined by commas.
void set_columns(const std::vector<std::string>& words, std::size_t from, Invocation& to) {
  for (std::size_t i = from; i < words.size(); ++i) {
    for (const json::value& part : split_list(words[i])) to.columns.emplace_back(part.get_string());
  }
}

std::optional<ParseFailure> check_columns(const Invocation& invocation) {
  std::string bad;
  std::string hints;
  std::vector<std::string> known;
  for (const Column& column : columns_of(invocation.command->columns)) known.push_back(column.name);
  for (const std::string& column : invocation.columns) {
    if (std::find(known.begin(), known.end(), column) != known.end()) continue;
    bad += (bad.empty() ? "" : ",") + column;
    if (const auto near = nearest(column, known))
      hints += fmt::format("\nDid you mean '{}' instead of '{}'?", *near, column);
  }
  if (bad.empty()) return std::nullopt;
  return ParseFailure{fmt::format("Info key(s) {} are not supported{}", bad, hints)};
}

std::optional<ParseFailure> set_argument(const ArgumentSpec& spec, const std::string& word,
                                         json::object& args) {
  if (spec.kind == ArgumentSpec::Kind::text) {
    args[spec.name] = word;
  } else if (spec.kind == ArgumentSpec::Kind::json) {
    boost::system::error_code error;
    json::value value = json::parse(word, error);
    // Kept as text under the same key; the runner says that it is not JSON, after the banner as
    // users know it.
    args[spec.name + "_text"] = word;
    if (!error) args[spec.name] = std::move(value);
  } else {
    std::int64_t number = 0;
    if (!to_integer(word, number)) {
      return ParseFailure{fmt::format("{} must be a whole number, not '{}'", spec.name, word)};
    }
    args[spec.name] = number;
  }
  return std::nullopt;
}

std::optional<ParseFailure> set_arguments(const std::vector<std::string>& words, Invocation& to) {
  const std::vector<ArgumentSpec> specs = arguments_of(*to.command);
  std::size_t at = 1;
  for (const ArgumentSpec& spec : specs) {
    if (spec.name == "columns" && spec.repeated) {
      set_columns(words, at, to);
      return check_columns(to);
    }
    if (spec.repeated) {
      json::array rest;
      for (; at < words.size(); ++at) rest.emplace_back(words[at]);
      if (rest.empty() && !spec.optional) return ParseFailure{"not enough arguments."};
      to.args[spec.name] = std::move(rest);
      continue;
    }
    if (at >= words.size()) {
      if (spec.optional) continue;
      return ParseFailure{"not enough arguments."};
    }
    if (auto failure = set_argument(spec, words[at++], to.args)) return failure;
  }
  if (at < words.size()) return ParseFailure{"too many arguments."};
  return std::nullopt;
}

}  // namespace

std::optional<ParseFailure> parse(unsigned scope, const std::vector<std::string>& words,
                                  Invocation& invocation) {
  invocation.scope = scope;
  const Line line = read_line(scope, words);
  invocation.given = words;
  if (!line.words.empty()) invocation.command = find_command(line.words.front(), scope);
  const auto bad_options = set_options(line, invocation);
  if (invocation.globals.help || invocation.globals.version) return std::nullopt;
  if (!line.words.empty() && invocation.command == nullptr)
    return ParseFailure{line.words.front(), true};
  if (!line.error.empty()) return ParseFailure{line.error};
  if (bad_options) return bad_options;
  if (invocation.command == nullptr) return std::nullopt;
  return set_arguments(line.words, invocation);
}

std::span<const GlobalOption> global_options() { return kGlobals; }

const std::vector<std::string>& formatter_names() {
  static const std::vector<std::string> names{"table",  "pretty_table", "json",   "json_stream",
                                              "csv",    "erlang",       "string", "string_per_line",
                                              "report", "inspect"};
  return names;
}

}  // namespace warren::ctl
