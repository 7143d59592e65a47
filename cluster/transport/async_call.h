#pragma once
// One control call without a thread. Private to cluster/transport.

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/transport/dial.h"
#include "cluster/transport/peer_caller.h"

namespace warren::transport {

/// How a call ended.
struct CallOutcome {
  Result<CallAnswer> answer;
  bool never_sent{false};        ///< the node cannot have seen it
  bool session_unknown{false};   ///< the node asks for a new handshake; it did nothing
};

/// Makes one call; `done` is called once, on a gRPC thread. The bytes of rows and result are bounded
/// by `max_bytes` (exhausted). Errors as ControlClient::call.
void async_call(const std::shared_ptr<Session>& session, const std::string& method,
                const boost::json::object& args, Millis deadline_ms, std::size_t max_bytes,
                std::function<void(CallOutcome)> done);

}  // namespace warren::transport
