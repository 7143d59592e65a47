#pragma once
// Puts the answer of a control call together from its messages; used by the blocking and the
// asynchronous caller. Pure. Private to cluster/transport.

#include <boost/json.hpp>
#include <functional>
#include <string>

#include "base/result.h"
#include "proto/control.pb.h"

namespace warren::transport {

class ReplyReader {
 public:
  using OnRow = std::function<void(boost::json::object)>;

  explicit ReplyReader(std::size_t max_bytes = 512u << 20) : max_bytes_(max_bytes) {}

  /// Takes one message. False when the answer is unusable and reading should end.
  bool take(const control::v1::CallReply& reply, const OnRow& on_row);
  bool failed() const { return !failure_.text.empty(); }
  bool complete() const { return last_; }
  /// The answer, when the stream ended well. Errors: what the node failed with; unavailable when
  /// messages are missing; corruption.
  Result<boost::json::value> finish() const;

 private:
  std::size_t max_bytes_;
  std::size_t bytes_{0};
  std::string result_;
  Error failure_{Errc::internal, ""};
  bool last_{false};
};

}  // namespace warren::transport
