#include "cluster/transport/dial.h"

#include <fmt/format.h>
#include <grpcpp/alarm.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <mutex>

#include "cluster/transport/async_call.h"
#include "cluster/transport/crypto.h"
#include "cluster/transport/node_registry.h"
#include "cluster/transport/tls.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

using SystemClock = std::chrono::system_clock;

Millis wall_now() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             SystemClock::now().time_since_epoch())
      .count();
}

std::string own_host() {
  char own[256] = "this host";
  ::gethostname(own, sizeof own - 1);
  return own;
}

/// The messages of one handshake, kept until its last callback.
struct Exchange {
  Exchange(std::vector<Cookie> cookies, PeerIdentity self, std::string where)
      : machine(std::move(cookies), std::move(self), std::move(where)) {}
  ClientHandshake machine;
  std::shared_ptr<Session> session{std::make_shared<Session>()};
  std::unique_ptr<control::v1::Control::Stub> stub;
  grpc::ClientContext hello_context, prove_context;
  control::v1::HelloRequest hello;
  control::v1::HelloReply hello_reply;
  control::v1::ProveRequest prove;
  control::v1::ProveReply prove_reply;
};

/// One attempt to reach a node; lives as long as something is under way.
class Dial : public std::enable_shared_from_this<Dial> {
 public:
  Dial(DialRequest request, DialDone done) : request_(std::move(request)), done_(std::move(done)) {
    if (request_.host.empty()) request_.host = host_part(request_.node_name);
    deadline_ = SystemClock::now() + std::chrono::milliseconds(request_.deadline_ms);
  }

  void start(Workers& workers) {
    keep_callback_threads();
    auto alarm = std::make_unique<grpc::Alarm>();
    grpc::Alarm* timer = alarm.get();
    {
      const std::lock_guard guard(lock_);
      alarm_ = std::move(alarm);
    }
    timer->Set(deadline_, [self = shared_from_this()](bool fired) {
      if (fired) self->finish(self->too_late());
    });
    if (!workers.run([self = shared_from_this()] { self->look_up(); }))
      finish(make_error(Errc::exhausted, "too many names are being resolved at once"));
  }

 private:
  void look_up() {
    if (const auto entry = find_node(request_.node_name, request_.registry))
      add_port(entry->port, true);
    add_port(request_.port, false);
    add_port(request_.default_port, false);
    Result<std::vector<std::string>> addresses = resolve_host(request_.host);
    if (!addresses) return finish(addresses.error());
    addresses_ = std::move(*addresses);
    resolved_ = true;
    attempt(0, 0);
  }

  void add_port(std::uint16_t port, bool first) {
    if (port == 0 || std::find(ports_.begin(), ports_.end(), port) != ports_.end()) return;
    ports_.insert(first ? ports_.begin() : ports_.end(), port);
  }

  void attempt(std::size_t port, std::size_t address) {
    if (finished_) return;
    if (address == addresses_.size()) return attempt(port + 1, 0);
    if (port >= ports_.size()) return finish(last_);
    PeerIdentity self = request_.self;
    self.wall_clock_ms = wall_now();
    auto exchange = std::make_shared<Exchange>(
        request_.cookies, std::move(self), fmt::format("{} port {}", request_.host, ports_[port]));
    Session& session = *exchange->session;
    session.address = addresses_[address];
    session.port = ports_[port];
    port_tried_ = session.port;
    session.channel = open_channel(session.address, session.port, request_.patience);
    exchange->stub = control::v1::Control::NewStub(session.channel);
    exchange->hello = hello_request(exchange->machine);
    exchange->hello_context.set_deadline(deadline_);
    exchange->stub->async()->Hello(
        &exchange->hello_context, &exchange->hello, &exchange->hello_reply,
        [self = shared_from_this(), exchange, port, address](const grpc::Status& status) {
          self->on_hello(exchange, port, address, status);
        });
  }

  void on_hello(const std::shared_ptr<Exchange>& exchange, std::size_t port, std::size_t address,
                const grpc::Status& status) {
    if (!status.ok()) {
      Error error = from_status(status);
      // Another address or port helps only when nobody answered here.
      if (error.code != Errc::unavailable)
        return finish(error.code == Errc::timeout ? too_late() : error);
      if (last_.text.empty()) last_ = nobody(*exchange->session, error.text);
      return attempt(port, address + 1);
    }
    exchange->session->skew_ms = exchange->hello_reply.server().wall_clock_ms() - wall_now();
    const Result<std::string> proof = exchange->machine.on_hello(hello_answer(exchange->hello_reply));
    if (!proof) return finish(proof.error());
    exchange->prove.set_session_id(exchange->hello_reply.session_id());
    exchange->prove.set_proof(*proof);
    exchange->prove_context.set_deadline(deadline_);
    exchange->stub->async()->Prove(
        &exchange->prove_context, &exchange->prove, &exchange->prove_reply,
        [self = shared_from_this(), exchange, port](const grpc::Status& proved) {
          self->on_prove(exchange, port, proved);
        });
  }

