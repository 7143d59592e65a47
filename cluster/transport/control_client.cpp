#include "cluster/transport/control_client.h"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <chrono>

#include "cluster/transport/client_handshake.h"
#include "cluster/transport/crypto.h"
#include "cluster/transport/grpc_common.h"
#include "cluster/transport/reply_reader.h"
#include "cluster/transport/tls.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

using SystemClock = std::chrono::system_clock;

constexpr std::size_t kAnswerMaxBytes = std::size_t{16} << 30;
constexpr Millis kHandshakeDefaultMs = 10'000;
constexpr Millis kForEverMs = 10LL * 365 * 24 * 3600 * 1000;

void set_deadline(grpc::ClientContext& context, SystemClock::time_point deadline) {
  context.set_deadline(deadline);
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
                    fmt::format("cannot connect to {} port {} ({}): {}{}", target.host, target.port, address,
                                last == std::string::npos ? why : why.substr(last + 2), tls_remedy(why)));
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
                     PeerIdentity self, SystemClock::time_point deadline);
};

Result<> ControlClient::Impl::handshake(const ControlTarget& target, const std::string& address,
                                        const Cookie& cookie, PeerIdentity self,
                                        SystemClock::time_point deadline) {
  self.wall_clock_ms =
      std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock::now().time_since_epoch())
          .count();
  ClientHandshake machine({cookie}, std::move(self),
                          fmt::format("{} port {}", target.host, target.port));
  control::v1::HelloReply reply;
  {
    grpc::ClientContext context;
    set_deadline(context, deadline);
    const grpc::Status status = stub->Hello(&context, hello_request(machine), &reply);
    if (!status.ok()) {
      Error error = from_status(status);
      if (error.code == Errc::unavailable || error.code == Errc::timeout)
        return no_answer(target, address, status);
      return error;
    }
  }
  const Result<std::string> proof = machine.on_hello(hello_answer(reply));
  if (!proof) return proof.error();
  control::v1::ProveRequest request;
  request.set_session_id(reply.session_id());
  request.set_proof(*proof);
  control::v1::ProveReply proved;
  grpc::ClientContext context;
  set_deadline(context, deadline);
  const grpc::Status status = stub->Prove(&context, request, &proved);
  if (status.error_code() == grpc::StatusCode::UNAUTHENTICATED) return machine.on_refused();
  if (!status.ok()) return from_status(status);
  Result<ClientSession> session = machine.on_prove(proved.proof());
  if (!session) return session.error();
  // Only now is the name of the other side worth anything.
  if (!target.expected_node.empty() && target.expected_node != session->server.node_name) {
    return make_error(Errc::conflict,
                      fmt::format("{} port {} is node {}, not {}", target.host, target.port,
                                  session->server.node_name, target.expected_node));
  }
  server = std::move(session->server);
  session_id = std::move(session->session_id);
  session_key = std::move(session->key);
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
    impl->channel = open_channel(address, target.port, kPatientChannel);
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

  // The blocking caller hands rows on as they come, so only its result counts against the bound.
  ReplyReader answer(kAnswerMaxBytes);
  control::v1::CallReply reply;
  auto reader = impl_->stub->Call(&context, request);
  bool usable = true;
  while (usable && reader->Read(&reply)) usable = answer.take(reply, on_row);
  if (answer.failed() && !answer.complete()) context.TryCancel();
  const grpc::Status status = reader->Finish();
  if (answer.failed()) return answer.finish().error();
  if (!status.ok()) {
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return make_error(Errc::timeout,
                        fmt::format("operation {} on node {} timed out. Timeout value used: {}",
                                    method, impl_->server.node_name, deadline_ms));
    }
    return from_status(status);
  }
  return answer.finish();
}

}  // namespace warren::transport
