#pragma once
// Control calls from node to node: by name, without blocking, each with a deadline. Sessions are kept
// and proved anew when the other side has forgotten them. Free of gRPC.

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"

namespace warren::transport {

struct PeerCallerCore;

/// A whole answer.
struct CallAnswer {
  std::vector<boost::json::object> rows;
  boost::json::value result;
};

/// What one of many nodes answered.
struct NodeAnswer {
  std::string node_name;
  Result<CallAnswer> answer{make_error(Errc::unavailable, "not asked")};
};

struct PeerCallerOptions {
  PeerIdentity self;
  std::vector<Cookie> cookies;
  std::vector<std::string> registry;  ///< empty: registry_directories()
  std::uint16_t default_port{25672};
  std::size_t answer_max_bytes{64u << 20};  ///< rows and result of one call; beyond it: exhausted
  std::size_t calls_max{1024};              ///< at once; beyond it: exhausted
  Millis dial_deadline_ms{3'000};           ///< or the call's own, when that is less
  Millis session_idle_ms{300'000};
  std::size_t nodes_max{256};  ///< remembered with their sessions; beyond it, whom nobody called longest goes
};

/// Owner: the loop calls and is called back; `post` runs work on it from other threads.
class PeerCaller {
 public:
  using Post = std::function<void(std::function<void()>)>;
  using Done = std::function<void(Result<CallAnswer>)>;
  using AllDone = std::function<void(std::vector<NodeAnswer>)>;

  PeerCaller(PeerCallerOptions options, Post post, const Clock& clock);
  ~PeerCaller();
  PeerCaller(const PeerCaller&) = delete;
  PeerCaller& operator=(const PeerCaller&) = delete;

  /// Calls one node. `done` runs once, on the loop, within about `deadline_ms` (> 0); never from
  /// inside call().
  /// Errors: not_found (the host's name does not resolve), unavailable, timeout (the outcome is
  ///         unknown), unauthenticated, conflict (other cluster), what the node failed with.
  void call(const std::string& node_name, const std::string& method, boost::json::object args,
            Millis deadline_ms, Done done);
  /// Calls many at once; each has its own result or error, in the order given. A node that does not
  /// answer costs the others nothing.
  void call_all(const std::vector<std::string>& node_names, const std::string& method,
                const boost::json::object& args, Millis deadline_ms, AllDone done);

  /// Where a node was last reached; used before the default port.
  void set_hint(const std::string& node_name, std::string host, std::uint16_t port);
  void set_self(PeerIdentity self);
  void set_cookies(std::vector<Cookie> cookies);
  /// No callback comes after. Repeat: does nothing.
  void stop();
  std::size_t nodes() const;

 private:
  std::shared_ptr<PeerCallerCore> core_;
};

}  // namespace warren::transport
