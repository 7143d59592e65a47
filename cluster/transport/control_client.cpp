#include "cluster/transport/control_client.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netdb.h>

#include <boost/json.hpp>
#include <chrono>
#include <cstring>

#include "cluster/transport/crypto.h"
#include "cluster/transport/grpc_common.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

using SystemClock = std::chrono::system_clock;

constexpr int kReplyMaxBytes = 64 << 20;
constexpr std::size_t kResultMaxBytes = 512u << 20;
constexpr Millis kHandshakeDefaultMs = 10'000;
constexpr Millis kForEverMs = 10LL * 365 * 24 * 3600 * 1000;

void set_deadline(grpc::ClientContext& context, SystemClock::time_point deadline) {
  context.set_deadline(deadline);
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& address, std::uint16_t port) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kReplyMaxBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  const bool v6 = address.find(':') != std::string::npos;
  const std::string target =
      v6 ? fmt::format("ipv6:[{}]:{}", address, port) : fmt::format("ipv4:{}:{}", address, port);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
}

Error no_answer(const ControlTarget& target, const std::string& address,
                const grpc::Status& status) {
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
    return make_error(Errc::timeout, fmt::format("no answer from {} port {} ({}) in time",
                                                 target.host, target.port, address));
  }
  const std::string& why = status.error_message();
  const std::size_t last = why.rfind(": ");
  return make_error(Errc::unavailable,
                    fmt::format("cannot connect to {} port {} ({}): {}", target.host, target.port,
                                address, last == std::string::npos ? why : why.substr(last + 2)));
}

}  // namespace

struct ControlClient::Impl {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<control::v1::Control::Stub> stub;
  PeerIdentity server;
  std::string session_id;
  std::string session_key;
  std::uint64_t counter{0};

  ~Impl() { wipe(session_key); }

  Result<> handshake(const ControlTarget& target, const std::string& address, const Cookie& cookie,
                     const PeerIdentity& self, SystemClock::time_point deadline);
  Result<> prove(const ControlTarget& target, const Transcript& transcript, const Cookie& cookie,
                 const std::string& their_fingerprint, SystemClock::time_point deadline);
};

Result<> ControlClient::Impl::handshake(const ControlTarget& target, const std::string& address,
                                        const Cookie& cookie, const PeerIdentity& self,
                                        SystemClock::time_point deadline) {
  Transcript transcript;
  transcript.client = self;
  transcript.client.wall_clock_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock::now().time_since_epoch())
          .count();
  transcript.client_nonce = random_bytes(kNonceBytes);

  control::v1::HelloRequest hello;
  to_proto(transcript.client, *hello.mutable_client());
  hello.set_nonce(transcript.client_nonce);
  hello.set_cookie_fingerprint(cookie.fingerprint());
  control::v1::HelloReply reply;
  grpc::ClientContext context;
  set_deadline(context, deadline);
  const grpc::Status status = stub->Hello(&context, hello, &reply);
  if (!status.ok()) {
    Error error = from_status(status);
    if (error.code == Errc::unavailable || error.code == Errc::timeout)
      return no_answer(target, address, status);
    return error;
  }
  transcript.server = from_proto(reply.server());
  transcript.server_nonce = reply.nonce();
  transcript.session_id = reply.session_id();
  transcript.version = reply.version();
  if (Result<> shape = check_identity(transcript.server); !shape) return shape;
  if (reply.nonce().size() != kNonceBytes || reply.session_id().size() != kSessionIdBytes) {
    return make_error(Errc::corruption,
                      "malformed handshake: bad nonce or session id from the server");
  }
  const Result<std::uint32_t> version = agree_version(self, transcript.server);
  if (!version) return version.error();
  if (*version != reply.version()) {
    return make_error(Errc::corruption,
                      "malformed handshake: the server chose another protocol version");
  }
  if (Result<> cluster = check_cluster(self, transcript.server); !cluster) return cluster;
  return prove(target, transcript, cookie, reply.cookie_fingerprint(), deadline);
}

Result<> ControlClient::Impl::prove(const ControlTarget& target, const Transcript& transcript,
                                    const Cookie& cookie, const std::string& their_fingerprint,
                                    SystemClock::time_point deadline) {
  const std::string& name = transcript.server.node_name;
  const std::string mismatch = fmt::format(
      "the Erlang cookies of {} and this side differ: here {}; there fingerprint {}. Put the same "
      "cookie on both sides (mode 400) and restart the node whose cookie changed",
      name, cookie.describe(), their_fingerprint.size() <= 16 ? their_fingerprint : "unknown");
  control::v1::ProveRequest request;
  request.set_session_id(transcript.session_id);
  request.set_proof(client_proof(cookie.secret, transcript));
  control::v1::ProveReply reply;
  grpc::ClientContext context;
  set_deadline(context, deadline);
  const grpc::Status status = stub->Prove(&context, request, &reply);
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) {
    return make_error(Errc::unauthenticated, mismatch);
  }
  if (!status.ok()) return from_status(status);
  if (!equal_secret(reply.proof(), server_proof(cookie.secret, transcript, request.proof()))) {
    return make_error(
        Errc::unauthenticated,
        fmt::format("{} accepted this side but did not prove that it knows the cookie itself; "
                    "something else may be listening on {} port {}",
                    name, target.host, target.port));
  }
  // Only now is the name of the other side worth anything.
  if (!target.expected_node.empty() && target.expected_node != name) {
    return make_error(Errc::conflict, fmt::format("{} port {} is node {}, not {}", target.host,
                                                  target.port, name, target.expected_node));
  }
  server = transcript.server;
  session_id = transcript.session_id;
  session_key = warren::transport::session_key(cookie.secret, transcript);
  return {};
}

