#include "node/server/socket_session.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace warren::server {

namespace {

constexpr std::size_t kPieces = 64;
constexpr Millis kLingerMs = 30'000;  // for a peer to take what a finished connection still has to say

}  // namespace

SocketSession::SocketSession(SocketShared& shared, Socket socket, std::shared_ptr<TlsContext> tls)
    : shared_(shared),
      socket_(std::move(socket)),
      tls_(tls ? std::make_unique<TlsFilter>(*tls) : nullptr),
      opened_(shared.loop.steady_ms()),
      awaits_proxy_(shared.proxy_protocol) {}

broker::PeerInfo SocketSession::peer_info() const {
  broker::PeerInfo info;
  boost::system::error_code ec;
  const auto name = [](const boost::asio::ip::tcp::endpoint& e) {
    auto address = e.address();
    if (address.is_v6() && address.to_v6().is_v4_mapped())
      return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6()).to_string();
    return address.to_string();
  };
  const auto remote = socket_.remote_endpoint(ec);
  if (!ec) {
    info.peer_host = name(remote);
    info.peer_port = remote.port();
  }
  const auto local = socket_.local_endpoint(ec);
  if (!ec) {
    info.host = name(local);
    info.port = local.port();
  }
  if (proxy_ && proxy_->kind == ProxyHeader::Kind::known) {
    info.peer_host = proxy_->source;
    info.peer_port = proxy_->source_port;
    info.host = proxy_->destination;
    info.port = proxy_->destination_port;
  }
  // Whose address the proxy does not know may be anywhere.
  info.loopback = (info.peer_host == "::1" || info.peer_host.starts_with("127.")) &&
                  (!proxy_ || proxy_->kind != ProxyHeader::Kind::unknown);
  if (tls_) {
    const TlsFacts facts = tls_->facts();
    info.tls = true;
    info.tls_protocol = facts.protocol;
    info.tls_cipher = facts.cipher;
    info.cert_subject = facts.subject;
    info.cert_issuer = facts.issuer;
    info.cert_validity = facts.validity;
    info.cert_login = login_of(facts, shared_.cert_login);
  }
  return info;
}

void SocketSession::start() {
  shared_.sessions.emplace(this, shared_from_this());
  ++shared_.unopened;
  if (!tls_ && !awaits_proxy_) begin_session();
  wait_readable();
}

/// Offers what has come of a connection whose PROXY header is due. Gives how many bytes it took: more may be
/// needed, and are waited for. Nothing: it was no header, and the connection is closed.
std::optional<std::size_t> SocketSession::take_proxy_header(std::string_view bytes) {
  auto header = read_proxy_header(bytes);
  if (!header) {
    const broker::PeerInfo peer = peer_info();
    shared_.broker.log().warning(LogArea::connection, "closing connection {}:{} -> {}:{}: {}", peer.peer_host,
                                 peer.peer_port, peer.host, peer.port, header.error().text);
    close();
    return std::nullopt;
  }
  if (!*header) {
    kept_.assign(bytes);
    return 0;
  }
  kept_.clear();
  awaits_proxy_ = false;
  proxy_ = std::move(**header);
  if (!tls_) begin_session();
  return proxy_->size;
}

void SocketSession::begin_session() {
  session_.emplace(shared_.broker, *this, peer_info(), shared_.limits);
}

void SocketSession::wait_readable() {
  if (reading_ || closed_) return;
  reading_ = true;
  socket_.async_wait(Socket::wait_read, [self = shared_from_this()](boost::system::error_code ec) {
    self->reading_ = false;
    if (ec || self->closed_) return;
    self->on_readable();
  });
}

void SocketSession::on_readable() {
  shared_.loop.refresh();
  char* buffer = shared_.buffer.data();
  const std::size_t kept = kept_.size();
  if (kept + kReadMax > shared_.buffer.size()) shared_.buffer.resize(kept + kReadMax), buffer = shared_.buffer.data();
  std::memcpy(buffer, kept_.data(), kept);
  const ssize_t n = ::recv(socket_.native_handle(), buffer + kept, kReadMax, MSG_DONTWAIT);
  if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) return wait_readable();
  if (n <= 0) {
    if (session_ && !session_->connection().finished())
      session_->disconnected(n == 0 ? "client unexpectedly closed TCP connection"
                                    : std::string("socket error: ") + std::strerror(errno));
    return close();
  }
  auto got = static_cast<std::size_t>(n);
  std::size_t start = tls_ ? kept : 0;  // what is kept of TLS is plain text; it goes in front of the new
  if (awaits_proxy_) {
    const auto taken = take_proxy_header({buffer, kept + got});
    if (!taken) return;
    if (awaits_proxy_ || *taken == kept + got) return wait_readable();
    start = *taken;
    got = kept + got - *taken;
  } else if (!tls_) {
    got += kept;
  }
  bool open;
  if (tls_) {
    open = feed_tls({buffer + start, got});
  } else {
    if (session_) {
      session_->traffic().recv_oct += static_cast<std::size_t>(n);
      ++session_->traffic().recv_cnt;
    }
    open = feed({buffer + start, got});
  }
  if (open && session_ && session_->connection().paused()) return;  // want_read comes
  output_pause_ = open && session_ && session_->output_bytes() > kOutputPause;
  if (output_pause_) return;
  if (open) wait_readable();
}

