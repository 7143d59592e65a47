#include "cluster/transport/control_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <grpcpp/resource_quota.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstring>

#include "base/assert.h"
#include "cluster/transport/call_args.h"
#include "cluster/transport/call_stream.h"
#include "cluster/transport/cookie_rotation.h"
#include "cluster/transport/dial.h"
#include "cluster/transport/doctor.h"
#include "cluster/transport/grpc_common.h"
#include "cluster/transport/node_registry.h"
#include "cluster/transport/tls.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

constexpr int kIdleConnectionMs = 300'000;
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kStreamsPerConnection = 64;
constexpr std::size_t kMethodMaxBytes = 128;
constexpr std::size_t kProofFieldMaxBytes = 64;

std::string header(const grpc::CallbackServerContext& context, const char* key) {
  const auto& all = context.client_metadata();
  const auto found = all.find(key);
  if (found == all.end() || found->second.size() > kProofFieldMaxBytes) return {};
  return {found->second.data(), found->second.size()};
}

/// Ends a call at once with a status.
grpc::ServerWriteReactor<control::v1::CallReply>* refuse(const grpc::Status& status) {
  class Refusal final : public grpc::ServerWriteReactor<control::v1::CallReply> {
   public:
    explicit Refusal(const grpc::Status& status) { Finish(status); }
    void OnDone() override { delete this; }
  };
  return new Refusal(status);
}

class ControlService final : public control::v1::Control::CallbackService {
 public:
  /// `port` is known once the server listens.
  ControlService(Handler& handler, Logger& log, SessionTable& sessions,
                 const ControlServerOptions& options, const std::atomic<std::uint16_t>& port)
      : handler_(handler), log_(log), sessions_(sessions), options_(options), port_(port) {}

