#include "node/server/listener.h"

#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace warren::server {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;

Listener::Listener(SocketShared& shared, const config::SocketSettings& options,
                   std::shared_ptr<TlsContext> tls)
    : shared_(shared), options_(options), tls_(std::move(tls)) {}

Result<void> Listener::open(const std::string& address, std::uint16_t port) {
  boost::system::error_code ec;
  tcp::endpoint endpoint(tcp::v6(), port);
  if (!address.empty()) {
    const auto parsed = asio::ip::make_address(address, ec);
    if (ec) return make_error(Errc::invalid_argument, "'" + address + "' is not an IP address");
    endpoint = tcp::endpoint(parsed, port);
  }
  acceptor_ = std::make_shared<Acceptor>(shared_.loop.io().get_executor());
  acceptor_->open(endpoint.protocol(), ec);
  if (ec && address.empty()) {  // a host without IPv6
    endpoint = tcp::endpoint(tcp::v4(), port);
    acceptor_->open(endpoint.protocol(), ec);
  }
  if (!ec) acceptor_->set_option(Acceptor::reuse_address(true), ec);
  if (!ec && endpoint.protocol() == tcp::v6()) acceptor_->set_option(asio::ip::v6_only(false), ec);
  if (!ec) acceptor_->bind(endpoint, ec);
  if (!ec) acceptor_->listen(options_.backlog, ec);
  if (ec) {
    const std::string holder = ec == asio::error::address_in_use ? port_holder(port) : "";
    return make_error(Errc::io, "cannot listen on port " + std::to_string(port) +
                                    (address.empty() ? "" : " of " + address) + ": " + ec.message() +
                                    (holder.empty() ? "" : "; it is held by " + holder));
  }
  port_ = acceptor_->local_endpoint(ec).port();
  interface_ = address.empty() ? "[::]" : endpoint.address().is_v6() ? "[" + address + "]" : address;
  accept();
  return {};
}

void Listener::accept() {
  auto acceptor = acceptor_;
  acceptor->async_accept(
      [this, acceptor](boost::system::error_code ec, SocketSession::Socket socket) {
        if (!acceptor->is_open() || acceptor != acceptor_) return;
        if (!ec) {
          shared_.loop.refresh();
          if (shared_.unopened >= shared_.unauthenticated_max) {
            shared_.broker.log().warning(LogArea::connection,
                                         "connection refused: {} others have not logged in yet",
                                         shared_.unopened);
            boost::system::error_code gone;
            socket.close(gone);
            return accept();
          }
          boost::system::error_code ignored;
          socket.non_blocking(true, ignored);
          socket.set_option(tcp::no_delay(options_.nodelay), ignored);
          if (options_.keepalive) socket.set_option(asio::socket_base::keep_alive(true), ignored);
          if (options_.send_buffer)
            socket.set_option(asio::socket_base::send_buffer_size(static_cast<int>(*options_.send_buffer)), ignored);
          if (options_.receive_buffer)
            socket.set_option(asio::socket_base::receive_buffer_size(static_cast<int>(*options_.receive_buffer)), ignored);
          std::make_shared<SocketSession>(shared_, std::move(socket), tls_)->start();
          return accept();
        }
        // Out of descriptors: the listener rests a moment instead of spinning.
        auto timer = std::make_shared<asio::steady_timer>(shared_.loop.io());
        timer->expires_after(std::chrono::milliseconds(200));
        timer->async_wait([this, acceptor, timer](boost::system::error_code) {
          if (acceptor->is_open() && acceptor == acceptor_) accept();  // closed = `this` may be gone
        });
      });
}

void Listener::close() {
  if (!acceptor_) return;
  boost::system::error_code ignored;
  acceptor_->close(ignored);
  acceptor_.reset();
}

std::string port_holder(std::uint16_t port) {
  namespace fs = std::filesystem;
  // /proc/net/tcp gives the inode of the listening socket, /proc/<pid>/fd who has it open.
  std::string inode;
  for (const char* table : {"/proc/net/tcp", "/proc/net/tcp6"}) {
    std::ifstream in(table);
    std::string line;
    std::getline(in, line);
    while (std::getline(in, line)) {
      std::istringstream fields(line);
      std::string slot, local, remote, state, skip, node;
      fields >> slot >> local >> remote >> state >> skip >> skip >> skip >> skip >> skip >> node;
      const auto colon = local.rfind(':');
      if (state == "0A" && colon != std::string::npos &&
          std::stoul(local.substr(colon + 1), nullptr, 16) == port)
        inode = node;
    }
  }
  if (inode.empty()) return {};
  const std::string wanted = "socket:[" + inode + "]";
  // Processes end while we look: no step may throw.
  std::error_code ec;
  const fs::directory_iterator end;
  for (fs::directory_iterator process("/proc", ec); !ec && process != end; process.increment(ec)) {
    const std::string pid = process->path().filename();
    if (pid.find_first_not_of("0123456789") != std::string::npos) continue;
    std::error_code gone;
    fs::directory_iterator fd(process->path() / "fd", gone);
    for (; !gone && fd != end; fd.increment(gone)) {
      std::error_code closed;
      if (fs::read_symlink(fd->path(), closed) != wanted) continue;
      std::ifstream name(process->path() / "comm");
      std::string text;
      std::getline(name, text);
      return "process " + pid + " (" + text + ")";
    }
  }
  return {};
}

}  // namespace warren::server
