#include "cluster/transport/grpc_common.h"

#include <fmt/format.h>
#include <grpc/support/log.h>

#include <chrono>
#include <cstdlib>
#include <mutex>

#include "cluster/transport/tls.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

constexpr int kReplyMaxBytes = 64 << 20;

}  // namespace

PeerIdentity from_proto(const control::v1::PeerIdentity& from) {
  PeerIdentity to;
  to.node_name = from.node_name();
  to.node_id = from.node_id();
  to.cluster_id = from.cluster_id();
  to.role = from.role();
  to.version_min = from.version_min();
  to.version_max = from.version_max();
  to.product_version = from.product_version();
  to.wall_clock_ms = from.wall_clock_ms();
  return to;
}

void to_proto(const PeerIdentity& from, control::v1::PeerIdentity& to) {
  to.set_node_name(from.node_name);
  to.set_node_id(from.node_id);
  to.set_cluster_id(from.cluster_id);
  to.set_role(from.role);
  to.set_version_min(from.version_min);
  to.set_version_max(from.version_max);
  to.set_product_version(from.product_version);
  to.set_wall_clock_ms(from.wall_clock_ms);
}

control::v1::HelloRequest hello_request(const ClientHandshake& machine) {
  control::v1::HelloRequest request;
  to_proto(machine.self(), *request.mutable_client());
  request.set_nonce(machine.nonce());
  request.set_cookie_fingerprint(machine.fingerprint());
  return request;
}

HelloAnswer hello_answer(const control::v1::HelloReply& reply) {
  return {from_proto(reply.server()), reply.nonce(), reply.session_id(), reply.version(),
          reply.cookie_fingerprint()};
}

std::shared_ptr<grpc::Channel> open_channel(const std::string& address, std::uint16_t port,
                                            ChannelPatience patience) {
  quiet_grpc();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kReplyMaxBytes);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // With it comes TCP_USER_TIMEOUT, so that unacknowledged bytes do not hold a dead peer up.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, patience.ping_every_ms);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, patience.ping_timeout_ms);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_FRAME_SIZE, kHttp2FrameBytes);
  const bool v6 = address.find(':') != std::string::npos;
  const std::string target =
      v6 ? fmt::format("ipv6:[{}]:{}", address, port) : fmt::format("ipv4:{}:{}", address, port);
  return grpc::CreateCustomChannel(target, channel_credentials(), arguments);
}

grpc::Status to_status(const Error& error) {
  using grpc::StatusCode;
  StatusCode code = StatusCode::INTERNAL;
  switch (error.code) {
    case Errc::invalid_argument: code = StatusCode::INVALID_ARGUMENT; break;
    case Errc::not_found: code = StatusCode::NOT_FOUND; break;
    case Errc::already_exists: code = StatusCode::ALREADY_EXISTS; break;
    case Errc::conflict: code = StatusCode::FAILED_PRECONDITION; break;
    case Errc::permission_denied: code = StatusCode::PERMISSION_DENIED; break;
    case Errc::unauthenticated: code = StatusCode::UNAUTHENTICATED; break;
    case Errc::unavailable: code = StatusCode::UNAVAILABLE; break;
    case Errc::timeout: code = StatusCode::DEADLINE_EXCEEDED; break;
    case Errc::cancelled: code = StatusCode::CANCELLED; break;
    case Errc::exhausted: code = StatusCode::RESOURCE_EXHAUSTED; break;
    case Errc::unsupported: code = StatusCode::UNIMPLEMENTED; break;
    case Errc::corruption: code = StatusCode::DATA_LOSS; break;
    case Errc::io: code = StatusCode::ABORTED; break;
    case Errc::internal: code = StatusCode::INTERNAL; break;
  }
  return {code, error.text};
}

Error from_status(const grpc::Status& status) {
  using grpc::StatusCode;
  Errc code = Errc::internal;
  switch (status.error_code()) {
    case StatusCode::INVALID_ARGUMENT: code = Errc::invalid_argument; break;
    case StatusCode::NOT_FOUND: code = Errc::not_found; break;
    case StatusCode::ALREADY_EXISTS: code = Errc::already_exists; break;
    case StatusCode::FAILED_PRECONDITION: code = Errc::conflict; break;
    case StatusCode::PERMISSION_DENIED: code = Errc::permission_denied; break;
    case StatusCode::UNAUTHENTICATED: code = Errc::unauthenticated; break;
    case StatusCode::UNAVAILABLE: code = Errc::unavailable; break;
    case StatusCode::DEADLINE_EXCEEDED: code = Errc::timeout; break;
    case StatusCode::CANCELLED: code = Errc::cancelled; break;
    case StatusCode::RESOURCE_EXHAUSTED: code = Errc::exhausted; break;
    case StatusCode::UNIMPLEMENTED: code = Errc::unsupported; break;
    case StatusCode::DATA_LOSS: code = Errc::corruption; break;
    case StatusCode::ABORTED: code = Errc::io; break;
    default: break;
  }
  return make_error(code, status.error_message());
}

std::string peer_address(const std::string& peer) {
  const std::size_t scheme = peer.find(':');
  const std::size_t port = peer.rfind(':');
  if (scheme == std::string::npos || port <= scheme) return peer;
  std::string host = peer.substr(scheme + 1, port - scheme - 1);
  if (host.starts_with("%5B") && host.ends_with("%5D")) host = host.substr(3, host.size() - 6);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  return host;
}

void keep_callback_threads() {
  static std::once_flag once;
  std::call_once(once, [] {
    struct Kept {
      std::shared_ptr<grpc::Channel> channel;
      std::unique_ptr<control::v1::Control::Stub> stub;
      grpc::ClientContext context;
      control::v1::HelloRequest request;
      control::v1::HelloReply reply;
    };
    // Never freed, on purpose. A channel without credentials fails every call at once and connects
    // to nothing, but its first call makes it take its share of the threads.
    static Kept* const kept = new Kept;
    kept->channel = grpc::CreateChannel("lame", nullptr);
    kept->stub = control::v1::Control::NewStub(kept->channel);
    kept->context.set_deadline(std::chrono::system_clock::now());
    kept->stub->async()->Hello(&kept->context, &kept->request, &kept->reply,
                               [](const grpc::Status&) {});
  });
}

void quiet_grpc() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function([](gpr_log_func_args*) {});
  });
}

}  // namespace warren::transport
