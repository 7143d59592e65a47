#pragma once
// A client's socket: reads into the loop's one buffer, feeds the session, writes what it has to say.
// An idle connection holds no buffer at all.

#include "node/broker/session.h"
#include "node/server/loop.h"
#include "node/server/proxy_header.h"
#include "node/server/tls.h"

#include <boost/asio/ip/tcp.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace warren::server {

class SocketSession;

/// What all sockets of a loop share. Owner: the loop.
struct SocketShared {
  Loop& loop;
  broker::Broker& broker;
  amqp::ConnectionLimits limits;
  std::size_t unauthenticated_max{4096};
  CertLogin cert_login{};
  bool proxy_protocol{false};  ///< every connection begins with a PROXY header
  Millis tls_handshake_ms{5'000};  ///< for that and the PROXY header
  std::size_t unopened{0};  ///< sockets without an opened connection
  /// Bytes kept of the last read come first, the socket fills the rest.
  std::vector<char> buffer = std::vector<char>(256 << 10);
  std::map<SocketSession*, std::shared_ptr<SocketSession>> sessions;
};

/// Owner: the loop's thread; kept alive by SocketShared::sessions until closed.
class SocketSession final : public broker::SessionDriver,
                            public std::enable_shared_from_this<SocketSession> {
 public:
  using Socket = boost::asio::basic_stream_socket<boost::asio::ip::tcp, Loop::Executor>;

  SocketSession(SocketShared& shared, Socket socket, std::shared_ptr<TlsContext> tls);

  void start();
  void want_write() override;
  void want_read() override;
  broker::Session* session() { return session_ ? &*session_ : nullptr; }
  /// Twice a second.
  void tick();
  /// Closes without a word.
  void drop(const std::string& why);

 private:
  static constexpr std::size_t kReadMax = 128 << 10;
  // Who does not read what he asked for is not read either (gets, returns, closes).
  static constexpr std::size_t kOutputPause = 4 << 20;

  void wait_readable();
  void on_readable();
  bool feed(std::string_view bytes);
  bool feed_tls(std::string_view ciphertext);
  std::optional<std::size_t> take_proxy_header(std::string_view bytes);
  void begin_session();
  void note_opened();
  void write_some();
  bool send(std::string_view first_piece);
  void wait_writable();
  void close();
  broker::PeerInfo peer_info() const;

  SocketShared& shared_;
  Socket socket_;
  std::unique_ptr<TlsFilter> tls_;
  std::optional<broker::Session> session_;
  std::string kept_;          // read, not yet taken by the session
  std::optional<ProxyHeader> proxy_;
  Millis opened_;
  Millis finished_{0};        // when the connection was found finished, output still waiting
  bool awaits_proxy_{false};
  bool reading_{false};
  bool writing_{false};       // waits for the socket to take more
  bool closed_{false};
  bool feeding_{false};
  bool opened_counted_{false};
  bool output_pause_{false};  // not read until the output has drained
};

}  // namespace warren::server