  void on_prove(const std::shared_ptr<Exchange>& exchange, std::size_t port,
                const grpc::Status& status) {
    if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED)
      return finish(exchange->machine.on_refused());
    if (!status.ok()) return finish(from_status(status));
    Result<ClientSession> proved = exchange->machine.on_prove(exchange->prove_reply.proof());
    if (!proved) return finish(proved.error());
    exchange->session->proved = std::move(*proved);
    const PeerIdentity& there = exchange->session->proved.server;
    if (there.node_name == request_.node_name || (!request_.node_id.empty() && there.node_id == request_.node_id))
      return finish(exchange->session);
    ask_where(exchange->session, port);
  }

  /// Another node of that host answers: it knows who else runs there.
  void ask_where(const std::shared_ptr<Session>& session, std::size_t port) {
    const std::string other = session->proved.server.node_name;
    const bool asked = asked_;
    asked_ = true;
    last_ = make_error(
        Errc::unavailable,
        fmt::format("{} port {} ({}) is node {}, not {}, and no node of that name runs on its host; "
                    "check that {} names the right host in /etc/hosts or the DNS of {}, and that "
                    "the node was not renamed",
                    request_.host, session->port, session->address, other, request_.node_name,
                    request_.host, own_host()));
    if (asked) return attempt(port + 1, 0);
    const Millis left = std::chrono::duration_cast<std::chrono::milliseconds>(
                            deadline_ - SystemClock::now())
                            .count();
    async_call(session, "locate_node", {{"name", request_.node_name}}, std::max<Millis>(left, 1),
               64u << 10, [self = shared_from_this(), port](const CallOutcome& outcome) {
                 std::int64_t found = 0;
                 if (outcome.answer && outcome.answer->result.is_object()) {
                   const auto* at = outcome.answer->result.get_object().if_contains("port");
                   if (at != nullptr && at->is_int64()) found = at->get_int64();
                 }
                 if (found > 0 && found <= 65535)
                   self->add_port(static_cast<std::uint16_t>(found), false);
                 self->attempt(port + 1, 0);
               });
  }

  Error nobody(const Session& session, const std::string& why) const {
    const std::size_t last = why.rfind(": ");
    return make_error(
        Errc::unavailable,
        fmt::format("cannot connect to {}: {} port {} ({}): {}; check that the node runs "
                    "(rabbitmqctl -n {} status on its host) and that no firewall closes the port{}",
                    request_.node_name, request_.host, session.port, session.address,
                    last == std::string::npos ? why : why.substr(last + 2), request_.node_name, tls_remedy(why)));
  }

  Error too_late() const {
    if (!resolved_) {
      return make_error(Errc::timeout,
                        fmt::format("host name {} was not resolved on {} within {} ms; check its "
                                    "DNS, or add the name to /etc/hosts",
                                    request_.host, own_host(), request_.deadline_ms));
    }
    return make_error(Errc::timeout,
                      fmt::format("no answer from {} ({}) within {} ms; the host is down, hung or "
                                  "cut off, or a firewall drops port {}",
                                  request_.node_name, request_.host, request_.deadline_ms,
                                  port_tried_.load()));
  }

  void finish(Result<std::shared_ptr<Session>> outcome) {
    if (finished_.exchange(true)) return;
    std::unique_ptr<grpc::Alarm> alarm;
    {
      const std::lock_guard guard(lock_);
      alarm = std::move(alarm_);
    }
    if (alarm) alarm->Cancel();
    if (!outcome && outcome.error().text.empty())
      outcome = make_error(Errc::unavailable, "cannot connect to " + request_.node_name);
    const DialDone done = std::move(done_);
    done(std::move(outcome));
  }

  DialRequest request_;
  DialDone done_;
  SystemClock::time_point deadline_;
  std::mutex lock_;
  std::unique_ptr<grpc::Alarm> alarm_;
  std::vector<std::uint16_t> ports_;
  std::vector<std::string> addresses_;
  Error last_{Errc::unavailable, ""};
  std::atomic<std::uint16_t> port_tried_{0};
  std::atomic<bool> resolved_{false};
  std::atomic<bool> finished_{false};
  bool asked_{false};
};

}  // namespace

Session::~Session() { wipe(proved.key); }

std::uint64_t Session::sign(grpc::ClientContext& context, const std::string& method,
                            const std::string& request) {
  const std::uint64_t number = ++counter;
  context.AddMetadata(kSessionKey, proved.session_id);
  context.AddMetadata(kCounterKey, std::to_string(number));
  context.AddMetadata(kProofKey,
                      call_proof(proved.key, proved.session_id, number, method, request));
  return number;
}

void dial(const std::shared_ptr<Workers>& workers, DialRequest request, DialDone done) {
  std::make_shared<Dial>(std::move(request), std::move(done))->start(*workers);
}

std::string host_part(const std::string& node_name) {
  const std::size_t at = node_name.find('@');
  return at == std::string::npos ? node_name : node_name.substr(at + 1);
}

}  // namespace warren::transport
