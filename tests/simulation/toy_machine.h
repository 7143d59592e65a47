#pragma once
// A state machine small enough to check and shaped like a queue: "+text" adds an entry that stays
// live, "-index" removes one. Keeps no bodies: what lives must be readable from the log.

#include "cluster/replica/state_machine.h"
#include "tests/simulation/checker.h"

#include <map>
#include <set>

namespace warren::simulation {

class ToyMachine final : public replica::StateMachine {
 public:
  ToyMachine(Checker& checker, NodeId node, GroupUid group)
      : checker_(checker), node_(node), group_(group) {}

  void apply(const replica::Command& command) override;
  void checkpoint(replica::RowSink& rows) override;
  std::vector<Index> live() const override;
  Result<void> restore(const replica::RowSource& rows, Index index) override;

  std::uint64_t digest() const { return digest_; }
  Index last() const { return last_; }
  const std::map<Index, std::uint64_t>& waiting() const { return waiting_; }

 private:
  Checker& checker_;
  NodeId node_;
  GroupUid group_;
  Index last_{0};
  std::uint64_t digest_{0};
  std::map<Index, std::uint64_t> waiting_;  ///< live index -> hash of its body
  std::set<Index> dirty_;                   ///< changed since the last checkpoint
};

}  // namespace warren::simulation
