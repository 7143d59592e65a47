#include "cluster/metadata/proposer.h"

#include "base/bytes.h"
#include "cluster/raft/mutant.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace warren::metadata {

namespace {

constexpr std::uint8_t kFrameVersion = 1;
constexpr Millis kExpireEvery = 250;

}  // namespace

// ---- the origin ---------------------------------------------------------------------------------

void Proposer::submit(const std::vector<Command>& commands, ProposeDone done, Deadline deadline) {
  Part part;
  part.commands = commands.size();
  part.done = std::move(done);
  const bool full = waiting_.size() >= options_.waiting_parts || waiting_bytes_ >= options_.waiting_bytes;
  if (full && deadline == Deadline::normal)
    return answer(part, make_error(Errc::exhausted, "too many changes of metadata wait on this node"));
  part.number = next_number_++;
  EncodedPart encoded = encode_part(part.number, commands);
  part.bytes = std::move(encoded.bytes);
  part.declares = encoded.declares;
  if (deadline == Deadline::normal) part.deadline = link_.steady_ms() + options_.timeout_ms;
  waiting_bytes_ += part.bytes.size();
  waiting_.push_back(std::move(part));
  link_.want_flush();
}

void Proposer::flush() {
  if (std::exchange(send_again_, false) && can_send())
    for (const SentBatch& batch : sent_) send(batch);
  while (can_send() && !waiting_.empty() && sent_.size() < options_.in_flight) {
    SentBatch batch{next_sequence_++, {}};
    std::size_t bytes = 0;
    while (!waiting_.empty() && batch.parts.size() < options_.batch_parts) {
      Part& part = waiting_.front();
      if (bytes > 0 && bytes + part.bytes.size() > options_.batch_bytes) break;
      bytes += part.bytes.size();
      waiting_bytes_ -= part.bytes.size();
      batch.parts.push_back(std::move(part));
      waiting_.pop_front();
    }
    sent_.push_back(std::move(batch));
    send(sent_.back());
  }
}

void Proposer::send(const SentBatch& batch) {
  last_sent_ms_ = link_.steady_ms();
  BatchHead head;
  head.origin = options_.self.value;
  head.incarnation = options_.incarnation;
  head.sequence = batch.sequence;
  // What a caller was told had failed is left out, so that it rather does not happen late.
  for (const Part& part : batch.parts)
    if (part.done) head.declares += part.declares;
  std::string bytes;
  if (!leading_) {
    bytes += static_cast<char>(kFrameVersion);
    bytes += static_cast<char>(Kind::forward);
  }
  bytes += encode_head(head);
  for (const Part& part : batch.parts)
    if (part.done) bytes += part.bytes;
  if (leading_)
    take(options_.self, head, std::move(bytes));
  else
    link_.send(leader_, std::move(bytes));
}

void Proposer::on_decided(std::uint64_t sequence, std::vector<PartResults> results) {
  if (sequence == 0) return;
  on_skipped_to(sequence - 1);
  if (sent_.empty() || sent_.front().sequence != sequence) return;
  SentBatch batch = std::move(sent_.front());
  sent_.pop_front();
  last_sent_ms_ = link_.steady_ms();  // the way works
  link_.want_flush();
  for (Part& part : batch.parts) {
    if (!part.done) continue;
    const auto found = std::find_if(results.begin(), results.end(),
                                    [&](const PartResults& r) { return r.number == part.number; });
    if (found == results.end())
      answer(part, timed_out(true));
    else
      std::exchange(part.done, nullptr)(std::move(found->results));
  }
}

void Proposer::on_skipped_to(std::uint64_t sequence) {
  std::vector<Part> again;
  while (!sent_.empty() && sent_.front().sequence <= sequence) {
    SentBatch batch = std::move(sent_.front());
    sent_.pop_front();
    for (Part& part : batch.parts) {
      if (part.done && part.deadline == 0 && !WARREN_MUTANT(38))
        again.push_back(std::move(part));
      else
        answer(part, make_error(Errc::unavailable,
                                "the change was decided while this node was behind; its outcome is unknown"));
    }
  }
  if (again.empty()) return;
  for (const Part& part : again) waiting_bytes_ += part.bytes.size();
  waiting_.insert(waiting_.begin(), std::make_move_iterator(again.begin()), std::make_move_iterator(again.end()));
  link_.want_flush();
}

void Proposer::on_leadership(const replica::Leadership& now) {
  const bool led = leading_;
  leading_ = now.effective && now.leader == options_.self;
  if (now.term != term_ || leading_ != led) {
    accepted_.clear();
    next_uid_ = 0;
  }
  term_ = now.term;
  leader_ = now.leader;
  if (WARREN_MUTANT(32) && !sent_.empty()) next_sequence_ = sent_.back().sequence;
  if (!can_send() || idle()) return;
  send_again_ = true;
  link_.want_flush();
}

void Proposer::on_peer_up(raft::NodeId peer) {
  if (peer != leader_ || sent_.empty()) return;
  send_again_ = true;
  link_.want_flush();
}

void Proposer::on_refused() {
  if (send_again_at_ == 0) send_again_at_ = link_.steady_ms() + options_.retry_ms;
}

