#include "node/http/management.h"

#include "node/http/call.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <algorithm>
#include <array>
#include <set>

namespace warren::http {

namespace asio = boost::asio;
namespace beast = boost::beast::http;
using tcp = asio::ip::tcp;
using boost::system::error_code;

namespace {

constexpr std::chrono::seconds kPatience{60};  // a whole request, a step of the answer, and idleness
constexpr std::size_t kReadBytes = 16 * 1024;
constexpr std::size_t kBodyUnauthenticatedMax = 64 * 1024;

class Session;
/// What sessions share with the listener, which may be gone first.
struct Shared {
  server::Node& node;
  std::set<Session*> sessions;
  bool open{true};
};

/// One connection. Kept alive by its pending reads, writes and calls.
class Session final : public std::enable_shared_from_this<Session> {
 public:
  Session(std::shared_ptr<Shared> shared, tcp::socket socket)
      : shared_(std::move(shared)), socket_(std::move(socket)), timer_(socket_.get_executor()) {
    shared_->sessions.insert(this);
    error_code ec;
    const auto peer = socket_.remote_endpoint(ec).address();
    loopback_ = !ec && (peer.is_loopback() || (peer.is_v6() && peer.to_v6().is_v4_mapped() &&
                                               asio::ip::make_address_v4(asio::ip::v4_mapped, peer.to_v6())
                                                   .is_loopback()));
  }
  ~Session() { shared_->sessions.erase(this); }

  void start() { next_request(); }
  void close() {
    error_code ignored;
    timer_.cancel();
    socket_.shutdown(tcp::socket::shutdown_both, ignored);
    socket_.close(ignored);
  }

 private:
  using Parser = beast::request_parser<beast::string_body>;

  void next_request() {
    parser_.emplace();
    parser_->eager(true);
    parser_->header_limit(kHeaderMax);
    parser_->body_limit(kBodyMax);
    header_seen_ = false;
    be_patient();
    if (input_.empty()) {
      input_.shrink_to_fit();  // idle connections hold nothing
      return read();
    }
    parse();
  }

  void be_patient() {
    timer_.expires_after(kPatience);
    timer_.async_wait([weak = weak_from_this()](error_code ec) {
      if (ec) return;
      if (auto self = weak.lock()) self->close();
    });
  }

  void read() {
    const std::size_t held = input_.size();
    input_.resize(held + kReadBytes);
    socket_.async_read_some(
        asio::buffer(input_.data() + held, kReadBytes),
        [self = shared_from_this(), held](error_code ec, std::size_t got) {
          self->input_.resize(held + got);
          if (ec || !self->shared_->open) return self->close();
          self->shared_->node.loop().refresh();
          self->parse();
          self->shared_->node.loop().want_turn();
        });
  }

  void parse() {
    error_code ec;
    while (!input_.empty() && !parser_->is_done()) {
      const std::size_t used = parser_->put(asio::buffer(input_), ec);
      input_.erase(0, used);
      if (ec || used == 0) break;
      if (parser_->is_header_done() && !header_seen_ && !on_header()) return;
    }
    if (ec == beast::error::need_more) ec = {};
    if (ec) return refuse(ec);
    if (parser_->is_header_done() && !header_seen_ && !on_header()) return;
    if (!parser_->is_done()) return read();
    run();
  }

  void refuse(error_code ec) {
    keep_alive_ = false;
    if (ec == beast::error::body_limit)
      return write(error_response(413, "payload_too_large", "the body is larger than 10000000 bytes"));
    if (ec == beast::error::header_limit)
      return write(error_response(431, "header_too_large", "the header is larger than 16384 bytes"));
    write(error_response(400, "bad_request", "malformed HTTP"));
  }

  /// Before the body: strangers may not make us hold a large one. False: answered.
  bool on_header() {
    header_seen_ = true;
    const auto length = parser_->content_length();
    const bool large = parser_->chunked() || (length && *length > kBodyUnauthenticatedMax);
    if (large && !credentials_ok(shared_->node, described())) {
      keep_alive_ = false;
      write(error_response(401, "not_authorised", "Login failed"));
      return false;
    }
    if (parser_->is_done() || !beast::token_list(parser_->get()[beast::field::expect]).exists("100-continue"))
      return true;
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue),
                      [self = shared_from_this()](error_code, std::size_t) {});
    return true;
  }

  Request described() const {
    const auto& message = parser_->get();
    const auto text = [&message](auto field) {
      const auto value = message[field];
      return std::string(value.data(), value.size());
    };
    Request request;
    request.method = std::string(message.method_string());
    request.head = request.method == "HEAD";
    if (request.head) request.method = "GET";
    request.authorization = text(beast::field::authorization);
    request.origin = text(beast::field::origin);
    request.reason = text("X-Reason");
    request.loopback = loopback_;
    return request;
  }

  void run() {
    Request request = described();
    keep_alive_ = parser_->keep_alive();
    head_ = request.head;
    origin_ = request.origin;
    const auto target = parser_->get().target();
    if (!parse_target({target.data(), target.size()}, request))
      return write(error_response(400, "bad_request", "malformed path or query"));
    request.body = std::move(parser_->get().body());
    timer_.cancel();
    handle(shared_->node, std::move(request), [self = shared_from_this()](Response response) {
      self->write(std::move(response));
    });
  }

