#include "cluster/transport/cookie.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cluster/transport/crypto.h"

namespace warren::transport {
namespace {

constexpr std::size_t kReadLimit = 4096;
constexpr std::size_t kMadeLength = 32;
constexpr std::size_t kShortLength = 16;
constexpr unsigned kOthersMask = 077;
constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Closes a descriptor when left.
class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

void trim_right(std::string& text) {
  while (!text.empty() && std::strchr(" \t\r\n\v\f", text.back()) != nullptr) text.pop_back();
}

Result<Cookie> checked(Cookie cookie, std::string_view where) {
  trim_right(cookie.secret);
  if (cookie.secret.empty() || cookie.secret.find('\0') != std::string::npos) {
    return make_error(Errc::invalid_argument,
                      fmt::format("the Erlang cookie from {} is empty or holds a NUL byte; put the "
                                  "cluster's cookie there (1 to {} characters)",
                                  where, kCookieMaxBytes));
  }
  if (cookie.secret.size() > kCookieMaxBytes) {
    return make_error(Errc::invalid_argument,
                      fmt::format("the Erlang cookie from {} is too long: more than {} characters",
                                  where, kCookieMaxBytes));
  }
  if (cookie.secret.size() < kShortLength) {
    cookie.warning =
        fmt::format("the Erlang cookie from {} has only {} characters and can be guessed", where,
                    cookie.secret.size());
  }
  return cookie;
}

Error io_error(std::string_view what, const std::string& path, int error) {
  const bool denied = error == EACCES || error == EPERM;
  return make_error(denied ? Errc::permission_denied : Errc::io,
                    fmt::format("cannot {} the Erlang cookie file {}: {} (effective user {})", what,
                                path, std::strerror(error), user_name(::geteuid())));
}

/// Reads an existing file. Errors: not_found only when there is no such file.
Result<Cookie> read_file(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (fd.get() < 0) {
    const int error = errno;
    if (error == ENOENT || error == ENOTDIR) return make_error(Errc::not_found, path);
    const CookieFileFacts facts = cookie_file_facts(path);
    Error failure = io_error("read", path, error);
    if (facts.exists) {
      failure.text += fmt::format(
          "; the file belongs to {} with mode {:03o}: run this as {} or copy the "
          "cookie to a file of your own with mode 400",
          facts.owner, facts.mode, facts.owner);
    }
    return failure;
  }
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return io_error("examine", path, errno);
  Cookie cookie;
  cookie.source = "file";
  cookie.file = path;
  cookie.mode = info.st_mode & 07777;
  cookie.owner = user_name(info.st_uid);
  if (!S_ISREG(info.st_mode)) {
    return make_error(Errc::invalid_argument,
                      fmt::format("the Erlang cookie file {} is not a regular file", path));
  }
  if ((cookie.mode & kOthersMask) != 0) {
    return make_error(
        Errc::permission_denied,
        fmt::format(
            "the Erlang cookie file {} must be accessible by its owner only: it belongs to {} and "
            "has mode {:03o}; run: chmod 400 {}",
            path, cookie.owner, cookie.mode, path));
  }
  cookie.secret.resize(kReadLimit);
  std::size_t filled = 0;
  while (filled < kReadLimit) {
    const ssize_t got = ::read(fd.get(), cookie.secret.data() + filled, kReadLimit - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return io_error("read", path, errno);
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
  }
  cookie.secret.resize(filled);
  return checked(std::move(cookie),
                 fmt::format("file {} (owner {}, mode {:03o})", path, cookie.owner, cookie.mode));
}

std::string made_secret() {
  std::string secret = random_bytes(kMadeLength);
  for (char& c : secret) c = kAlphabet[static_cast<unsigned char>(c) & 31];
  return secret;
}

/// Writes a whole new file beside `path` and links it into place, so that nobody reads half a
/// cookie and of two creators one wins.
Result<Cookie> create_file(const std::string& path) {
  const std::string temporary = fmt::format("{}.{}.{}", path, ::getpid(), to_hex(random_bytes(4)));
  {
    const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0400));
    if (fd.get() < 0) return io_error("create", path, errno);
    std::string secret = made_secret();
    const ssize_t put = ::write(fd.get(), secret.data(), secret.size());
    const bool failed = put != static_cast<ssize_t>(secret.size()) || ::fsync(fd.get()) != 0;
    wipe(secret);
    if (failed) {
      const int error = put < 0 ? errno : ENOSPC;
      ::unlink(temporary.c_str());
      return io_error("write", path, error);
    }
  }
  const int linked = ::link(temporary.c_str(), path.c_str());
  const int error = errno;
  ::unlink(temporary.c_str());
  if (linked != 0 && error != EEXIST) return io_error("create", path, error);
  Result<Cookie> cookie = read_file(path);
  if (cookie) cookie->created = linked == 0;
  return cookie;
}

}  // namespace

