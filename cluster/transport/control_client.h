#pragma once
// The calling side of the control service. Blocking; for tools and for short questions between
// nodes.

#include <boost/json/fwd.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"
#include "cluster/transport/resolver.h"

namespace warren::transport {

/// Whom to call.
struct ControlTarget {
  std::string host;  ///< name or numeric address
  std::uint16_t port{25672};
  std::string expected_node;  ///< the answering node must have this name; empty: anyone
};

/// A proved connection to one node.
/// Owner: one thread at a time.
class ControlClient {
 public:
  using OnRow = std::function<void(boost::json::object)>;

  /// Resolves, connects, proves the cookie both ways.
  /// Errors: not_found (host name), unavailable (nobody listens), timeout, unauthenticated (cookies
  ///         differ, with both fingerprints), conflict (another node or cluster answered),
  ///         unsupported.
  static Result<std::unique_ptr<ControlClient>> connect(const ControlTarget& target,
                                                        const Cookie& cookie,
                                                        const PeerIdentity& self,
                                                        Millis deadline_ms);
  ~ControlClient();

  /// Makes one call. `deadline_ms` 0 = wait for ever.
  /// Errors: what the server failed with; timeout; unavailable when the connection broke.
  Result<boost::json::value> call(const std::string& method, const boost::json::object& args,
                                  const OnRow& on_row, Millis deadline_ms);

  /// Who answered the handshake.
  const PeerIdentity& server() const;

 private:
  struct Impl;
  explicit ControlClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::transport
