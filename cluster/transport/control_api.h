#pragma once
// What stands between the control service and the node: a call by name with JSON arguments,
// answered with rows and one result. The node implements Handler; docs/control-methods.md lists the
// methods.

#include <boost/json/fwd.hpp>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "cluster/transport/handshake.h"

namespace warren::transport {

/// Where the answer of one call goes.
/// Thread safety: every method from any thread; rows keep the order of one calling thread.
/// Order:    any number of rows, then exactly one of done and fail. What comes later is dropped.
/// Repeat:   a sink that is let go of without an answer fails the call with Errc::internal.
class CallSink {
 public:
  virtual ~CallSink() = default;
  /// Sends one row. False when the caller has gone or too much is waiting: stop producing.
  virtual bool row(const boost::json::object& row) = 0;
  virtual void done(const boost::json::value& result) = 0;
  virtual void fail(Errc code, std::string text) = 0;
  /// True when nobody waits for the answer any more.
  virtual bool closed() const = 0;
  /// Time the caller will wait, counted from the call's arrival; 0 = no limit.
  virtual Millis deadline_ms() const = 0;
  /// Who called, as proved by the handshake.
  virtual const PeerIdentity& peer() const = 0;
};

/// Answers control calls.
/// Owner: called on a gRPC thread, several at once; must not block, only post to its own loop.
class Handler {
 public:
  virtual ~Handler() = default;
  virtual void call(std::string method, boost::json::object args,
                    std::shared_ptr<CallSink> sink) = 0;
};

}  // namespace warren::transport
