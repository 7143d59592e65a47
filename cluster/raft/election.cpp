// Elections: pre-vote, vote, transfer of leadership. Source: Raft thesis 3.4, 3.6, 3.10, 9.6.
#include "cluster/raft/core.h"
#include "cluster/raft/mutant.h"
#include "cluster/raft/quorum.h"

#include <algorithm>
#include <iterator>

namespace warren::raft {

bool Core::votes_at_all() const {
  if (!options_->may_vote) return false;
  if (config().is_voter(options_->self)) return true;
  // Left out by a membership that is not known to be committed: the old one may still need us, and
  // perhaps nobody else holds the entry that leaves us out (4.2.2).
  return config_pending() && configs_.size() > 1 &&
         std::prev(configs_.end(), 2)->second.is_voter(options_->self);
}

bool Core::bound_to_leader() const {
  if (role_ == Role::leader) return majority_contact(now_ - options_->lease_ms);
  return leader_ != kNoNode && now_ - leader_contact() < options_->lease_ms;
}

Index Core::claimed_last_index() const {
  if (WARREN_MUTANT(6) && staging_) return std::max(staging_->base.index, log_.last_index());
  return log_.last_index();
}

Term Core::claimed_last_term() const {
  if (WARREN_MUTANT(6) && staging_) return std::max(staging_->base.term, log_.last_term());
  return log_.last_term();
}

void Core::on_election_timeout() {
  bool heard = leader_ != kNoNode && now_ - leader_contact() < options_->election_ms;
  if (heard || !votes_at_all() || now_ < stand_back_until_) return restart_election_timer();
  pre_campaign();
}

void Core::peer_suspected(NodeId node, Millis delay) {
  if (role_ != Role::follower || leader_ != node) return;
  leader_ = kNoNode;
  contact_ms_ = 0;
  election_at_ = now_ + delay;
  finish();
}

void Core::step_down(Millis ms) {
  if (role_ == Role::stopped) return;
  stand_back_until_ = now_ + ms;
  if (role_ != Role::follower) become_follower(hard_.term, kNoNode);
  finish();
}

void Core::pre_campaign() {
  role_ = Role::pre_candidate;
  leader_ = kNoNode;
  ballots_.clear();
  note_ballot(options_->self, true);
  restart_election_timer();
  for (NodeId node : config().members()) {
    if (node == options_->self || !config().is_voter(node)) continue;
    send(node, PreVote{hard_.term + 1, claimed_last_index(), claimed_last_term()});
  }
  count_votes();
}

void Core::campaign(bool transfer) {
  role_ = Role::candidate;
  leader_ = kNoNode;
  ++hard_.term;
  hard_.vote = options_->self;
  dirty_ = true;
  ballots_.clear();
  own_vote_seq_.reset();
  own_vote_due_ = true;
  restart_election_timer();
  for (NodeId node : config().members()) {
    if (node == options_->self || !config().is_voter(node)) continue;
    send(node, Vote{claimed_last_index(), claimed_last_term(), transfer});
  }
  if (WARREN_MUTANT(5)) {
    note_ballot(options_->self, true);
    count_votes();
  }
}

void Core::note_ballot(NodeId node, bool granted) {
  for (auto& [voter, said] : ballots_) {
    if (voter == node) {
      said = granted;
      return;
    }
  }
  // Only members are asked; whoever else answers must not make this grow.
  if (config().is_member(node)) ballots_.emplace_back(node, granted);
}

void Core::count_votes() {
  auto ballot = [&](NodeId node) -> std::optional<bool> {
    for (const auto& [voter, granted] : ballots_) {
      if (voter == node) return granted;
    }
    return std::nullopt;
  };
  switch (tally(config(), ballot)) {
    case Tally::pending: return;
    case Tally::lost: return become_follower(hard_.term, kNoNode);
    case Tally::won: return role_ == Role::pre_candidate ? campaign(false) : become_leader();
  }
}

void Core::on_pre_vote(const Message& m, const PreVote& ask) {
  bool granted = options_->may_vote && ask.asked > hard_.term &&
                 log_.up_to_date(ask.last_index, ask.last_term) && !bound_to_leader();
  if (WARREN_MUTANT(9) && granted) {
    if (role_ == Role::leader) leave_leadership();
    role_ = Role::follower;
    hard_.term = ask.asked;
    hard_.vote = kNoNode;
  }
  send(m.from, PreVoteReply{ask.asked, granted});
}

void Core::on_pre_vote_reply(const Message& m, const PreVoteReply& reply) {
  if (!reply.granted && m.term > hard_.term) return become_follower(m.term, kNoNode);
  if (role_ != Role::pre_candidate || reply.asked != hard_.term + 1) return;
  note_ballot(m.from, reply.granted);
  count_votes();
}

void Core::on_vote(const Message& m, const Vote& ask) {
  // Who hears a leader neither votes nor moves its term: a returning member cannot disrupt (4.2.3).
  if (!ask.transfer && m.term > hard_.term && bound_to_leader()) return;
  if (m.term > hard_.term) become_follower(m.term, kNoNode);
  bool free = hard_.vote == kNoNode || hard_.vote == m.from;
  bool granted = options_->may_vote && m.term == hard_.term && free && leader_ == kNoNode &&
                 log_.up_to_date(ask.last_index, ask.last_term);
  if (granted) {
    if (hard_.vote != m.from) dirty_ = true;
    hard_.vote = m.from;
    restart_election_timer();
  }
  send(m.from, VoteReply{granted});
}

void Core::on_vote_reply(const Message& m, const VoteReply& reply) {
  if (role_ != Role::candidate) return;
  note_ballot(m.from, reply.granted);
  count_votes();
}

void Core::on_timeout_now(const Message& m) {
  if (role_ == Role::leader || !votes_at_all() || now_ < stand_back_until_) return;
  if (leader_ != m.from) return;
  campaign(true);
}

void Core::become_leader() {
  role_ = Role::leader;
  leader_ = options_->self;
  progress_.clear();
  reads_.clear();
  ballots_.clear();
  own_vote_seq_.reset();
  staging_.reset();
  round_ = 0;
  uncommitted_.clear();
  uncommitted_bytes_ = 0;
  leading_since_ = now_;
  follow_config();
  noop_index_ = 0;
  if (!WARREN_MUTANT(2)) {
    append_own(EntryKind::noop, Slice{});
    noop_index_ = log_.last_index();
  }
  send_all();
  heartbeat_at_ = now_ + options_->heartbeat_ms;
  maybe_commit();
}

}  // namespace warren::raft
