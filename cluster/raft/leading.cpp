// What a leader does: proposals, replication, commit, reads, membership, hand-over.
// Source: Raft thesis 3.5, 3.6.2, 3.10, 4.1-4.3, 6.4, 10.2.
#include "cluster/raft/core.h"
#include "cluster/raft/mutant.h"
#include "cluster/raft/quorum.h"

#include <algorithm>

namespace warren::raft {

bool Core::effective() const {
  return role_ == Role::leader && noop_index_ <= applied_;
}

bool Core::lease_valid() const {
  return effective() && transferee_ == kNoNode && majority_contact(now_ - options_->lease_ms);
}

bool Core::majority_contact(Millis since) const {
  return has_quorum(config(), [&](NodeId node) {
    if (node == options_->self) return true;
    auto found = progress_.find(node);
    if (found == progress_.end()) return false;
    // What the nodes proved to each other before we led says nothing about this leadership.
    Millis by_node = liveness_->confirmed_ms(node);
    if (by_node < leading_since_) by_node = 0;
    return std::max(found->second.confirmed_ms(), by_node) >= since;
  });
}

Result<Index> Core::propose(Term term, std::vector<Slice> bodies) {
  if (role_ != Role::leader || (hard_.term != term && !WARREN_MUTANT(12))) {
    return make_error(Errc::conflict, "not the leader of that term");
  }
  if (transferee_ != kNoNode) return make_error(Errc::unavailable, "handing leadership over");
  if (bodies.empty()) return make_error(Errc::invalid_argument, "empty proposal");
  std::uint64_t bytes = 0;
  for (const Slice& body : bodies) {
    if (body.bytes.size() > kMaxBodyBytes) {
      return make_error(Errc::invalid_argument, "proposal is larger than allowed");
    }
    bytes += body.bytes.size() + kEntryOverhead;
  }
  if (uncommitted_bytes_ > 0 && uncommitted_bytes_ + bytes > options_->max_uncommitted_bytes) {
    return make_error(Errc::exhausted, "too many uncommitted bytes");
  }
  Index first = log_.last_index() + 1;
  for (Slice& body : bodies) append_own(EntryKind::data, std::move(body));
  send_all();
  finish();
  return first;
}

void Core::append_own(EntryKind kind, Slice body) {
  Entry entry{log_.last_index() + 1, hard_.term, kind, std::move(body)};
  uncommitted_.emplace_back(entry.index, entry.bytes());
  uncommitted_bytes_ += entry.bytes();
  append_entry(std::move(entry));
}

Result<Index> Core::change_config(Term term, const Config& target) {
  if (role_ != Role::leader || hard_.term != term) {
    return make_error(Errc::conflict, "not the leader of that term");
  }
  // Before the own first entry is committed an older change may still come back (thesis 4.1, erratum).
  if (noop_index_ > hard_.commit) {
    return make_error(Errc::conflict, "the leader has not committed in its term yet");
  }
  if (config_pending()) return make_error(Errc::conflict, "a membership change is under way");
  if (transferee_ != kNoNode) return make_error(Errc::unavailable, "handing leadership over");
  auto next = next_config(config(), target);
  if (!next) return next.error();
  append_own(EntryKind::config, Slice::of(encode_config(*next)));
  Index index = log_.last_index();
  follow_config();
  send_all();
  finish();
  return index;
}

void Core::follow_config() {
  for (NodeId node : config().members()) {
    if (node != options_->self) progress_.try_emplace(node, Progress(log_.last_index() + 1));
  }
  if (WARREN_MUTANT(11)) return;
  std::erase_if(progress_, [&](const auto& item) { return !config().is_member(item.first); });
}

void Core::send_all() {
  for (auto& [node, progress] : progress_) send_entries(node, progress);
}

void Core::send_entries(NodeId to, Progress& progress) {
  while (progress.next() <= log_.last_index() && progress.may_send(options_->inflight)) {
    Index prev = progress.next() - 1;
    auto prev_term = log_.term(prev);
    if (!prev_term) {
      progress.start_snapshot();
      out().snapshots.push_back({to});
      return;
    }
    std::uint64_t bytes = 0;
    Index last = prev;
    while (last < log_.last_index()) {
      std::uint64_t size = size_of(last + 1);
      if (last > prev && bytes + size > options_->max_append_bytes) break;
      bytes += size;
      ++last;
    }
    send(to, Append{prev, *prev_term, last, hard_.commit, Echo{round_, now_}, {}});
    progress.sent(last, bytes);
  }
}

void Core::send_heartbeat(NodeId to, Progress& progress) {
  Index prev = progress.state() == Progress::State::probe ? progress.next() - 1 : progress.match();
  auto prev_term = log_.term(prev);
  // Where our log no longer reaches, index 0 always fits: contact without a claim.
  if (!prev_term || progress.state() == Progress::State::snapshot) {
    prev = 0;
    prev_term = 0;
  }
  send(to, Append{prev, *prev_term, prev, hard_.commit, Echo{round_, now_}, {}});
}

void Core::heartbeat_round(bool all) {
  ++round_;
  for (auto& [node, progress] : progress_) {
    progress.heartbeat();
    bool behind = progress.match() < log_.last_index() || progress.commit() < hard_.commit;
    bool vouched = now_ - liveness_->confirmed_ms(node) < 2 * options_->heartbeat_ms;
    if (all || behind || !vouched || !options_->quiet) send_heartbeat(node, progress);
  }
}

void Core::tick_leader() {
  if (transferee_ != kNoNode && now_ >= transfer_until_) transferee_ = kNoNode;
  if (now_ - leading_since_ >= options_->quorum_ms &&
      !majority_contact(now_ - options_->quorum_ms)) {
    return become_follower(hard_.term, kNoNode);
  }
  if (now_ < heartbeat_at_) return;
  heartbeat_at_ = now_ + options_->heartbeat_ms;
  heartbeat_round(!reads_.empty());
}

void Core::on_append_reply(const Message& m, const AppendReply& reply) {
  if (role_ != Role::leader) return;
  auto found = progress_.find(m.from);
  if (found == progress_.end()) return refuse(Refusal::not_member);
  Progress& progress = found->second;
  if (reply.match > log_.last_index() || reply.echo.sent_ms > now_ || reply.echo.round > round_) {
    return refuse(Refusal::impossible_index);
  }
  progress.confirmed(reply.echo.round, reply.echo.sent_ms, reply.commit);
  if (reply.ok) {
    bool behind_log = progress.state() == Progress::State::snapshot;
    bool news = progress.accepted(reply.match);
    if (behind_log && reply.match >= log_.base_index()) progress.probe(), progress.accepted(reply.match);
    if (news) {
      const Index before = hard_.commit;
      maybe_commit();
      // It was too late for the prompt of the commit, which claimed only what it had confirmed.
      if (role_ == Role::leader && hard_.commit == before && reply.commit < std::min(reply.match, before))
        prompt(m.from, progress);
    }
  } else {
    Index retry = log_.last_at_or_below_term(reply.hint_index, reply.hint_term) + 1;
    // A hint below our log's start must lead to the snapshot, not to the start.
    if (reply.hint_index < log_.base_index()) retry = reply.hint_index + 1;
    progress.refused(reply.prev_index, std::min(retry, reply.prev_index));
  }
  if (role_ != Role::leader) return;
  answer_reads();
  auto again = progress_.find(m.from);
  if (again == progress_.end()) return;
  send_entries(m.from, again->second);
  finish_transfer_to(m.from, again->second);
}

void Core::peer_restarted(NodeId node) {
  if (role_ != Role::leader) return;
  auto found = progress_.find(node);
  // A stream of snapshot chunks goes on where the other side says, also at its start.
  if (found == progress_.end() || found->second.state() == Progress::State::snapshot) return;
  if (config().is_voter(node)) {
    found->second.probe();
  } else {
    found->second = Progress(log_.last_index() + 1);
    send_heartbeat(node, found->second);
  }
  finish();
}

void Core::maybe_commit() {
  auto match = [&](NodeId node) -> Index {
    if (node == options_->self) return WARREN_MUTANT(4) ? log_.last_index() : durable_;
    auto found = progress_.find(node);
    return found == progress_.end() ? 0 : found->second.match();
  };
  Index at = quorum_value<Index>(config(), match);
  if (WARREN_MUTANT(11)) {
    std::vector<Index> all{durable_};
    for (auto& [node, progress] : progress_) all.push_back(progress.match());
    std::sort(all.begin(), all.end(), std::greater<>());
    std::size_t need = config().voters.size() / 2;
    at = need < all.size() ? all[need] : 0;
  }
  // Entries of former terms commit only together with one of our own (paper, figure 8).
  if (at <= hard_.commit || (log_.term(at) != hard_.term && !WARREN_MUTANT(1))) return;
  set_commit(at);
  for (auto& [node, progress] : progress_) prompt(node, progress);
  after_commit();
}

void Core::prompt(NodeId node, Progress& progress) {
  if (!options_->prompt_commit || progress.state() != Progress::State::replicate) return;
  if (progress.next() > log_.last_index()) send_heartbeat(node, progress);
}

void Core::after_commit() {
  auto done = uncommitted_.begin();
  for (; done != uncommitted_.end() && done->first <= hard_.commit; ++done) {
    uncommitted_bytes_ -= done->second;
  }
  uncommitted_.erase(uncommitted_.begin(), done);
  if (uncommitted_.empty()) uncommitted_ = {};
  release_waiting_reads();
  if (config_pending()) return;
  if (config().joint() && noop_index_ <= hard_.commit) {
    append_own(EntryKind::config, Slice::of(encode_config(leave_joint(config()))));
    follow_config();
    send_all();
    maybe_commit();
  } else if (!config().is_voter(options_->self)) {
    // Removed, and that is committed: tell the others how far, name a successor, and go (4.2.2).
    heartbeat_round(true);
    const Progress* best = nullptr;
    NodeId heir{};
    for (auto& [node, progress] : progress_) {
      if (config().is_voter(node) && (!best || progress.match() > best->match())) {
        best = &progress;
        heir = node;
      }
    }
    become_follower(hard_.term, kNoNode);
    if (heir != kNoNode) send(heir, TimeoutNow{});
  }
}

Result<void> Core::transfer(NodeId to) {
  if (role_ != Role::leader) return make_error(Errc::conflict, "not the leader");
  auto found = progress_.find(to);
  if (found == progress_.end() || !config().is_voter(to)) {
    return make_error(Errc::invalid_argument, "not another voter of this group");
  }
  if (transferee_ != kNoNode) return make_error(Errc::conflict, "already handing over");
  transferee_ = to;
  transfer_until_ = now_ + options_->transfer_ms;
  finish_transfer_to(to, found->second);
  finish();
  return {};
}

void Core::finish_transfer_to(NodeId to, const Progress& progress) {
  if (transferee_ == to && progress.match() == log_.last_index()) send(to, TimeoutNow{});
}

void Core::read(std::uint64_t ticket) {
  if (role_ == Role::leader) {
    add_read(ticket, options_->self);
  } else if (leader_ != kNoNode && role_ == Role::follower) {
    send(leader_, ReadRequest{ticket});
  } else {
    out().reads.push_back({ticket, false, 0});
  }
  finish();
}

void Core::add_read(std::uint64_t ticket, NodeId asker) {
  if (WARREN_MUTANT(16)) return answer_read({ticket, asker, hard_.commit, 0}, true);
  // Until our own first entry is committed we do not know what is (thesis 6.4).
  bool ready = noop_index_ <= hard_.commit;
  reads_.push_back({ticket, asker, ready ? hard_.commit : 0, ready ? round_ + 1 : 0});
  if (ready) heartbeat_round(true);
  answer_reads();
}

void Core::release_waiting_reads() {
  if (noop_index_ > hard_.commit) return;
  bool any = false;
  for (PendingRead& read : reads_) {
    if (read.round != 0) continue;
    read.index = hard_.commit;
    read.round = round_ + 1;
    any = true;
  }
  if (any) heartbeat_round(true);
  answer_reads();
}

void Core::answer_reads() {
  auto confirmed = [&](const PendingRead& read) {
    return read.round != 0 && has_quorum(config(), [&](NodeId node) {
             if (node == options_->self) return true;
             auto found = progress_.find(node);
             return found != progress_.end() && found->second.round() >= read.round;
           });
  };
  std::erase_if(reads_, [&](const PendingRead& read) {
    if (!confirmed(read)) return false;
    answer_read(read, true);
    return true;
  });
}

void Core::answer_read(const PendingRead& read, bool ok) {
  if (read.asker == options_->self) {
    out().reads.push_back({read.ticket, ok, read.index});
  } else {
    send(read.asker, ReadReply{read.ticket, ok, read.index});
  }
}

void Core::fail_reads() {
  for (const PendingRead& read : reads_) answer_read(read, false);
  reads_.clear();
}

}  // namespace warren::raft
