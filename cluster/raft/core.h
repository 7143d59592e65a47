#pragma once
// One member of one Raft group as a pure state machine: inputs change it, take() says what to do.
// Owner: whoever owns the group; no thread, clock, disc or network. The log's bodies stay outside.
// Source: D. Ongaro, "Consensus: Bridging Theory and Practice" (the thesis); deviations in README.

#include "base/clock.h"
#include "base/prng.h"
#include "base/result.h"
#include "cluster/raft/config.h"
#include "cluster/raft/log_index.h"
#include "cluster/raft/output.h"
#include "cluster/raft/progress.h"
#include "cluster/raft/types.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace warren::raft {

enum class Role { follower, pre_candidate, candidate, leader, stopped };
const char* role_name(Role role);

/// Why an input was not followed; each reason is counted.
enum class Refusal {
  wrong_term,         ///< an entry or answer claims a term it cannot have
  impossible_index,   ///< an index outside what can exist
  not_contiguous,     ///< entries that do not follow each other
  committed_conflict,  ///< an entry that contradicts a committed one
  not_member,         ///< an answer of a node that is not in the membership
  second_leader,      ///< an append of another leader of our own term
  bad_config,         ///< a membership that does not decode
  oversize,           ///< a body above kMaxBodyBytes
  count,
};
const char* refusal_name(Refusal refusal);

/// Sizes of entries in the log, known to whoever stores them. `bytes` may be an estimate.
class LogSizes {
 public:
  virtual ~LogSizes() = default;
  virtual std::uint64_t bytes(Index index) const = 0;
};

/// What the heartbeats between two nodes prove about this group. Times of the local steady
/// clock; 0 is never.
class Liveness {
 public:
  virtual ~Liveness() = default;
  /// When a heartbeat arrived in which `peer` vouched that it leads this group in this term.
  virtual Millis heard_ms(NodeId peer) const = 0;
  /// When the newest of our heartbeats was sent that `peer` answered as this group's follower.
  virtual Millis confirmed_ms(NodeId peer) const = 0;
};

struct Options {
  NodeId self{};
  std::uint64_t seed{1};
  Millis election_ms{400};   ///< silence before a campaign; drawn from [x, 2x)
  Millis lease_ms{300};      ///< a follower that heard its leader this recently supports no other
  Millis heartbeat_ms{100};
  Millis quorum_ms{800};     ///< a leader without contact to a majority for this long gives up
  Millis transfer_ms{500};   ///< a transfer that took longer is called off
  /// Tell idle members at once how far is committed, not with the next heartbeat: for groups whose
  /// followers wait to apply what they proposed.
  bool prompt_commit{false};
  bool quiet{false};         ///< node heartbeats vouch for idle groups: send only what is needed
  bool may_vote{true};       ///< false on a node that forgets (RAM): never votes, never leads
  std::uint64_t max_append_bytes{1ULL << 20};
  InflightLimits inflight{};
  std::uint64_t max_uncommitted_bytes{64ULL << 20};
};

/// What was found on disc. Terms and memberships of the entries above `base`, in order.
struct Restored {
  HardState hard;
  LogBase base;
  std::vector<Term> terms;                           ///< of entries base.index + 1 ...
  std::vector<std::pair<Index, Config>> configs;  ///< those among them that change the membership
  std::optional<StagedSnapshot> staged;           ///< a snapshot that a crash interrupted
};

/// Invariants: durable_index() <= last_index(); commit_index() <= last_index(); both >= base
/// except while an install is being written; applied_index() <= apply_limit(); at most one
/// membership above commit_index().
class Core {
 public:
  /// Requires: references outlive the core. Errors: corruption when `restored` contradicts itself.
  static Result<Core> restore(const Options& options, const LogSizes& sizes,
                              const Liveness& liveness, Restored restored, Millis now);
  /// The same with options that many cores share; `seed` is this core's own.
  static Result<Core> restore(std::shared_ptr<const Options> options, std::uint64_t seed,
                              const LogSizes& sizes, const Liveness& liveness, Restored restored,
                              Millis now);

  // --- inputs; each may add to the output ---

