#pragma once
// The catalogue as a replicated state machine: committed batches in, each exactly once; rows for the
// group's checkpoints out. Owner: its replica group, on the loop's thread.

#include "cluster/metadata/batch.h"
#include "cluster/metadata/owner.h"
#include "cluster/replica/state_machine.h"

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace warren::metadata {

/// The outcome of one part: a result per command; commands behind the first failure have none of
/// their own and repeat it.
struct PartResults {
  std::uint32_t number{0};
  std::vector<Result<void>> results;
};

/// What the machine tells the node. All are called inside apply, restore or on_leadership: they
/// must not call into the group.
struct MachineHooks {
  /// A batch of this incarnation of this member was carried out.
  std::function<void(std::uint64_t sequence, std::vector<PartResults>)> decided;
  /// A snapshot took the place of entries: own batches up to here were carried out unseen.
  std::function<void(std::uint64_t sequence)> skipped_to;
  std::function<void(const replica::Leadership&)> leadership;
  /// An entry that this release cannot read: going on would make this member differ.
  std::function<void(const Error&)> unreadable;
};

/// Invariants: 1. of each origin the batches of its newest incarnation are applied in order of
/// their sequence without gaps, each once; 2. rows of a checkpoint hold all objects, also those
/// that end with a node or a connection: a member that joins must know them.
class Machine final : public replica::StateMachine {
 public:
  /// Requires: `owner` outlives this.
  Machine(CatalogueOwner& owner, raft::NodeId self, std::uint64_t incarnation, MachineHooks hooks)
      : owner_(owner), self_(self.value), incarnation_(incarnation), hooks_(std::move(hooks)) {}

  // ---- replica::StateMachine
  void apply(const replica::Command& entry) override;
  void checkpoint(replica::RowSink& rows) override;
  std::vector<raft::Index> live() const override { return {}; }
  Result<void> restore(const replica::RowSource& rows, raft::Index index) override;
  void on_leadership(const replica::Leadership& now) override { hooks_.leadership(now); }

  /// The last sequence of this origin that was applied; 0 for an incarnation not seen yet; nothing
  /// for one that is over.
  std::optional<std::uint64_t> applied_sequence(std::uint64_t origin, std::uint64_t incarnation) const;

 private:
  struct Origin {
    std::uint64_t incarnation{0};
    std::uint64_t sequence{0};
  };

  PartResults carry_out(BatchPart& part, QueueUid& next_uid, bool ours);

  CatalogueOwner& owner_;
  const std::uint64_t self_;
  const std::uint64_t incarnation_;
  MachineHooks hooks_;
  std::map<std::uint64_t, Origin> origins_;
  std::map<std::string, std::optional<std::string>> changed_;  ///< rows since the last checkpoint
};

}  // namespace warren::metadata
