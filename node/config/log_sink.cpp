#include "node/config/log_sink.h"

#include <spdlog/async.h>
#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/base_sink.h>
#include <syslog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <vector>

#include "node/config/log_file.h"

namespace warren::config {

namespace {

constexpr auto kAreas = static_cast<std::size_t>(LogArea::count);

/// spdlog has six levels as we do, under partly other names; they are matched in order, so that
/// none is lost on the way (`info` is its `debug`, `notice` its `info`).
spdlog::level::level_enum to_spdlog(LogLevel level) {
  return static_cast<spdlog::level::level_enum>(static_cast<int>(level));
}
static_assert(static_cast<int>(LogLevel::critical) == SPDLOG_LEVEL_CRITICAL);
static_assert(static_cast<int>(LogLevel::none) == SPDLOG_LEVEL_OFF);

LogLevel level_of(const spdlog::details::log_msg& msg) {
  return static_cast<LogLevel>(static_cast<int>(msg.level));
}

std::int64_t micros(spdlog::log_clock::time_point at) {
  return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
}

LogArea area_of(const spdlog::details::log_msg& msg) {
  for (std::size_t i = 0; i < kAreas; ++i) {
    const auto area = static_cast<LogArea>(i);
    if (std::string_view{msg.logger_name.data(), msg.logger_name.size()} == log_area_name(area)) {
      return area;
    }
  }
  return LogArea::general;
}

std::string formatted(const spdlog::details::log_msg& msg, bool json, std::string_view node) {
  const std::string_view text{msg.payload.data(), msg.payload.size()};
  return format_log_line(json, level_of(msg), area_of(msg), micros(msg.time), text, node);
}

/// spdlog's seam for the form of a line.
class LineFormatter final : public spdlog::formatter {
 public:
  LineFormatter(bool json, std::string node, bool colour)
      : json_(json), node_(std::move(node)), colour_(colour) {}

  void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override {
    const std::string line = formatted(msg, json_, node_);
    if (colour_ && !json_) {
      msg.color_range_start = out.size();
      msg.color_range_end = out.size() + line.size() - 1;
    }
    out.append(line.data(), line.data() + line.size());
  }
  std::unique_ptr<spdlog::formatter> clone() const override {
    return std::make_unique<LineFormatter>(json_, node_, colour_);
  }

 private:
  bool json_;
  std::string node_;
  bool colour_;
};

class FileSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  FileSink(LogFile file, bool json, std::string node)
      : file_(std::move(file)), json_(json), node_(std::move(node)) {}

  Result<void> rotate() {
    const std::lock_guard lock{mutex_};
    return file_.rotate(std::time(nullptr));
  }
  std::uint64_t lost() {
    const std::lock_guard lock{mutex_};
    return file_.lost();
  }

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    file_.write(formatted(msg, json_, node_), spdlog::log_clock::to_time_t(msg.time));
  }
  void flush_() override {}

 private:
  LogFile file_;
  bool json_;
  std::string node_;
};

/// The host's syslog; its own daemon forwards to others if wanted.
class SyslogSink final : public spdlog::sinks::base_sink<std::mutex> {
 public:
  SyslogSink(std::string identity, int facility, bool json, std::string node)
      : identity_(std::move(identity)), json_(json), node_(std::move(node)) {
    ::openlog(identity_.c_str(), LOG_PID, facility);
  }
  ~SyslogSink() override { ::closelog(); }

 protected:
  void sink_it_(const spdlog::details::log_msg& msg) override {
    static constexpr int kPriorities[] = {LOG_DEBUG,   LOG_INFO, LOG_NOTICE,
                                          LOG_WARNING, LOG_ERR,  LOG_CRIT};
    const auto level = static_cast<std::size_t>(level_of(msg));
    ::syslog(kPriorities[std::min<std::size_t>(level, 5)], "%s",
             formatted(msg, json_, node_).c_str());
  }
  void flush_() override {}

 private:
  std::string identity_;  // openlog keeps the pointer
  bool json_;
  std::string node_;
};

