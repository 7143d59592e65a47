#pragma once
// One control call on the server: a bounded backlog of rows between the node's thread that produces
// them and the one gRPC write that may be in flight. Private to cluster/transport.

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "cluster/transport/control_api.h"
#include "proto/control.pb.h"

namespace warren::transport {

class CallReactor;

/// What sink and reactor share; whoever goes last frees it.
/// Invariants: 1. at most one write in flight (`writing_`); 2. Finish is called once (`ending_`),
/// never
///             while a write is in flight; 3. `reactor_` is null after OnDone.
class CallState {
 public:
  CallState(PeerIdentity peer, Millis deadline_ms, std::size_t backlog_max, std::string node_name)
      : peer(std::move(peer)),
        deadline_ms(deadline_ms),
        backlog_max_(backlog_max),
        node_name_(std::move(node_name)) {}

  bool add_row(std::string row);
  void finish(std::string result);
  void fail(Errc code, std::string text);
  bool closed() const;
  bool answered() const;

  void attach(CallReactor* reactor);
  void on_write_done(bool ok);
  void on_cancel();
  void detach();

  const PeerIdentity peer;
  const Millis deadline_ms;

 private:
  enum class Step { nothing, write, end };

  void set_error(Errc code, std::string text);
  Step next_step();
  void run(Step step);

  mutable std::mutex lock_;
  CallReactor* reactor_{nullptr};
  const std::size_t backlog_max_;
  const std::string node_name_;
  std::deque<std::string> rows_;
  std::size_t row_bytes_{0};
  std::string result_;
  std::size_t result_sent_{0};
  std::optional<Error> error_;
  control::v1::CallReply message_;
  bool answered_{false};
  bool last_sent_{false};
  bool writing_{false};
  bool cancelled_{false};
  bool ending_{false};
};

/// gRPC's side of the call; frees itself.
class CallReactor final : public grpc::ServerWriteReactor<control::v1::CallReply> {
 public:
  CallReactor(std::shared_ptr<CallState> state, std::atomic<std::size_t>& calls);
  void OnWriteDone(bool ok) override { state_->on_write_done(ok); }
  void OnCancel() override { state_->on_cancel(); }
  void OnDone() override;

 private:
  std::shared_ptr<CallState> state_;
  std::atomic<std::size_t>& calls_;
};

/// The node's side of the call: drops unwanted columns, turns JSON into bytes.
class StreamSink final : public CallSink {
 public:
  StreamSink(std::shared_ptr<CallState> state, std::set<std::string, std::less<>> columns)
      : state_(std::move(state)), columns_(std::move(columns)) {}
  ~StreamSink() override;
  StreamSink(const StreamSink&) = delete;
  StreamSink& operator=(const StreamSink&) = delete;

  bool row(const boost::json::object& row) override;
  void done(const boost::json::value& result) override;
  void fail(Errc code, std::string text) override { state_->fail(code, std::move(text)); }
  bool closed() const override { return state_->closed(); }
  Millis deadline_ms() const override { return state_->deadline_ms; }
  const PeerIdentity& peer() const override { return state_->peer; }

 private:
  std::shared_ptr<CallState> state_;
  std::set<std::string, std::less<>> columns_;
};

}  // namespace warren::transport
