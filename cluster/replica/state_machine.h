#pragma once
// What can be replicated: a state machine and its rows on disc. Implemented by the metadata
// catalogue and by the ledger of a queue; run by cluster/replica on the group's owner.

#include "base/result.h"
#include "cluster/raft/config.h"
#include "cluster/raft/types.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::replica {

/// A committed entry. The body lives as long as the slice is held.
struct Command {
  raft::Index index{0};
  raft::Term term{0};
  raft::Slice body;
};

/// Takes the rows of a checkpoint; keys are the machine's own, short and unique within the group.
class RowSink {
 public:
  virtual ~RowSink() = default;
  virtual void put(std::string_view key, std::string value) = 0;
  virtual void erase(std::string_view key) = 0;
};

/// Gives back the rows of the newest durable checkpoint, and entries that were live in it.
class RowSource {
 public:
  using Visit = std::function<Result<void>(std::string_view key, std::string_view value)>;

  virtual ~RowSource() = default;
  /// Every row in key order; stops at the first failure and answers it.
  virtual Result<void> each(const Visit& visit) const = 0;
  /// A log entry's body. Errors: corruption when it is not there.
  virtual Result<raft::Slice> entry(raft::Index index) const = 0;
};

/// Where the group stands. Only an effective leader may act as leader.
struct Leadership {
  raft::Term term{0};
  raft::NodeId leader{};  ///< as far as known; none is 0
  bool effective{false};  ///< this member leads and has applied its own first entry
};

/// Deterministic: equal commands in equal order give equal state on every member.
/// Requires: state after apply(1..n) == state after restore(rows of a checkpoint at k) + apply(k+1..n).
class StateMachine {
 public:
  virtual ~StateMachine() = default;

  /// Called once per data entry, in index order.
  virtual void apply(const Command& command) = 0;
  /// Writes what changed since the last checkpoint, so that rows plus live entries are the state.
  virtual void checkpoint(RowSink& rows) = 0;
  /// Ascending indexes of applied entries whose bodies are still needed.
  virtual std::vector<raft::Index> live() const = 0;
  /// Forgets everything and becomes what the rows say; they stand at `index`.
  /// Errors: corruption when the rows contradict each other.
  virtual Result<void> restore(const RowSource& rows, raft::Index index) = 0;
  /// Leadership or term changed; also called with effective once it is reached.
  virtual void on_leadership(const Leadership&) {}
  /// The membership that is committed and applied here: after restore, and with each change. A
  /// member that finds itself left out is removed by its owner (ReplicaNode::remove), not from here.
  virtual void on_members(const raft::Config&) {}
};

}  // namespace warren::replica