int facility_of(const std::string& name) {
  static constexpr std::pair<const char*, int> kNames[] = {
      {"kern", LOG_KERN},     {"kernel", LOG_KERN},   {"user", LOG_USER},
      {"mail", LOG_MAIL},     {"daemon", LOG_DAEMON}, {"auth", LOG_AUTH},
      {"syslog", LOG_SYSLOG}, {"lpr", LOG_LPR},       {"news", LOG_NEWS},
      {"uucp", LOG_UUCP},     {"cron", LOG_CRON},     {"authpriv", LOG_AUTHPRIV},
      {"ftp", LOG_FTP},       {"local0", LOG_LOCAL0}, {"local1", LOG_LOCAL1},
      {"local2", LOG_LOCAL2}, {"local3", LOG_LOCAL3}, {"local4", LOG_LOCAL4},
      {"local5", LOG_LOCAL5}, {"local6", LOG_LOCAL6}, {"local7", LOG_LOCAL7},
  };
  for (const auto& [known, facility] : kNames) {
    if (name == known) return facility;
  }
  return LOG_DAEMON;
}

}  // namespace

struct LogSink::Parts {
  LogSettings settings;
  std::string node;
  std::array<std::atomic<int>, kAreas> levels{};
  std::shared_ptr<FileSink> file;
  std::shared_ptr<spdlog::details::thread_pool> pool;
  std::array<std::shared_ptr<spdlog::async_logger>, kAreas> loggers;
  std::vector<std::string> places;
  int lowest_output{static_cast<int>(LogLevel::none)};
  std::mutex hook_mutex;
  std::shared_ptr<const ExchangeHook> hook;

  void add_output(std::vector<spdlog::sink_ptr>& sinks, spdlog::sink_ptr sink,
                  const LogOutput& output) {
    sink->set_level(to_spdlog(output.level));
    lowest_output = std::min(lowest_output, static_cast<int>(output.level));
    sinks.push_back(std::move(sink));
  }
};

