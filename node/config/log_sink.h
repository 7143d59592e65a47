#pragma once
// The Logger of a node: file, console, syslog and the log exchange. Only log_sink.cpp sees spdlog.
// Owner: the runtime. Thread safety: all methods from any thread; writing to file, console and
// syslog happens on one thread of its own, so that a slow disc does not hold a shard up.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "node/config/settings.h"

namespace warren::config {

/// The log lines that may wait for the writing thread; beyond, the oldest are dropped and counted.
inline constexpr std::size_t kLogQueueLength = 8192;

class LogSink final : public Logger {
 public:
  /// Publishes one formatted line to the log exchange.
  /// Owner: called on the thread that logs; must only post, and lines it logs itself do not return
  /// to it.
  using ExchangeHook = std::function<void(LogLevel, LogArea, std::string)>;

  /// Errors: io when the log file cannot be opened, invalid_argument for a bad rotation date.
  static Result<std::unique_ptr<LogSink>> open(const LogSettings& settings, std::string node_name);
  ~LogSink() override;

  bool enabled(LogLevel level, LogArea area) const override;
  void write(LogLevel level, LogArea area, std::string_view line) override;

  /// `set_log_level`: of all areas (their own levels are given up), or of one.
  void set_level(LogLevel level);
  void set_level(LogArea area, LogLevel level);
  LogLevel level(LogArea area) const;

  /// `rotate_logs`. Errors: io when the new file cannot be opened.
  Result<void> rotate();

  /// Takes effect only with `log.exchange = true`; an empty function takes it away.
  void set_exchange_hook(ExchangeHook hook);

  /// Waits until all that was logged before has been written, at most two seconds.
  void flush();

  /// Lines that were dropped or could not be written.
  std::uint64_t lost() const;

  /// Where lines go, for `status`: paths, `<stdout>`, `<syslog>`, `<exchange>`.
  std::vector<std::string> places() const;

 private:
  struct Parts;
  explicit LogSink(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

/// The area of a name as rabbitmq.conf and `set_log_level` write it (`ra` and `raft` are one).
std::optional<LogArea> parse_log_area(std::string_view name);

}  // namespace warren::config
