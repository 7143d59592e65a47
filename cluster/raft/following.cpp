// What a follower does: accept entries, stage a snapshot, ask the leader for a read index.
// Source: Raft thesis 3.5, 5.1-5.3, 6.4.
#include "cluster/raft/core.h"
#include "cluster/raft/mutant.h"

#include <algorithm>

namespace warren::raft {

void Core::on_append(const Message& m, Append& append) {
  if (role_ == Role::leader) return refuse(Refusal::second_leader);
  if (leader_ != kNoNode && leader_ != m.from) return refuse(Refusal::second_leader);
  // A candidate that hears the winner of its own term gives way (paper 5.2).
  if (role_ != Role::follower) become_follower(hard_.term, m.from);
  if (!entries_valid(append)) return;
  leader_ = m.from;
  contact_ms_ = now_;
  restart_election_timer();
  // What is committed here is in the leader's log too; no need to compare it again.
  if (append.prev_index < hard_.commit) {
    Index known = hard_.commit;
    if (append.last_index <= known) return acknowledge(m.from, known, append.echo);
    std::erase_if(append.entries, [&](const Entry& e) { return e.index <= known; });
    append.prev_index = known;
    append.prev_term = log_.term(known).value_or(0);
  }
  if (!log_.matches(append.prev_index, append.prev_term)) return reject_append(m, append);
  Index match = append.last_index;
  for (const Entry& entry : append.entries) {
    if (entry.index > log_.last_index() || log_.matches(entry.index, entry.term)) continue;
    if (entry.index <= hard_.commit) return refuse(Refusal::committed_conflict);
    truncate_from(entry.index);
    break;
  }
  accept_entries(append);
  set_commit(WARREN_MUTANT(3) ? append.commit : std::min(append.commit, match));
  acknowledge(m.from, match, append.echo);
}

bool Core::entries_valid(const Append& append) {
  auto bad = [&](Refusal why) {
    refuse(why);
    return false;
  };
  if (append.prev_term > hard_.term) return bad(Refusal::wrong_term);
  if (append.last_index - append.prev_index != append.entries.size() ||
      append.last_index < append.prev_index) {
    return bad(Refusal::not_contiguous);
  }
  Index index = append.prev_index;
  Term term = append.prev_term;
  for (const Entry& entry : append.entries) {
    if (entry.index != ++index) return bad(Refusal::not_contiguous);
    if (entry.term < term || entry.term > hard_.term) return bad(Refusal::wrong_term);
    if (entry.body.bytes.size() > kMaxBodyBytes) return bad(Refusal::oversize);
    if (entry.kind == EntryKind::config && !decode_config(entry.body.bytes)) {
      return bad(Refusal::bad_config);
    }
    term = entry.term;
  }
  return true;
}

void Core::accept_entries(Append& append) {
  for (Entry& entry : append.entries) {
    if (entry.index > log_.last_index()) append_entry(std::move(entry));
  }
}

void Core::reject_append(const Message& m, const Append& append) {
  AppendReply reply;
  reply.prev_index = append.prev_index;
  reply.hint_index =
      log_.last_at_or_below_term(std::min(append.prev_index, log_.last_index()), append.prev_term);
  reply.hint_term = log_.term(reply.hint_index).value_or(0);
  reply.commit = hard_.commit;
  reply.echo = append.echo;
  send(m.from, reply);
}

void Core::acknowledge(NodeId to, Index match, const Echo& echo) {
  AppendReply reply;
  reply.ok = true;
  reply.match = match;
  reply.commit = hard_.commit;
  reply.echo = echo;
  send(to, reply);
}

void Core::on_snapshot_chunk(const Message& m, SnapshotChunk& chunk) {
  if (role_ == Role::leader) return refuse(Refusal::second_leader);
  if (leader_ != kNoNode && leader_ != m.from) return refuse(Refusal::second_leader);
  if (role_ != Role::follower) become_follower(hard_.term, m.from);
  if (chunk.base.term > hard_.term) return refuse(Refusal::wrong_term);
  if (chunk.base.index == 0 || chunk.base.config_index > chunk.base.index) {
    return refuse(Refusal::impossible_index);
  }
  if (!check_config(chunk.base.config)) return refuse(Refusal::bad_config);
  if (chunk.body.bytes.size() > kMaxBodyBytes) return refuse(Refusal::oversize);
  leader_ = m.from;
  contact_ms_ = now_;
  restart_election_timer();
  if (chunk.base.index <= hard_.commit || log_.matches(chunk.base.index, chunk.base.term)) {
    staging_.reset();
    set_commit(chunk.base.index);
    return acknowledge(m.from, chunk.base.index, Echo{});
  }
  bool same = staging_ && staging_->from == m.from && staging_->term == m.term &&
              staging_->transfer == chunk.transfer;
  if (!same) {
    if (chunk.number != 0) return send(m.from, SnapshotReply{chunk.transfer, 0});
    staging_ = std::make_unique<Staging>(
        Staging{m.from, m.term, chunk.transfer, 0, 0, std::nullopt, chunk.base});
  }
  // A crash fell between the last piece and the switch: all of it is on disc.
  bool whole = chunk.last && chunk.number + 1 == staging_->stored && chunk.base == staging_->base;
  if (whole && staging_->ordered == staging_->stored) return finish_staging();
  // Out of order, or sent again: say what is wanted.
  if (chunk.number != staging_->ordered || staging_->last || !(chunk.base == staging_->base)) {
    return send(m.from, SnapshotReply{chunk.transfer, staging_->stored});
  }
  if (staging_->ordered - staging_->stored >= kMaxChunksInFlight) return;
  ++staging_->ordered;
  if (chunk.last) staging_->last = chunk.number;
  out().chunks.push_back({m.from, m.term, std::move(chunk)});
}

void Core::chunk_stored(NodeId from, std::uint64_t transfer, std::uint64_t number) {
  if (role_ != Role::follower || !staging_) return;
  if (staging_->from != from || staging_->transfer != transfer || staging_->stored != number) return;
  // Another term may have begun; its leader starts its own transfer.
  if (staging_->term != hard_.term) return staging_.reset();
  ++staging_->stored;
  if (staging_->last == number) {
    finish_staging();
  } else {
    send(from, SnapshotReply{transfer, staging_->stored});
  }
  finish();
}

void Core::finish_staging() {
  Staging staged = std::move(*staging_);
  staging_.reset();
  const LogBase& base = staged.base;
  if (base.index <= hard_.commit || log_.matches(base.index, base.term)) {
    // Our own log holds all of it, and perhaps acknowledged entries beyond: keep it.
    set_commit(base.index);
    return acknowledge(staged.from, base.index, Echo{});
  }
  writing().install = base;
  log_.reset(base.index, base.term);
  clip_pending(0);
  configs_.clear();
  configs_.emplace_back(base.config_index, base.config);
  hard_.commit = base.index;
  applied_ = base.index;
  acknowledge(staged.from, base.index, Echo{});
}

void Core::on_snapshot_reply(const Message& m, const SnapshotReply&) {
  if (role_ != Role::leader) return;
  auto found = progress_.find(m.from);
  if (found == progress_.end()) return refuse(Refusal::not_member);
  // The shell that streams reads the numbers; for the core it is contact only through appends.
}

void Core::snapshot_failed(NodeId to) {
  if (role_ != Role::leader) return;
  auto found = progress_.find(to);
  if (found == progress_.end() || found->second.state() != Progress::State::snapshot) return;
  found->second.probe();
  finish();
}

void Core::on_read_request(const Message& m, const ReadRequest& ask) {
  if (role_ != Role::leader) return send(m.from, ReadReply{ask.ticket, false, 0});
  if (!progress_.contains(m.from)) return refuse(Refusal::not_member);
  add_read(ask.ticket, m.from);
}

void Core::on_read_reply(const Message&, const ReadReply& reply) {
  out().reads.push_back({reply.ticket, reply.ok, reply.index});
}

}  // namespace warren::raft
