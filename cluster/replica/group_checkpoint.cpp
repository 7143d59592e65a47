// Checkpoints, the floor of the log, and snapshots to and from other members.
#include "cluster/raft/mutant.h"
#include "cluster/replica/group.h"

#include <algorithm>
#include <utility>

namespace warren::replica {

using raft::Index;

void Group::maybe_checkpoint(Turn& turn) {
  if (checkpoint_inflight_ || install_seq_ || !transfers_.empty() || failure_) return;
  const GroupOptions& options = context_.options;
  Index applied = core_->applied_index();
  if (applied <= record_.base.index) return;
  if (!checkpoint_wanted_ && applied - record_.base.index < options.checkpoint_entries &&
      bytes_since_checkpoint_ < options.checkpoint_bytes) {
    return;
  }
  trailing_ = options.trailing_entries;
  // The store wants the room back: keep just what a member a moment behind may ask for.
  if (checkpoint_wanted_) trailing_ = std::min(trailing_, (applied - record_.base.index) / 128 + 1);
  checkpoint_wanted_ = false;
  BatchRows rows(turn.batch, record_.log_uid);
  machine_->checkpoint(rows);
  auto live = std::make_shared<const std::vector<Index>>(machine_->live());
  record_.base = core_->describe(WARREN_MUTANT(13) ? core_->commit_index() : applied);
  put_record(turn);
  checkpoint_inflight_ = true;
  bytes_since_checkpoint_ = 0;
  if (WARREN_MUTANT(22)) context_.store.set_floor(record_.log_uid, {applied, live});
  turn.durable.push_back([this, uid = record_.log_uid, live] { on_checkpoint_durable(uid, live); });
}

void Group::on_checkpoint_durable(storage::GroupUid log_uid,
                                  std::shared_ptr<const std::vector<Index>> live) {
  checkpoint_inflight_ = false;
  if (log_uid != record_.log_uid || install_seq_) return;
  durable_live_ = live->empty() ? nullptr : std::move(live);
  compact();
}

void Group::compact() {
  if (!transfers_.empty()) return;
  Index base = record_.base.index;
  Index to = base > trailing_ ? base - trailing_ : 0;
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
  if (!durable_live_ || durable_live_->back() <= upto) {
    return context_.store.set_floor(record_.log_uid, {upto, durable_live_});
  }
  auto end = std::upper_bound(durable_live_->begin(), durable_live_->end(), upto);
  auto live = std::make_shared<const std::vector<Index>>(durable_live_->begin(), end);
  context_.store.set_floor(record_.log_uid, {upto, std::move(live)});
}

Result<void> Group::stage(raft::ChunkOrder& order, Turn& turn) {
  const raft::SnapshotChunk& chunk = order.chunk;
  // Behind a piece that was refused: the sender gives up after a while and starts anew.
  if (chunk.number != 0 && (!record_.staged || record_.staged->next != chunk.number)) return {};
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
    context_.logger.warning(LogArea::raft, "snapshot chunk refused group={} from={} reason={}",
                            uid_, order.from.value, done.error().text);
    return {};
  }
  turn.batch.append(std::move(rows));
  record_.staging_uid = uid;
  record_.staged = std::make_shared<const raft::StagedSnapshot>(raft::StagedSnapshot{
      order.from, order.term, chunk.transfer, chunk.number + 1, chunk.base});
  put_record(turn);
  turn.durable.push_back([this, from = order.from, transfer = chunk.transfer,
                          number = chunk.number] {
    core_->chunk_stored(from, transfer, number);
  });
  return {};
}

bool Group::want_checkpoint() {
  checkpoint_wanted_ = core_->applied_index() > record_.base.index;
  return checkpoint_wanted_;
}

