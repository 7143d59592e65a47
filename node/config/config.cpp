#include "node/config/config.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "base/assert.h"
#include "node/config/values.h"

namespace warren::config {

namespace {

Result<OptionValue> checked_range(const OptionSpec& spec, std::int64_t value) {
  if (value >= spec.min && value <= spec.max) return OptionValue{value};
  const std::string unit = spec.unit[0] == '\0' ? "" : fmt::format(" {}", spec.unit);
  if (spec.max > (std::int64_t{1} << 61)) {
    return make_error(Errc::invalid_argument,
                      fmt::format("{} is too small: at least {}{}", value, spec.min, unit));
  }
  return make_error(Errc::invalid_argument,
                    fmt::format("{} is out of range: {} to {}{}", value, spec.min, spec.max, unit));
}

Result<OptionValue> parse_choice(const OptionSpec& spec, std::string_view text) {
  std::vector<std::string> choices = split_list(spec.choices, '|');
  if (std::find(choices.begin(), choices.end(), text) != choices.end()) {
    return OptionValue{std::string{text}};
  }
  std::string list;
  for (const auto& choice : choices) list += (list.empty() ? "" : ", ") + choice;
  return make_error(Errc::invalid_argument, fmt::format("'{}' is none of {}", text, list));
}

/// `$name` options are kept by concrete key; this is the order in which people number them.
bool key_less(const std::string& a, const std::string& b) {
  std::size_t i = 0;
  std::size_t j = 0;
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  while (i < a.size() && j < b.size()) {
    if (digit(a[i]) && digit(b[j])) {
      std::size_t ia = i;
      std::size_t jb = j;
      while (ia < a.size() && digit(a[ia])) ++ia;
      while (jb < b.size() && digit(b[jb])) ++jb;
      if (ia - i != jb - j) return ia - i < jb - j;
      if (const int c = a.compare(i, ia - i, b, j, jb - j); c != 0) return c < 0;
      i = ia;
      j = jb;
    } else if (a[i] != b[j]) {
      return a[i] < b[j];
    } else {
      ++i;
      ++j;
    }
  }
  return a.size() - i < b.size() - j;
}

}  // namespace

std::string Entry::shown() const {
  if (std::holds_alternative<std::monostate>(value)) return "";
  return spec->secret ? "(hidden)" : text;
}

Result<OptionValue> parse_option(const OptionSpec& spec, std::string_view raw) {
  const std::string_view text = trim(raw);
  if (spec.infinity && (text == "infinity" || text == "undefined" || text == "unlimited")) {
    return OptionValue{kInfinity};
  }
  switch (spec.type) {
    case OptionType::boolean: {
      auto value = parse_flag(text);
      if (!value) return value.error();
      return OptionValue{value.value()};
    }
    case OptionType::integer: {
      auto value = parse_integer(text);
      if (!value) return value.error();
      return checked_range(spec, value.value());
    }
    case OptionType::size: {
      auto value = parse_size(text);
      if (!value) return value.error();
      return checked_range(spec, value.value());
    }
    case OptionType::duration: {
      auto value = parse_duration(text, spec.unit);
      if (!value) return value.error();
      return checked_range(spec, value.value());
    }
    case OptionType::decimal: {
      auto value = parse_decimal(text);
      if (!value) return value.error();
      if (value.value() < static_cast<double>(spec.min) ||
          value.value() > static_cast<double>(spec.max)) {
        return make_error(Errc::invalid_argument,
                          fmt::format("{} is out of range: {} to {}", text, spec.min, spec.max));
      }
      return OptionValue{value.value()};
    }
    case OptionType::choice: return parse_choice(spec, text);
    case OptionType::text: return OptionValue{std::string{text}};
    case OptionType::listener: {
      if (text != "none") {
        if (auto value = parse_listener(text); !value) return value.error();
      }
      return OptionValue{std::string{text}};
    }
  }
  return make_error(Errc::internal, "option of an unknown type");
}

Config::Config(NodeEnv env) : env_(std::move(env)) {
  for (const auto& group : option_groups()) {
    for (const auto& spec : *group.options) {
      if (spec.wildcard()) continue;
      Entry entry{spec.key, &spec, {}, spec.default_text, {}};
      if (spec.default_text[0] != '\0') {
        auto value = parse_option(spec, spec.default_text);
        WARREN_ASSERT(value.has_value());
        entry.value = std::move(value.value());
      }
      plain_.emplace(spec.key, std::move(entry));
    }
  }
}

const Entry& Config::entry(std::string_view key) const {
  const auto it = plain_.find(key);
  WARREN_ASSERT(it != plain_.end());
  return it->second;
}

bool Config::get_bool(std::string_view key) const {
  const bool* value = std::get_if<bool>(&entry(key).value);
  WARREN_ASSERT(value != nullptr);
  return *value;
}

std::int64_t Config::get_int(std::string_view key) const {
  const std::int64_t* value = std::get_if<std::int64_t>(&entry(key).value);
  WARREN_ASSERT(value != nullptr);
  return *value;
}

double Config::get_decimal(std::string_view key) const {
  const double* value = std::get_if<double>(&entry(key).value);
  WARREN_ASSERT(value != nullptr);
  return *value;
}

std::string Config::get_string(std::string_view key) const {
  const Entry& found = entry(key);
  const std::string* value = std::get_if<std::string>(&found.value);
  WARREN_ASSERT(value != nullptr || std::holds_alternative<std::monostate>(found.value));
  return value == nullptr ? std::string{} : *value;
}

bool Config::has_value(std::string_view key) const {
  return !std::holds_alternative<std::monostate>(entry(key).value);
}

bool Config::is_given(std::string_view key) const {
  return entry(key).origin.kind != OriginKind::default_value;
}

std::vector<std::pair<std::string, Entry>> Config::get_all(std::string_view pattern) const {
  const std::size_t fixed = pattern.find('$');
  WARREN_ASSERT(fixed != std::string_view::npos);
  std::vector<std::pair<std::string, Entry>> found;
  for (const auto& [key, entry] : given_) {
    if (entry.spec->key == pattern) found.emplace_back(key.substr(fixed), entry);
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return key_less(a.first, b.first); });
  return found;
}

