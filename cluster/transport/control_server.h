#pragma once
// The runtime's gRPC server on the inter-node port: handshake, control calls, and the services that
// other rooms of cluster/transport add. Nothing but the handshake is answered before the cookie is
// proved.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "base/result.h"
#include "cluster/transport/control_api.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/session_table.h"

namespace grpc {
class Service;
}

namespace warren::transport {

/// Another gRPC service on the same port (the peer streams). It must check each stream's session
/// with SessionTable::authorise before it reads anything else.
class RpcModule {
 public:
  virtual ~RpcModule() = default;
  virtual grpc::Service& service() = 0;
  /// Called once, before the server starts; the table outlives the server.
  virtual void use_sessions(SessionTable& sessions) = 0;
};

struct ControlServerOptions {
  std::string address{"::"};    ///< numeric; "::" is every address of both families
  std::uint16_t port{0};        ///< 0: the system chooses
  std::vector<Cookie> cookies;  ///< accepted; the first is shown in messages
  PeerIdentity identity;
  SessionLimits limits;
  std::size_t memory_quota_bytes{64u << 20};  ///< of gRPC's buffers; beyond it reading stops
  std::size_t message_max_bytes{16u << 20};   ///< of one received message; beyond it the call fails
  std::size_t calls_max{64};                  ///< control calls at once; beyond it: exhausted
  std::size_t call_backlog_max_bytes{
      64u << 20};  ///< rows of one call not yet sent; beyond it the call fails
  std::vector<std::shared_ptr<RpcModule>> modules;
  /// The accepted cookies changed (`rotate_cookie`): tell PeerNet and PeerCaller. Called on a thread
  /// of the server's; post.
  std::function<void(std::vector<Cookie>)> on_cookies;
  std::vector<std::string> registry;  ///< for `locate_node`; empty: registry_directories()
  std::uint16_t default_port{25672};  ///< where `cluster_doctor` looks for nodes that are not told
};

/// Owner: one thread starts and stops it. `stop` waits until no gRPC thread is left in our code.
class ControlServer {
 public:
  ControlServer(Handler& handler, const Clock& clock, Logger& log);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  /// Listens. Returns the port. Requires: not started; options.cookies not empty.
  /// Errors: io when the address is taken or not ours, naming it.
  Result<std::uint16_t> start(ControlServerOptions options);
  /// Cancels the calls under way, after `grace_ms` for those that are answering. Repeat: does
  /// nothing.
  void stop(Millis grace_ms = 200);

  std::uint16_t port() const;
  /// Requires: started once.
  SessionTable& sessions();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace warren::transport