void Proposer::tick() {
  const Millis now = link_.steady_ms();
  if (now >= expire_at_) {
    expire_at_ = now + kExpireEvery;
    expire(now);
  }
  if (sent_.empty()) send_again_at_ = 0;
  const bool refused = send_again_at_ != 0 && now >= send_again_at_;
  const bool silent = !leading_ && !sent_.empty() && now - last_sent_ms_ >= options_.resend_ms;
  if (!refused && !silent) return;
  send_again_at_ = 0;
  send_again_ = true;
  link_.want_flush();
}

void Proposer::expire(Millis now) {
  const auto over = [now](const Part& part) { return part.deadline != 0 && now >= part.deadline; };
  std::vector<Part> unsent;
  std::erase_if(waiting_, [&](Part& part) {
    if (!over(part)) return false;
    waiting_bytes_ -= part.bytes.size();
    unsent.push_back(std::move(part));
    return true;
  });
  std::vector<ProposeDone> sent;
  std::vector<std::size_t> commands;
  for (SentBatch& batch : sent_)
    for (Part& part : batch.parts)
      if (part.done && over(part)) {
        sent.push_back(std::exchange(part.done, nullptr));
        commands.push_back(part.commands);
      }
  for (Part& part : unsent) answer(part, timed_out(false));
  for (std::size_t i = 0; i < sent.size(); ++i)
    sent[i](std::vector<Result<void>>(commands[i], timed_out(!WARREN_MUTANT(35))));
}

Error Proposer::timed_out(bool sent) const {
  const std::string missing = link_.missing();
  return make_error(
      Errc::timeout,
      fmt::format("the cluster's metadata could not be changed within {} ms: no majority of its disc nodes "
                  "agreed{}{}; {}",
                  options_.timeout_ms, missing.empty() ? "" : ", no answer from ", missing,
                  sent ? "whether the change was made is not known" : "nothing was changed"));
}

void Proposer::answer(Part& part, const Error& error) {
  if (auto done = std::exchange(part.done, nullptr))
    done(std::vector<Result<void>>(part.commands, error));
}

void Proposer::fail_all(const Error& error) {
  auto waiting = std::exchange(waiting_, {});
  auto sent = std::exchange(sent_, {});
  waiting_bytes_ = 0;
  for (SentBatch& batch : sent)
    for (Part& part : batch.parts) answer(part, error);
  for (Part& part : waiting) answer(part, error);
}

// ---- the leader ---------------------------------------------------------------------------------

void Proposer::take(raft::NodeId from, const BatchHead& head, std::string batch) {
  if (!leading_) return refuse(from, head.incarnation);
  const auto applied = link_.applied_sequence(head.origin, head.incarnation);
  if (!applied) return;  // from a life of that node that is over
  std::uint64_t next = *applied + 1;
  const auto known = accepted_.find(head.origin);
  if (known != accepted_.end() && known->second.incarnation == head.incarnation)
    next = std::max(next, known->second.sequence + 1);
  if (head.sequence < next && !WARREN_MUTANT(34)) return;  // sent again while it is on its way
  if (head.sequence > next) return refuse(from, head.incarnation);  // one before it was lost
  append(from, head, std::move(batch));
}

void Proposer::append(raft::NodeId from, const BatchHead& head, std::string batch) {
  accepted_[head.origin] = {head.incarnation, head.sequence};
  next_uid_ = std::max(next_uid_, link_.next_uid());
  stamp_batch(batch, next_uid_, link_.wall_ms());
  if (!WARREN_MUTANT(36)) next_uid_ += head.declares;
  link_.append(term_, std::move(batch), [this, from, head, term = term_](const Error&) {
    if (term != term_) return;  // everybody sends again when they hear of the new leader
    const auto known = accepted_.find(head.origin);
    if (known != accepted_.end() && known->second.incarnation == head.incarnation)
      known->second.sequence = std::min(known->second.sequence, head.sequence - 1);
    refuse(from, head.incarnation);
  });
}

void Proposer::refuse(raft::NodeId to, std::uint64_t incarnation) {
  if (to == options_.self) return on_refused();
  std::string frame;
  ByteWriter out(frame);
  out.u8(kFrameVersion);
  out.u8(static_cast<std::uint8_t>(Kind::refusal));
  out.u64(incarnation);
  link_.send(to, std::move(frame));
}

void Proposer::on_frame(raft::NodeId from, std::string_view frame) {
  ByteReader in(frame);
  const std::uint8_t version = in.u8();
  const auto kind = static_cast<Kind>(in.u8());
  if (in.ok() && version == kFrameVersion && kind == Kind::refusal) {
    const std::uint64_t incarnation = in.u64();
    if (in.ok() && incarnation == options_.incarnation) on_refused();
    return;
  }
  if (in.ok() && version == kFrameVersion && kind == Kind::forward) {
    const std::string_view bytes = frame.substr(2);
    // Decoded whole before it may enter the log: what is in there, every member must be able to read.
    if (auto batch = decode_batch(bytes); batch && batch->head.origin == from.value)
      return take(from, batch->head, std::string(bytes));
  }
  ++refused_frames_;
}

}  // namespace warren::metadata
