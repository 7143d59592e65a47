#pragma once
// What a leader knows about one member: how far it is and how much is on the way to it.

#include "base/clock.h"
#include "cluster/raft/types.h"

#include <cstdint>
#include <vector>

namespace warren::raft {

/// Bounds of what is on the way to one member.
struct InflightLimits {
  std::size_t count{256};
  std::uint64_t bytes{4ULL << 20};
};

/// Replication to one member.
/// Invariants: match < next; probe and snapshot have at most one append of entries on the way.
class Progress {
 public:
  enum class State {
    probe,      ///< where its log agrees is unknown: one message per answer or heartbeat
    replicate,  ///< optimistic: next runs ahead of match
    snapshot,   ///< behind the start of our log: a checkpoint is being streamed
  };

  explicit Progress(Index next) : next_(next) {}

  State state() const { return state_; }
  Index match() const { return match_; }
  Index next() const { return next_; }
  Index commit() const { return commit_; }
  Millis confirmed_ms() const { return confirmed_ms_; }
  std::uint64_t round() const { return round_; }
  std::uint64_t inflight_bytes() const { return inflight_bytes_; }
  std::size_t inflight_count() const { return inflight_.size(); }

  /// True when entries may be sent now.
  bool may_send(const InflightLimits& limits) const {
    if (state_ == State::replicate) {
      return inflight_.size() < limits.count && inflight_bytes_ < limits.bytes;
    }
    return state_ == State::probe && !probe_sent_;
  }

  /// Entries up to `last` were sent.
  void sent(Index last, std::uint64_t bytes) {
    if (state_ == State::replicate) {
      if (last >= next_) {
        inflight_.push_back({last, bytes});
        inflight_bytes_ += bytes;
        next_ = last + 1;
      }
    } else {
      probe_sent_ = true;
    }
  }

  /// The member holds everything up to `match`. Answers whether that is news.
  bool accepted(Index match) {
    auto done = inflight_.begin();
    for (; done != inflight_.end() && done->last <= match; ++done) inflight_bytes_ -= done->bytes;
    inflight_.erase(inflight_.begin(), done);
    if (inflight_.empty() && inflight_.capacity() > kSmall) inflight_ = {};  // idle groups are many
    bool news = match > match_;
    if (news) match_ = match;
    if (state_ == State::probe) {
      become(State::replicate);
      next_ = match_ + 1;
    }
    next_ = next_ > match_ ? next_ : match_ + 1;
    return news;
  }

  /// An append at `prev` did not fit; `retry` is the next place to try. Stale answers change nothing.
  bool refused(Index prev, Index retry) {
    if (state_ == State::snapshot || prev <= match_ || prev >= next_) return false;
    if (state_ == State::probe && prev != next_ - 1) return false;
    become(State::probe);
    next_ = retry <= match_ ? match_ + 1 : retry;
    return true;
  }

  void start_snapshot() { become(State::snapshot); }
  /// Back to probing behind what is known to be there. Entries wait for the next answer, so a
  /// member whose disc stands still is not sent the same bytes again and again.
  void probe() {
    become(State::probe);
    next_ = match_ + 1;
    probe_sent_ = true;
  }
  /// A heartbeat interval passed. With entries on the way and no answer since the last call,
  /// something was lost: probe again.
  void heartbeat() {
    bool stuck = !inflight_.empty() && match_ == match_at_heartbeat_;
    match_at_heartbeat_ = match_;
    if (stuck) probe();
  }

  void confirmed(std::uint64_t round, Millis sent_ms, Index commit) {
    if (round > round_) round_ = round;
    if (sent_ms > confirmed_ms_) confirmed_ms_ = sent_ms;
    if (commit > commit_) commit_ = commit;
  }

 private:
  static constexpr std::size_t kSmall = 8;
  struct Inflight {
    Index last;
    std::uint64_t bytes;
  };

  void become(State state) {
    state_ = state;
    probe_sent_ = false;
    inflight_.clear();
    inflight_bytes_ = 0;
  }

  State state_{State::probe};
  bool probe_sent_{false};
  Index match_{0};
  Index match_at_heartbeat_{0};
  Index next_;
  Index commit_{0};
  std::uint64_t round_{0};
  Millis confirmed_ms_{0};
  std::uint64_t inflight_bytes_{0};
  std::vector<Inflight> inflight_;
};

}  // namespace warren::raft
