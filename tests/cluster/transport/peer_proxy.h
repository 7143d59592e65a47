#pragma once
// A TCP relay between two nodes of a test, whose connections can be cut or held up.

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <thread>
#include <vector>

namespace warren::transport {

/// Owner: the test; one thread of its own.
class TcpProxy {
 public:
  explicit TcpProxy(std::uint16_t target) : target_(target) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = loopback(0);
    socklen_t size = sizeof at;
    ::bind(listener_, reinterpret_cast<sockaddr*>(&at), sizeof at);
    ::listen(listener_, 64);
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&at), &size);
    port_ = ntohs(at.sin_port);
    if (::pipe(wake_) != 0) ::abort();
    thread_ = std::thread([this] { run(); });
  }
  ~TcpProxy() {
    stop_ = true;
    poke();
    thread_.join();
    for (const auto& [one, other] : pairs_) ::close(one);
    ::close(listener_);
    ::close(wake_[0]);
    ::close(wake_[1]);
  }
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  std::uint16_t port() const { return port_; }
  /// Closes every connection; new ones are taken.
  void cut() {
    cut_ = true;
    poke();
  }
  /// Bytes put between those of the peers, once per connection that is open.
  void garble() {
    garble_ = true;
    poke();
  }

 private:
  static sockaddr_in loopback(std::uint16_t port) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return at;
  }
  void poke() {
    const char byte = 0;
    if (::write(wake_[1], &byte, 1) != 1) ::abort();
  }
  void drop(int fd) {
    const int other = pairs_.at(fd);
    pairs_.erase(fd);
    pairs_.erase(other);
    ::close(fd);
    ::close(other);
  }
  void accept_one() {
    const int from = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    const int to = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in at = loopback(target_);
    if (from < 0 || ::connect(to, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) {
      if (from >= 0) ::close(from);
      ::close(to);
      return;
    }
    pairs_[from] = to;
    pairs_[to] = from;
  }
  static bool send_all(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
      const ssize_t put = ::send(fd, bytes, size, MSG_NOSIGNAL);
      if (put <= 0) return false;
      bytes += put;
      size -= static_cast<std::size_t>(put);
    }
    return true;
  }
  void run() {
    std::vector<char> buffer(64 << 10);
    while (!stop_) {
      std::vector<pollfd> fds{{wake_[0], POLLIN, 0}, {listener_, POLLIN, 0}};
      for (const auto& [fd, other] : pairs_) fds.push_back({fd, POLLIN, 0});
      ::poll(fds.data(), fds.size(), -1);
      if ((fds[0].revents & POLLIN) != 0 && ::read(wake_[0], buffer.data(), 64) < 0) return;
      if (cut_.exchange(false)) {
        while (!pairs_.empty()) drop(pairs_.begin()->first);
        continue;
      }
      if (garble_.exchange(false)) {
        for (const auto& [fd, other] : pairs_) send_all(fd, kGarbage, sizeof kGarbage);
      }
      if ((fds[1].revents & POLLIN) != 0) accept_one();
      for (std::size_t i = 2; i < fds.size(); ++i) {
        if (fds[i].revents == 0 || !pairs_.contains(fds[i].fd)) continue;
        const ssize_t got = ::recv(fds[i].fd, buffer.data(), buffer.size(), 0);
        if (got <= 0 || !send_all(pairs_.at(fds[i].fd), buffer.data(), static_cast<std::size_t>(got)))
          drop(fds[i].fd);
      }
    }
  }

  /// A reset of a stream, with a length that none has.
  static constexpr char kGarbage[] = {0, 0, 1, 3, 0, 0, 0, 0, 1, 0};
  const std::uint16_t target_;
  std::uint16_t port_{0};
  int listener_{-1};
  int wake_[2]{-1, -1};
  std::map<int, int> pairs_;
  std::atomic<bool> stop_{false}, cut_{false}, garble_{false};
  std::thread thread_;
};

}  // namespace warren::transport