  void write(Response response) {
    if (!socket_.is_open()) return;
    const auto& cors = shared_->node.settings().http.cors_origins;
    if (!origin_.empty() && (std::find(cors.begin(), cors.end(), origin_) != cors.end() ||
                             std::find(cors.begin(), cors.end(), "*") != cors.end())) {
      response.headers.emplace_back("access-control-allow-origin", origin_);
      response.headers.emplace_back("access-control-allow-credentials", "true");
      response.headers.emplace_back("access-control-allow-methods", "GET, PUT, POST, DELETE, OPTIONS");
      response.headers.emplace_back("access-control-allow-headers", "authorization, content-type, x-reason");
      response.headers.emplace_back("vary", "origin");
    }
    output_ = "HTTP/1.1 " + std::to_string(response.status) + " " +
              std::string(beast::obsolete_reason(static_cast<beast::status>(response.status))) +
              "\r\nserver: Warren\r\ncache-control: no-cache\r\nx-content-type-options: nosniff\r\n";
    for (const auto& [name, value] : response.headers) output_ += name + ": " + value + "\r\n";
    if (!response.body.empty()) output_ += "content-type: " + response.content_type + "\r\n";
    if (response.status != 204) output_ += "content-length: " + std::to_string(response.body.size()) + "\r\n";
    output_ += keep_alive_ ? "\r\n" : "connection: close\r\n\r\n";
    if (!head_ && response.status != 204) output_ += response.body;
    written_ = 0;
    write_some();
  }

  void write_some() {
    be_patient();
    socket_.async_write_some(asio::buffer(output_.data() + written_, output_.size() - written_),
                             [self = shared_from_this()](error_code ec, std::size_t put) {
                               if (ec || !self->shared_->open) return self->close();
                               self->written_ += put;
                               if (self->written_ < self->output_.size()) return self->write_some();
                               std::string().swap(self->output_);
                               if (!self->keep_alive_) return self->close();
                               self->shared_->node.loop().refresh();
                               self->next_request();
                               self->shared_->node.loop().want_turn();
                             });
  }

  std::shared_ptr<Shared> shared_;
  tcp::socket socket_;
  asio::steady_timer timer_;
  std::optional<Parser> parser_;
  std::string input_, output_, origin_;
  std::size_t written_{0};
  bool loopback_{false};
  bool header_seen_{false};
  bool keep_alive_{false};
  bool head_{false};
};

}  // namespace

struct Management::Server : std::enable_shared_from_this<Management::Server> {
  explicit Server(server::Node& node)
      : shared(new Shared{node, {}, true}), acceptor(node.loop().io()), rest(node.loop().io()) {}

  Result<void> open(const std::string& address, std::uint16_t port);
  void accept();
  void close();

  std::shared_ptr<Shared> shared;
  tcp::acceptor acceptor;
  asio::steady_timer rest;
};

Result<void> Management::Server::open(const std::string& address, std::uint16_t port) {
  error_code ec;
  tcp::endpoint endpoint(tcp::v6(), port);
  if (!address.empty()) {
    const auto parsed = asio::ip::make_address(address, ec);
    if (ec) return make_error(Errc::invalid_argument, "management: '" + address + "' is not an IP address");
    endpoint = tcp::endpoint(parsed, port);
  }
  acceptor.open(endpoint.protocol(), ec);
  if (ec && address.empty()) {  // a host without IPv6
    endpoint = tcp::endpoint(tcp::v4(), port);
    acceptor.open(endpoint.protocol(), ec);
  }
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec && endpoint.protocol() == tcp::v6()) acceptor.set_option(asio::ip::v6_only(false), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(128, ec);
  if (ec)
    return make_error(Errc::io, "management: cannot listen on port " + std::to_string(port) + ": " + ec.message());
  accept();
  return {};
}

void Management::Server::accept() {
  acceptor.async_accept([self = shared_from_this()](error_code ec, tcp::socket socket) {
    if (!self->acceptor.is_open()) return;
    if (ec) {  // out of descriptors: a rest instead of a spin
      self->rest.expires_after(std::chrono::milliseconds(200));
      self->rest.async_wait([self](error_code cancelled) {
        if (!cancelled && self->acceptor.is_open()) self->accept();
      });
      return;
    }
    if (self->shared->sessions.size() < kConnectionsMax) {
      error_code ignored;
      socket.set_option(tcp::no_delay(true), ignored);
      std::make_shared<Session>(self->shared, std::move(socket))->start();
    }
    self->accept();
  });
}

void Management::Server::close() {
  shared->open = false;
  error_code ignored;
  rest.cancel();
  acceptor.close(ignored);
  for (Session* session : std::set<Session*>(shared->sessions)) session->close();
}

Management::Management(server::Node& node) : node_(node) {}

Management::~Management() {
  if (server_) server_->close();
}

Result<void> Management::apply(const std::vector<std::string>& plugins) {
  // Plugins that add pages to the management bring it with them.
  const bool wanted = std::any_of(plugins.begin(), plugins.end(), [](const std::string& name) {
    return name.ends_with("_management") || name == "rabbitmq_top";
  });
  if (wanted == (server_ != nullptr)) return {};
  if (!wanted) {
    server_->close();
    server_ = nullptr;
    node_.plugin_listeners.clear();
    node_.log().info(LogArea::general, "management listener stopped");
    return {};
  }
  const auto& settings = node_.settings().http;
  auto server = std::make_shared<Server>(node_);
  if (auto opened = server->open(settings.address, settings.port); !opened) return opened;
  server_ = std::move(server);
  error_code ignored;
  const int port = server_->acceptor.local_endpoint(ignored).port();
  node_.plugin_listeners = {{"http", settings.address.empty() ? "[::]" : settings.address, port, "HTTP API"}};
  node_.log().info(LogArea::general, "Management plugin: HTTP (non-TLS) listener started on port {}", port);
  return {};
}

}  // namespace warren::http
