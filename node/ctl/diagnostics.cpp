#include "node/ctl/diagnostics.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ostream>

#include "cluster/transport/node_registry.h"

namespace warren::ctl {
namespace {

constexpr Millis kProbeMs = 1'000;

std::string join(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += (out.empty() ? "" : ", ") + item;
  return out;
}

bool on_this_host(const Surroundings& world, const std::string& host) {
  return host == world.short_host || host == world.long_host || host == "localhost";
}

void print_host(const Context& context, const transport::ControlTarget& target, bool& answers) {
  std::ostream& err = context.world.err;
  const auto addresses = transport::resolve_host(target.host);
  if (!addresses) {
    err << "  * " << addresses.error().text << "\n";
    return;
  }
  err << "  * host name " << target.host << " resolves to " << join(*addresses) << "\n";
  for (const std::string& address : *addresses) {
    const Result<> open = probe_port(address, target.port, kProbeMs);
    answers = answers || static_cast<bool>(open);
    err << fmt::format("  * port {} on {}: {}\n", target.port, address,
                       open ? "something is listening" : open.error().text);
  }
}

void print_registry(const Context& context, const transport::ControlTarget& target) {
  std::ostream& err = context.world.err;
  if (!on_this_host(context.world, target.host)) return;
  std::vector<std::string> others;
  for (const auto& entry : transport::list_nodes(context.world.registry)) {
    if (same_node(entry.name, context.node)) {
      err << fmt::format("  * node {} is registered here: pid {}, inter-node port {}{}\n",
                         entry.name, entry.pid, entry.port,
                         entry.cookie_file.empty() ? "" : ", cookie file " + entry.cookie_file);
    } else {
      others.push_back(entry.name);
    }
  }
  if (others.empty()) {
    err << "  * no other nodes are registered on this host\n";
  } else {
    err << "  * other nodes on this host: " << join(others) << "\n";
  }
}

std::string suggestion(const Error& error, bool answers) {
  switch (error.code) {
    case Errc::unauthenticated:
      return "put the same cookie in both files (mode 400), or run this tool as the node's user";
    case Errc::not_found: return "check the host name, and /etc/hosts or the DNS on this host";
    case Errc::exhausted:
      return "wait until the node listens to this address again, then use the right cookie";
    case Errc::conflict:
    case Errc::unsupported: return "see the reason above";
    case Errc::timeout:
      return "the node is hung, or a firewall drops the packets: look at its process and its log";
    default: break;
  }
  if (answers) return "something else may use the port, or the node is starting: look at its log";
  return "start the node, or check the node name (-n), the port and the firewall";
}

}  // namespace

void print_diagnostics(const Context& context, const transport::ControlTarget& target,
                       const transport::Cookie& cookie, const Error& error) {
  std::ostream& err = context.world.err;
  err << fmt::format(
      "Error: unable to perform an operation on node '{0}'. Please see diagnostics information and "
      "suggestions "
      "below.\n\n"
      "Most common reasons for this are:\n\n"
      " * Target node is unreachable (e.g. due to hostname resolution, TCP connection or firewall "
      "issues)\n"
      " * CLI tool fails to authenticate with the server (e.g. due to CLI tool's Erlang cookie not "
      "matching that "
      "of the server)\n"
      " * Target node is not running\n\n"
      "In addition to the diagnostics info below:\n\n"
      " * Consult server logs on node {0}\n"
      " * If target node is configured to use long node names, don't forget to use --longnames "
      "with CLI tools\n\n"
      "DIAGNOSTICS\n===========\n\n"
      "attempted to contact: [{0}]\n\n{0}:\n",
      context.node);
  bool answers = false;
  print_host(context, target, answers);
  print_registry(context, target);
  err << "  * reason: " << error.text << "\n";
  err << "  * suggestion: " << suggestion(error, answers) << "\n\n";
  err << "Current node details:\n";
  err << fmt::format(" * node name: 'rabbitmqcli-{}-{}'\n", ::getpid(),
                     full_node_name(context.world, {}, ""));
  err << fmt::format(" * effective user: {}\n", transport::user_name(::geteuid()));
  err << fmt::format(" * effective user's home directory: {}\n", transport::home_directory());
  err << fmt::format(" * {}\n", cookie.describe());
  err << fmt::format(" * Erlang cookie hash: {}\n\n", cookie.erlang_hash());
}

Result<> probe_port(const std::string& address, std::uint16_t port, Millis deadline_ms) {
  const bool v6 = address.find(':') != std::string::npos;
  sockaddr_storage to{};
  socklen_t size = 0;
  if (v6) {
    auto* where = reinterpret_cast<sockaddr_in6*>(&to);
    where->sin6_family = AF_INET6;
    where->sin6_port = htons(port);
    size = sizeof *where;
    if (::inet_pton(AF_INET6, address.c_str(), &where->sin6_addr) != 1)
      return make_error(Errc::invalid_argument, "not an address");
  } else {
    auto* where = reinterpret_cast<sockaddr_in*>(&to);
    where->sin_family = AF_INET;
    where->sin_port = htons(port);
    size = sizeof *where;
    if (::inet_pton(AF_INET, address.c_str(), &where->sin_addr) != 1)
      return make_error(Errc::invalid_argument, "not an address");
  }
  const int fd = ::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return make_error(Errc::io, std::strerror(errno));
  int error = ::connect(fd, reinterpret_cast<sockaddr*>(&to), size) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd wait{fd, POLLOUT, 0};
    if (::poll(&wait, 1, static_cast<int>(deadline_ms)) == 0) {
      error = ETIMEDOUT;
    } else {
      socklen_t length = sizeof error;
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
    }
  }
  ::close(fd);
  if (error == 0) return {};
  if (error == ETIMEDOUT) return make_error(Errc::timeout, "no answer (timed out)");
  if (error == ECONNREFUSED) return make_error(Errc::unavailable, "closed (connection refused)");
  return make_error(Errc::unavailable, std::strerror(error));
}

}  // namespace warren::ctl