ControlClient::ControlClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlClient::~ControlClient() = default;

Result<std::unique_ptr<ControlClient>> ControlClient::connect(const ControlTarget& target,
                                                              const Cookie& cookie,
                                                              const PeerIdentity& self,
                                                              Millis deadline_ms) {
  quiet_grpc();
  const Result<std::vector<std::string>> addresses = resolve_host(target.host);
  if (!addresses) return addresses.error();
  const auto deadline =
      SystemClock::now() +
      std::chrono::milliseconds(deadline_ms > 0 ? deadline_ms : kHandshakeDefaultMs);
  Error last;
  for (const std::string& address : *addresses) {
    auto impl = std::make_unique<Impl>();
    impl->channel = open_channel(address, target.port);
    impl->stub = control::v1::Control::NewStub(impl->channel);
    const Result<> proved = impl->handshake(target, address, cookie, self, deadline);
    if (proved) return std::unique_ptr<ControlClient>(new ControlClient(std::move(impl)));
    last = proved.error();
    // Another address helps only when nobody answered at this one.
    if (last.code != Errc::unavailable) break;
  }
  return last;
}

const PeerIdentity& ControlClient::server() const { return impl_->server; }

Result<boost::json::value> ControlClient::call(const std::string& method,
                                               const boost::json::object& args, const OnRow& on_row,
                                               Millis deadline_ms) {
  control::v1::CallRequest request;
  request.set_method(method);
  request.set_args_json(boost::json::serialize(args));
  request.set_deadline_ms(static_cast<std::uint32_t>(std::min<Millis>(deadline_ms, UINT32_MAX)));
  const std::uint64_t counter = ++impl_->counter;
  grpc::ClientContext context;
  context.AddMetadata(kSessionKey, impl_->session_id);
  context.AddMetadata(kCounterKey, std::to_string(counter));
  context.AddMetadata(kProofKey, call_proof(impl_->session_key, impl_->session_id, counter, method,
                                            request.args_json()));
  set_deadline(context, SystemClock::now() +
                            std::chrono::milliseconds(deadline_ms > 0 ? deadline_ms : kForEverMs));

  boost::json::parse_options parsing;
  parsing.allow_invalid_utf8 = true;
  std::string result;
  control::v1::CallReply reply;
  bool last = false;
  Error failure{Errc::internal, ""};
  auto reader = impl_->stub->Call(&context, request);
  while (failure.text.empty() && reader->Read(&reply)) {
    for (const std::string& text : reply.rows()) {
      boost::system::error_code error;
      boost::json::value row = boost::json::parse(text, error, {}, parsing);
      if (error || !row.is_object()) {
        failure = make_error(Errc::corruption, "the node sent a row that is not a JSON object");
        break;
      }
      if (on_row) on_row(std::move(row.get_object()));
    }
    result += reply.result_part();
    if (result.size() > kResultMaxBytes)
      failure = make_error(Errc::exhausted, "the node's answer is too large");
    if (reply.has_error()) {
      const auto code = reply.error().code();
      failure.code = code >= 1 && code <= static_cast<unsigned>(Errc::internal)
                         ? static_cast<Errc>(code)
                         : Errc::internal;
      failure.text = reply.error().text().empty() ? errc_name(failure.code) : reply.error().text();
    }
    last = last || reply.last();
  }
  if (!failure.text.empty() && !last) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (!failure.text.empty()) return failure;
  if (!status.ok()) {
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return make_error(Errc::timeout,
                        fmt::format("operation {} on node {} timed out. Timeout value used: {}",
                                    method, impl_->server.node_name, deadline_ms));
    }
    return from_status(status);
  }
  if (!last)
    return make_error(Errc::unavailable,
                      "the connection to the node broke before the answer was complete");
  boost::system::error_code error;
  boost::json::value value = boost::json::parse(result, error, {}, parsing);
  if (error) return make_error(Errc::corruption, "the node's answer is not JSON");
  return value;
}

Result<std::vector<std::string>> resolve_host(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failed != 0) {
    char own[256] = "this host";
    ::gethostname(own, sizeof own - 1);
    return make_error(
        Errc::not_found,
        fmt::format("host name {} cannot be resolved on {}: {}; add it to /etc/hosts or the DNS",
                    host, own,
                    failed == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(failed)));
  }
  std::vector<std::string> addresses;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    const void* raw =
        at->ai_family == AF_INET
            ? static_cast<const void*>(&reinterpret_cast<sockaddr_in*>(at->ai_addr)->sin_addr)
            : &reinterpret_cast<sockaddr_in6*>(at->ai_addr)->sin6_addr;
    if (at->ai_family != AF_INET && at->ai_family != AF_INET6) continue;
    if (::inet_ntop(at->ai_family, raw, text, sizeof text) != nullptr) addresses.emplace_back(text);
  }
  ::freeaddrinfo(found);
  if (addresses.empty())
    return make_error(Errc::not_found, fmt::format("host name {} has no IP address", host));
  return addresses;
}

}  // namespace warren::transport
