#include "node/config/log_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace warren::config {

Result<LogFile> LogFile::open(Options options, std::time_t now) {
  LogFile file{std::move(options)};
  if (auto done = file.reopen(now); !done) return done.error();
  return file;
}

LogFile::LogFile(LogFile&& other) noexcept
    : options_(std::move(other.options_)),
      file_(std::exchange(other.file_, -1)),
      size_(other.size_),
      next_date_(other.next_date_),
      lost_(other.lost_) {}

LogFile::~LogFile() {
  if (file_ >= 0) ::close(file_);
}

Result<void> LogFile::reopen(std::time_t now) {
  if (file_ >= 0) ::close(file_);
  file_ = -1;
  std::error_code ignored;  // the open below says what is wrong
  std::filesystem::create_directories(std::filesystem::path{options_.path}.parent_path(), ignored);
  file_ = ::open(options_.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
  if (options_.rotate_date) next_date_ = next_rotation(*options_.rotate_date, now);
  if (file_ < 0) {
    return make_error(Errc::io, fmt::format("the log file {} cannot be opened: {}", options_.path,
                                            std::strerror(errno)));
  }
  struct stat info {};
  size_ = ::fstat(file_, &info) == 0 ? info.st_size : 0;
  return {};
}

bool LogFile::moved_away() const {
  struct stat ours {};
  struct stat there {};
  if (file_ < 0 || ::fstat(file_, &ours) != 0) return true;
  return ::stat(options_.path.c_str(), &there) != 0 || ours.st_ino != there.st_ino ||
         ours.st_dev != there.st_dev;
}

void LogFile::shift(int keep) {
  const auto name = [this](int i) { return options_.path + "." + std::to_string(i); };
  if (keep == 0) {
    std::remove(options_.path.c_str());
    return;
  }
  std::remove(name(keep - 1).c_str());
  for (int i = keep - 1; i > 0; --i) std::rename(name(i - 1).c_str(), name(i).c_str());
  std::rename(options_.path.c_str(), name(0).c_str());
}

void LogFile::write(std::string_view line, std::time_t now) {
  const auto bytes = static_cast<std::int64_t>(line.size());
  const bool too_large =
      options_.rotate_size > 0 && size_ > 0 && size_ + bytes > options_.rotate_size;
  const bool due = options_.rotate_date && now >= next_date_;
  if (too_large || due) {
    if (!moved_away()) shift(options_.keep);
    if (auto done = reopen(now); !done) ++lost_;
  }
  if (file_ < 0 && !reopen(now)) {
    ++lost_;
    return;
  }
  while (!line.empty()) {
    const ssize_t done = ::write(file_, line.data(), line.size());
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) {
      ++lost_;
      return;
    }
    size_ += done;
    line.remove_prefix(static_cast<std::size_t>(done));
  }
}

Result<void> LogFile::rotate(std::time_t now) {
  if (!moved_away()) shift(std::max(options_.keep, 1));
  return reopen(now);
}

}  // namespace warren::config
