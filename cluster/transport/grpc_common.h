#pragma once
// Conversions between our types and gRPC's. Private to the .cpp files of cluster/transport.

#include <grpcpp/grpcpp.h>

#include <string>

#include "base/result.h"
#include "cluster/transport/client_handshake.h"
#include "cluster/transport/handshake.h"
#include "proto/control.pb.h"

namespace warren::transport {

inline constexpr char kSessionKey[] = "warren-session-bin";
inline constexpr char kCounterKey[] = "warren-counter";
inline constexpr char kProofKey[] = "warren-proof-bin";
inline constexpr char kOpenKey[] = "warren-open-bin";
/// HTTP/2 frames of this size instead of 16 KiB: large messages cost less.
inline constexpr int kHttp2FrameBytes = 256 << 10;
/// What a stream may have on the way that its reader has not asked for.
inline constexpr int kStreamWindowBytes = 1 << 20;

PeerIdentity from_proto(const control::v1::PeerIdentity& from);
void to_proto(const PeerIdentity& from, control::v1::PeerIdentity& to);

control::v1::HelloRequest hello_request(const ClientHandshake& machine);
HelloAnswer hello_answer(const control::v1::HelloReply& reply);

/// How soon a connection that says nothing is given up.
struct ChannelPatience {
  int ping_every_ms;
  int ping_timeout_ms;
};
inline constexpr ChannelPatience kPatientChannel{10'000, 10'000};
inline constexpr ChannelPatience kPeerChannel{2'000, 3'000};
/// Where the node itself listens for signs of life: on a slow cable a ping waits behind what is under way.
inline constexpr ChannelPatience kSlowPeerChannel{5'000, 30'000};

/// A connection of its own to a numeric address.
std::shared_ptr<grpc::Channel> open_channel(const std::string& address, std::uint16_t port,
                                            ChannelPatience patience);

grpc::Status to_status(const Error& error);
/// Requires: !status.ok().
Error from_status(const grpc::Status& status);

/// "ipv4:10.0.0.1:999" as "10.0.0.1".
std::string peer_address(const std::string& peer);

/// Keeps the threads of asynchronous calls for the life of the process. Without it gRPC ends them
/// with the last channel, and when that channel is let go of on one of them it joins itself.
void keep_callback_threads();

/// Keeps gRPC's own lines off stderr, unless GRPC_VERBOSITY asks for them. Once per process.
void quiet_grpc();

}  // namespace warren::transport
