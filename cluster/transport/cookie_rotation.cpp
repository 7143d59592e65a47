#include "cluster/transport/cookie_rotation.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace warren::transport {
namespace {

constexpr char kRetiring[] = "before rotation";

Result<Cookie> read_cookie(const std::string& file) {
  CookieSearch search;
  search.files = {file};
  return find_cookie(search);
}

bool staged(const std::vector<Cookie>& cookies) {
  return cookies.size() > 1 && cookies[1].source != kRetiring;
}

bool committed(const std::vector<Cookie>& cookies) {
  return cookies.size() > 1 && cookies[1].source == kRetiring;
}

std::string standing(const std::vector<Cookie>& cookies) {
  const std::string used = cookies.front().fingerprint();
  if (staged(cookies)) {
    return fmt::format("staged: {} is used, {} is accepted as well; when every node is staged, "
                       "commit on each",
                       used, cookies[1].fingerprint());
  }
  if (committed(cookies)) {
    return fmt::format("committed: {} is used, {} is still accepted; when every node has committed, "
                       "retire on each",
                       used, cookies[1].fingerprint());
  }
  return fmt::format("not rotating: {} is the only cookie", used);
}

Result<RotationStep> stage(std::vector<Cookie> cookies) {
  if (committed(cookies)) {
    return make_error(Errc::conflict, "a rotation is committed and not retired yet; retire it first");
  }
  const std::string file = next_cookie_file(cookies);
  Result<Cookie> next = read_cookie(file);
  if (!next && next.error().code == Errc::not_found) {
    return make_error(Errc::not_found,
                      fmt::format("put the new cookie into {} (same owner, mode 400) on this host",
                                  file));
  }
  if (!next) return next.error();
  if (next->secret == cookies.front().secret) {
    return make_error(Errc::invalid_argument,
                      fmt::format("{} holds the cookie that is in use already", file));
  }
  cookies.resize(1);
  cookies.push_back(std::move(*next));
  return RotationStep{cookies, standing(cookies)};
}

/// The directory's entry is what makes the rename last.
void sync_directory(const std::string& file) {
  const std::string directory = file.substr(0, file.rfind('/') + 1);
  const int fd = ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  (void)::fsync(fd);
  ::close(fd);
}

Result<RotationStep> commit(const std::vector<Cookie>& cookies) {
  if (committed(cookies)) return RotationStep{cookies, standing(cookies)};
  if (!staged(cookies)) return make_error(Errc::conflict, "no new cookie is staged on this node");
  const std::string file = cookies.front().file, from = next_cookie_file(cookies);
  const Result<Cookie> next = read_cookie(from);
  if (!next) return next.error();
  if (next->secret != cookies[1].secret) {
    return make_error(Errc::conflict,
                      fmt::format("{} was changed after it was staged; stage it again", from));
  }
  if (std::rename(from.c_str(), file.c_str()) != 0) {
    return make_error(Errc::io,
                      fmt::format("cannot rename {} to {}: {}", from, file, std::strerror(errno)));
  }
  sync_directory(file);
  Cookie used = *next, old = cookies.front();
  used.file = file;
  old.source = kRetiring;
  old.file.clear();
  const std::vector<Cookie> both{used, old};
  return RotationStep{both, standing(both)};
}

Result<RotationStep> retire(std::vector<Cookie> cookies) {
  if (staged(cookies)) return make_error(Errc::conflict, "the new cookie is staged, not committed");
  cookies.resize(1);
  return RotationStep{cookies, standing(cookies)};
}

}  // namespace

std::string next_cookie_file(const std::vector<Cookie>& cookies) {
  return cookies.front().file.empty() ? std::string() : cookies.front().file + ".next";
}

Result<RotationStep> rotate_cookie(const std::vector<Cookie>& cookies, const std::string& step) {
  if (step.empty()) return RotationStep{cookies, standing(cookies)};
  if (next_cookie_file(cookies).empty()) {
    return make_error(Errc::conflict,
                      fmt::format("the cookie comes from {}, not from a file; it cannot be rotated",
                                  cookies.front().source));
  }
  if (step == "stage") return stage(cookies);
  if (step == "commit") return commit(cookies);
  if (step == "retire") return retire(cookies);
  return make_error(Errc::invalid_argument, "unknown step; one of stage, commit, retire");
}

std::vector<Cookie> with_staged(std::vector<Cookie> cookies) {
  const std::string file = next_cookie_file(cookies);
  if (cookies.size() != 1 || file.empty() || !cookie_file_facts(file).exists) return cookies;
  Result<Cookie> next = read_cookie(file);
  if (!next) {
    cookies.front().warning = "a staged cookie is not used: " + next.error().text;
  } else if (next->secret != cookies.front().secret) {
    cookies.push_back(std::move(*next));
  }
  return cookies;
}

}  // namespace warren::transport
