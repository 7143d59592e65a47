#include "node/server/role_hooks.h"

#include <fmt/format.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <utility>
#include <vector>

extern char** environ;

namespace warren::server {

namespace {

constexpr std::chrono::milliseconds kLook{50};

/// The shell that runs `line`, in a process group of its own, without a file of ours but /dev/null: a client's
/// socket that it inherited would stay open when we close it. Error: its number, as of posix_spawn.
int spawn(const std::string& line, const std::map<std::string, std::string>& more, pid_t& child) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addclosefrom_np(&files, 3);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
  std::vector<std::string> added;
  for (const auto& [name, value] : more) added.push_back(name + "=" + value);
  std::vector<char*> variables;
  for (char** one = environ; *one != nullptr; ++one) variables.push_back(*one);
  for (auto& one : added) variables.push_back(one.data());
  variables.push_back(nullptr);
  std::string shell = "/bin/sh", option = "-c", text = line;
  char* const words[] = {shell.data(), option.data(), text.data(), nullptr};
  const int failed = posix_spawn(&child, shell.c_str(), &files, &attributes, words, variables.data());
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return failed;
}

}  // namespace

std::optional<bool> RoleTurns::begin() {
  if (running_ || wanted_ == told_) return std::nullopt;
  told_ = wanted_;
  running_ = true;
  return told_;
}

RoleHooks::RoleHooks(Loop& loop, Logger& log, RoleHookOptions options)
    : loop_(loop), log_(log), options_(std::move(options)), timer_(loop.io()) {}

void RoleHooks::role(bool leads, const std::map<std::string, std::string>& environment) {
  if (options_.elected.empty() && options_.lost.empty()) return;
  turns_.role(leads);
  environment_ = environment;
  begin(environment_);
}

void RoleHooks::begin(const std::map<std::string, std::string>& environment) {
  while (const auto elected = turns_.begin()) {
    what_ = *elected ? "warren.on_leader_elected" : "warren.on_leader_lost";
    const std::string& line = *elected ? options_.elected : options_.lost;
    const int failed = line.empty() ? 0 : spawn(line, environment, child_);
    if (!line.empty() && failed == 0) {
      log_.info(LogArea::cluster, "{}: runs (process {}): {}", what_, child_, line);
      until_ = loop_.steady_ms() + options_.longest_ms;
      return look();
    }
    if (failed != 0) log_.error(LogArea::cluster, "{}: cannot be run: {}", what_, std::strerror(failed));
    turns_.ended();
  }
}

void RoleHooks::look() {
  timer_.expires_after(kLook);
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec) return;
    loop_.refresh();
    int status = 0;
    const pid_t ended = waitpid(child_, &status, WNOHANG);
    if (ended == child_ && WIFEXITED(status)) return over(fmt::format("exit code {}", WEXITSTATUS(status)));
    if (ended == child_) return over(fmt::format("ended by signal {}", WTERMSIG(status)));
    if (ended < 0 && errno != EINTR) return over(std::strerror(errno));
    if (loop_.steady_ms() >= until_) {
      kill(-child_, SIGKILL);
      waitpid(child_, &status, 0);  // killed: it is there at once
      return over(fmt::format("was killed, it took more than {} ms (warren.hook_timeout)", options_.longest_ms));
    }
    look();
  });
}

void RoleHooks::over(const std::string& how) {
  const bool good = how == "exit code 0";
  if (good) log_.debug(LogArea::cluster, "{}: {}", what_, how);
  else log_.warning(LogArea::cluster, "{}: {}", what_, how);
  child_ = 0;
  turns_.ended();
  begin(environment_);
}

}  // namespace warren::server
