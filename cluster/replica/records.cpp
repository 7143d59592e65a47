#include "cluster/replica/records.h"

#include "base/bytes.h"
#include "cluster/raft/codec.h"

#include <algorithm>

namespace warren::replica {
namespace {

using storage::Keyspace;

constexpr std::uint8_t kRecordVersion = 2;  // 1 knew nothing of staged snapshots
constexpr char kGroupPrefix = 'g';
constexpr char kRowsPhase = 'r';
constexpr char kEntriesPhase = 'e';

std::string be64(std::uint64_t v) {
  std::string out;
  ByteWriter(out).u64(v);
  return out;
}

void put_base(ByteWriter& out, const raft::LogBase& base) {
  out.u64(base.index);
  out.u64(base.term);
  out.u64(base.config_index);
  out.str32(raft::encode_config(base.config));
}

Result<raft::LogBase> take_base(ByteReader& in) {
  raft::LogBase base;
  base.index = in.u64();
  base.term = in.u64();
  base.config_index = in.u64();
  auto config = raft::decode_config(in.str32());
  if (!config) return config.error();
  base.config = std::move(*config);
  return base;
}

/// The first key behind all keys of `uid`; empty (the end of the keyspace) for the last uid.
std::string end_key(storage::GroupUid uid) { return uid == UINT64_MAX ? "" : be64(uid + 1); }

}  // namespace

std::string group_key(storage::GroupUid group) { return kGroupPrefix + be64(group); }
std::string allocator_key() { return group_key(0); }

std::optional<storage::GroupUid> group_of_key(std::string_view key) {
  if (key.size() != 9 || key.front() != kGroupPrefix) return std::nullopt;
  return load_be<std::uint64_t>(key.data() + 1);
}

std::pair<std::string, std::string> group_key_range() {
  return {std::string(1, kGroupPrefix), std::string(1, kGroupPrefix + 1)};
}

std::string row_key(storage::GroupUid uid, std::string_view key) {
  std::string out = be64(uid);
  out.append(key);
  return out;
}

std::string encode_record(const GroupRecord& record) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kRecordVersion);
  out.u64(record.log_uid);
  out.u64(record.staging_uid);
  out.u64(record.hard.term);
  out.u64(record.hard.vote.value);
  out.u64(record.hard.commit);
  put_base(out, record.base);
  out.u8(record.staged != nullptr);
  if (record.staged) {
    out.u64(record.staged->from.value);
    out.u64(record.staged->term);
    out.u64(record.staged->transfer);
    out.u64(record.staged->next);
    put_base(out, record.staged->base);
  }
  return bytes;
}

Result<GroupRecord> decode_record(std::string_view bytes) {
  ByteReader in(bytes);
  std::uint8_t version = in.u8();
  GroupRecord record;
  record.log_uid = in.u64();
  record.staging_uid = in.u64();
  record.hard.term = in.u64();
  record.hard.vote = raft::NodeId(in.u64());
  record.hard.commit = in.u64();
  if (!bytes.empty() && (version == 0 || version > kRecordVersion)) {
    return make_error(Errc::unsupported, "group record: foreign version");
  }
  auto malformed = [] { return make_error(Errc::corruption, "group record: malformed"); };
  auto base = take_base(in);
  if (!in.ok()) return malformed();
  if (!base) return base.error();
  record.base = std::move(*base);
  std::uint8_t staged = version >= 2 ? in.u8() : 0;
  if (staged == 1) {
    auto snapshot = std::make_shared<raft::StagedSnapshot>();
    snapshot->from = raft::NodeId(in.u64());
    snapshot->term = in.u64();
    snapshot->transfer = in.u64();
    snapshot->next = in.u64();
    auto target = take_base(in);
    if (!in.ok()) return malformed();
    if (!target) return target.error();
    snapshot->base = std::move(*target);
    record.staged = std::move(snapshot);
  }
  if (!in.ok() || !in.at_end() || staged > 1 || record.log_uid == 0) return malformed();
  return record;
}

void BatchRows::put(std::string_view key, std::string value) {
  batch_.put(Keyspace::queue_state, row_key(uid_, key), std::move(value));
}

void BatchRows::erase(std::string_view key) {
  batch_.erase(Keyspace::queue_state, row_key(uid_, key));
}

Result<void> StoredRows::each(const Visit& visit) const {
  auto rows = store_.scan(Keyspace::queue_state, be64(uid_), end_key(uid_));
  if (!rows) return rows.error();
  for (; (*rows)->valid(); (*rows)->next()) {
    if (auto done = visit((*rows)->key().substr(8), (*rows)->value()); !done) return done;
  }
  return (*rows)->status();
}

Result<raft::Slice> StoredRows::entry(raft::Index index) const {
  auto entry = read_entry(store_, uid_, index);
  if (!entry) return entry.error();
  return std::move(entry->body);
}

Result<raft::Entry> read_entry(const storage::Store& store, storage::GroupUid uid,
                               raft::Index index) {
  auto found = store.get(Keyspace::log, storage::log_key(uid, index));
  if (!found) return found.error();
  if (!*found) return make_error(Errc::corruption, "log: an entry that must exist is not there");
  auto kept = std::make_shared<const std::string>(std::move(**found));
  return raft::decode_stored_entry(index, *kept, kept);
}

