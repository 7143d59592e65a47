#pragma once
// The form of a log line, and when a log file is to be changed. Pure.

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.h"

namespace warren::config {

/// One line (or several, each with its own head, when `text` has several) ending in a newline.
/// Shape:  plaintext `2026-11-22 13:28:09.123456+00:00 [info] <connection> text`, the place where
/// RabbitMQ
///         shows a process holding the area; JSON one object with time, level, domain, msg, node.
///         Control characters are written as `\xNN`: a client's name must not forge lines.
/// Units:  `unix_us` microseconds since 1970, shown in local time.
std::string format_log_line(bool json, LogLevel level, LogArea area, std::int64_t unix_us,
                            std::string_view text, std::string_view node);

/// When `log.file.rotation.date` begins a new file.
struct RotationDate {
  enum class Every { hour, day, week, month } every{Every::day};
  int minute{0};
  int hour{0};
  int day{0};  ///< week: 0 is Sunday; month: 1..31, the last day in shorter months
};

/// `$H`, `$H30`, `$D0`, `$D14`, `$W0`, `$W5D16`, `$M1`, `$M15D16`; nothing for anything else.
std::optional<RotationDate> parse_rotation_date(std::string_view text);

/// The first such moment after `now`, in local time.
std::time_t next_rotation(const RotationDate& date, std::time_t now);

}  // namespace warren::config
