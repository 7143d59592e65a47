#include "node/config/values.h"

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace warren::config {

namespace {

std::string lower(std::string_view text) {
  std::string out{text};
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Splits "50MB" into the number and the unit behind it.
Result<std::pair<std::int64_t, std::string>> number_and_unit(std::string_view text,
                                                             std::string_view expected) {
  text = trim(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is not {}", text, expected));
  }
  const auto used = static_cast<std::size_t>(end - text.data());
  return std::pair{value, std::string{trim(text.substr(used))}};
}

Result<std::int64_t> scaled(std::int64_t value, std::int64_t factor, std::string_view text) {
  std::int64_t out = 0;
  if (__builtin_mul_overflow(value, factor, &out)) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is too large", text));
  }
  return out;
}

/// Edits between two names, where swapping two neighbours counts once.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, cost[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string_view trim(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> split_list(std::string_view text, char separator) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const std::size_t cut = text.find(separator);
    const std::string_view item = trim(text.substr(0, cut));
    if (!item.empty()) out.emplace_back(item);
    if (cut == std::string_view::npos) break;
    text.remove_prefix(cut + 1);
  }
  return out;
}

Result<std::int64_t> parse_integer(std::string_view text) {
  text = trim(text);
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is not a whole number", text));
  }
  return value;
}

Result<double> parse_decimal(std::string_view text) {
  text = trim(text);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value)) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is not a number", text));
  }
  return value;
}

Result<bool> parse_flag(std::string_view text) {
  const std::string word = lower(trim(text));
  if (word == "true" || word == "on" || word == "yes") return true;
  if (word == "false" || word == "off" || word == "no") return false;
  return make_error(Errc::invalid_argument, fmt::format("'{}' is neither true nor false", text));
}

Result<std::uint16_t> parse_port(std::string_view text) {
  const auto value = parse_integer(text);
  if (!value || value.value() < 1 || value.value() > 65535) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is not a port (1 to 65535)", text));
  }
  return static_cast<std::uint16_t>(value.value());
}

Result<std::int64_t> parse_size(std::string_view text) {
  auto split = number_and_unit(text, "a size in bytes, such as 50MB or 1GiB");
  if (!split) return split.error();
  const auto& [value, written] = split.value();
  const std::string unit = lower(written);
  if (unit.empty() || unit == "b") return value;
  const std::size_t power = std::string_view{"kmgtp"}.find(unit.front());
  const std::string_view rest = std::string_view{unit}.substr(1);
  if (power == std::string_view::npos || (rest != "" && rest != "b" && rest != "ib")) {
    return make_error(
        Errc::invalid_argument,
        fmt::format("'{}' is not a size: the unit '{}' is none of k, kB, kiB, M, MB, MiB, G, GB, "
                    "GiB, T, TB, TiB, P, PB, PiB",
                    text, written));
  }
  std::int64_t factor = 1;
  for (std::size_t i = 0; i <= power; ++i) factor *= rest == "b" ? 1000 : 1024;
  return scaled(value, factor, text);
}

Result<std::int64_t> parse_duration(std::string_view text, std::string_view base_unit) {
  auto split = number_and_unit(text, "a time, such as 60 or 500ms or 10m");
  if (!split) return split.error();
  const auto& [value, written] = split.value();
  const std::string unit = lower(written.empty() ? std::string{base_unit} : written);
  std::int64_t factor_ms = 0;
  if (unit == "ms") factor_ms = 1;
  if (unit == "s") factor_ms = 1000;
  if (unit == "m" || unit == "min") factor_ms = 60'000;
  if (unit == "h") factor_ms = 3'600'000;
  if (unit == "d") factor_ms = 86'400'000;
  if (factor_ms == 0) {
    return make_error(
        Errc::invalid_argument,
        fmt::format("'{}' is not a time: the unit '{}' is none of ms, s, m, h, d", text, written));
  }
  auto ms = scaled(value, factor_ms, text);
  if (!ms || base_unit == "ms") return ms;
  if (ms.value() % 1000 != 0) {
    return make_error(Errc::invalid_argument, fmt::format("'{}' is not in whole seconds", text));
  }
  return ms.value() / 1000;
}

Result<AddressPort> parse_listener(std::string_view text) {
  text = trim(text);
  const std::size_t colon = text.rfind(':');
  AddressPort out;
  std::string_view port = text;
  if (colon != std::string_view::npos) {
    std::string_view address = text.substr(0, colon);
    if (address.starts_with('[') && address.ends_with(']')) {
      address.remove_prefix(1);
      address.remove_suffix(1);
    }
    out.address = address;
    port = text.substr(colon + 1);
  }
  auto number = parse_port(port);
  if (!number) {
    return make_error(Errc::invalid_argument,
                      fmt::format("'{}' is not a listener: write a port or address:port", text));
  }
  out.port = number.value();
  return out;
}

std::string nearest_name(std::string_view wanted, const std::vector<std::string>& candidates) {
  std::string best;
  std::size_t best_cost = std::max<std::size_t>(2, wanted.size() / 3) + 1;
  for (const auto& candidate : candidates) {
    const std::size_t cost = edit_distance(wanted, candidate);
    if (cost < best_cost) {
      best_cost = cost;
      best = candidate;
    }
  }
  return best;
}

bool glob_match(std::string_view pattern, std::string_view name) {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace warren::config
