#include "cluster/replica/takeover.h"

#include "cluster/raft/codec.h"
#include "cluster/replica/records.h"

#include <algorithm>

namespace warren::replica {

using storage::Keyspace;

Result<void> take_over(storage::Store& store, storage::GroupUid uid, raft::NodeId self) {
  auto stored = store.get(Keyspace::hard_state, group_key(uid));
  if (!stored) return stored.error();
  if (!*stored) return make_error(Errc::not_found, "take over: this node does not hold the group");
  auto record = decode_record(**stored);
  if (!record) return record.error();
  raft::Config config = record->base.config;
  raft::Index last = record->base.index;
  raft::Term term = std::max(record->hard.term, record->base.term);
  auto scanned = scan_log(store, record->log_uid, record->base.index, [&](raft::Entry entry) -> Result<void> {
    last = entry.index;
    term = std::max(term, entry.term);
    if (entry.kind != raft::EntryKind::config) return {};
    auto decoded = raft::decode_config(entry.body.bytes);
    if (!decoded) return decoded.error();
    config = std::move(*decoded);
    return {};
  });
  if (!scanned) return scanned;
  if (config.members().empty())
    return make_error(Errc::not_found, "take over: the group's members never sent this node anything");
  const raft::Config alone = raft::make_config({self});
  if (config == alone) return {};
  raft::Entry entry;
  entry.index = last + 1;
  entry.term = term + 1;
  entry.kind = raft::EntryKind::config;
  entry.body = raft::Slice::of(raft::encode_config(alone));
  // Half a snapshot of a leader that is no more: its rows are swept when the group is loaded.
  record->staging_uid = 0;
  record->staged.reset();
  record->hard.term = entry.term;
  record->hard.vote = raft::kNoNode;
  storage::WriteBatch batch;
  batch.put(Keyspace::log, storage::log_key(record->log_uid, entry.index),
            raft::encode_entry_head(entry) + std::string(entry.body.bytes));
  batch.put(Keyspace::hard_state, group_key(uid), encode_record(*record));
  return store.write(batch, storage::Durability::synced);
}

}  // namespace warren::replica
