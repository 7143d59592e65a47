#include "node/broker/pipe/link.h"

#include <algorithm>

namespace warren::broker::pipe {

namespace {

constexpr unsigned kForgetAfter = 8;  // hellos without agreement

}  // namespace

void Link::cut() {
  if (pending_.empty()) return;
  ++cuts_;
  std::string_view rest = pending_;
  while (!rest.empty()) {
    const std::size_t n = std::min(rest.size(), options_.frame_bytes + options_.frame_bytes / 4);
    if (n == pending_.size()) {
      retained_ += n;
      outbox_.push_back({std::move(pending_), false});
      break;
    }
    outbox_.push_back({std::string(rest.substr(0, n)), rest.size() > n});
    retained_ += n;
    rest.remove_prefix(n);
  }
  pending_.clear();
}

void Link::flush(Millis now) {
  cut();
  send_some();
  if (!agreed_ || received_ == told_) return;
  if (untold_bytes_ < options_.frame_bytes && now - told_at_ < options_.ack_ms) return;
  told_ = received_;
  told_at_ = now;
  untold_bytes_ = 0;
  transport_->send(peer_, encode_frame(frame_of(FrameKind::ack)));
}

void Link::send_some() {
  if (!agreed_ || !up_ || transport_ == nullptr) return;
  while (next_ < outbox_.size() && transport_->unsent_bytes(peer_) < options_.unsent_bytes) {
    Frame frame = frame_of(FrameKind::data);
    const Kept& kept = outbox_[next_];
    frame.seq = first_seq_ + next_;
    frame.more = kept.more;
    frame.payload = kept.payload;
    transport_->send(peer_, encode_frame(frame));
    sent_seq_ = std::max(sent_seq_, frame.seq);
    ++next_;
    told_ = received_;
    untold_bytes_ = 0;
  }
}

void Link::hello(bool ask, Millis now) {
  if (transport_ == nullptr) return;
  Frame frame = frame_of(FrameKind::hello);
  frame.ask = ask;
  if (ask) asked_at_ = now;
  told_ = received_;
  transport_->send(peer_, encode_frame(frame));
}

// ---- inputs -----------------------------------------------------------------------------------------

void Link::on_up(Millis now) {
  up_ = true;
  agreed_ = false;
  hello(true, now);
}

void Link::on_down() {
  up_ = false;
  agreed_ = false;
}

void Link::on_node_down() {
  lose(Loss::node_down);
  known_ = {};
}

void Link::start_over(Millis now) {
  on_node_down();
  if (up_) hello(true, now);
}

void Link::tick(Millis now) {
  if (up_ && !agreed_ && now - asked_at_ >= options_.greeting_ms) {
    // Who never agrees is not who we think: take the next one at its word.
    if (!opened_ && ++unanswered_ % kForgetAfter == 0) known_ = {};
    hello(true, now);
  }
  flush(now);
}

void Link::on_frame(std::string_view bytes, Millis now) {
  const auto frame = decode_frame(bytes);
  if (!frame || frame->from.incarnation == 0) return;
  if (frame->kind == FrameKind::hello) return on_hello(*frame, now);
  if (frame->from != known_ || frame->about != me_) {
    // Of a session that one of us has ended: say how things stand.
    if (now - asked_at_ >= options_.greeting_ms) hello(true, now);
    return;
  }
  if (!confirmed(frame->received)) return start_over(now);
  if (frame->kind == FrameKind::data) on_data(*frame, now);
  send_some();
}

void Link::on_hello(const Frame& frame, Millis now) {
  bool changed = false;
  if (frame.from != known_) {
    // What the peer said before is old news, though it may arrive late.
    if (frame.from.incarnation < known_.incarnation) return;
    if (frame.from.incarnation == known_.incarnation && frame.from.session < known_.session) return;
    // A session that never opened has carried nothing: there is nothing to lose, and two sides that
    // begin anew at once would never agree if each of them did so again for the other.
    if (known_.incarnation != 0 && frame.from.incarnation != known_.incarnation)
      lose(Loss::restarted);
    else if (opened_)
      lose(Loss::started_over);
    known_ = frame.from;
    changed = true;
  }
  const bool agreed = frame.about == me_;
  if (agreed) {
    if (!confirmed(frame.received)) return start_over(now);
    next_ = 0;  // what this stream carried may have been lost with its other end
    agreed_ = true;
    unanswered_ = 0;
  }
  if (frame.ask || changed) hello(!agreed, now);
  if (!agreed) return;
  if (!opened_) {
    opened_ = true;
    user_.on_open();
  }
  flush(now);
}

void Link::on_data(const Frame& frame, Millis now) {
  if (frame.seq <= received_) return;  // sent again, and here already
  if (frame.seq != received_ + 1) {    // something before it was lost
    if (now - asked_at_ >= options_.greeting_ms / 4) hello(true, now);
    return;
  }
  ++received_;
  untold_bytes_ += frame.payload.size() + 64;
  if (!opened_) {  // the peer's answer is still on its way; it knows us
    opened_ = true;
    user_.on_open();
  }
  const std::uint64_t session = me_.session;
  if (!frame.more && assembly_.empty()) return user_.on_message(frame.payload);
  if (assembly_.size() + frame.payload.size() > options_.message_bytes) {
    return start_over(now);
  }
  assembly_ += frame.payload;
  if (frame.more) return;
  const std::string whole = std::move(assembly_);
  assembly_.clear();
  if (session == me_.session) user_.on_message(whole);
}

bool Link::confirmed(std::uint64_t received) {
  if (received > sent_seq_) return false;
  while (!outbox_.empty() && first_seq_ <= received) {
    retained_ -= outbox_.front().payload.size();
    outbox_.pop_front();
    ++first_seq_;
    if (next_ > 0) --next_;
  }
  return true;
}

void Link::lose(Loss loss) {
  pending_.clear();
  ++cuts_;
  outbox_.clear();
  assembly_.clear();
  first_seq_ = 1;
  next_ = retained_ = 0;
  sent_seq_ = 0;
  received_ = told_ = 0;
  untold_bytes_ = 0;
  agreed_ = opened_ = false;
  ++me_.session;
  user_.on_loss(loss);
}

}  // namespace warren::broker::pipe
