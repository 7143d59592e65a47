#include "storage/disc/directory.h"

#include "storage/disc/disc_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <utility>

namespace warren::storage {
namespace {

namespace fs = std::filesystem;

constexpr const char* kLockFile = "/HOLDER";
constexpr const char* kMarkFile = "/WARREN_STORE";
constexpr const char* kMark = "warren store 1\n";

Error io_error(const std::string& what, int error = errno) {
  return make_error(Errc::io, what + ": " + std::strerror(error));
}

Result<void> sync_path(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC);
  if (fd < 0) return io_error("cannot open " + path);
  const int failed = ::fsync(fd) != 0 ? errno : 0;
  ::close(fd);
  if (failed != 0) return io_error("cannot sync " + path, failed);
  return {};
}

Result<void> sync_directory(const std::string& path) {
  return sync_path(path.empty() ? "." : path, O_RDONLY | O_DIRECTORY);
}

}  // namespace

Result<DirectoryLock> DirectoryLock::take(const std::string& directory) {
  const std::string path = directory + kLockFile;
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
  if (fd < 0) return io_error("cannot open " + path);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char who[64] = {};
    const auto n = ::pread(fd, who, sizeof who - 1, 0);
    ::close(fd);
    std::string holder(who, n > 0 ? static_cast<std::size_t>(n) : 0);
    while (!holder.empty() && holder.back() == '\n') holder.pop_back();
    return make_error(Errc::conflict,
                      fmt::format("data directory {} is in use by {}; one node per directory",
                                  directory, holder.empty() ? "another process" : holder));
  }
  const std::string me = fmt::format("process {}\n", ::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, me.data(), me.size(), 0) < 0) {
    const auto failure = io_error("cannot write " + path);
    ::close(fd);
    return failure;
  }
  return DirectoryLock(fd);
}

DirectoryLock::DirectoryLock(DirectoryLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

DirectoryLock::~DirectoryLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<void> make_directory(const std::string& directory) {
  std::error_code failed;
  if (!fs::create_directories(directory, failed)) {
    if (failed) return make_error(Errc::io, "cannot make " + directory + ": " + failed.message());
    return {};
  }
  return sync_directory(fs::absolute(directory).parent_path().string());
}

Result<DirectoryState> inspect_directory(const std::string& directory) {
  std::error_code failed;
  const bool has_current = fs::exists(directory + "/CURRENT", failed);
  std::ifstream in(directory + kMarkFile);
  if (!in) return has_current ? DirectoryState::half_made : DirectoryState::fresh;
  const std::string mark((std::istreambuf_iterator<char>(in)), {});
  if (mark != kMark) {
    return make_error(Errc::unsupported, "the store in " + directory +
                                             " was made by another version: " + mark.substr(0, 80));
  }
  if (!has_current) {
    return make_error(Errc::corruption, "a store was made in " + directory +
                                            ", but its file CURRENT is missing");
  }
  return DirectoryState::made;
}

Result<void> mark_made(const std::string& directory) {
  const std::string path = directory + kMarkFile;
  const std::string fresh = path + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    out << kMark;
    if (!out.flush()) return make_error(Errc::io, "cannot write " + fresh);
  }
  if (auto synced = sync_path(fresh, O_RDONLY); !synced) return synced;
  if (::rename(fresh.c_str(), path.c_str()) != 0) return io_error("cannot rename " + fresh);
  return sync_directory(directory);
}

Result<void> cut_log(const WalScan& scan) {
  for (const auto& cut : scan.cuts) {
    const int fd = ::open(cut.file.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return io_error("cannot open " + cut.file);
    const bool done = ::ftruncate(fd, static_cast<off_t>(cut.offset)) == 0 && ::fsync(fd) == 0;
    const int failed = errno;
    ::close(fd);
    if (!done) return io_error("cannot cut " + cut.file, failed);
  }
  return {};
}

std::uint64_t directory_bytes(const std::string& directory) {
  std::uint64_t sum = 0;
  std::error_code failed;
  for (const auto& entry : fs::directory_iterator(directory, failed)) {
    struct stat info {};
    if (::stat(entry.path().c_str(), &info) == 0) sum += static_cast<std::uint64_t>(info.st_blocks) * 512;
  }
  return sum;
}

Result<std::string> set_aside_damaged_store(const std::string& path) {
  for (int n = 1; n < 1000; ++n) {
    const std::string to = fmt::format("{}.damaged-{}", path, n);
    std::error_code failed;
    if (fs::exists(to, failed)) continue;
    if (::rename(path.c_str(), to.c_str()) != 0) return io_error("cannot rename " + path);
    if (auto synced = sync_directory(fs::absolute(path).parent_path().string()); !synced) {
      return synced.error();
    }
    return to;
  }
  return make_error(Errc::exhausted, "too many damaged stores beside " + path);
}

}  // namespace warren::storage