LogSink::LogSink(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

LogSink::~LogSink() {
  flush();
  for (auto& logger : parts_->loggers) logger.reset();
  parts_->pool.reset();  // joins its thread after the last line
}

Result<std::unique_ptr<LogSink>> LogSink::open(const LogSettings& settings, std::string node_name) {
  auto parts = std::make_unique<Parts>();
  parts->settings = settings;
  parts->node = std::move(node_name);
  for (std::size_t i = 0; i < kAreas; ++i) {
    parts->levels[i] = static_cast<int>(settings.areas[i].value_or(settings.default_level));
  }
  std::vector<spdlog::sink_ptr> sinks;
  if (settings.file.on) {
    LogFile::Options options{settings.path, settings.rotate_size, std::nullopt,
                             settings.rotate_count};
    if (!settings.rotate_date.empty()) {
      options.rotate_date = parse_rotation_date(settings.rotate_date);
      if (!options.rotate_date) {
        return make_error(Errc::invalid_argument,
                          "log.file.rotation.date: '" + settings.rotate_date +
                              "' is not of the form $D0, $H, $W0, $W5D16, $M1 or $M1D16");
      }
    }
    auto file = LogFile::open(std::move(options), std::time(nullptr));
    if (!file) return file.error();
    parts->file =
        std::make_shared<FileSink>(std::move(file.value()), settings.file.json, parts->node);
    parts->add_output(sinks, parts->file, settings.file);
    parts->places.push_back(settings.path);
  }
  if (settings.console.on) {
    std::FILE* stream = settings.console_stderr ? stderr : stdout;
    const bool colour =
        settings.colors == "on" || (settings.colors != "off" && ::isatty(::fileno(stream)) != 0);
    const auto mode = colour ? spdlog::color_mode::always : spdlog::color_mode::never;
    spdlog::sink_ptr console;
    if (settings.console_stderr) {
      console = std::make_shared<spdlog::sinks::ansicolor_stderr_sink_mt>(mode);
    } else {
      console = std::make_shared<spdlog::sinks::ansicolor_stdout_sink_mt>(mode);
    }
    console->set_formatter(
        std::make_unique<LineFormatter>(settings.console.json, parts->node, colour));
    parts->add_output(sinks, std::move(console), settings.console);
    parts->places.emplace_back(settings.console_stderr ? "<stderr>" : "<stdout>");
  }
  if (settings.syslog.on) {
    parts->add_output(sinks,
                      std::make_shared<SyslogSink>(settings.syslog_identity,
                                                   facility_of(settings.syslog_facility),
                                                   settings.syslog.json, parts->node),
                      settings.syslog);
    parts->places.emplace_back("<syslog>");
  }
  if (settings.exchange.on) {
    parts->lowest_output =
        std::min(parts->lowest_output, static_cast<int>(settings.exchange.level));
    parts->places.emplace_back("<exchange>");
  }
  parts->pool = std::make_shared<spdlog::details::thread_pool>(kLogQueueLength, 1);
  for (std::size_t i = 0; i < kAreas; ++i) {
    parts->loggers[i] = std::make_shared<spdlog::async_logger>(
        log_area_name(static_cast<LogArea>(i)), sinks.begin(), sinks.end(), parts->pool,
        spdlog::async_overflow_policy::overrun_oldest);
    parts->loggers[i]->set_level(spdlog::level::trace);
    parts->loggers[i]->flush_on(to_spdlog(LogLevel::info));
  }
  return std::unique_ptr<LogSink>(new LogSink(std::move(parts)));
}

bool LogSink::enabled(LogLevel level, LogArea area) const {
  const int value = static_cast<int>(level);
  return value >= parts_->levels[static_cast<std::size_t>(area)].load(std::memory_order_relaxed) &&
         value >= parts_->lowest_output && level != LogLevel::none;
}

void LogSink::write(LogLevel level, LogArea area, std::string_view line) {
  if (!enabled(level, area)) return;
  parts_->loggers[static_cast<std::size_t>(area)]->log(
      to_spdlog(level), spdlog::string_view_t{line.data(), line.size()});

  if (!parts_->settings.exchange.on || level < parts_->settings.exchange.level) return;
  thread_local bool publishing = false;  // what the hook logs must not come back to it
  if (publishing) return;
  std::shared_ptr<const ExchangeHook> hook;
  {
    const std::lock_guard lock{parts_->hook_mutex};
    hook = parts_->hook;
  }
  if (!hook) return;
  publishing = true;
  std::string text = format_log_line(parts_->settings.exchange.json, level, area,
                                     micros(spdlog::log_clock::now()), line, parts_->node);
  text.pop_back();
  (*hook)(level, area, std::move(text));
  publishing = false;
}

void LogSink::set_level(LogLevel level) {
  for (auto& own : parts_->levels) own.store(static_cast<int>(level), std::memory_order_relaxed);
}

void LogSink::set_level(LogArea area, LogLevel level) {
  parts_->levels[static_cast<std::size_t>(area)].store(static_cast<int>(level),
                                                       std::memory_order_relaxed);
}

LogLevel LogSink::level(LogArea area) const {
  return static_cast<LogLevel>(parts_->levels[static_cast<std::size_t>(area)].load());
}

Result<void> LogSink::rotate() {
  if (!parts_->file) return {};
  flush();
  return parts_->file->rotate();
}

void LogSink::set_exchange_hook(ExchangeHook hook) {
  auto shared = hook ? std::make_shared<const ExchangeHook>(std::move(hook)) : nullptr;
  const std::lock_guard lock{parts_->hook_mutex};
  parts_->hook = std::move(shared);
}

void LogSink::flush() {
  // One thread empties the queue in order: once it has taken this flush, all before is written.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{2};
  parts_->loggers[0]->flush();
  while (parts_->pool->queue_size() > 0 && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

std::uint64_t LogSink::lost() const {
  return parts_->pool->overrun_counter() + (parts_->file ? parts_->file->lost() : 0);
}

std::vector<std::string> LogSink::places() const { return parts_->places; }

std::optional<LogArea> parse_log_area(std::string_view name) {
  if (name == "ra") return LogArea::raft;
  if (name == "default") return LogArea::general;
  for (std::size_t i = 0; i < kAreas; ++i) {
    const auto area = static_cast<LogArea>(i);
    if (name == log_area_name(area)) return area;
  }
  return std::nullopt;
}

}  // namespace warren::config
