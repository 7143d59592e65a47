// Checkpoints, the floor of the log, and snapshots to and from other members.
#include "cluster/raft/mutant.h"
#include "cluster/replica/group.h"

#include <algorithm>

namespace warren::replica {

using raft::Index;

void Group::maybe_checkpoint(Turn& turn) {
  if (checkpoint_inflight_ || install_seq_ || !transfers_.empty() || failure_) return;
  const GroupOptions& options = context_.options;
  Index applied = core_->applied_index();
  if (applied <= record_.base.index) return;
  if (applied - record_.base.index < options.checkpoint_entries &&
      bytes_since_checkpoint_ < options.checkpoint_bytes) {
    return;
  }
  BatchRows rows(turn.batch, record_.log_uid);
  machine_->checkpoint(rows);
  auto live = std::make_shared<const std::vector<Index>>(machine_->live());
  record_.base = core_->describe(WARREN_MUTANT(13) ? core_->commit_index() : applied);
  put_record(turn);
  checkpoint_inflight_ = true;
  bytes_since_checkpoint_ = 0;
  if (WARREN_MUTANT(22)) context_.store.set_floor(record_.log_uid, {applied, live});
  turn.durable.push_back([this, uid = record_.log_uid, base = record_.base, live] {
    on_checkpoint_durable(uid, base, live);
  });
}

void Group::on_checkpoint_durable(storage::GroupUid log_uid, const raft::LogBase& base,
                                  std::shared_ptr<const std::vector<Index>> live) {
  checkpoint_inflight_ = false;
  if (log_uid != record_.log_uid || install_seq_) return;
  durable_base_ = base;
  durable_live_ = std::move(live);
  compact();
}

void Group::compact() {
  if (!transfers_.empty()) return;
  Index base = durable_base_.index;
  Index to = base > context_.options.trailing_entries ? base - context_.options.trailing_entries : 0;
  if (core_->role() == raft::Role::leader) {
    for (raft::NodeId node : core_->config().members()) {
      const raft::Progress* progress = core_->progress(node);
      if (!progress || progress->state() == raft::Progress::State::snapshot) continue;
      if (base - std::min(base, progress->match()) < context_.options.laggard_entries) {
        to = std::min(to, progress->match());
      }
    }
  }
  if (to <= core_->log().base_index() || to > core_->applied_index()) return;
  core_->compact(to);
  set_floor(to);
}

void Group::set_floor(Index upto) {
  if (!durable_live_ || durable_live_->empty() || durable_live_->back() <= upto) {
    return context_.store.set_floor(record_.log_uid, {upto, durable_live_});
  }
  auto end = std::upper_bound(durable_live_->begin(), durable_live_->end(), upto);
  auto live = std::make_shared<const std::vector<Index>>(durable_live_->begin(), end);
  context_.store.set_floor(record_.log_uid, {upto, std::move(live)});
}

Result<void> Group::stage(raft::ChunkOrder& order, Turn& turn) {
  const raft::SnapshotChunk& chunk = order.chunk;
  storage::WriteBatch rows;
  storage::GroupUid uid = record_.staging_uid;
  if (chunk.number == 0) {
    if (uid != 0) {
      context_.store.retire(uid);
      if (auto done = erase_rows(context_.store, uid, turn.batch); !done) return done;
    }
    uid = context_.new_uid(turn.batch);
  }
  if (auto done = write_piece(chunk.body.bytes, chunk.body.owner, uid, rows); !done) {
    // The sender gives up after a while and starts anew; nothing of ours is touched.
    context_.logger.warning(LogArea::raft, "snapshot chunk refused group={} from={} reason={}",
                            uid_, order.from.value, done.error().text);
    return {};
  }
  turn.batch.append(std::move(rows));
  record_.staging_uid = uid;
  put_record(turn);
  turn.durable.push_back([this, from = order.from, transfer = chunk.transfer,
                          number = chunk.number] {
    core_->chunk_stored(from, transfer, number);
  });
  return {};
}

Result<void> Group::drive_transfers(Turn& turn, Millis now) {
  if (transfers_.empty()) return {};
  const GroupOptions& options = context_.options;
  std::erase_if(transfers_, [&](auto& item) {
    const raft::Progress* progress = core_->progress(item.first);
    if (!progress || progress->state() != raft::Progress::State::snapshot) return true;
    if (now - item.second.progress_ms < options.transfer_give_up_ms) return false;
    core_->snapshot_failed(item.first);
    return true;
  });
  // The rows on disc must stand at durable_base_ exactly.
  if (checkpoint_inflight_) return {};
  for (auto& [to, transfer] : transfers_) {
    if (!transfer.piece) {
      auto piece = read_piece(context_.store, record_.log_uid, *durable_live_, transfer.position,
                              options.chunk_bytes);
      if (!piece) return piece.error();
      transfer.piece = std::move(*piece);
      transfer.sent_ms = 0;
    }
    if (transfer.sent_ms != 0 && now - transfer.sent_ms < options.chunk_resend_ms) continue;
    transfer.sent_ms = now;
    raft::SnapshotChunk chunk{transfer.id, transfer.number, transfer.piece->next.empty(),
                              durable_base_, raft::Slice::of(transfer.piece->body)};
    turn.mail.push_back(
        {uid_, raft::Message{core_->self(), to, core_->term(), std::move(chunk)}});
  }
  return {};
}

void Group::on_snapshot_reply(const raft::Message& m, const raft::SnapshotReply& reply, Millis now) {
  auto found = transfers_.find(m.from);
  if (found == transfers_.end() || m.term != core_->term()) return;
  Transfer& transfer = found->second;
  if (reply.transfer != transfer.id) return;
  if (reply.next == transfer.number + 1 && transfer.piece && !transfer.piece->next.empty()) {
    transfer.position = transfer.piece->next;
    transfer.piece.reset();
    ++transfer.number;
    transfer.progress_ms = now;
  } else if (reply.next == 0 && transfer.number > 0) {
    transfer = Transfer{next_transfer_++, 0, {}, {}, 0, transfer.progress_ms};
  }
}

}  // namespace warren::replica
