#pragma once
// From the list of members to the membership of a consensus group: the leader of the metadata group
// asks again and again for the next step. Pure. One change at a time; what a crash interrupts, the
// next leader goes on with, because the list of members is the truth.

#include "cluster/metadata/types.h"
#include "cluster/raft/config.h"

#include <functional>
#include <map>
#include <optional>

namespace warren::membership {

/// What the leader knows of a member.
struct Reachability {
  bool connected{false};
  bool caught_up{false};  ///< holds (nearly) everything that is committed
};

/// The membership to change to now, or nothing when it is as it should be or must wait.
/// Rules: who left goes first; a disc node comes as a learner once it is reachable and votes once it
/// has caught up; a RAM node stays a learner. `self`, the leader, goes last.
std::optional<raft::Config> next_step(const std::map<std::uint64_t, metadata::MemberDef>& members,
                                      const raft::Config& current, raft::NodeId self,
                                      const std::function<Reachability(raft::NodeId)>& look);

}  // namespace warren::membership