std::string Cookie::fingerprint() const {
  return to_hex(hmac_sha256(secret, "warren cookie fingerprint v1")).substr(0, 8);
}

std::string Cookie::erlang_hash() const { return to_base64(md5(secret)); }

std::string Cookie::describe() const {
  if (source != "file") return fmt::format("cookie from {}, fingerprint {}", source, fingerprint());
  return fmt::format("cookie file {}, owner {}, mode {:03o}, fingerprint {}", file, owner, mode,
                     fingerprint());
}

CookieSearch CookieSearch::from_environment(std::string option, bool create) {
  CookieSearch search;
  search.option = std::move(option);
  if (const char* value = std::getenv("RABBITMQ_ERLANG_COOKIE")) search.environment = value;
  const std::string home = home_directory();
  if (!home.empty()) search.files.push_back(home + "/.erlang.cookie");
  const std::string service = "/var/lib/rabbitmq/.erlang.cookie";
  if (search.files.empty() || search.files.front() != service) search.files.push_back(service);
  search.create = create;
  return search;
}

Result<Cookie> find_cookie(const CookieSearch& search) {
  Cookie given;
  if (!search.option.empty()) {
    given.secret = search.option;
    given.source = "option --erlang-cookie";
    return checked(std::move(given), "option --erlang-cookie");
  }
  if (!search.environment.empty()) {
    given.secret = search.environment;
    given.source = "environment variable RABBITMQ_ERLANG_COOKIE";
    return checked(std::move(given), "environment variable RABBITMQ_ERLANG_COOKIE");
  }
  std::string looked;
  for (const std::string& path : search.files) {
    Result<Cookie> cookie = read_file(path);
    if (cookie || cookie.error().code != Errc::not_found) return cookie;
    looked += (looked.empty() ? "" : ", ") + path;
  }
  if (search.create && !search.files.empty()) return create_file(search.files.front());
  return make_error(
      Errc::not_found,
      fmt::format("no Erlang cookie found; looked for {} and the environment variable "
                  "RABBITMQ_ERLANG_COOKIE. Start the node once (it makes one), or copy the "
                  "cluster's cookie to one of these files with mode 400",
                  looked.empty() ? "no file" : looked));
}

CookieFileFacts cookie_file_facts(const std::string& path) {
  CookieFileFacts facts;
  facts.path = path;
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return facts;
  facts.exists = true;
  facts.regular = S_ISREG(info.st_mode);
  facts.size = info.st_size;
  facts.mode = info.st_mode & 07777;
  facts.owner = user_name(info.st_uid);
  facts.readable = ::access(path.c_str(), R_OK) == 0;
  facts.writable = ::access(path.c_str(), W_OK) == 0;
  return facts;
}

std::string user_name(unsigned uid) {
  char buffer[4096];
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(uid, &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr)
    return found->pw_name;
  return std::to_string(uid);
}

std::string home_directory() {
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') return home;
  char buffer[4096];
  struct passwd entry {};
  struct passwd* found = nullptr;
  if (::getpwuid_r(::geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) {
    return found->pw_dir;
  }
  return {};
}

}  // namespace warren::transport