  grpc::ServerUnaryReactor* Hello(grpc::CallbackServerContext* context,
                                  const control::v1::HelloRequest* request,
                                  control::v1::HelloReply* reply) override {
    auto* reactor = context->DefaultReactor();
    const Result<HelloAnswer> answer =
        sessions_.hello(peer_address(context->peer()), from_proto(request->client()),
                        request->nonce(), request->cookie_fingerprint());
    if (!answer) {
      reactor->Finish(to_status(answer.error()));
      return reactor;
    }
    to_proto(answer->server, *reply->mutable_server());
    reply->set_nonce(answer->nonce);
    reply->set_session_id(answer->session_id);
    reply->set_version(answer->version);
    reply->set_cookie_fingerprint(answer->cookie_fingerprint);
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  grpc::ServerUnaryReactor* Prove(grpc::CallbackServerContext* context,
                                  const control::v1::ProveRequest* request,
                                  control::v1::ProveReply* reply) override {
    auto* reactor = context->DefaultReactor();
    const Result<std::string> proof =
        sessions_.prove(peer_address(context->peer()), request->session_id(), request->proof());
    if (proof) {
      reply->set_proof(*proof);
      reply->set_session_ttl_ms(static_cast<std::uint32_t>(options_.limits.session_idle_ms));
    }
    reactor->Finish(proof ? grpc::Status::OK : to_status(proof.error()));
    return reactor;
  }

  grpc::ServerWriteReactor<control::v1::CallReply>* Call(
      grpc::CallbackServerContext* context, const control::v1::CallRequest* request) override {
    const std::string counter_text = header(*context, kCounterKey);
    std::uint64_t counter = 0;
    std::from_chars(counter_text.data(), counter_text.data() + counter_text.size(), counter);
    const Result<PeerIdentity> peer =
        sessions_.authorise(header(*context, kSessionKey), counter, header(*context, kProofKey),
                            request->method(), request->args_json());
    if (!peer) return refuse(to_status(peer.error()));
    if (request->method().empty() || request->method().size() > kMethodMaxBytes) {
      return refuse({grpc::StatusCode::INVALID_ARGUMENT, "bad method name"});
    }
    Result<boost::json::object> args = parse_call_args(request->args_json());
    if (!args) return refuse({grpc::StatusCode::INVALID_ARGUMENT, args.error().text});
    if (++calls_ > options_.calls_max) {
      --calls_;
      return refuse(
          {grpc::StatusCode::RESOURCE_EXHAUSTED,
           fmt::format("{} control calls are already under way; try again", options_.calls_max)});
    }
    auto state = std::make_shared<CallState>(
        *peer, request->deadline_ms(), options_.call_backlog_max_bytes, sessions_.self().node_name);
    auto* reactor = new CallReactor(state, calls_);
    auto sink = std::make_shared<StreamSink>(state, wanted_columns(*args));
    if (request->method() == "locate_node") {
      locate(*args, *sink, *peer, peer_address(context->peer()));
    } else if (request->method() == "cluster_doctor") {
      examine(*args, std::move(sink));
    } else if (request->method() == "rotate_cookie") {
      rotate(*args, std::move(sink));
    } else {
      handler_.call(request->method(), std::move(*args), std::move(sink));
    }
    return reactor;
  }

 private:
  /// The port of another node of this host, for tools that only know the host.
  void locate(const boost::json::object& args, CallSink& sink, const PeerIdentity& peer,
              const std::string& address) {
    const auto* name = args.if_contains("name");
    if (name == nullptr || !name->is_string())
      return sink.fail(Errc::invalid_argument, "name is missing");
    const auto entry = find_node(std::string(name->get_string()), options_.registry);
    if (!entry) {
      if (peer.role == "node") sessions_.note_astray(peer, address, std::string(name->get_string()));
      return sink.fail(Errc::not_found, "no such node runs on this host");
    }
    sink.done(boost::json::object{{"name", entry->name}, {"port", entry->port}});
  }

  /// Answered here, so that it works whatever the node itself is doing.
  void examine(const boost::json::object& args, std::shared_ptr<CallSink> sink) const {
    DoctorOptions options;
    options.self = sessions_.self();
    options.cookies = sessions_.cookies();
    options.own_port = port_;
    options.registry = options_.registry;
    options.default_port = options_.default_port;
    if (const auto* node = args.if_contains("node"); node != nullptr && node->is_string())
      options.other = std::string(node->get_string());
    if (const auto* both = args.if_contains("reverse"); both != nullptr && both->is_bool())
      options.reverse = both->get_bool();
    if (options.other.size() > kNameMaxBytes)
      return sink->fail(Errc::invalid_argument, "the node's name is too long");
    if (!options.other.empty() && options.other.find('@') == std::string::npos)
      options.other += "@" + host_part(options.self.node_name);
    run_doctor(workers_, options, [options, sink](const std::vector<DoctorCheck>& checks) {
      sink->done(doctor_report(options, checks));
    });
  }

  void rotate(const boost::json::object& args, std::shared_ptr<CallSink> sink) {
    std::string step;
    for (const char* name : {"stage", "commit", "retire"}) {
      const auto* wanted = args.if_contains(name);
      if (wanted == nullptr || !wanted->is_bool() || !wanted->get_bool()) continue;
      if (!step.empty()) return sink->fail(Errc::invalid_argument, "one step at a time");
      step = name;
    }
    // Two small files, and rarely: not worth a thread that could outlive the server.
    const std::lock_guard guard(rotation_lock_);
    const Result<RotationStep> taken = rotate_cookie(sessions_.cookies(), step);
    if (!taken) return sink->fail(taken.error().code, taken.error().text);
    if (!step.empty()) {
      sessions_.set_cookies(taken->cookies);
      if (options_.on_cookies) options_.on_cookies(taken->cookies);
      log_.info(LogArea::cluster, "cookie rotation: step={} by={} state=\"{}\"", step,
                sink->peer().node_name, taken->message);
    }
    sink->done(boost::json::object{{"message", taken->message}});
  }

  Handler& handler_;
  Logger& log_;
  std::mutex rotation_lock_;
  SessionTable& sessions_;
  const ControlServerOptions& options_;
  const std::atomic<std::uint16_t>& port_;
  std::shared_ptr<Workers> workers_{std::make_shared<Workers>()};
  std::atomic<std::size_t> calls_{0};
};

/// Why the address cannot be had, which gRPC does not say: tries the same itself.
std::string bind_error(const std::string& address, std::uint16_t port) {
  sockaddr_storage where{};
  socklen_t size = sizeof(sockaddr_in);
  auto* v4 = reinterpret_cast<sockaddr_in*>(&where);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&where);
  if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    size = sizeof(sockaddr_in6);
  } else if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
  } else {
    return "not a numeric address";
  }
  const int fd = ::socket(where.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return std::strerror(errno);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool bound =
      ::bind(fd, reinterpret_cast<sockaddr*>(&where), size) == 0 && ::listen(fd, 1) == 0;
  const int error = errno;
  ::close(fd);
  // Held only for a moment: typical of ports in the range that outgoing connections take theirs
  // from.
  return bound ? "the port was in use a moment ago; keep it out of net.ipv4.ip_local_port_range"
               : std::strerror(error);
}