Result<void> scan_log(const storage::Store& store, storage::GroupUid uid, raft::Index after,
                      const std::function<Result<void>(raft::Entry)>& visit) {
  auto rows = store.scan(Keyspace::log, storage::log_key(uid, after + 1), end_key(uid));
  if (!rows) return rows.error();
  raft::Index expected = after + 1;
  for (; (*rows)->valid(); (*rows)->next(), ++expected) {
    std::string_view key = (*rows)->key();
    if (key.size() != 16 || load_be<std::uint64_t>(key.data() + 8) != expected) {
      return make_error(Errc::corruption, "log: a gap behind the checkpoint");
    }
    auto kept = std::make_shared<const std::string>((*rows)->value());
    auto entry = raft::decode_stored_entry(expected, *kept, kept);
    if (!entry) return entry.error();
    if (auto done = visit(std::move(*entry)); !done) return done;
  }
  return (*rows)->status();
}

Result<void> erase_rows(const storage::Store& store, storage::GroupUid uid,
                        storage::WriteBatch& batch) {
  auto rows = store.scan(Keyspace::queue_state, be64(uid), end_key(uid));
  if (!rows) return rows.error();
  for (; (*rows)->valid(); (*rows)->next()) {
    batch.erase(Keyspace::queue_state, std::string((*rows)->key()));
  }
  return (*rows)->status();
}

Result<void> erase_orphans(storage::Store& store, const std::vector<storage::GroupUid>& used,
                           storage::WriteBatch& batch) {
  storage::GroupUid at = kLocalUid;
  while (at >= kLocalUid) {  // not past the last uid
    auto rows = store.scan(Keyspace::queue_state, be64(at), "");
    if (!rows) return rows.error();
    if (!(*rows)->valid()) return (*rows)->status();
    if ((*rows)->key().size() < 8) return make_error(Errc::corruption, "row: malformed key");
    auto uid = load_be<std::uint64_t>((*rows)->key().data());
    if (!std::binary_search(used.begin(), used.end(), uid)) {
      store.retire(uid);
      if (auto erased = erase_rows(store, uid, batch); !erased) return erased;
    }
    at = uid + 1;
  }
  return {};
}

Result<SnapshotPiece> read_piece(const storage::Store& store, storage::GroupUid uid,
                                 const std::vector<raft::Index>& live, std::string_view position,
                                 std::size_t max_bytes) {
  SnapshotPiece piece;
  ByteWriter out(piece.body);
  auto full = [&] { return piece.body.size() >= max_bytes; };
  std::string_view rest = position.empty() ? position : position.substr(1);
  if (position.empty() || position.front() == kRowsPhase) {
    auto rows = store.scan(Keyspace::queue_state, row_key(uid, rest), end_key(uid));
    if (!rows) return rows.error();
    for (; (*rows)->valid(); (*rows)->next()) {
      if (full()) {
        piece.next = kRowsPhase + std::string((*rows)->key().substr(8));
        return piece;
      }
      out.u8(kRowsPhase);
      out.str32((*rows)->key().substr(8));
      out.str32((*rows)->value());
    }
    if (auto status = (*rows)->status(); !status) return status.error();
    rest = {};
  }
  raft::Index from = rest.size() == 8 ? load_be<std::uint64_t>(rest.data()) : 0;
  for (auto at = std::lower_bound(live.begin(), live.end(), from); at != live.end(); ++at) {
    if (full()) {
      piece.next = kEntriesPhase + be64(*at);
      return piece;
    }
    auto found = store.get(Keyspace::log, storage::log_key(uid, *at));
    if (!found) return found.error();
    if (!*found) return make_error(Errc::corruption, "log: a live entry is not there");
    out.u8(kEntriesPhase);
    out.str32(be64(*at));
    out.str32(**found);
  }
  return piece;
}

Result<void> write_piece(std::string_view body, const std::shared_ptr<const void>& owner,
                         storage::GroupUid uid, storage::WriteBatch& batch) {
  ByteReader in(body);
  while (in.ok() && !in.at_end()) {
    auto phase = static_cast<char>(in.u8());
    std::string_view key = in.str32();
    std::string_view value = in.str32();
    bool is_entry = phase == kEntriesPhase && key.size() == 8;
    if (!in.ok() || !(phase == kRowsPhase || is_entry)) {
      return make_error(Errc::corruption, "snapshot piece: malformed");
    }
    if (is_entry) {
      if (!raft::decode_stored_entry(0, value, nullptr)) {
        return make_error(Errc::corruption, "snapshot piece: malformed entry");
      }
      batch.put_shared(Keyspace::log, storage::log_key(uid, load_be<std::uint64_t>(key.data())),
                       "", value, owner);
    } else {
      batch.put_shared(Keyspace::queue_state, row_key(uid, key), "", value, owner);
    }
  }
  return {};
}

}  // namespace warren::replica