  /// Moves the clock; call before any other input when time has passed, and at deadline().
  void tick(Millis now);
  void step(Message message);
  /// Everything up to and including write `seq` is durable.
  void persisted(WriteSeq seq);
  /// A write failed: this member stops for good and never speaks again.
  void write_failed();
  /// The state machine has applied everything up to `index`.
  void applied(Index index);
  /// Entries up to `index` are covered by a durable checkpoint and may vanish.
  /// Requires: base_index() <= index <= applied_index().
  void compact(Index index);
  /// The chunk of the last ChunkOrder with these numbers is durable under the staging uid.
  void chunk_stored(NodeId from, std::uint64_t transfer, std::uint64_t number);
  /// The stream ordered by SnapshotOrder ended without success.
  void snapshot_failed(NodeId to);
  /// The stream to `node` broke or its heartbeats stopped: campaign after `delay` if it led us.
  void peer_suspected(NodeId node, Millis delay);
  /// `node` speaks as a new process. What a voter acknowledged is still there; a learner may be a
  /// node that forgets (RAM), so what it holds is found out anew.
  void peer_restarted(NodeId node);

  /// Appends commands if this is the leader of `term`. Answers the index of the first.
  /// Errors: conflict (not leader of that term), unavailable (handing over), exhausted (cap),
  /// invalid_argument (empty or oversize).
  Result<Index> propose(Term term, std::vector<Slice> bodies);
  /// Starts the change to `target`, through a joint membership if it needs one.
  /// Errors: conflict (not leader, change under way, own term not committed), as next_config.
  Result<Index> change_config(Term term, const Config& target);
  /// Hands leadership to an up-to-date voter. Errors: conflict, invalid_argument.
  Result<void> transfer(NodeId to);
  /// Asks for a read index; the answer comes in Output::reads under `ticket`.
  void read(std::uint64_t ticket);
  /// Gives leadership up at once (the disc stands still) and stands back for `ms`.
  void step_down(Millis ms);

  Output take();

  // --- state ---

  NodeId self() const { return options_->self; }
  Role role() const { return role_; }
  Term term() const { return hard_.term; }
  NodeId vote() const { return hard_.vote; }
  NodeId leader() const { return leader_; }
  Index commit_index() const { return hard_.commit; }
  Index applied_index() const { return applied_; }
  Index durable_index() const { return durable_; }
  const LogIndex& log() const { return log_; }
  /// The state machine may apply up to here: committed and on this member's own disc.
  Index apply_limit() const;
  /// Leader whose own first entry is committed and applied: only now may it act as leader.
  bool effective() const;
  /// Effective, and a majority confirmed us less than the lease ago.
  bool lease_valid() const;
  const Config& config() const { return configs_.back().second; }
  Index config_index() const { return configs_.back().first; }
  bool config_pending() const { return configs_.back().first > hard_.commit; }
  /// Membership in force at `index` and where it was entered. Requires: index within the log.
  std::pair<Index, const Config*> config_at(Index index) const;
  /// Membership and term at `index`, for a checkpoint. Requires: index within the log.
  LogBase describe(Index index) const;
  /// When tick() has something to do next.
  Millis deadline() const;
  WriteSeq last_write() const { return last_seq_; }
  bool staging() const { return staging_ != nullptr; }
  std::uint64_t uncommitted_bytes() const { return uncommitted_bytes_; }
  std::uint64_t refused(Refusal why) const { return refusals_[static_cast<std::size_t>(why)]; }
  /// Nothing unless leader and `node` is a member.
  const Progress* progress(NodeId node) const;
  NodeId transferee() const { return transferee_; }

 private:
  Core(std::shared_ptr<const Options> options, std::uint64_t seed, const LogSizes& sizes,
       const Liveness& liveness, Millis now);

  struct PendingWrite {
    WriteSeq seq;
    Index last;  ///< durable index once it lands
  };
  struct PendingRead {
    std::uint64_t ticket;
    NodeId asker;
    Index index;
    std::uint64_t round;  ///< confirmed by a majority at or above this
  };
  struct Staging {
    NodeId from;
    Term term;
    std::uint64_t transfer;
    std::uint64_t stored{0};   ///< chunks below are durable
    std::uint64_t ordered{0};  ///< chunks below are ordered to be stored; >= stored
    std::optional<std::uint64_t> last;  ///< number of the last chunk, once it was ordered
    LogBase base;
  };