std::string endpoint(const std::string& address, std::uint16_t port) {
  const bool v6 = address.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", address, port) : fmt::format("{}:{}", address, port);
}

}  // namespace

struct ControlServer::Impl {
  Handler& handler;
  const Clock& clock;
  Logger& log;
  ControlServerOptions options;
  std::unique_ptr<SessionTable> sessions;
  std::unique_ptr<ControlService> service;
  std::unique_ptr<grpc::Server> server;
  std::atomic<std::uint16_t> port{0};
};

ControlServer::ControlServer(Handler& handler, const Clock& clock, Logger& log)
    : impl_(new Impl{handler, clock, log, {}, nullptr, nullptr, nullptr, {}}) {}

ControlServer::~ControlServer() { stop(0); }

Result<std::uint16_t> ControlServer::start(ControlServerOptions options) {
  WARREN_ASSERT(impl_->server == nullptr);
  WARREN_ASSERT(!options.cookies.empty());
  quiet_grpc();
  impl_->options = std::move(options);
  impl_->options.cookies = with_staged(std::move(impl_->options.cookies));
  if (impl_->options.cookies.front().warning.starts_with("a staged"))
    impl_->log.warning(LogArea::cluster, "{}", impl_->options.cookies.front().warning);
  if (impl_->options.registry.empty()) impl_->options.registry = registry_directories();
  const ControlServerOptions& chosen = impl_->options;
  impl_->sessions = std::make_unique<SessionTable>(chosen.cookies, chosen.identity, impl_->clock,
                                                   impl_->log, chosen.limits);
  impl_->service = std::make_unique<ControlService>(impl_->handler, impl_->log, *impl_->sessions, chosen,
                                                     impl_->port);

  grpc::ResourceQuota quota("warren");
  quota.Resize(chosen.memory_quota_bytes);
  grpc::ServerBuilder builder;
  builder.SetResourceQuota(quota);
  builder.SetMaxReceiveMessageSize(static_cast<int>(chosen.message_max_bytes));
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kIdleConnectionMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1'000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kHttp2FrameBytes);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, kStreamWindowBytes);
  int bound = 0;
  const std::string where = endpoint(chosen.address, chosen.port);
  builder.AddListeningPort(where, server_credentials(), &bound);
  builder.RegisterService(impl_->service.get());
  for (const auto& module : chosen.modules) {
    module->use_sessions(*impl_->sessions);
    builder.RegisterService(&module->service());
  }
  impl_->server = builder.BuildAndStart();
  if (impl_->server == nullptr || bound == 0) {
    impl_->server.reset();
    return make_error(
        Errc::io, fmt::format("cannot listen on {} (inter-node and CLI communication): {}", where,
                              bind_error(chosen.address, chosen.port)));
  }
  impl_->port = static_cast<std::uint16_t>(bound);
  return impl_->port;
}

void ControlServer::stop(Millis grace_ms) {
  if (impl_->server == nullptr) return;
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::milliseconds(grace_ms));
  impl_->server->Wait();
  impl_->server.reset();
}

std::uint16_t ControlServer::port() const { return impl_->port; }

SessionTable& ControlServer::sessions() {
  WARREN_ASSERT(impl_->sessions != nullptr);
  return *impl_->sessions;
}

}  // namespace warren::transport
