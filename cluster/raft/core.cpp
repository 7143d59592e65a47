#include "cluster/raft/core.h"

#include "base/assert.h"
#include "cluster/raft/mutant.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <utility>

namespace warren::raft {

const char* role_name(Role role) {
  switch (role) {
    case Role::follower: return "follower";
    case Role::pre_candidate: return "pre_candidate";
    case Role::candidate: return "candidate";
    case Role::leader: return "leader";
    case Role::stopped: return "stopped";
  }
  return "unknown";
}

const char* refusal_name(Refusal refusal) {
  switch (refusal) {
    case Refusal::wrong_term: return "wrong_term";
    case Refusal::impossible_index: return "impossible_index";
    case Refusal::not_contiguous: return "not_contiguous";
    case Refusal::committed_conflict: return "committed_conflict";
    case Refusal::not_member: return "not_member";
    case Refusal::second_leader: return "second_leader";
    case Refusal::bad_config: return "bad_config";
    case Refusal::oversize: return "oversize";
    case Refusal::count: break;
  }
  return "unknown";
}

const char* message_name(const Message& message) {
  static constexpr const char* kNames[] = {
      "pre_vote",       "pre_vote_reply", "vote",           "vote_reply",   "append",
      "append_reply",   "timeout_now",    "snapshot_chunk", "snapshot_reply", "read_request",
      "read_reply"};
  static_assert(std::size(kNames) == std::variant_size_v<Payload>);
  return kNames[message.payload.index()];
}

Core::Core(std::shared_ptr<const Options> options, std::uint64_t seed, const LogSizes& sizes,
           const Liveness& liveness, Millis now)
    : options_(std::move(options)), sizes_(&sizes), liveness_(&liveness), prng_(seed), now_(now) {}

Result<Core> Core::restore(const Options& options, const LogSizes& sizes, const Liveness& liveness,
                           Restored restored, Millis now) {
  return restore(std::make_shared<const Options>(options), options.seed, sizes, liveness,
                 std::move(restored), now);
}

Result<Core> Core::restore(std::shared_ptr<const Options> options, std::uint64_t seed,
                           const LogSizes& sizes, const Liveness& liveness, Restored restored,
                           Millis now) {
  if (auto checked = check_config(restored.base.config); !checked) return checked.error();
  Core core(std::move(options), seed, sizes, liveness, now);
  core.hard_ = restored.hard;
  core.log_ = LogIndex(restored.base.index, restored.base.term);
  for (Term term : restored.terms) {
    if (term < core.log_.last_term()) {
      return make_error(Errc::corruption, "log: a term is lower than the one before it");
    }
    core.log_.append(term);
  }
  Index last = core.log_.last_index();
  if (restored.hard.term < core.log_.last_term()) {
    return make_error(Errc::corruption, "hard state: its term is behind the log");
  }
  // The hint was written behind the entries it covers: a shorter log has lost something.
  if (restored.hard.commit > last) {
    return make_error(Errc::corruption, "log: it ends before what is known to be committed");
  }
  core.configs_.emplace_back(restored.base.config_index, std::move(restored.base.config));
  Index before = restored.base.index;
  for (auto& [index, config] : restored.configs) {
    if (index <= before || index > last || !check_config(config)) {
      return make_error(Errc::corruption, "log: a membership is invalid or out of order");
    }
    before = index;
    core.configs_.emplace_back(index, std::move(config));
  }
  // Only of use while its sender still leads; anybody else starts a stream of his own.
  if (restored.staged && restored.staged->term == restored.hard.term) {
    StagedSnapshot& from = *restored.staged;
    core.staging_ = std::make_unique<Staging>(Staging{
        from.from, from.term, from.transfer, from.next, from.next, std::nullopt, std::move(from.base)});
  }
  core.durable_ = last;
  core.applied_ = restored.base.index;
  core.hard_.commit = std::max(restored.base.index, restored.hard.commit);
  core.restart_election_timer();
  core.reported_term_ = core.hard_.term;
  return core;
}

Write& Core::writing() {
  dirty_ = true;
  if (!write_) write_ = std::make_unique<Write>();
  return *write_;
}

void Core::finish() {
  if (dirty_) {
    Write& write = writing();
    last_seq_ = last_seq_.next();
    write.seq = last_seq_;
    write.hard = hard_;
    out().writes.push_back(std::move(write));
    write_.reset();
    dirty_ = false;
    pending_writes_.push_back({last_seq_, log_.last_index()});
    if (own_vote_due_) own_vote_seq_ = last_seq_;
    own_vote_due_ = false;
  }
  if (out_) hold_until_durable();
  if (role_ != reported_role_ || hard_.term != reported_term_ || leader_ != reported_leader_) {
    reported_role_ = role_;
    reported_term_ = hard_.term;
    reported_leader_ = leader_;
    out().role_changed = true;
  }
}

/// What this input wants to promise waits for the newest write, unless that is on disc already.
void Core::hold_until_durable() {
  auto fresh = out().held.end();
  while (fresh != out().held.begin() && std::prev(fresh)->after == WriteSeq{}) --fresh;
  bool durable = last_seq_ <= durable_seq_;
  auto keep = fresh;
  for (auto at = fresh; at != out().held.end(); ++at) {
    const Payload& payload = at->message.payload;
    bool vote = std::holds_alternative<Vote>(payload) || std::holds_alternative<VoteReply>(payload);
    bool ack = std::holds_alternative<AppendReply>(payload);
    if (durable || (WARREN_MUTANT(5) && vote) || (WARREN_MUTANT(4) && ack)) {
      out().now.push_back(std::move(at->message));
      continue;
    }
    at->after = last_seq_;
    if (keep != at) *keep = std::move(*at);
    ++keep;
  }
  out().held.erase(keep, out().held.end());
}

Output Core::take() {
  if (!out_) return {};
  Output taken = std::move(*out_);
  out_.reset();
  return taken;
}

void Core::tick(Millis now) {
  if (role_ == Role::stopped) return;
  now_ = std::max(now_, now);
  if (role_ == Role::leader) {
    tick_leader();
  } else if (now_ >= election_at_) {
    on_election_timeout();
  }
  finish();
}

void Core::step(Message message) {
  if (role_ == Role::stopped) return;
  if (message.to != options_->self || message.from == options_->self || message.from == kNoNode) {
    return refuse(Refusal::not_member);
  }
  dispatch(message);
  finish();
}

void Core::dispatch(Message& m) {
  if (auto* ask = std::get_if<PreVote>(&m.payload)) return on_pre_vote(m, *ask);
  if (auto* reply = std::get_if<PreVoteReply>(&m.payload)) return on_pre_vote_reply(m, *reply);
  if (auto* ask = std::get_if<Vote>(&m.payload)) return on_vote(m, *ask);
  if (auto* ask = std::get_if<ReadRequest>(&m.payload)) return on_read_request(m, *ask);
  if (auto* reply = std::get_if<ReadReply>(&m.payload)) return on_read_reply(m, *reply);
  bool of_leader =
      std::holds_alternative<Append>(m.payload) || std::holds_alternative<SnapshotChunk>(m.payload);
  if (m.term > hard_.term) {
    become_follower(m.term, of_leader ? m.from : kNoNode);
  } else if (m.term < hard_.term) {
    // Tell a deposed leader; otherwise a member with a higher term could never rejoin.
    if (of_leader) send(m.from, AppendReply{});
    return;
  }
  if (auto* append = std::get_if<Append>(&m.payload)) return on_append(m, *append);
  if (auto* reply = std::get_if<AppendReply>(&m.payload)) return on_append_reply(m, *reply);
  if (auto* reply = std::get_if<VoteReply>(&m.payload)) return on_vote_reply(m, *reply);
  if (auto* chunk = std::get_if<SnapshotChunk>(&m.payload)) return on_snapshot_chunk(m, *chunk);
  if (auto* reply = std::get_if<SnapshotReply>(&m.payload)) return on_snapshot_reply(m, *reply);
  if (std::holds_alternative<TimeoutNow>(m.payload)) return on_timeout_now(m);
}

void Core::persisted(WriteSeq seq) {
  if (role_ == Role::stopped || seq <= durable_seq_ || seq > last_seq_) return;
  durable_seq_ = seq;
  auto done = pending_writes_.begin();
  for (; done != pending_writes_.end() && done->seq <= seq; ++done) {
    durable_ = std::max(durable_, done->last);
  }
  pending_writes_.erase(pending_writes_.begin(), done);
  if (pending_writes_.empty()) pending_writes_ = {};
  if (role_ == Role::candidate && own_vote_seq_ && *own_vote_seq_ <= seq) {
    note_ballot(options_->self, true);
    count_votes();
  }
  if (role_ == Role::leader) maybe_commit();
  finish();
}

void Core::write_failed() {
  if (WARREN_MUTANT(8) && role_ == Role::leader) {
    if (durable_ < log_.last_index()) truncate_from(durable_ + 1);
    pending_writes_.clear();
    uncommitted_.clear();
    durable_seq_ = last_seq_;
    return;
  }
  if (role_ == Role::leader) leave_leadership();
  role_ = Role::stopped;
  leader_ = kNoNode;
  write_.reset();
  dirty_ = false;
  out_.reset();
  finish();
}

void Core::applied(Index index) {
  if (index <= applied_) return;
  WARREN_ASSERT(index <= apply_limit());
  applied_ = index;
}

void Core::compact(Index index) {
  WARREN_ASSERT(index >= log_.base_index() && index <= applied_);
  log_.compact(index);
  auto keep = configs_.begin();
  while (std::next(keep) != configs_.end() && std::next(keep)->first <= index) ++keep;
  configs_.erase(configs_.begin(), keep);
}

std::pair<Index, const Config*> Core::config_at(Index index) const {
  auto at = configs_.rbegin();
  while (std::next(at) != configs_.rend() && at->first > index) ++at;
  return {at->first, &at->second};
}

LogBase Core::describe(Index index) const {
  auto term = log_.term(index);
  WARREN_ASSERT(term.has_value());
  auto [entered, config] = config_at(index);
  return LogBase{index, *term, *config, entered};
}

Index Core::apply_limit() const {
  return std::max(applied_, std::min(hard_.commit, durable_));
}

Millis Core::deadline() const {
  if (role_ == Role::stopped) return std::numeric_limits<Millis>::max();
  return role_ == Role::leader ? heartbeat_at_ : election_at_;
}

const Progress* Core::progress(NodeId node) const {
  auto found = progress_.find(node);
  return found == progress_.end() ? nullptr : &found->second;
}

void Core::become_follower(Term term, NodeId leader) {
  if (role_ == Role::leader) leave_leadership();
  if (term > hard_.term) {
    hard_.term = term;
    hard_.vote = kNoNode;
    dirty_ = true;
  } else if (WARREN_MUTANT(19) && role_ == Role::candidate) {
    hard_.vote = kNoNode;
  }
  role_ = Role::follower;
  leader_ = leader;
  ballots_.clear();
  own_vote_seq_.reset();
  restart_election_timer();
}

void Core::leave_leadership() {
  fail_reads();
  progress_.clear();
  uncommitted_.clear();
  uncommitted_bytes_ = 0;
  transferee_ = kNoNode;
  // Ranges ordered but not yet filled in may be about to change: never send them.
  if (!out_) return;
  std::erase_if(out().now, [](const Message& m) {
    auto* append = std::get_if<Append>(&m.payload);
    return append && append->last_index > append->prev_index;
  });
}

void Core::truncate_from(Index from) {
  log_.truncate(from);
  if (!WARREN_MUTANT(7)) clip_pending(from - 1);
  if (!WARREN_MUTANT(10)) {
    while (configs_.size() > 1 && configs_.back().first >= from) configs_.pop_back();
  }
  Write& write = writing();
  std::erase_if(write.append, [&](const Entry& e) { return e.index >= from; });
  write.truncate_from = std::min(write.truncate_from.value_or(from), from);
}

void Core::clip_pending(Index last) {
  durable_ = std::min(durable_, last);
  // A write on its way may confirm only what it still stands for (ra, write completions of old terms).
  for (PendingWrite& pending : pending_writes_) pending.last = std::min(pending.last, last);
}

void Core::append_entry(Entry entry) {
  WARREN_ASSERT(entry.index == log_.last_index() + 1);
  log_.append(entry.term);
  if (entry.kind == EntryKind::config) {
    auto config = decode_config(entry.body.bytes);
    WARREN_ASSERT(config.has_value());
    configs_.emplace_back(entry.index, std::move(*config));
  }
  writing().append.push_back(std::move(entry));
}

std::uint64_t Core::size_of(Index index) const {
  if (!uncommitted_.empty() && index >= uncommitted_.front().first) {
    std::size_t at = index - uncommitted_.front().first;
    if (at < uncommitted_.size()) return uncommitted_[at].second;
  }
  return sizes_->bytes(index);
}

void Core::set_commit(Index index) {
  if (index > hard_.commit) hard_.commit = std::min(index, log_.last_index());
}

void Core::restart_election_timer() {
  Millis spread = static_cast<Millis>(prng_.below(static_cast<std::uint64_t>(options_->election_ms)));
  election_at_ = now_ + options_->election_ms + spread;
  // The only voter has nobody to wait for.
  bool only = config().voters.size() == 1 && config().is_voter(options_->self) && !config().joint();
  if (role_ == Role::follower && only) election_at_ = now_;
}

Millis Core::leader_contact() const {
  if (leader_ == kNoNode || leader_ == options_->self) return contact_ms_;
  return std::max(contact_ms_, liveness_->heard_ms(leader_));
}

}  // namespace warren::raft
