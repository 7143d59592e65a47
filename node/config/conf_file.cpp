#include "node/config/conf_file.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "node/config/values.h"

namespace warren::config {

namespace {

bool key_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
         std::string_view{"._-\\/@+*:%"}.find(c) != std::string_view::npos;
}

/// Replaces every `$(NAME)`.
Result<std::string> substitute(std::string_view value, const std::string& where,
                               const EnvView& env) {
  std::string out;
  while (!value.empty()) {
    const std::size_t start = value.find("$(");
    out += value.substr(0, start);
    if (start == std::string_view::npos) break;
    const std::size_t end = value.find(')', start);
    const std::string_view name = end == std::string_view::npos
                                      ? std::string_view{}
                                      : value.substr(start + 2, end - start - 2);
    const bool is_name = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    });
    if (!is_name) {  // a `$(` that is part of the value, as in a regular expression
      out += "$(";
      value.remove_prefix(start + 2);
      continue;
    }
    const auto it = env.find(name);
    if (it == env.end()) {
      return make_error(
          Errc::invalid_argument,
          fmt::format("{}: $({}): that environment variable is not set", where, name));
    }
    out += it->second;
    value.remove_prefix(end + 1);
  }
  return out;
}

/// The value of a line: unquoted up to a comment, or in single quotes.
Result<std::string> value_of(std::string_view rest, const std::string& where,
                             std::vector<std::string>& notes) {
  rest = trim(rest);
  if (rest.starts_with('\'')) {
    const std::size_t end = rest.find('\'', 1);
    if (end == std::string_view::npos) {
      return make_error(Errc::invalid_argument, where + ": the ' of the value is never closed");
    }
    const std::string_view after = trim(rest.substr(end + 1));
    if (!after.empty() && !after.starts_with('#')) {
      return make_error(Errc::invalid_argument,
                        fmt::format("{}: '{}' stands behind the closing '", where, after));
    }
    return std::string{rest.substr(1, end - 1)};
  }
  const std::size_t hash = rest.find('#');
  if (hash != std::string_view::npos) {
    if (hash > 0 && rest[hash - 1] != ' ' && rest[hash - 1] != '\t') {
      notes.push_back(where +
                      ": what follows the # is taken as a comment; put the value in single "
                      "quotes if it is part of it");
    }
    rest = trim(rest.substr(0, hash));
  }
  return std::string{rest};
}

}  // namespace

Result<ConfText> parse_conf(std::string_view text, const std::string& file, const EnvView& env) {
  ConfText out;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  int number = 0;
  while (!text.empty()) {
    ++number;
    const std::size_t cut = text.find('\n');
    const std::string_view line = trim(text.substr(0, cut));
    text = cut == std::string_view::npos ? std::string_view{} : text.substr(cut + 1);
    if (line.empty() || line.starts_with('#')) continue;
    const std::string where = file + ":" + std::to_string(number);
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) {
      return make_error(Errc::invalid_argument,
                        fmt::format("{}: '{}' is not of the form key = value", where, line));
    }
    const std::string_view key = trim(line.substr(0, equals));
    if (key.empty() || !std::all_of(key.begin(), key.end(), key_char)) {
      return make_error(Errc::invalid_argument, fmt::format("{}: '{}' is not a key", where, key));
    }
    auto value = value_of(line.substr(equals + 1), where, out.notes);
    if (!value) return value.error();
    if (value.value().empty()) {
      return make_error(Errc::invalid_argument, fmt::format("{}: {} has no value", where, key));
    }
    if (value.value().starts_with("encrypted:")) {
      return make_error(Errc::invalid_argument,
                        fmt::format("{}: {} is encrypted, which this server cannot read; use "
                                    "$(VARIABLE) to keep it out of the file",
                                    where, key));
    }
    auto final_value = substitute(value.value(), where, env);
    if (!final_value) return final_value.error();
    out.lines.push_back({std::string{key}, std::move(final_value.value()), file, number});
  }
  return out;
}

}  // namespace warren::config
