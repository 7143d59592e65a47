#pragma once
// One control call without a thread. Private to cluster/transport.

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cluster/transport/dial.h"

namespace warren::transport {

/// A whole answer.
struct CallAnswer {
  std::vector<boost::json::object> rows;
  boost::json::value result;
};

/// Makes one call; `done` is called once, on a gRPC thread. The bytes of rows and result are bounded
/// by `max_bytes` (exhausted). Errors as ControlClient::call; unauthenticated also when the session
/// is no longer known there.
void async_call(const std::shared_ptr<Session>& session, const std::string& method,
                const boost::json::object& args, Millis deadline_ms, std::size_t max_bytes,
                std::function<void(Result<CallAnswer>)> done);

}  // namespace warren::transport
