#include "cluster/transport/node_registry.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace warren::transport {
namespace {

constexpr std::size_t kEntryMaxBytes = 4096;
constexpr std::size_t kEntriesMax = 1024;
constexpr std::string_view kSuffix = ".node";

/// Node names as file names: everything but the usual characters as %xx.
std::string file_name(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        std::isalnum(byte) != 0 || c == '@' || c == '-' || c == '_' || (c == '.' && !out.empty());
    out += plain ? std::string(1, c) : fmt::format("%{:02x}", byte);
  }
  return out + std::string(kSuffix);
}

/// A directory whose entries may be believed: of root, of this user, or named after its owner.
bool trusted(const std::string& directory) {
  struct stat info {};
  if (::lstat(directory.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) return false;
  if ((info.st_mode & S_IWOTH) != 0) return false;
  return info.st_uid == 0 || info.st_uid == ::geteuid() ||
         directory.ends_with(fmt::format("-{}", info.st_uid));
}

bool make_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0755) != 0 && errno != EEXIST) return false;
  return trusted(directory) && ::access(directory.c_str(), W_OK | X_OK) == 0;
}

std::string serialise(const NodeEntry& entry) {
  boost::json::object out;
  out["name"] = entry.name;
  out["port"] = entry.port;
  out["amqp_port"] = entry.amqp_port;
  out["pid"] = entry.pid;
  out["cookie_file"] = entry.cookie_file;
  return boost::json::serialize(out) + "\n";
}

std::uint16_t port_of(const boost::json::object& from, const char* key) {
  const auto* value = from.if_contains(key);
  if (value == nullptr || !value->is_int64()) return 0;
  const std::int64_t port = value->get_int64();
  return port > 0 && port <= 65535 ? static_cast<std::uint16_t>(port) : 0;
}

std::optional<NodeEntry> parse(const std::string& text) {
  boost::system::error_code error;
  const boost::json::value value = boost::json::parse(text, error);
  if (error || !value.is_object()) return std::nullopt;
  const auto& from = value.get_object();
  NodeEntry entry;
  if (const auto* name = from.if_contains("name"); name != nullptr && name->is_string()) {
    entry.name = std::string(name->get_string());
  }
  if (const auto* file = from.if_contains("cookie_file"); file != nullptr && file->is_string()) {
    entry.cookie_file = std::string(file->get_string());
  }
  if (const auto* pid = from.if_contains("pid"); pid != nullptr && pid->is_int64())
    entry.pid = pid->get_int64();
  entry.port = port_of(from, "port");
  entry.amqp_port = port_of(from, "amqp_port");
  if (entry.name.empty() || entry.port == 0) return std::nullopt;
  return entry;
}

std::string read_all(int fd) {
  std::string text(kEntryMaxBytes, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  return text;
}

struct flock whole_file() {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  return range;
}

/// Asks without taking the lock, so that a reader never stands in a starting node's way.
bool locked_by_other(int fd) {
  struct flock range = whole_file();
  return ::fcntl(fd, F_OFD_GETLK, &range) == 0 && range.l_type != F_UNLCK;
}

/// The entry in `path` when its node still holds the lock.
std::optional<NodeEntry> read_live(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
  if (fd < 0) return std::nullopt;
  std::optional<NodeEntry> entry;
  if (locked_by_other(fd)) entry = parse(read_all(fd));
  ::close(fd);
  if (entry) entry->file = path;
  return entry;
}

/// Where readers look: root also sees what other users' nodes wrote below /tmp.
std::vector<std::string> readable_directories(const std::vector<std::string>& directories) {
  std::vector<std::string> all = directories;
  if (::geteuid() != 0 || std::getenv("WARREN_RUN_DIR") != nullptr) return all;
  if (DIR* tmp = ::opendir("/tmp")) {
    while (const dirent* item = ::readdir(tmp)) {
      const std::string name = item->d_name;
      if (name.starts_with("warren-nodes-")) all.push_back("/tmp/" + name);
    }
    ::closedir(tmp);
  }
  return all;
}

/// Locks the file now at `path`, made when missing; a file that was replaced meanwhile is tried
/// again.
int lock_entry(const std::string& path) {
  for (int attempt = 0; attempt < 8; ++attempt) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (fd < 0) return -1;
    struct flock range = whole_file();
    if (::fcntl(fd, F_OFD_SETLK, &range) != 0) {
      const int error = errno;
      ::close(fd);
      errno = error;
      return -1;
    }
    struct stat held {};
    struct stat named {};
    if (::fstat(fd, &held) == 0 && ::stat(path.c_str(), &named) == 0 && held.st_ino == named.st_ino)
      return fd;
    ::close(fd);
  }
  errno = EBUSY;
  return -1;
}

}  // namespace

