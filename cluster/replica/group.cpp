#include "cluster/replica/group.h"

#include "base/assert.h"
#include "cluster/raft/codec.h"
#include "cluster/raft/mutant.h"

#include <algorithm>
#include <iterator>

namespace warren::replica {

using raft::Index;
using storage::Keyspace;

Result<std::unique_ptr<Group>> Group::open(GroupContext& context, storage::GroupUid uid,
                                           const GroupRecord& record,
                                           std::unique_ptr<StateMachine> machine, Millis now) {
  std::unique_ptr<Group> group(new Group(context, uid, record, std::move(machine)));
  if (auto loaded = group->load(now); !loaded) return loaded.error();
  return group;
}

Result<void> Group::load(Millis now) {
  raft::Restored restored{record_.hard, record_.base, {}, {}, {}};
  if (record_.staged) restored.staged = *record_.staged;
  auto scanned = scan_log(context_.store, record_.log_uid, record_.base.index,
                          [&](raft::Entry entry) -> Result<void> {
    restored.terms.push_back(entry.term);
    if (entry.kind != raft::EntryKind::config) return {};
    auto config = raft::decode_config(entry.body.bytes);
    if (!config) return config.error();
    restored.configs.emplace_back(entry.index, std::move(*config));
    return {};
  });
  if (!scanned) return scanned;
  last_written_ = record_.base.index + restored.terms.size();
  std::uint64_t seed = context_.raft->seed ^ (uid_ * 0x9E3779B97F4A7C15ULL);
  auto core = raft::Core::restore(context_.raft, seed, *this, context_.peers, std::move(restored), now);
  if (!core) return core.error();
  core_ = std::make_unique<raft::Core>(std::move(*core));
  announced_.term = core_->term();
  if (!core_->staging()) {
    record_.staging_uid = 0;  // its rows are swept by the node
    record_.staged.reset();
  }
  return restore_machine();
}

Result<void> Group::restore_machine() {
  StoredRows rows(context_.store, record_.log_uid);
  if (auto restored = machine_->restore(rows, record_.base.index); !restored) return restored;
  std::vector<Index> live = machine_->live();
  durable_live_ = live.empty() ? nullptr : std::make_shared<const std::vector<Index>>(std::move(live));
  bytes_since_checkpoint_ = 0;
  set_floor(record_.base.index);
  if (!record_.base.config.voters.empty()) machine_->on_members(record_.base.config);
  return {};
}

std::uint64_t Group::bytes(Index index) const {
  constexpr std::uint64_t kGuess = 4'096;
  const raft::Entry* entry = cache_.find(index);
  return entry ? entry->bytes() : kGuess;
}

void Group::propose(raft::Term term, std::vector<raft::Slice> bodies, ProposeDone done) {
  std::size_t count = bodies.size();
  auto first = core_->propose(term, std::move(bodies));
  if (!first) return done(first.error());
  // The answer stands for the last of the batch: all before it are applied by then.
  proposals_.emplace(*first + count - 1, PendingProposal{core_->term(), std::move(done)});
}

void Group::read(ReadDone done, Millis deadline) {
  if (!reads_) reads_ = std::make_unique<Reads>();
  reads_->fresh.push_back({std::move(done), deadline});
}

void Group::step(raft::Message message, Millis now) {
  core_->tick(now);
  if (auto* reply = std::get_if<raft::SnapshotReply>(&message.payload)) {
    on_snapshot_reply(message, *reply, now);
  }
  core_->step(std::move(message));
}

void Group::tick(Millis now) {
  if (now >= core_->deadline()) core_->tick(now);
  if (reads_) expire_reads(now);
}

/// A read waits for its deadline through elections and lost answers; then it says so.
void Group::expire_reads(Millis now) {
  std::vector<ReadDone> late;
  auto take_late = [&](std::vector<PendingRead>& reads) {
    std::erase_if(reads, [&](PendingRead& read) {
      if (now < read.deadline) return false;
      late.push_back(std::move(read.done));
      return true;
    });
  };
  auto& asked = reads_->asked;
  for (auto at = asked.begin(); at != asked.end();) {
    std::vector<PendingRead>& waiting = at->second.reads;
    take_late(waiting);
    if (now >= at->second.again_ms) {
      std::move(waiting.begin(), waiting.end(), std::back_inserter(reads_->fresh));
      waiting.clear();
    }
    at = waiting.empty() ? asked.erase(at) : std::next(at);
  }
  std::erase_if(reads_->granted, [&](auto& item) {
    if (now < item.second.deadline) return false;
    late.push_back(std::move(item.second.done));
    return true;
  });
  if (reads_->empty()) reads_.reset();
  for (ReadDone& done : late) {
    done(make_error(Errc::timeout, core_->leader() == raft::kNoNode
                                       ? "read: the group has no leader"
                                       : "read: the leader or a majority did not answer in time"));
  }
}

Result<bool> Group::drain(Turn& turn, Millis now) {
  if (failure_) return *failure_;
  ask_reads(now);
  raft::Output out = core_->take();
  if (out.role_changed || core_->config_index() != seen_config_) turn.roles_changed = true;
  seen_config_ = core_->config_index();
  for (raft::Write& write : out.writes) {
    if (auto done = submit(write, turn); !done) return done.error();
  }
  for (raft::Message& m : std::exchange(released_, {})) turn.mail.push_back({uid_, std::move(m)});
  for (raft::Held& held : out.held) held_.push_back(std::move(held));
  for (raft::Message& m : out.now) {
    if (auto done = mail(std::move(m), turn); !done) return done.error();
  }
  for (raft::ChunkOrder& order : out.chunks) {
    if (auto done = stage(order, turn); !done) return done.error();
  }
  for (const raft::SnapshotOrder& order : out.snapshots) {
    transfers_.insert_or_assign(order.to, Transfer{next_transfer_++, now});
  }
  for (const raft::ReadAnswer& answer : out.reads) on_read_answer(answer, now);
  if (auto done = apply_ready(); !done) return done.error();
  announce();
  release_reads();
  maybe_checkpoint(turn);
  if (auto done = drive_transfers(turn, now); !done) return done.error();
  // A few bytes are not worth keeping: idle groups are many, and the store has them.
  constexpr std::uint64_t kTiny = 512;
  std::uint64_t keep = cache_.bytes() <= kTiny ? 0 : context_.options.cache_bytes;
  cache_.evict(std::min(core_->applied_index(), core_->durable_index()), keep);
  bool more = !install_seq_ && core_->applied_index() < core_->apply_limit();
  return more || !released_.empty() || (reads_ && !reads_->fresh.empty());
}

Result<void> Group::submit(raft::Write& write, Turn& turn) {
  if (write.install) {
    retiring_ = record_.log_uid;
    if (auto done = erase_rows(context_.store, retiring_, turn.batch); !done) return done;
    record_.log_uid = std::exchange(record_.staging_uid, 0);
    record_.staged.reset();
    record_.base = *write.install;
    last_written_ = record_.base.index;
    install_seq_ = write.seq;
    cache_.clear();
  }
  if (write.truncate_from) {
    for (Index i = *write.truncate_from; i <= last_written_; ++i) {
      turn.batch.erase(Keyspace::log, storage::log_key(record_.log_uid, i));
    }
    cache_.truncate(*write.truncate_from);
    last_written_ = std::min(last_written_, *write.truncate_from - 1);
  }
  for (raft::Entry& entry : write.append) {
    turn.batch.put_shared(Keyspace::log, storage::log_key(record_.log_uid, entry.index),
                          raft::encode_entry_head(entry), entry.body.bytes, entry.body.owner);
    last_written_ = entry.index;
    bytes_since_checkpoint_ += entry.bytes();
    cache_.append(entry);
  }
  record_.hard = write.hard;
  put_record(turn);
  turn.durable.push_back([this, seq = write.seq] { on_durable(seq); });
  return {};
}

void Group::put_record(Turn& turn) {
  turn.batch.put(Keyspace::hard_state, group_key(uid_), encode_record(record_));
}

Result<void> Group::mail(raft::Message message, Turn& turn) {
  if (auto* append = std::get_if<raft::Append>(&message.payload)) {
    for (Index i = append->prev_index + 1; i <= append->last_index; ++i) {
      auto entry = entry_at(i);
      if (!entry) return entry.error();
      append->entries.push_back(std::move(*entry));
    }
  }
  turn.mail.push_back({uid_, std::move(message)});
  return {};
}

Result<raft::Entry> Group::entry_at(Index index) const {
  if (const raft::Entry* entry = cache_.find(index)) return *entry;
  return read_entry(context_.store, record_.log_uid, index);
}

void Group::on_durable(raft::WriteSeq seq) {
  core_->persisted(seq);
  auto waits = std::find_if(held_.begin(), held_.end(),
                            [&](const raft::Held& held) { return held.after > seq; });
  for (auto at = held_.begin(); at != waits; ++at) {
    // Of use to nobody any more, and the log it speaks of may have been replaced meanwhile.
    bool ask = std::holds_alternative<raft::Vote>(at->message.payload);
    bool stale = at->message.term < core_->term() || (ask && core_->role() != raft::Role::candidate);
    if (!stale) released_.push_back(std::move(at->message));
  }
  held_.erase(held_.begin(), waits);
  if (held_.empty()) held_ = {};
  if (!install_seq_ || *install_seq_ > seq) return;
  install_seq_.reset();
  context_.store.retire(retiring_);
  if (auto restored = restore_machine(); !restored) failure_ = std::make_unique<Error>(restored.error());
  if (WARREN_MUTANT(15)) skip_one_ = true;
}

Result<void> Group::apply_ready() {
  if (install_seq_ || failure_) return {};
  Index at = core_->applied_index();
  Index limit = std::min(core_->apply_limit(), at + context_.options.apply_per_turn);
  while (at < limit) {
    auto entry = entry_at(++at);
    if (!entry) return entry.error();
    if (entry->kind == raft::EntryKind::data && !std::exchange(skip_one_, false)) {
      machine_->apply(Command{entry->index, entry->term, entry->body});
    }
    core_->applied(at);
    if (entry->kind == raft::EntryKind::config) announce_members();
    auto found = proposals_.find(at);
    if (found == proposals_.end()) continue;
    PendingProposal pending = std::move(found->second);
    proposals_.erase(found);
    bool ours = pending.term == entry->term;
    pending.done(ours ? Result<Index>(at)
                      : make_error(Errc::conflict, "replaced by another leader's entry"));
  }
  return {};
}

/// The membership in force at what is applied here.
void Group::announce_members() {
  machine_->on_members(*core_->config_at(core_->applied_index()).second);
}

void Group::announce() {
  Leadership now{core_->term(), core_->leader(), core_->effective()};
  bool same = now.term == announced_.term && now.leader == announced_.leader &&
              now.effective == announced_.effective;
  bool deposed = now.term != announced_.term || core_->role() != raft::Role::leader;
  if (deposed && !proposals_.empty()) {
    auto lost = std::exchange(proposals_, {});
    for (auto& [index, pending] : lost) {
      if (pending.term == core_->term() && core_->role() == raft::Role::leader) {
        proposals_.emplace(index, std::move(pending));
      } else {
        pending.done(make_error(Errc::unavailable, "leadership lost; the outcome is unknown"));
      }
    }
  }
  if (same) return;
  announced_ = now;
  machine_->on_leadership(now);
}

void Group::ask_reads(Millis now) {
  if (!reads_ || reads_->fresh.empty()) return;
  // One round to the majority serves every read of this turn.
  core_->tick(now);
  std::uint64_t ticket = context_.next_ticket++;
  reads_->asked[ticket] = {now + context_.options.read_retry_ms, std::exchange(reads_->fresh, {})};
  core_->read(ticket);
}

void Group::on_read_answer(const raft::ReadAnswer& answer, Millis now) {
  if (!reads_) return;
  auto found = reads_->asked.find(answer.ticket);
  if (found == reads_->asked.end()) return;
  if (!answer.ok) {
    // No leader, or one that lost its place: most often there is a new one in a moment.
    constexpr Millis kPause = 40;
    found->second.again_ms = std::min(found->second.again_ms, now + kPause);
    return;
  }
  for (PendingRead& read : found->second.reads) {
    reads_->granted.emplace_back(answer.index, std::move(read));
  }
  reads_->asked.erase(found);
}

void Group::release_reads() {
  if (!reads_ || install_seq_) return;
  std::vector<PendingRead> ready;
  std::erase_if(reads_->granted, [&](auto& item) {
    if (item.first > core_->applied_index()) return false;
    ready.push_back(std::move(item.second));
    return true;
  });
  if (reads_->empty()) reads_.reset();
  for (PendingRead& read : ready) read.done(core_->applied_index());
}

void Group::fail_all(const Error& error) {
  for (auto& [index, pending] : std::exchange(proposals_, {})) pending.done(error);
  auto reads = std::exchange(reads_, nullptr);
  if (!reads) return;
  for (PendingRead& read : reads->fresh) read.done(error);
  for (auto& [ticket, asked] : reads->asked) {
    for (PendingRead& read : asked.reads) read.done(error);
  }
  for (auto& [index, read] : reads->granted) read.done(error);
}

}  // namespace warren::replica
