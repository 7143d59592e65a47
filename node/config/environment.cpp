#include "node/config/environment.h"

#include <dirent.h>
#include <netdb.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

extern char** environ;

namespace warren::config {

EnvView process_environment() {
  EnvView env;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    std::string_view text{*at};
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos) continue;
    env.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return env;
}

namespace {

class OsFiles final : public FileSystem {
 public:
  Result<std::string> read(const std::string& path) const override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) {
      return make_error(Errc::not_found, path + ": no such file");
    }
    if (!S_ISREG(info.st_mode)) return make_error(Errc::io, path + ": not a regular file");
    std::ifstream in{path, std::ios::binary};
    if (!in) return make_error(Errc::io, path + ": cannot be opened for reading");
    std::ostringstream text;
    text << in.rdbuf();
    if (in.bad()) return make_error(Errc::io, path + ": read failed");
    return std::move(text).str();
  }

  bool exists(const std::string& path) const override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0;
  }

  bool is_directory(const std::string& path) const override {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
  }

  std::vector<std::string> list(const std::string& directory) const override {
    std::vector<std::string> names;
    DIR* dir = ::opendir(directory.c_str());
    if (dir == nullptr) return names;
    while (const dirent* entry = ::readdir(dir)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(dir);
    std::sort(names.begin(), names.end());
    return names;
  }

  bool can_write_into(const std::string& directory) const override {
    std::string at = directory;
    while (!at.empty()) {
      if (exists(at)) return is_directory(at) && ::access(at.c_str(), W_OK | X_OK) == 0;
      const std::size_t slash = at.rfind('/');
      if (slash == std::string::npos) return false;
      at = slash == 0 && at != "/" ? "/" : at.substr(0, slash);
    }
    return false;
  }

  bool can_read(const std::string& path) const override {
    return ::access(path.c_str(), R_OK) == 0;
  }
};

bool starts_below(std::string_view path, std::string_view directory) {
  return path.size() > directory.size() && path.starts_with(directory) &&
         (directory.ends_with('/') || path[directory.size()] == '/');
}

}  // namespace

const FileSystem& os_files() {
  static const OsFiles files;
  return files;
}

Result<std::string> MemoryFiles::read(const std::string& path) const {
  const auto it = files_.find(path);
  if (it == files_.end()) return make_error(Errc::not_found, path + ": no such file");
  return it->second;
}

bool MemoryFiles::exists(const std::string& path) const {
  return files_.contains(path) || is_directory(path);
}

bool MemoryFiles::is_directory(const std::string& path) const {
  for (const auto& directory : writable_) {
    if (directory == path) return true;
  }
  for (const auto& [name, text] : files_) {
    if (starts_below(name, path)) return true;
  }
  return false;
}

std::vector<std::string> MemoryFiles::list(const std::string& directory) const {
  std::set<std::string> names;
  for (const auto& [name, text] : files_) {
    if (!starts_below(name, directory)) continue;
    std::string rest = name.substr(directory.size());
    if (rest.starts_with('/')) rest.erase(0, 1);
    names.insert(rest.substr(0, rest.find('/')));
  }
  return {names.begin(), names.end()};
}

bool MemoryFiles::can_write_into(const std::string& directory) const {
  return std::any_of(writable_.begin(), writable_.end(), [&](const std::string& root) {
    return directory == root || starts_below(directory, root);
  });
}

HostInfo host_info(const EnvView& env) {
  HostInfo host;
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') {
    host.short_name = "localhost";
  } else {
    host.short_name = name;
  }
  const std::string whole = host.short_name;
  host.short_name = whole.substr(0, whole.find('.'));
  host.full_name = [whole] {
    addrinfo hints{};
    hints.ai_flags = AI_CANONNAME;
    addrinfo* found = nullptr;
    std::string full = whole;
    if (::getaddrinfo(whole.c_str(), nullptr, &hints, &found) == 0) {
      if (found != nullptr && found->ai_canonname != nullptr) full = found->ai_canonname;
      ::freeaddrinfo(found);
    }
    return full;
  };
  host.is_root = ::geteuid() == 0;
  const passwd* user = ::getpwuid(::geteuid());
  const std::string own = user != nullptr ? user->pw_dir : "/";
  const auto home = env.find("HOME");
  host.home = home != env.end() && !home->second.empty() ? home->second : own;
  // sudo may keep the caller's HOME; that is no wish to keep apart.
  host.home_redirected = host.home != own && !env.contains("SUDO_USER");
  return host;
}

std::string Origin::text() const {
  switch (kind) {
    case OriginKind::default_value: return "default";
    case OriginKind::environment: return "env " + detail;
    case OriginKind::env_conf: return detail;
    case OriginKind::file: return detail;
    case OriginKind::command: return detail.empty() ? "command" : "command " + detail;
  }
  return "unknown";
}

}  // namespace warren::config
