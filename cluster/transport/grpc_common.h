#pragma once
// Conversions between our types and gRPC's. Private to the .cpp files of cluster/transport.

#include <grpcpp/grpcpp.h>

#include <string>

#include "base/result.h"
#include "cluster/transport/handshake.h"
#include "proto/control.pb.h"

namespace warren::transport {

inline constexpr char kSessionKey[] = "warren-session-bin";
inline constexpr char kCounterKey[] = "warren-counter";
inline constexpr char kProofKey[] = "warren-proof-bin";

PeerIdentity from_proto(const control::v1::PeerIdentity& from);
void to_proto(const PeerIdentity& from, control::v1::PeerIdentity& to);

grpc::Status to_status(const Error& error);
/// Requires: !status.ok().
Error from_status(const grpc::Status& status);

/// "ipv4:10.0.0.1:999" as "10.0.0.1".
std::string peer_address(const std::string& peer);

/// Keeps gRPC's own lines off stderr, unless GRPC_VERBOSITY asks for them. Once per process.
void quiet_grpc();

}  // namespace warren::transport
