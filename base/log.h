#pragma once
// Logging as an interface: rooms log through a Logger&, only node/ decides where lines go.
// Event first, then key=value; identities always, payloads and credentials never.

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

namespace warren {

enum class LogLevel : int { debug = 0, info = 1, notice = 2, warning = 3, error = 4, critical = 5, none = 6 };

/// The areas whose level can be set apart (`log.connection.level`, ...).
enum class LogArea : int { general = 0, connection, channel, queue, raft, cluster, storage, access, ctl, count };

/// Where log lines go. Thread safety: `write` and `enabled` may be called from any thread.
class Logger {
 public:
  virtual ~Logger() = default;
  virtual bool enabled(LogLevel level, LogArea area) const = 0;
  virtual void write(LogLevel level, LogArea area, std::string_view line) = 0;

  template <class... Args>
  void log(LogLevel level, LogArea area, fmt::format_string<Args...> form, Args&&... args) {
    if (enabled(level, area)) write(level, area, fmt::format(form, std::forward<Args>(args)...));
  }
  template <class... Args>
  void debug(LogArea area, fmt::format_string<Args...> form, Args&&... args) {
    log(LogLevel::debug, area, form, std::forward<Args>(args)...);
  }
  template <class... Args>
  void info(LogArea area, fmt::format_string<Args...> form, Args&&... args) {
    log(LogLevel::info, area, form, std::forward<Args>(args)...);
  }
  template <class... Args>
  void warning(LogArea area, fmt::format_string<Args...> form, Args&&... args) {
    log(LogLevel::warning, area, form, std::forward<Args>(args)...);
  }
  template <class... Args>
  void error(LogArea area, fmt::format_string<Args...> form, Args&&... args) {
    log(LogLevel::error, area, form, std::forward<Args>(args)...);
  }
};

/// Drops everything; for tests and tools.
class NullLogger final : public Logger {
 public:
  bool enabled(LogLevel, LogArea) const override { return false; }
  void write(LogLevel, LogArea, std::string_view) override {}
};

const char* log_level_name(LogLevel level);
const char* log_area_name(LogArea area);

}  // namespace warren
