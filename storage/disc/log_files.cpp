#include "storage/disc/log_files.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::storage {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kBase = ".base-";
constexpr std::string_view kSpare = "spare-";

bool is_log(const std::string& name) { return name.ends_with(".log"); }

bool sync_directory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced;
}

std::vector<std::string> spares(const std::string& directory) {
  std::vector<std::string> out;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    if (entry.path().filename().string().starts_with(kSpare)) out.push_back(entry.path().string());
  }
  return out;
}

}  // namespace

std::string base_mark(const std::string& log, std::uint64_t base) {
  return log + std::string(kBase) + std::to_string(base);
}

std::uint64_t read_base(const std::string& log) {
  const fs::path path(log);
  const std::string prefix = path.filename().string() + std::string(kBase);
  std::uint64_t highest = 0;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with(prefix)) continue;
    std::uint64_t base = 0;
    std::from_chars(name.data() + prefix.size(), name.data() + name.size(), base);
    highest = std::max(highest, base);
  }
  return highest;
}

bool clear_bases(const std::string& directory) {
  std::vector<std::string> marks;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    const std::string path = entry.path().string();
    if (path.find(std::string(".log") + std::string(kBase)) != std::string::npos) marks.push_back(path);
  }
  if (failed) return false;
  if (marks.empty()) return true;
  for (const auto& mark : marks) {
    if (::unlink(mark.c_str()) != 0) return false;
  }
  return sync_directory(directory);
}

bool clear_spares(const std::string& directory) {
  const auto found = spares(directory);
  for (const auto& path : found) {
    if (::unlink(path.c_str()) != 0) return false;
  }
  return found.empty() || sync_directory(directory);
}

LogFiles::LogFiles(std::shared_ptr<rocksdb::FileSystem> base, std::string directory,
                   std::size_t spares_max)
    : FileSystemWrapper(std::move(base)), directory_(std::move(directory)), spares_max_(spares_max) {}

std::string LogFiles::take_spare() {
  const auto found = spares(directory_);
  return found.empty() ? std::string() : found.front();
}

bool LogFiles::mark_base(const std::string& log) {
  const std::string mark = base_mark(log, last_number_.load(std::memory_order_relaxed));
  const int fd = ::open(mark.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return false;
  ::close(fd);
  return sync_directory(directory_);
}

rocksdb::IOStatus LogFiles::NewWritableFile(const std::string& name,
                                            const rocksdb::FileOptions& options,
                                            std::unique_ptr<rocksdb::FSWritableFile>* result,
                                            rocksdb::IODebugContext* debug) {
  if (is_log(name)) {
    std::lock_guard lock(mutex_);
    const std::string spare = take_spare();
    if (!spare.empty() && mark_base(name)) {
      const auto status = target()->ReuseWritableFile(name, spare, options, result, debug);
      if (status.ok()) reused_.fetch_add(1, std::memory_order_relaxed);
      return status;
    }
  }
  return target()->NewWritableFile(name, options, result, debug);
}

rocksdb::IOStatus LogFiles::DeleteFile(const std::string& name, const rocksdb::IOOptions& options,
                                       rocksdb::IODebugContext* debug) {
  if (!is_log(name)) return target()->DeleteFile(name, options, debug);
  std::lock_guard lock(mutex_);
  const auto base = read_base(name);
  auto status = spares(directory_).size() < spares_max_
                    ? target()->RenameFile(name, directory_ + "/" + std::string(kSpare) +
                                                     std::to_string(next_spare_++), options, debug)
                    : target()->DeleteFile(name, options, debug);
  // Only now: the mark must outlive the log file's name.
  if (status.ok() && base != 0) ::unlink(base_mark(name, base).c_str());
  return status;
}

}  // namespace warren::storage
