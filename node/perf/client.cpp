#include "node/perf/client.h"

#include "base/field_table.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace warren::perf {

namespace {

Error refuse(const std::string& what) { return make_error(Errc::unavailable, what); }

/// What a close frame says, for people.
std::string close_reason(std::string_view payload) {
  amqp::ConnectionClose close;
  if (payload.size() < 4 || !amqp::decode(payload.substr(4), close)) return "closed by the broker";
  return "closed by the broker: " + std::to_string(close.reply_code) + " " + std::string(close.reply_text);
}

}  // namespace

Client::~Client() {
  if (fd_ >= 0) ::close(fd_);
}

Client::Client(Client&& from) noexcept
    : fd_(from.fd_), in_(std::move(from.in_)), in_at_(from.in_at_), in_end_(from.in_end_) {
  from.fd_ = -1;
}

Result<Client> Client::connect(const Options& o, const std::string& name) {
  Client client;
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const std::string port = std::to_string(o.port);
  if (const int why = getaddrinfo(o.host.c_str(), port.c_str(), &hints, &found); why != 0)
    return refuse("cannot resolve " + o.host + ": " + gai_strerror(why));
  for (addrinfo* a = found; a != nullptr && client.fd_ < 0; a = a->ai_next) {
    const int fd = ::socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd >= 0 && ::connect(fd, a->ai_addr, a->ai_addrlen) == 0)
      client.fd_ = fd;
    else if (fd >= 0)
      ::close(fd);
  }
  freeaddrinfo(found);
  if (client.fd_ < 0)
    return refuse("cannot connect to " + o.host + ":" + port + ": " + std::strerror(errno));
  const int on = 1;
  setsockopt(client.fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

  if (auto sent = client.send_all(amqp::kProtocolHeader); !sent) return sent.error();
  if (auto start = client.await(amqp::ConnectionStart::kId); !start) return start.error();
  FieldTable capabilities, properties;
  capabilities.set("authentication_failure_close", FieldValue(true));
  capabilities.set("consumer_cancel_notify", FieldValue(true));
  properties.set("product", FieldValue("warren perf"));
  properties.set("connection_name", FieldValue(name));
  properties.set("capabilities", FieldValue(std::move(capabilities)));
  const std::string table = properties.encode();
  std::string response;
  response += '\0';
  response += o.user;
  response += '\0';
  response += o.password;
  amqp::ConnectionStartOk start_ok;
  start_ok.client_properties.pairs = table;
  start_ok.mechanism = "PLAIN";
  start_ok.response.text = response;
  start_ok.locale = "en_US";
  if (auto sent = client.send_all(amqp::encode_frame(0, start_ok)); !sent) return sent.error();
  auto tune_arguments = client.await(amqp::ConnectionTune::kId);
  if (!tune_arguments) return tune_arguments.error();
  amqp::ConnectionTune tune;
  amqp::decode(*tune_arguments, tune);
  amqp::ConnectionTuneOk tune_ok;
  tune_ok.channel_max = tune.channel_max;
  tune_ok.frame_max = tune.frame_max;
  amqp::ConnectionOpen open;
  open.virtual_host = o.vhost;
  const std::string both = amqp::encode_frame(0, tune_ok) + amqp::encode_frame(0, open);
  if (auto sent = client.send_all(both); !sent) return sent.error();
  if (auto opened = client.await(amqp::ConnectionOpenOk::kId); !opened) return opened.error();
  auto channel = client.call<amqp::ChannelOpenOk>(amqp::ChannelOpen{});
  if (!channel) return channel.error();
  return client;
}

Result<void> Client::send_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return refuse(std::string("cannot send: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

bool Client::fill() {
  constexpr std::size_t kRead = 256 << 10;
  if (in_at_ > 0) {
    std::memmove(in_.data(), in_.data() + in_at_, in_end_ - in_at_);
    in_end_ -= in_at_;
    in_at_ = 0;
  }
  if (in_.size() < in_end_ + kRead) in_.resize(in_end_ + kRead);
  const ssize_t n = ::recv(fd_, in_.data() + in_end_, kRead, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  in_end_ += static_cast<std::size_t>(n);
  return n > 0;
}

bool Client::next_frame(Frame& frame) {
  const char* at = in_.data() + in_at_;
  const std::size_t left = in_end_ - in_at_;
  if (left < amqp::kFrameOverhead) return false;
  const auto size = load_be<std::uint32_t>(at + 3);
  if (left < size + amqp::kFrameOverhead) return false;
  frame.type = static_cast<std::uint8_t>(at[0]);
  frame.channel = load_be<std::uint16_t>(at + 1);
  frame.payload = {at + amqp::kFrameHeaderBytes, size};
  in_at_ += size + amqp::kFrameOverhead;
  return true;
}

Result<std::string> Client::await(amqp::MethodId id) {
  for (;;) {
    Frame frame;
    while (next_frame(frame)) {
      if (frame.type != amqp::kFrameMethod || frame.payload.size() < 4) continue;
      const auto got = load_be<amqp::MethodId>(frame.payload.data());
      if (got == id) return std::string(frame.payload.substr(4));
      if (got == amqp::ConnectionClose::kId || got == amqp::ChannelClose::kId)
        return refuse(close_reason(frame.payload));
    }
    if (!fill()) return refuse("the broker closed the connection");
  }
}

bool Client::write_some(const std::string& out, std::size_t& at) {
  while (at < out.size()) {
    const ssize_t n = ::send(fd_, out.data() + at, out.size() - at, MSG_NOSIGNAL);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    at += static_cast<std::size_t>(n);
  }
  return true;
}

void Client::set_non_blocking() { fcntl(fd_, F_SETFL, fcntl(fd_, F_GETFL) | O_NONBLOCK); }

}  // namespace warren::perf
