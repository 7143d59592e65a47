#pragma once
// One group on one node: a core, its rows in the store, its state machine. Private to replica.
// Owner: the ReplicaNode; everything here runs on its owner.

#include "base/log.h"
#include "cluster/raft/core.h"
#include "cluster/replica/frame.h"
#include "cluster/replica/liveness.h"
#include "cluster/replica/log_cache.h"
#include "cluster/replica/records.h"
#include "cluster/replica/state_machine.h"
#include "storage/api/store.h"

#include <deque>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <vector>

namespace warren::replica {

struct GroupOptions {
  std::uint64_t checkpoint_entries{4'096};  ///< entries applied before rows are written
  std::uint64_t checkpoint_bytes{16ULL << 20};
  std::uint64_t trailing_entries{1'024};  ///< kept behind a checkpoint for members a little behind
  std::uint64_t laggard_entries{65'536};  ///< a member further behind gets a snapshot
  std::uint64_t cache_bytes{1ULL << 20};
  std::size_t apply_per_turn{1'024};
  std::size_t chunk_bytes{1ULL << 20};
  std::size_t chunks_inflight{4};  ///< of one snapshot; at most raft::kMaxChunksInFlight
  std::uint64_t transfer_bytes{32ULL << 20};  ///< of all snapshots this node sends, in memory
  Millis chunk_resend_ms{300};
  Millis transfer_give_up_ms{10'000};
  Millis transfer_silence_ms{1'000};  ///< who says nothing for this long holds no memory meanwhile
  Millis read_retry_ms{250};  ///< an answer to a read may be lost with its stream: ask again
};

/// What the groups of a node share. Owner: the node.
struct GroupContext {
  storage::Store& store;
  const PeerTable& peers;
  Logger& logger;
  std::shared_ptr<const raft::Options> raft;
  GroupOptions options;
  /// A fresh local uid; its reservation joins the batch.
  std::function<storage::GroupUid(storage::WriteBatch&)> new_uid;
  /// Of the next read, all groups together. Begins elsewhere in each life of the process: the
  /// answer to a read of the former life must not be taken for that of a new one.
  std::uint64_t next_ticket{1};
  /// Bytes of snapshot pieces in memory, all groups together.
  std::uint64_t transfer_bytes{0};
};

using ProposeDone = std::function<void(Result<raft::Index>)>;
using ReadDone = std::function<void(Result<raft::Index>)>;

/// What all groups of a node add up to in one turn of its owner.
struct Turn {
  storage::WriteBatch batch;
  std::vector<std::function<void()>> durable;  ///< run in order once the batch is on disc
  std::vector<GroupMessage> mail;
  bool roles_changed{false};  ///< a role, term, leader or membership: digests must be made anew
};

/// Invariants: the record last submitted equals record_; the rows on disc stand at record_.base
/// unless a checkpoint is in flight; the machine stands at core().applied_index() unless an install is under way.
class Group final : public raft::LogSizes {
 public:
  static Result<std::unique_ptr<Group>> open(GroupContext& context, storage::GroupUid uid,
                                             const GroupRecord& record,
                                             std::unique_ptr<StateMachine> machine, Millis now);

  raft::Core& core() { return *core_; }
  const raft::Core& core() const { return *core_; }
  StateMachine& machine() { return *machine_; }
  storage::GroupUid uid() const { return uid_; }
  /// For the node's timers: when this group is due.
  Millis due_ms{std::numeric_limits<Millis>::max()};
  /// For the node: waits for the next turn.
  bool dirty{false};
  storage::GroupUid log_uid() const { return record_.log_uid; }
  std::uint64_t bytes(raft::Index index) const override;

  void propose(raft::Term term, std::vector<raft::Slice> bodies, ProposeDone done);
  void read(ReadDone done, Millis deadline);
  void step(raft::Message message, Millis now);
  void tick(Millis now);
  /// Snapshots or reads are under way: tick() wants to be called every 20 ms.
  bool busy() const {
    return !transfers_.empty() || reads_;
  }
  /// Carries out the core's output; answers whether there is more to do at once.
  /// Errors: whatever the store says; the node must stop.
  Result<bool> drain(Turn& turn, Millis now);
  /// The disc failed or the group goes: every caller that waits gets an error.
  void fail_all(const Error& error);
  /// The store is about to write dead rows out: checkpoint soon. Answers whether there is anything to do.
  bool want_checkpoint();
  /// Adds the local uids under which it keeps rows.
  void add_local_uids(std::vector<storage::GroupUid>& to) const;

 private:
  struct PendingProposal {
    raft::Term term;
    ProposeDone done;
  };
  struct PendingRead {
    ReadDone done;
    Millis deadline;
  };
  struct AskedReads {
    Millis again_ms;
    std::vector<PendingRead> reads;
  };
  struct Reads {
    std::vector<PendingRead> fresh;
    std::map<std::uint64_t, AskedReads> asked;  ///< by ticket
    std::vector<std::pair<raft::Index, PendingRead>> granted;
    bool empty() const { return fresh.empty() && asked.empty() && granted.empty(); }
  };
  /// A piece on its way; counts towards the node's budget while it lives.
  struct Piece {
    raft::Slice body;
    bool last;
    std::string position;  ///< where it begins
    Millis sent_ms{0};
    std::shared_ptr<void> budget;
  };
  struct Transfer {
    std::uint64_t id;
    Millis progress_ms;
    std::uint64_t first{0};    ///< number of pieces.front(); all before are on the other disc
    std::uint64_t stored{0};   ///< pieces that the other side says it has
    std::uint64_t read_to{0};  ///< number behind the last piece that was ever read
    std::vector<Piece> pieces{};
    std::string position{};  ///< where the next piece begins
    bool all_read{false};
  };

  Group(GroupContext& context, storage::GroupUid uid, GroupRecord record,
        std::unique_ptr<StateMachine> machine)
      : context_(context), uid_(uid), record_(std::move(record)), machine_(std::move(machine)) {}

  // group.cpp
  Result<void> load(Millis now);
  Result<void> restore_machine();
  Result<void> submit(raft::Write& write, Turn& turn);
  void put_record(Turn& turn);
  Result<void> mail(raft::Message message, Turn& turn);
  Result<raft::Entry> entry_at(raft::Index index) const;
  void on_durable(raft::WriteSeq seq);
  Result<void> apply_ready();
  void announce();
  void announce_members();
  void ask_reads(Millis now);
  void on_read_answer(const raft::ReadAnswer& answer, Millis now);
  void expire_reads(Millis now);
  void release_reads();

  // group_checkpoint.cpp
  void maybe_checkpoint(Turn& turn);
  void on_checkpoint_durable(storage::GroupUid log_uid,
                             std::shared_ptr<const std::vector<raft::Index>> live);
  void compact();
  void set_floor(raft::Index upto);
  Result<void> stage(raft::ChunkOrder& order, Turn& turn);
  Result<void> drive_transfers(Turn& turn, Millis now);
  Result<void> read_pieces(Transfer& transfer);
  void put_back(Transfer& transfer);
  void drop_stored(Transfer& transfer);
  void on_snapshot_reply(const raft::Message& m, const raft::SnapshotReply& reply, Millis now);

  GroupContext& context_;
  storage::GroupUid uid_;
  GroupRecord record_;
  std::unique_ptr<StateMachine> machine_;
  std::unique_ptr<raft::Core> core_;
  LogCache cache_;
  raft::Index last_written_{0};
  std::vector<raft::Held> held_;
  std::vector<raft::Message> released_;  ///< their durability came; sent with the next turn
  std::unique_ptr<Error> failure_;

  std::shared_ptr<const std::vector<raft::Index>> durable_live_;
  bool checkpoint_inflight_{false};
  bool checkpoint_wanted_{false};
  raft::Index trailing_{0};  ///< entries kept behind the newest checkpoint
  std::uint64_t bytes_since_checkpoint_{0};
  std::optional<raft::WriteSeq> install_seq_;  ///< the machine is void until this is durable
  storage::GroupUid retiring_{0};
  bool skip_one_{false};

  std::map<raft::Index, PendingProposal> proposals_;
  std::unique_ptr<Reads> reads_;  ///< nothing while nobody reads: idle groups are many
  std::map<raft::NodeId, Transfer> transfers_;
  std::uint64_t next_transfer_{1};
  Leadership announced_;
  raft::Index seen_config_{0};
};

}  // namespace warren::replica
