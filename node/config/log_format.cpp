#include "node/config/log_format.h"

#include <fmt/core.h>

#include <algorithm>
#include <iterator>

#include "node/config/values.h"

namespace warren::config {

namespace {

std::string time_text(std::int64_t unix_us) {
  std::int64_t seconds = unix_us / 1'000'000;
  std::int64_t micros = unix_us % 1'000'000;
  if (micros < 0) {
    micros += 1'000'000;
    --seconds;
  }
  const auto at = static_cast<std::time_t>(seconds);
  std::tm local{};
  ::localtime_r(&at, &local);
  const long offset_min = local.tm_gmtoff / 60;
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}{}{:02}:{:02}", local.tm_year + 1900,
                     local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min, local.tm_sec,
                     micros, offset_min < 0 ? '-' : '+', std::abs(offset_min) / 60,
                     std::abs(offset_min) % 60);
}

bool control(char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f; }

void append_plain(std::string& out, std::string_view line) {
  for (const char c : line) {
    if (control(c)) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      out.push_back(c);
    }
  }
}

/// Bytes of the well-formed UTF-8 sequence at the front, 0 when there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  std::size_t length = 0;
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first < 0xe0) length = 2;
  if (first >= 0xe0 && first < 0xf0) length = 3;
  if (first >= 0xf0 && first < 0xf5) length = 4;
  if (length == 0 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (first == 0xe0 && byte(1) < 0xa0) return 0;
  if (first == 0xed && byte(1) >= 0xa0) return 0;
  if (first == 0xf0 && byte(1) < 0x90) return 0;
  if (first == 0xf4 && byte(1) >= 0x90) return 0;
  return length;
}

void append_json(std::string& out, std::string_view text) {
  out.push_back('"');
  while (!text.empty()) {
    const char c = text.front();
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (length == 1 && control(c)) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  out.push_back('"');
}

int days_in_month(int year, int month) {
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 1 && leap ? 29 : kDays[month];
}

/// A letter with a number in a range behind it, taken off the front.
std::optional<int> take_part(std::string_view& text, char letter, int low, int high) {
  if (!text.starts_with(letter)) return std::nullopt;
  std::size_t digits = 1;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') ++digits;
  const auto number = parse_integer(text.substr(1, digits - 1));
  if (!number || number.value() < low || number.value() > high) return std::nullopt;
  text.remove_prefix(digits);
  return static_cast<int>(number.value());
}

}  // namespace

std::string format_log_line(bool json, LogLevel level, LogArea area, std::int64_t unix_us,
                            std::string_view text, std::string_view node) {
  std::string out;
  const std::string time = time_text(unix_us);
  while (text.ends_with('\n')) text.remove_suffix(1);
  if (json) {
    out =
        fmt::format("{{\"time\":\"{}\",\"level\":\"{}\",\"domain\":\"rabbitmq.{}\",\"msg\":", time,
                    log_level_name(level), log_area_name(area));
    append_json(out, text);
    out += ",\"node\":";
    append_json(out, node);
    out += "}\n";
    return out;
  }
  const std::string head =
      fmt::format("{} [{}] <{}> ", time, log_level_name(level), log_area_name(area));
  for (bool more = true; more;) {
    const std::size_t cut = text.find('\n');
    more = cut != std::string_view::npos;
    out += head;
    append_plain(out, text.substr(0, cut));
    out.push_back('\n');
    if (more) text.remove_prefix(cut + 1);
  }
  return out;
}

std::optional<RotationDate> parse_rotation_date(std::string_view text) {
  if (!text.starts_with('$')) return std::nullopt;
  text.remove_prefix(1);
  RotationDate date;
  if (text.starts_with('H')) {
    date.every = RotationDate::Every::hour;
    if (text.size() == 1) return date;
    const auto minute = take_part(text, 'H', 0, 59);
    if (!minute || !text.empty()) return std::nullopt;
    date.minute = *minute;
    return date;
  }
  if (text.starts_with('W')) {
    const auto day = take_part(text, 'W', 0, 6);
    if (!day) return std::nullopt;
    date.every = RotationDate::Every::week;
    date.day = *day;
  } else if (text.starts_with('M')) {
    const auto day = take_part(text, 'M', 1, 31);
    if (!day) return std::nullopt;
    date.every = RotationDate::Every::month;
    date.day = *day;
  }
  if (text.empty()) {
    return date.every == RotationDate::Every::day ? std::nullopt : std::optional{date};
  }
  const auto hour = take_part(text, 'D', 0, 23);
  if (!hour || !text.empty()) return std::nullopt;
  date.hour = *hour;
  return date;
}

std::time_t next_rotation(const RotationDate& date, std::time_t now) {
  std::tm at{};
  ::localtime_r(&now, &at);
  const auto moment = [](std::tm when) {
    when.tm_isdst = -1;
    return std::mktime(&when);
  };
  at.tm_sec = 0;
  at.tm_min = date.minute;
  if (date.every == RotationDate::Every::hour) {
    const std::time_t first = moment(at);
    return first > now ? first : first + 3600;
  }
  at.tm_hour = date.hour;
  if (date.every == RotationDate::Every::day) {
    if (moment(at) <= now) ++at.tm_mday;
  } else if (date.every == RotationDate::Every::week) {
    at.tm_mday += (date.day - at.tm_wday + 7) % 7;
    if (moment(at) <= now) at.tm_mday += 7;
  } else {
    const auto this_month = [&] {
      at.tm_mday = std::min(date.day, days_in_month(at.tm_year + 1900, at.tm_mon));
    };
    this_month();
    if (moment(at) <= now) {
      if (++at.tm_mon == 12) {
        at.tm_mon = 0;
        ++at.tm_year;
      }
      this_month();
    }
  }
  return moment(at);
}

}  // namespace warren::config