std::vector<std::string> registry_directories() {
  if (const char* only = std::getenv("WARREN_RUN_DIR"); only != nullptr && *only != '\0')
    return {only};
  std::vector<std::string> all{"/run/warren"};
  if (const char* run = std::getenv("XDG_RUNTIME_DIR"); run != nullptr && *run != '\0') {
    all.push_back(std::string(run) + "/warren");
  }
  all.push_back(fmt::format("/tmp/warren-nodes-{}", ::geteuid()));
  return all;
}

Result<NodeRegistration> NodeRegistration::publish(const NodeEntry& entry,
                                                   const std::vector<std::string>& directories) {
  std::string tried;
  for (const std::string& directory : directories) {
    tried += (tried.empty() ? "" : ", ") + directory;
    if (!make_directory(directory)) continue;
    const std::string path = directory + "/" + file_name(entry.name);
    const int fd = lock_entry(path);
    if (fd < 0) {
      if (errno != EAGAIN && errno != EACCES) continue;
      const std::optional<NodeEntry> other = read_live(path);
      if (!other) continue;
      return make_error(
          Errc::already_exists,
          fmt::format(
              "node {} is already running on this host (pid {}, inter-node port {}); stop it "
              "first, or give this node another name with RABBITMQ_NODENAME",
              entry.name, other->pid, other->port));
    }
    const std::string text = serialise(entry);
    const bool written = ::ftruncate(fd, 0) == 0 && ::pwrite(fd, text.data(), text.size(), 0) ==
                                                        static_cast<ssize_t>(text.size());
    NodeRegistration held(fd, path);
    if (written) return held;
  }
  return make_error(Errc::io,
                    fmt::format("no directory to register node {} in; tried {}; set WARREN_RUN_DIR",
                                entry.name, tried));
}

NodeRegistration::~NodeRegistration() {
  if (fd_ < 0) return;
  ::unlink(file_.c_str());
  ::close(fd_);
}

NodeRegistration::NodeRegistration(NodeRegistration&& from) noexcept
    : fd_(std::exchange(from.fd_, -1)), file_(std::move(from.file_)) {}

NodeRegistration& NodeRegistration::operator=(NodeRegistration&& from) noexcept {
  std::swap(fd_, from.fd_);
  std::swap(file_, from.file_);
  return *this;
}

std::optional<NodeEntry> find_node(const std::string& name,
                                   const std::vector<std::string>& directories) {
  for (const std::string& directory : readable_directories(directories)) {
    if (!trusted(directory)) continue;
    std::optional<NodeEntry> entry = read_live(directory + "/" + file_name(name));
    if (entry && entry->name == name) return entry;
  }
  return std::nullopt;
}

std::vector<NodeEntry> list_nodes(const std::vector<std::string>& directories) {
  std::vector<NodeEntry> all;
  for (const std::string& directory : readable_directories(directories)) {
    if (!trusted(directory)) continue;
    DIR* open = ::opendir(directory.c_str());
    if (open == nullptr) continue;
    while (const dirent* item = ::readdir(open)) {
      const std::string name = item->d_name;
      if (!name.ends_with(kSuffix) || all.size() >= kEntriesMax) continue;
      if (std::optional<NodeEntry> entry = read_live(directory + "/" + name))
        all.push_back(std::move(*entry));
    }
    ::closedir(open);
  }
  std::sort(all.begin(), all.end(),
            [](const NodeEntry& a, const NodeEntry& b) { return a.name < b.name; });
  const auto same = [](const NodeEntry& a, const NodeEntry& b) { return a.name == b.name; };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
  return all;
}

}  // namespace warren::transport