  // core.cpp
  void finish();
  void refuse(Refusal why) { ++refusals_[static_cast<std::size_t>(why)]; }
  template <class P>
  void send(NodeId to, P payload) {
    put_message(out(), options_->self, to, hard_.term, std::move(payload));
  }
  void dispatch(Message& message);
  void become_follower(Term term, NodeId leader);
  void leave_leadership();
  void truncate_from(Index from);
  void clip_pending(Index last);
  void append_entry(Entry entry);
  Write& writing();
  Output& out() {
    if (!out_) out_ = std::make_unique<Output>();
    return *out_;
  }
  void hold_until_durable();
  std::uint64_t size_of(Index index) const;
  void set_commit(Index index);
  void restart_election_timer();
  Millis leader_contact() const;

  // election.cpp
  void on_election_timeout();
  void pre_campaign();
  void campaign(bool transfer);
  void count_votes();
  void note_ballot(NodeId node, bool granted);
  void become_leader();
  bool bound_to_leader() const;
  Index claimed_last_index() const;
  Term claimed_last_term() const;
  bool votes_at_all() const;
  void on_pre_vote(const Message& m, const PreVote& ask);
  void on_pre_vote_reply(const Message& m, const PreVoteReply& reply);
  void on_vote(const Message& m, const Vote& ask);
  void on_vote_reply(const Message& m, const VoteReply& reply);
  void on_timeout_now(const Message& m);

  // leading.cpp
  void tick_leader();
  void append_own(EntryKind kind, Slice body);
  void follow_config();
  void send_all();
  void heartbeat_round(bool all);
  void send_entries(NodeId to, Progress& progress);
  void send_heartbeat(NodeId to, Progress& progress);
  /// How far is committed, when prompt_commit and nothing else is on its way that says it.
  void prompt(NodeId node, Progress& progress);
  void on_append_reply(const Message& m, const AppendReply& reply);
  void maybe_commit();
  void after_commit();
  void finish_transfer_to(NodeId to, const Progress& progress);
  bool majority_contact(Millis since) const;
  void add_read(std::uint64_t ticket, NodeId asker);
  void answer_reads();
  void fail_reads();
  void release_waiting_reads();
  void answer_read(const PendingRead& read, bool ok);

  // following.cpp
  void on_append(const Message& m, Append& append);
  bool entries_valid(const Append& append);
  void accept_entries(Append& append);
  void reject_append(const Message& m, const Append& append);
  void acknowledge(NodeId to, Index match, const Echo& echo);
  void on_snapshot_chunk(const Message& m, SnapshotChunk& chunk);
  void on_snapshot_reply(const Message& m, const SnapshotReply& reply);
  void finish_staging();
  void on_read_request(const Message& m, const ReadRequest& ask);
  void on_read_reply(const Message& m, const ReadReply& reply);

  std::shared_ptr<const Options> options_;
  const LogSizes* sizes_;
  const Liveness* liveness_;
  Prng prng_;
  Millis now_;

  Role role_{Role::follower};
  HardState hard_;
  NodeId leader_{};
  LogIndex log_;
  Index durable_{0};
  Index applied_{0};
  std::vector<std::pair<Index, Config>> configs_;  ///< base first, then those in the log

  WriteSeq last_seq_{};
  WriteSeq durable_seq_{};
  std::vector<PendingWrite> pending_writes_;
  bool dirty_{false};  ///< this input must end in a write, if only of the hard state
  std::unique_ptr<Write> write_;  ///< of this input, once it needs one
  std::unique_ptr<Output> out_;  ///< made when there is something to say
  Role reported_role_{Role::follower};
  Term reported_term_{0};
  NodeId reported_leader_{};

  Millis contact_ms_{0};
  Millis election_at_{0};
  Millis stand_back_until_{0};
  std::vector<std::pair<NodeId, bool>> ballots_;
  std::optional<WriteSeq> own_vote_seq_;  ///< our own vote counts once this is durable
  bool own_vote_due_{false};
  std::unique_ptr<Staging> staging_;

  std::map<NodeId, Progress> progress_;
  Index noop_index_{0};
  std::uint64_t round_{0};
  Millis heartbeat_at_{0};
  Millis leading_since_{0};
  std::uint64_t uncommitted_bytes_{0};
  std::vector<std::pair<Index, std::uint64_t>> uncommitted_;  ///< own entries not yet committed
  NodeId transferee_{};
  Millis transfer_until_{0};
  std::vector<PendingRead> reads_;
  std::array<std::uint32_t, static_cast<std::size_t>(Refusal::count)> refusals_{};
};

}  // namespace warren::raft
