#include "cluster/transport/peer_link.h"

#include <fmt/format.h>

#include <utility>

#include <algorithm>
#include <chrono>

#include "cluster/transport/crypto.h"

namespace warren::transport {
namespace {

constexpr Millis kAcceptDeadlineMs = 5'000;

/// Failures that go on until somebody changes something.
bool needs_operator(Errc code) {
  return code == Errc::unauthenticated || code == Errc::conflict || code == Errc::unsupported ||
         code == Errc::not_found || code == Errc::permission_denied;
}

/// 75 to 100 % of `ms`, so that two nodes do not redial in step.
Millis jittered(Millis ms) {
  const auto dice = static_cast<unsigned char>(random_bytes(1).front());
  return std::max<Millis>(1, ms - ms * dice / 1024);
}

}  // namespace

PeerLink::PeerLink(std::shared_ptr<PeerNetCore> core, Peer peer)
    : core_(std::move(core)), peer_(std::move(peer)), port_(peer_.port) {}

// ---- by the loop

void PeerLink::start() {
  const std::lock_guard guard(lock_);
  dial_now();
}

void PeerLink::close(const std::string& why, bool tell) {
  const std::lock_guard guard(lock_);
  if (closed_) return;
  closed_ = true;
  if (up_ && tell) core_->tell({PeerEvent::Kind::down, shared_from_this(), {}, 0, 0, {Errc::cancelled, why}});
  up_ = false;
  alarm_.reset();
  ++timer_;
  if (out_) out_->cancel();
  if (in_) in_->cancel();
  out_ = nullptr;
  in_ = nullptr;
  waiting_.clear();
}

void PeerLink::send(Lane lane, std::string frame) {
  const std::lock_guard guard(lock_);
  // What is sent before the loop knows of a new pair was meant for the one before it.
  if (!up_ || pair_ != loop_pair_) return;
  const auto index = static_cast<std::size_t>(lane);
  const std::size_t unsent = waiting_.bytes(lane) + in_flight_[index];
  const bool full = unsent > 0 && unsent + frame.size() > core_->options.unsent_max_bytes;
  if (full || frame.size() > kFrameMaxBytes) {
    // Leaving out one frame in the middle would break the promise of order without anyone knowing.
    return fall(fmt::format("{} bytes wait on the {} lane and {} more do not fit ({} at most)",
                            unsent, lane_name(lane), frame.size(), core_->options.unsent_max_bytes));
  }
  ++counts_.frames_sent;
  counts_.bytes_sent += frame.size();
  waiting_.add(lane, std::move(frame));
  pump();
}

std::size_t PeerLink::unsent(Lane lane) const {
  const std::lock_guard guard(lock_);
  return waiting_.bytes(lane) + in_flight_[static_cast<std::size_t>(lane)];
}

bool PeerLink::up() const {
  const std::lock_guard guard(lock_);
  return up_ && pair_ == loop_pair_;
}

void PeerLink::loop_knows(std::uint64_t pair) {
  const std::lock_guard guard(lock_);
  loop_pair_ = pair;
}

PeerState PeerLink::state() const {
  const std::lock_guard guard(lock_);
  PeerState state = counts_;
  state.peer = peer_;
  state.peer.port = port_;
  state.up = up_;
  state.incarnation = incarnation_;
  if (out_) state.address = fmt::format("{}:{}", out_->session().address, out_->session().port);
  if (!up_) state.last_error = last_refusal_.text;
  for (std::size_t lane = 0; lane < kLanes; ++lane)
    state.unsent_bytes[lane] = waiting_.bytes(static_cast<Lane>(lane)) + in_flight_[lane];
  return state;
}

void PeerLink::taken(std::size_t bytes) {
  const std::lock_guard guard(lock_);
  untaken_ -= std::min(untaken_, bytes);
  if (!up_ || !in_ || reading_ || untaken_ > core_->options.untaken_max_bytes / 2) return;
  reading_ = true;
  in_->read();
}

void PeerLink::end_silence(Millis now, Millis limit) {
  const std::lock_guard guard(lock_);
  if (std::exchange(heard_, false) || !up_ || !reading_ || limit == 0) heard_at_ = now;
  if (now - heard_at_ <= limit || limit == 0) return;
  fall(fmt::format("nothing was heard of it for {} ms", now - heard_at_));
}

// ---- dialling

void PeerLink::dial_now() {
  if (closed_ || dialling_ || out_ != nullptr) return;
  alarm_.reset();
  ++timer_;
  DialRequest request;
  request.node_name = called_.empty() || !by_called_ ? peer_.node_name : called_;
  dialled_ = request.node_name;
  request.node_id = peer_.node_id;
  if (request.node_name == peer_.node_name) request.host = peer_.host;
  request.port = port_;
  request.default_port = core_->options.default_port;
  request.registry = core_->options.registry;
  request.deadline_ms = core_->options.dial_deadline_ms;
  if (core_->options.silence_ms > 0) request.patience = kSlowPeerChannel;
  {
    const std::lock_guard settings(core_->settings_lock);
    request.self = core_->options.self;
    request.cookies = core_->options.cookies;
  }
  dialling_ = true;
  // Apart from this thread, which holds the lock that the outcome needs.
  const bool begun = core_->workers->run(
      [workers = core_->workers, request = std::move(request), link = weak_from_this()]() mutable {
        dial(workers, std::move(request), [link](Result<std::shared_ptr<Session>> outcome) {
          if (const auto to = link.lock()) to->on_dialled(std::move(outcome));
        });
      });
  if (begun) return;
  dialling_ = false;
  dial_later();
}

void PeerLink::dial_later() {
  if (closed_) return;
  const PeerNetOptions& options = core_->options;
  const Millis most =
      needs_operator(last_refusal_.code) ? options.refused_redial_max_ms : options.redial_max_ms;
  backoff_ms_ = std::min(most, std::max(options.redial_min_ms, backoff_ms_ * 2));
  set_timer(jittered(backoff_ms_));
}

void PeerLink::set_timer(Millis ms) {
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(std::chrono::system_clock::now() + std::chrono::milliseconds(ms),
              [link = weak_from_this(), number = ++timer_](bool fired) {
                const auto to = fired ? link.lock() : nullptr;
                if (to) to->on_timer(number);
              });
}

void PeerLink::on_timer(std::uint64_t number) {
  const std::lock_guard guard(lock_);
  if (closed_ || number != timer_) return;
  if (out_ == nullptr) return dial_now();
  if (out_ready_) return;
  out_->own_reason = fmt::format("{} did not accept the stream in time", peer_.node_name);
  out_->cancel();
}

void PeerLink::on_dialled(Result<std::shared_ptr<Session>> outcome) {
  const std::lock_guard guard(lock_);
  dialling_ = false;
  if (closed_) return;
  if (!outcome) {
    // Next time by its other name: it may be back under the one that the cluster knows, or has said
    // meanwhile what it is called now.
    by_called_ = dialled_ != called_;
    refused(outcome.error());
    return dial_later();
  }
  const std::shared_ptr<Session> session = *outcome;
  note_clock(session->skew_ms);
  port_ = session->port;
  v1::StreamOpen open;
  open.set_to_node_id(peer_.node_id);
  open.set_to_node_name(peer_.node_name);
  open.set_stream_version(kStreamVersion);
  open.set_incarnation(core_->options.incarnation);
  {
    const std::lock_guard settings(core_->settings_lock);
    open.set_from_node_id(core_->options.self.node_id);
    open.set_cluster_id(core_->options.self.cluster_id);
    open.set_port(core_->own_port);
  }
  out_ready_ = false;
  writing_ = false;
  in_flight_ = {};
  set_timer(kAcceptDeadlineMs);
  out_ = OutStream::open(shared_from_this(), session, open);
}

void PeerLink::note_clock(Millis skew_ms) {
  counts_.skew_ms = skew_ms;
  const Millis now = core_->clock.steady_ms(), wall = core_->clock.wall_ms();
  std::uint64_t left_out = 0;
  const std::lock_guard settings(core_->settings_lock);
  const auto warning = clock_warning(core_->options.self.node_name, wall, peer_.node_name, wall + skew_ms);
  if (!warning) return core_->refusals.forget("clock of " + peer_.node_name);
  if (core_->refusals.due("clock of " + peer_.node_name, "clocks differ", now, left_out))
    core_->log.warning(LogArea::cluster, "clocks differ: peer={} reason=\"{}\"", peer_.node_name, *warning);
}

void PeerLink::refused(const Error& why) {
  const Millis now = core_->clock.steady_ms();
  ++refusals_;
  // "Too often" says nothing new: what was refused before it does.
  if (why.code == Errc::exhausted && needs_operator(last_refusal_.code)) return;
  const bool news = why.text != last_refusal_.text;
  last_refusal_ = why;
  if (!news && now - last_told_ms_ < RefusalLog::kRepeatMs) return;
  last_told_ms_ = now;
  core_->log.warning(LogArea::cluster, "peer not reached: peer={} attempts={} reason=\"{}\"",
                     peer_.node_name, refusals_, why.text);
  core_->tell({PeerEvent::Kind::refused, shared_from_this(), {}, 0, 0, why});
}

// ---- the pair of streams

Result<> PeerLink::attach(const std::shared_ptr<InStream>& stream, const v1::StreamOpen& open,
                          const v1::StreamAccept& answer, const std::string& name, const std::string& address) {
  const std::lock_guard guard(lock_);
  if (closed_) return make_error(Errc::cancelled, "the stream is no longer wanted");
  if (open.incarnation() < incarnation_) {
    return make_error(
        Errc::conflict,
        fmt::format("stale incarnation: {} (from {}) is run {} of the node, but run {} was heard of "
                    "already; two processes use one identity, or this one lags behind: stop the "
                    "older one",
                    peer_.node_name, address, open.incarnation(), incarnation_));
  }
  if (up_) {
    fall(open.incarnation() > incarnation_ ? "the node was started anew"
                                           : "the node opened its stream anew");
  } else if (in_) {
    in_->cancel();
  }
  incarnation_ = open.incarnation();
  called_ = name;
  by_called_ = true;
  if (open.port() > 0 && open.port() <= 65535) port_ = static_cast<std::uint16_t>(open.port());
  in_ = stream;
  reading_ = false;
  stream->accept(answer);
  if (out_ == nullptr) {
    // It lives: no reason to wait any longer.
    backoff_ms_ = 0;
    dial_now();
  }
  maybe_up();
  return {};
}

void PeerLink::out_accepted(OutStream* stream, std::uint64_t incarnation) {
  if (stream != out_.get()) return;
  const PeerIdentity& server = stream->session().proved.server;
  if (server.node_id != peer_.node_id || incarnation < incarnation_) {
    stream->own_reason = fmt::format("{} is not the process that was meant", peer_.node_name);
    return stream->cancel();
  }
  ++timer_;
  alarm_.reset();
  incarnation_ = incarnation;
  out_incarnation_ = incarnation;
  out_ready_ = true;
  backoff_ms_ = 0;
  last_refusal_ = {Errc::internal, ""};
  maybe_up();
}

void PeerLink::maybe_up() {
  if (up_ || !in_ || !out_ready_) return;
  if (in_->incarnation() < out_incarnation_) {
    in_->cancel();
    in_ = nullptr;
    return;
  }
  if (out_incarnation_ < in_->incarnation()) {
    out_->own_reason = "the node was started anew";
    return out_->cancel();
  }
  up_ = true;
  ++pair_;
  refusals_ = 0;
  core_->log.info(LogArea::cluster, "peer up: peer={} address={}:{} incarnation={}",
                  peer_.node_name, out_->session().address, out_->session().port, incarnation_);
  core_->tell({PeerEvent::Kind::up, shared_from_this(), {}, 0, incarnation_, {}, pair_});
  if (untaken_ <= core_->options.untaken_max_bytes) {
    reading_ = true;
    in_->read();
  }
}

void PeerLink::fall(const std::string& why) {
  if (!up_) return;
  up_ = false;
  ++counts_.downs;
  core_->log.warning(LogArea::cluster, "peer down: peer={} reason=\"{}\"", peer_.node_name, why);
  core_->tell({PeerEvent::Kind::down, shared_from_this(), {}, 0, 0, {Errc::unavailable, why}});
  if (in_) in_->cancel();
  in_ = nullptr;
  reading_ = false;
  if (out_) {
    out_->own_reason = why;
    out_->cancel();
  }
  out_ = nullptr;
  out_ready_ = false;
  writing_ = false;
  in_flight_ = {};
  waiting_.clear();
  backoff_ms_ = 0;
  dial_later();
}

void PeerLink::pump() {
  if (writing_ || !out_ready_ || waiting_.empty()) return;
  writing_ = true;
  out_->write(waiting_.next(in_flight_));
}

void PeerLink::out_written(OutStream* stream, bool ok) {
  if (stream != out_.get() || !ok) return;  // the end follows
  writing_ = false;
  in_flight_ = {};
  pump();
}

void PeerLink::out_ended(OutStream* stream) {
  if (stream != out_.get()) return;
  if (up_) return fall("our stream to it broke");
  out_ready_ = false;  // the reason comes with out_done
}

void PeerLink::out_done(OutStream* stream, const grpc::Status& status) {
  if (stream != out_.get() || closed_) return;
  out_ = nullptr;
  out_ready_ = false;
  Error why = from_status(status);
  if (!stream->own_reason.empty()) why = make_error(Errc::unavailable, stream->own_reason);
  if (why.text.empty()) why.text = "the stream ended";
  refused(why);
  dial_later();
}

bool PeerLink::in_frames(InStream* stream, std::vector<LaneFrame> frames) {
  if (stream != in_.get() || !up_) return false;
  heard_ = true;
  std::size_t bytes = 0;
  for (const LaneFrame& frame : frames) bytes += frame.bytes.size() + sizeof frame;
  if (!frames.empty()) {
    counts_.frames_received += frames.size();
    counts_.bytes_received += bytes;
    untaken_ += bytes;
    core_->tell({PeerEvent::Kind::frames, shared_from_this(), std::move(frames), bytes, 0, {}});
  }
  reading_ = untaken_ <= core_->options.untaken_max_bytes;
  return reading_;
}

void PeerLink::in_broke(InStream* stream, const std::string& why) {
  if (stream != in_.get()) return;
  in_ = nullptr;
  reading_ = false;
  if (up_) fall(why);
}

}  // namespace warren::transport
