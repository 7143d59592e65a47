#pragma once
// A listening socket: accepts and starts sessions. Owner: the loop.

#include "base/result.h"
#include "node/config/settings.h"
#include "node/server/socket_session.h"

#include <memory>
#include <string>

namespace warren::server {

class Listener {
 public:
  using Acceptor = boost::asio::basic_socket_acceptor<boost::asio::ip::tcp, Loop::Executor>;

  Listener(SocketShared& shared, const config::SocketSettings& options, std::shared_ptr<TlsContext> tls);

  /// Errors: io, saying who holds the port when that can be found out.
  Result<void> open(const std::string& address, std::uint16_t port);
  void close();
  std::uint16_t port() const { return port_; }
  /// As listings show it: "[::]" or the address.
  const std::string& interface() const { return interface_; }
  bool tls() const { return tls_ != nullptr; }

 private:
  void accept();

  SocketShared& shared_;
  config::SocketSettings options_;
  std::shared_ptr<TlsContext> tls_;
  std::shared_ptr<Acceptor> acceptor_;
  std::string interface_;
  std::uint16_t port_{0};
};

/// "process 123 (name)" that listens on a TCP port of this host, "" when unknown.
std::string port_holder(std::uint16_t port);

}  // namespace warren::server
