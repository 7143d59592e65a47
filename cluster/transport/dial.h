#pragma once
// Reaching a node by its name without blocking: find the port, resolve, connect, prove the cookie.
// Used by peer streams and control calls between nodes. Private to cluster/transport.

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster/transport/client_handshake.h"
#include "cluster/transport/grpc_common.h"
#include "cluster/transport/resolver.h"

namespace warren::transport {

/// A proved connection to one node; shared by the calls made over it.
struct Session {
  ~Session();
  std::shared_ptr<grpc::Channel> channel;
  ClientSession proved;
  std::string address;
  std::uint16_t port{0};
  Millis skew_ms{0};  ///< the server's clock less ours
  std::atomic<std::uint64_t> counter{0};

  /// Adds session, number and proof of a call to its metadata; answers the number.
  std::uint64_t sign(grpc::ClientContext& context, const std::string& method,
                     const std::string& request);
};

/// Whom to reach, as whom.
struct DialRequest {
  std::string node_name;  ///< rabbit@host
  std::string node_id;    ///< who has this one is it, whatever its name is now; "" = only the name counts
  std::string host;       ///< empty: from the name
  std::uint16_t port{0};  ///< where it was last; 0: unknown
  std::uint16_t default_port{25672};
  std::vector<std::string> registry;
  std::vector<Cookie> cookies;
  PeerIdentity self;
  ChannelPatience patience{kPeerChannel};
  Millis deadline_ms{3'000};
};

using DialDone = std::function<void(Result<std::shared_ptr<Session>>)>;

/// Tries the port known, the one in this host's registry and the default one; where another node of
/// that host answers, asks it. `done` is called once, on a thread of gRPC's or of `workers`.
/// Errors: not_found (name does not resolve), unavailable (nobody listens, or no such node there),
///         timeout, unauthenticated, conflict (other cluster), unsupported.
void dial(const std::shared_ptr<Workers>& workers, DialRequest request, DialDone done);

std::string host_part(const std::string& node_name);

}  // namespace warren::transport