Result<void> Config::set(std::string_view key, std::string_view text, Origin origin) {
  const OptionSpec* spec = find_option(key);
  if (spec == nullptr) {
    const std::string nearest = nearest_key(key);
    return make_error(Errc::not_found,
                      fmt::format("{} is not an option{}", key,
                                  nearest.empty() ? "" : "; did you mean " + nearest + "?"));
  }
  auto value = parse_option(*spec, text);
  if (!value) {
    return make_error(Errc::invalid_argument, fmt::format("{}: {}", key, value.error().text));
  }
  Entry entry{spec->wildcard() ? std::string{key} : spec->key, spec, std::move(value.value()),
              std::string{trim(text)}, std::move(origin)};
  auto& map = spec->wildcard() ? given_ : plain_;
  std::string name = entry.key;
  map.insert_or_assign(std::move(name), std::move(entry));
  return {};
}

void Config::clear_all(std::string_view pattern) {
  std::erase_if(given_, [&](const auto& item) { return item.second.spec->key == pattern; });
}

std::vector<Entry> Config::entries() const {
  std::vector<Entry> all;
  for (const auto& group : option_groups()) {
    for (const auto& spec : *group.options) {
      if (!spec.wildcard()) {
        all.push_back(entry(spec.key));
        continue;
      }
      for (auto& [key, found] : get_all(spec.key)) all.push_back(std::move(found));
    }
  }
  return all;
}

void Config::warn(std::string line) {
  if (std::find(warnings_.begin(), warnings_.end(), line) == warnings_.end()) {
    warnings_.push_back(std::move(line));
  }
}

}  // namespace warren::config
