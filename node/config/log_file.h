#pragma once
// A log file that is changed by size, by date or on demand. Not thread safe: LogSink locks.

#include <cstdint>
#include <ctime>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "node/config/log_format.h"

namespace warren::config {

/// Invariants: 1. at most `keep` old files exist, `path.0` the newest; 2. a line is never split
/// over two files; 3. a write that fails loses that line and is counted, nothing else.
class LogFile {
 public:
  struct Options {
    std::string path;
    std::int64_t rotate_size{0};  ///< bytes; 0: never
    std::optional<RotationDate> rotate_date;
    int keep{0};  ///< old files; 0: none after a rotation by size or date
  };

  /// Makes the directories and opens for appending.
  /// Errors: io with the path and the system's reason.
  static Result<LogFile> open(Options options, std::time_t now);

  LogFile(LogFile&& other) noexcept;
  LogFile& operator=(LogFile&&) = delete;
  ~LogFile();

  /// Appends one formatted line, beginning a new file first when it is time.
  void write(std::string_view line, std::time_t now);

  /// Begins a new file now, keeping at least one old one; if somebody moved ours away (logrotate),
  /// only opens the path anew.
  Result<void> rotate(std::time_t now);

  std::uint64_t lost() const { return lost_; }

 private:
  explicit LogFile(Options options) : options_(std::move(options)) {}
  Result<void> reopen(std::time_t now);
  void shift(int keep);
  bool moved_away() const;

  Options options_;
  int file_{-1};
  std::int64_t size_{0};
  std::time_t next_date_{0};
  std::uint64_t lost_{0};
};

}  // namespace warren::config
