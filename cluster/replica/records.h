#pragma once
// The rows that the replica itself keeps on disc, and where a group's rows lie.

#include "base/result.h"
#include "cluster/raft/config.h"
#include "cluster/raft/messages.h"
#include "cluster/raft/types.h"
#include "cluster/replica/state_machine.h"
#include "storage/api/store.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::replica {

/// The one row of a group in Keyspace::hard_state, rewritten whole with every batch of the group.
struct GroupRecord {
  storage::GroupUid log_uid{0};      ///< where its log and rows lie
  storage::GroupUid staging_uid{0};  ///< an unfinished snapshot lies here; 0 is none
  raft::HardState hard;
  raft::LogBase base;  ///< the rows stand at base.index; the log goes on behind it
  /// What lies under staging_uid: written with each chunk, so that a crash loses none of them.
  std::shared_ptr<const raft::StagedSnapshot> staged;

  bool operator==(const GroupRecord& other) const {
    bool same = staged == other.staged || (staged && other.staged && *staged == *other.staged);
    return same && log_uid == other.log_uid && staging_uid == other.staging_uid &&
           hard == other.hard && base == other.base;
  }
};

/// "g" and the uid: other owners keep rows of their own beside these, under keys of 8 bytes.
std::string group_key(storage::GroupUid group);
/// The uid of a group's row; nothing when the row is somebody else's.
std::optional<storage::GroupUid> group_of_key(std::string_view key);
/// All keys of groups lie in [first, second); others' may lie there too.
std::pair<std::string, std::string> group_key_range();
std::string encode_record(const GroupRecord& record);
/// Reads every version ever written.
/// Errors: corruption, unsupported.
Result<GroupRecord> decode_record(std::string_view bytes);

/// Uids made on this node, for staging; groups' own uids have this bit clear.
inline constexpr storage::GroupUid kLocalUid = 1ULL << 63;
/// The row that remembers the last local uid given out.
std::string allocator_key();

std::string row_key(storage::GroupUid uid, std::string_view key);

/// Puts a machine's rows into a batch under a uid.
class BatchRows final : public RowSink {
 public:
  BatchRows(storage::WriteBatch& batch, storage::GroupUid uid) : batch_(batch), uid_(uid) {}
  void put(std::string_view key, std::string value) override;
  void erase(std::string_view key) override;

 private:
  storage::WriteBatch& batch_;
  storage::GroupUid uid_;
};

/// Reads a machine's rows back.
class StoredRows final : public RowSource {
 public:
  StoredRows(const storage::Store& store, storage::GroupUid uid) : store_(store), uid_(uid) {}
  Result<void> each(const Visit& visit) const override;
  Result<raft::Slice> entry(raft::Index index) const override;

 private:
  const storage::Store& store_;
  storage::GroupUid uid_;
};

/// One log entry from the store. Errors: corruption when absent or malformed, io.
Result<raft::Entry> read_entry(const storage::Store& store, storage::GroupUid uid,
                               raft::Index index);
/// Visits the log behind `after` in order. Errors: corruption at a gap, unsupported, io.
Result<void> scan_log(const storage::Store& store, storage::GroupUid uid, raft::Index after,
                      const std::function<Result<void>(raft::Entry)>& visit);
/// Adds the erasure of the rows of every local uid that is not in `used` (ascending): what an
/// interrupted or repeated snapshot left behind. Its log is retired.
Result<void> erase_orphans(storage::Store& store, const std::vector<storage::GroupUid>& used,
                           storage::WriteBatch& batch);
/// Adds the erasure of all rows of a uid to `batch`; its log is left to Store::retire.
Result<void> erase_rows(const storage::Store& store, storage::GroupUid uid,
                        storage::WriteBatch& batch);

/// One piece of a snapshot: rows first, then live entries, both in order.
/// Shape: `position` is empty at the start; `next` continues, and is empty after the last piece.
struct SnapshotPiece {
  std::string body;
  std::string next;
};
Result<SnapshotPiece> read_piece(const storage::Store& store, storage::GroupUid uid,
                                 const std::vector<raft::Index>& live, std::string_view position,
                                 std::size_t max_bytes);
/// Turns a piece into writes under `uid`. Errors: corruption.
Result<void> write_piece(std::string_view body, const std::shared_ptr<const void>& owner,
                         storage::GroupUid uid, storage::WriteBatch& batch);

}  // namespace warren::replica
