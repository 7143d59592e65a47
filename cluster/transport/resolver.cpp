#include "cluster/transport/resolver.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <thread>

namespace warren::transport {
namespace {

constexpr std::chrono::seconds kIdleWorker{20};

}  // namespace

struct Workers::State {
  std::mutex lock;
  std::condition_variable came;
  std::deque<std::function<void()>> jobs;
  std::size_t threads{0};
  std::size_t idle{0};
  bool closed{false};
};

Workers::Workers() : state_(std::make_shared<State>()) {}

Workers::~Workers() {
  const std::lock_guard guard(state_->lock);
  state_->closed = true;
  state_->jobs.clear();
  state_->came.notify_all();
}

bool Workers::run(std::function<void()> job) {
  const std::lock_guard guard(state_->lock);
  if (state_->closed || state_->jobs.size() >= kJobsMax) return false;
  state_->jobs.push_back(std::move(job));
  if (state_->idle >= state_->jobs.size() || state_->threads >= kWorkersMax) {
    state_->came.notify_one();
    return true;
  }
  ++state_->threads;
  std::thread([state = state_] {
    std::unique_lock held(state->lock);
    while (!state->closed) {
      if (state->jobs.empty()) {
        ++state->idle;
        const bool some = state->came.wait_for(
            held, kIdleWorker, [&] { return state->closed || !state->jobs.empty(); });
        --state->idle;
        if (!some) break;
        continue;
      }
      auto next = std::move(state->jobs.front());
      state->jobs.pop_front();
      held.unlock();
      next();
      next = nullptr;
      held.lock();
    }
    --state->threads;
  }).detach();
  return true;
}

bool is_own_address(const std::string& address) {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return false;
  bool own = address.starts_with("127.");
  for (const ifaddrs* at = list; at != nullptr && !own; at = at->ifa_next) {
    if (at->ifa_addr == nullptr) continue;
    char text[INET6_ADDRSTRLEN] = {};
    const int family = at->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const void* raw =
        family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(at->ifa_addr)->sin_addr)
            : &reinterpret_cast<sockaddr_in6*>(at->ifa_addr)->sin6_addr;
    own = ::inet_ntop(family, raw, text, sizeof text) != nullptr && address == text;
  }
  ::freeifaddrs(list);
  return own;
}

Result<std::vector<std::string>> resolve_host(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failed != 0) {
    char own[256] = "this host";
    ::gethostname(own, sizeof own - 1);
    return make_error(
        Errc::not_found,
        fmt::format("host name {} cannot be resolved on {}: {}; add it to /etc/hosts or the DNS",
                    host, own,
                    failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed)));
  }
  std::vector<std::string> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* raw =
        at->ai_family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(at->ai_addr)->sin_addr)
            : &reinterpret_cast<sockaddr_in6*>(at->ai_addr)->sin6_addr;
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    if (::inet_ntop(at->ai_family, raw, text, sizeof text) != nullptr) addresses.emplace_back(text);
  }
  ::freeaddrinfo(found);
  if (addresses.empty())
    return make_error(Errc::not_found, fmt::format("host name {} has no IP address", host));
  return addresses;
}

Result<std::string> name_of_address(const std::string& address) {
  addrinfo hints{};
  hints.ai_flags = AI_NUMERICHOST;
  addrinfo* found = nullptr;
  if (::getaddrinfo(address.c_str(), nullptr, &hints, &found) != 0)
    return make_error(Errc::not_found, address + " is no IP address");
  char name[NI_MAXHOST] = {};
  const int failed = ::getnameinfo(found->ai_addr, found->ai_addrlen, name, sizeof name, nullptr, 0, NI_NAMEREQD);
  ::freeaddrinfo(found);
  if (failed != 0)
    return make_error(Errc::not_found,
                      fmt::format("address {} leads back to no name: {}", address, ::gai_strerror(failed)));
  return std::string(name);
}

}  // namespace warren::transport
