#include "cluster/transport/async_call.h"

#include <fmt/format.h>

#include <chrono>

#include "cluster/transport/reply_reader.h"
#include "proto/control.grpc.pb.h"

namespace warren::transport {
namespace {

constexpr Millis kLongestMs = 24LL * 3600 * 1000;

/// Frees itself.
class CallReader final : public grpc::ClientReadReactor<control::v1::CallReply> {
 public:
  CallReader(std::shared_ptr<Session> session, std::string method, Millis deadline_ms,
             std::size_t max_bytes, std::function<void(CallOutcome)> done)
      : session_(std::move(session)),
        stub_(control::v1::Control::NewStub(session_->channel)),
        method_(std::move(method)),
        deadline_ms_(deadline_ms),
        reader_(max_bytes),
        done_(std::move(done)) {}

  void start(const boost::json::object& args) {
    request_.set_method(method_);
    request_.set_args_json(boost::json::serialize(args));
    request_.set_deadline_ms(static_cast<std::uint32_t>(deadline_ms_));
    session_->sign(context_, method_, request_.args_json());
    context_.set_deadline(std::chrono::system_clock::now() +
                          std::chrono::milliseconds(deadline_ms_));
    stub_->async()->Call(&context_, &request_, this);
    StartRead(&reply_);
    StartCall();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    const bool usable = reader_.take(
        reply_, [this](boost::json::object row) { answer_.rows.push_back(std::move(row)); });
    if (!usable && !reader_.complete()) context_.TryCancel();
    StartRead(&reply_);
  }

  void OnDone(const grpc::Status& status) override {
    const bool unavailable = status.error_code() == grpc::StatusCode::UNAVAILABLE;
    const bool unknown = status.error_code() == grpc::StatusCode::UNAUTHENTICATED;
    const bool connected = status.error_message().find("failed to connect") == std::string::npos;
    done_({outcome(status), unavailable && !connected, unknown});
    delete this;
  }

 private:
  Result<CallAnswer> outcome(const grpc::Status& status) {
    const std::string& node = session_->proved.server.node_name;
    if (reader_.failed()) return reader_.finish().error();
    if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED) {
      return make_error(Errc::timeout, fmt::format("node {} did not answer {} within {} ms", node,
                                                   method_, deadline_ms_));
    }
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      return make_error(Errc::unavailable, fmt::format("the connection to node {} broke during {}",
                                                       node, method_));
    }
    if (!status.ok()) return from_status(status);
    Result<boost::json::value> result = reader_.finish();
    if (!result) return result.error();
    answer_.result = std::move(*result);
    return std::move(answer_);
  }

  std::shared_ptr<Session> session_;
  std::unique_ptr<control::v1::Control::Stub> stub_;
  std::string method_;
  Millis deadline_ms_;
  ReplyReader reader_;
  std::function<void(CallOutcome)> done_;
  CallAnswer answer_;
  grpc::ClientContext context_;
  control::v1::CallRequest request_;
  control::v1::CallReply reply_;
};

}  // namespace

void async_call(const std::shared_ptr<Session>& session, const std::string& method,
                const boost::json::object& args, Millis deadline_ms, std::size_t max_bytes,
                std::function<void(CallOutcome)> done) {
  const Millis deadline = deadline_ms > 0 ? std::min(deadline_ms, kLongestMs) : kLongestMs;
  (new CallReader(session, method, deadline, max_bytes, std::move(done)))->start(args);
}

}  // namespace warren::transport