void Group::add_local_uids(std::vector<storage::GroupUid>& to) const {
  for (storage::GroupUid uid : {record_.log_uid, record_.staging_uid}) {
    if ((uid & kLocalUid) != 0) to.push_back(uid);
  }
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
  // The rows on disc must stand at the base exactly.
  if (checkpoint_inflight_) return {};
  for (auto& [to, transfer] : transfers_) {
    // Not heard_ms: that speaks of groups which the member leads, and may lack for other reasons.
    if (context_.peers.silent_for(to, options.transfer_silence_ms, now)) {
      put_back(transfer);  // others may need the room; what is on the other's disc stays there
      continue;
    }
    if (auto read = read_pieces(transfer); !read) return read;
    if (transfer.pieces.empty()) transfer.progress_ms = now;  // waits for its turn, not for the peer
    bool resend = !transfer.pieces.empty() && transfer.pieces.front().sent_ms != 0 &&
                  now - transfer.pieces.front().sent_ms >= options.chunk_resend_ms;
    std::uint64_t number = transfer.first;
    for (Piece& piece : transfer.pieces) {
      raft::SnapshotChunk chunk{transfer.id, number++, piece.last, record_.base, piece.body};
      if (piece.sent_ms != 0 && !resend) continue;
      piece.sent_ms = now;
      turn.mail.push_back(
          {uid_, raft::Message{core_->self(), to, core_->term(), std::move(chunk)}});
    }
  }
  return {};
}

/// Fills the window. Memory: bounded for all groups together, but each may always have one piece
/// as soon as nobody has more than that.
Result<void> Group::read_pieces(Transfer& transfer) {
  const GroupOptions& options = context_.options;
  std::size_t window = std::min<std::size_t>(options.chunks_inflight, raft::kMaxChunksInFlight);
  while (!transfer.all_read && transfer.pieces.size() < window &&
         context_.transfer_bytes < options.transfer_bytes) {
    static const std::vector<Index> kNothing;
    auto piece = read_piece(context_.store, record_.log_uid,
                            durable_live_ ? *durable_live_ : kNothing, transfer.position,
                            options.chunk_bytes);
    if (!piece) return piece.error();
    std::string begin = std::exchange(transfer.position, std::move(piece->next));
    transfer.all_read = transfer.position.empty();
    std::uint64_t bytes = piece->body.size();
    context_.transfer_bytes += bytes;
    std::shared_ptr<void> budget(nullptr, [total = &context_.transfer_bytes, bytes](void*) {
      *total -= bytes;
    });
    transfer.pieces.push_back(
        {raft::Slice::of(std::move(piece->body)), transfer.all_read, std::move(begin), 0, std::move(budget)});
    transfer.read_to = std::max(transfer.read_to, transfer.first + transfer.pieces.size());
    drop_stored(transfer);  // read again after put_back()
  }
  return {};
}

/// Pieces are read again, the same: while a transfer goes on there is no checkpoint.
void Group::put_back(Transfer& transfer) {
  if (transfer.pieces.empty()) return;
  transfer.position = std::move(transfer.pieces.front().position);
  transfer.all_read = false;
  transfer.pieces.clear();
}

void Group::on_snapshot_reply(const raft::Message& m, const raft::SnapshotReply& reply, Millis now) {
  auto found = transfers_.find(m.from);
  if (found == transfers_.end() || m.term != core_->term()) return;
  Transfer& transfer = found->second;
  if (reply.transfer != transfer.id) return;
  if (reply.next > transfer.first && reply.next <= transfer.read_to) {
    if (reply.next <= transfer.stored) return;
    transfer.stored = reply.next;
    transfer.progress_ms = now;
    drop_stored(transfer);
  } else if (reply.next == 0 && transfer.first > 0) {
    // The other side forgot what it had.
    transfer = Transfer{next_transfer_++, transfer.progress_ms};
  }
}

/// Drops what is on the other disc. The last piece stays: only the acknowledgement of the whole ends a transfer.
void Group::drop_stored(Transfer& transfer) {
  if (transfer.pieces.empty() || transfer.stored <= transfer.first) return;
  std::uint64_t count = std::min<std::uint64_t>(transfer.stored - transfer.first, transfer.pieces.size());
  if (count == transfer.pieces.size() && transfer.pieces.back().last) --count;
  transfer.pieces.erase(transfer.pieces.begin(), transfer.pieces.begin() + static_cast<std::ptrdiff_t>(count));
  transfer.first += count;
}

}  // namespace warren::replica