/// Offers bytes to the session and keeps the rest. False when the connection has closed.
bool SocketSession::feed(std::string_view bytes) {
  feeding_ = true;
  std::size_t done = 0;
  while (done < bytes.size() && !session_->connection().finished()) {
    const std::size_t n = session_->connection().on_bytes(bytes.substr(done), shared_.loop.steady_ms());
    done += n;
    if (n == 0 || session_->connection().paused()) break;
  }
  feeding_ = false;
  if (session_->connection().finished()) done = bytes.size();  // nobody takes it any more
  note_opened();
  if (done == bytes.size()) {
    if (kept_.capacity() > 4096) std::string().swap(kept_);
    kept_.clear();
  } else {
    kept_.assign(bytes.substr(done));
  }
  output_pause_ = session_->output_bytes() > kOutputPause;
  if (session_->connection().finished() || !session_->connection().output().empty()) session_->touch();
  return !closed_;
}

bool SocketSession::feed_tls(std::string_view ciphertext) {
  std::string plain = std::move(kept_);
  kept_.clear();
  const std::size_t before = plain.size();
  const auto result = tls_->decrypt(ciphertext, plain);
  if (tls_->established() && !session_) begin_session();
  if (!result) {
    if (session_ && plain.size() > before) feed(plain);  // what came before the end still counts
    if (session_) session_->disconnected(result.error().text);
    else
      shared_.broker.log().warning(LogArea::connection, "TLS connection refused: {}", result.error().text);
    write_some();
    close();
    return false;
  }
  if (!session_) {
    write_some();
    return !closed_;
  }
  session_->traffic().recv_oct += plain.size() - before;
  ++session_->traffic().recv_cnt;
  const bool open = feed(plain);
  if (!tls_->outgoing().empty()) write_some();
  return open;
}

/// From open on it counts as a client; until then as a stranger, of whom there may be so many.
void SocketSession::note_opened() {
  if (opened_counted_ || session_->connection().state() != amqp::ConnectionState::running) return;
  opened_counted_ = true;
  --shared_.unopened;
}

void SocketSession::want_read() {
  if (closed_ || reading_ || feeding_ || output_pause_) return;
  // From the loop, not from here: the broker is in the middle of something.
  shared_.loop.post([self = shared_from_this()] {
    if (self->closed_ || self->reading_ || !self->session_) return;
    self->shared_.loop.refresh();
    if (self->session_->connection().paused()) return;
    if (!self->kept_.empty()) {
      const std::string bytes = std::move(self->kept_);
      self->kept_.clear();
      if (!self->feed(bytes)) return;
    }
    if (!self->session_->connection().paused() && !self->output_pause_) self->wait_readable();
  });
}

void SocketSession::want_write() {
  if (closed_ || writing_) return;
  write_some();
}

void SocketSession::write_some() {
  if (closed_) return;
  auto* output = session_ ? &session_->connection().output() : nullptr;
  for (;;) {
    std::array<iovec, kPieces> vectors;
    std::size_t count = 0, total = 0;
    std::array<std::string_view, kPieces> pieces;
    if (tls_) {
      if (output != nullptr && tls_->established() && tls_->outgoing().size() < (256 << 10)) {
        const std::size_t n = output->gather(pieces);
        std::size_t taken = 0;
        for (std::size_t i = 0; i < n; ++i) tls_->encrypt(pieces[i]), taken += pieces[i].size();
        if (taken > 0) output->consume(taken);
      }
      count = tls_->outgoing().empty() ? 0 : 1;
      pieces[0] = tls_->outgoing();
    } else {
      count = output != nullptr ? output->gather(pieces) : 0;
    }
    if (count == 0) break;
    for (std::size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
      total += pieces[i].size();
    }
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = count;
    const ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return wait_writable();
      if (session_) session_->disconnected(std::string("socket error: ") + std::strerror(errno));
      return close();
    }
    const auto sent = static_cast<std::size_t>(n);
    if (tls_)
      tls_->outgoing().erase(0, sent);
    else
      output->consume(sent);
    if (session_) {
      session_->traffic().send_oct += sent;
      ++session_->traffic().send_cnt;
      session_->connection().on_sent(shared_.loop.steady_ms());
      session_->on_output_drained();
    }
    if (output_pause_ && session_->output_bytes() < kOutputPause / 2) {
      output_pause_ = false;
      want_read();
    }
    if (sent < total) return wait_writable();
  }
  if (session_ && session_->connection().finished()) close();
}

void SocketSession::wait_writable() {
  if (writing_ || closed_) return;
  writing_ = true;
  socket_.async_wait(Socket::wait_write, [self = shared_from_this()](boost::system::error_code ec) {
    self->writing_ = false;
    if (ec || self->closed_) return;
    self->shared_.loop.refresh();
    self->write_some();
  });
}

void SocketSession::tick() {
  if (closed_) return;
  if (session_) {
    session_->tick();
    if (closed_ || !session_->connection().finished()) return;
    const Millis now = shared_.loop.steady_ms();
    if (finished_ == 0) finished_ = now;
    if (now - finished_ > kLingerMs) close();
    return;
  }
  if (shared_.loop.steady_ms() - opened_ > shared_.tls_handshake_ms) drop("no PROXY header or TLS handshake in time");
}

void SocketSession::drop(const std::string& why) {
  if (session_) session_->disconnected(why);
  close();
}

void SocketSession::close() {
  if (closed_) return;
  closed_ = true;
  if (!opened_counted_) --shared_.unopened;
  boost::system::error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  // The session may be on the stack of whoever closes it; it goes with the next turn.
  shared_.loop.post([self = shared_from_this()] {
    self->session_.reset();
    self->shared_.sessions.erase(self.get());
  });
}

}  // namespace warren::server
