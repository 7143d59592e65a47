#include "cluster/transport/call_stream.h"

#include <boost/json.hpp>

namespace warren::transport {
namespace {

constexpr std::size_t kWriteTargetBytes = 64 * 1024;
constexpr std::size_t kResultPartBytes = 256 * 1024;

}  // namespace

bool CallState::add_row(std::string row) {
  Step step = Step::nothing;
  {
    const std::lock_guard guard(lock_);
    if (answered_ || cancelled_) return false;
    row_bytes_ += row.size();
    rows_.push_back(std::move(row));
    if (row_bytes_ > backlog_max_) {
      set_error(Errc::exhausted,
                "the answer grew faster than it was read; ask for fewer columns or objects");
    }
    step = next_step();
  }
  run(step);
  return true;
}

void CallState::finish(std::string result) {
  Step step = Step::nothing;
  {
    const std::lock_guard guard(lock_);
    if (answered_ || cancelled_) return;
    answered_ = true;
    result_ = std::move(result);
    step = next_step();
  }
  run(step);
}

void CallState::fail(Errc code, std::string text) {
  Step step = Step::nothing;
  {
    const std::lock_guard guard(lock_);
    if (answered_ || cancelled_) return;
    set_error(code, std::move(text));
    step = next_step();
  }
  run(step);
}

void CallState::set_error(Errc code, std::string text) {
  answered_ = true;
  error_ = make_error(code, std::move(text));
}

bool CallState::closed() const {
  const std::lock_guard guard(lock_);
  return cancelled_;
}

bool CallState::answered() const {
  const std::lock_guard guard(lock_);
  return answered_;
}

void CallState::attach(CallReactor* reactor) {
  const std::lock_guard guard(lock_);
  reactor_ = reactor;
}

void CallState::detach() {
  const std::lock_guard guard(lock_);
  reactor_ = nullptr;
  cancelled_ = true;
}

void CallState::on_write_done(bool ok) {
  Step step = Step::nothing;
  {
    const std::lock_guard guard(lock_);
    writing_ = false;
    if (!ok) cancelled_ = true;
    step = next_step();
  }
  run(step);
}

void CallState::on_cancel() {
  Step step = Step::nothing;
  {
    const std::lock_guard guard(lock_);
    cancelled_ = true;
    rows_.clear();
    step = next_step();
  }
  run(step);
}

/// Under the lock: decides the one thing to do next and marks it as being done.
CallState::Step CallState::next_step() {
  if (writing_ || ending_ || reactor_ == nullptr) return Step::nothing;
  if (cancelled_ || last_sent_) {
    ending_ = true;
    return Step::end;
  }
  if (rows_.empty() && !answered_) return Step::nothing;
  message_.Clear();
  std::size_t bytes = 0;
  while (!rows_.empty() && bytes < kWriteTargetBytes) {
    bytes += rows_.front().size();
    row_bytes_ -= rows_.front().size();
    message_.add_rows(std::move(rows_.front()));
    rows_.pop_front();
  }
  if (answered_ && rows_.empty()) {
    if (error_) {
      message_.mutable_error()->set_code(static_cast<std::uint32_t>(error_->code));
      message_.mutable_error()->set_text(error_->text);
    } else {
      message_.set_result_part(result_.substr(result_sent_, kResultPartBytes));
      result_sent_ += message_.result_part().size();
    }
    last_sent_ = error_ || result_sent_ == result_.size();
    message_.set_last(last_sent_);
    if (last_sent_) message_.set_node_name(node_name_);
  }
  writing_ = true;
  return Step::write;
}

/// Outside the lock: the marks set by next_step keep every other thread from doing the same, and
/// the reactor lives until Finish.
void CallState::run(Step step) {
  if (step == Step::write) reactor_->StartWrite(&message_);
  if (step == Step::end) reactor_->Finish(grpc::Status::OK);
}

CallReactor::CallReactor(std::shared_ptr<CallState> state, std::atomic<std::size_t>& calls)
    : state_(std::move(state)), calls_(calls) {
  state_->attach(this);
}

void CallReactor::OnDone() {
  state_->detach();
  --calls_;
  delete this;
}

StreamSink::~StreamSink() { state_->fail(Errc::internal, "the node gave no answer to this call"); }

bool StreamSink::row(const boost::json::object& row) {
  if (columns_.empty()) return state_->add_row(boost::json::serialize(row));
  boost::json::object kept;
  for (const auto& cell : row) {
    if (columns_.contains(std::string_view(cell.key()))) kept.emplace(cell.key(), cell.value());
  }
  return state_->add_row(boost::json::serialize(kept));
}

void StreamSink::done(const boost::json::value& result) {
  state_->finish(boost::json::serialize(result));
}

}  // namespace warren::transport
