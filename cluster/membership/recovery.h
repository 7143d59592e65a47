#pragma once
// The last resort of an operator whose cluster has lost its majority for good: `force_boot`, and
// `forget_cluster_node --offline`. What may be asked, and what the next start makes of it. Pure.
//
// A disc member then goes on alone, from its own copy of the metadata, as a cluster with a new id: the
// members left behind are refused by it and cannot make a second history under the same name. It
// happens only when asked for, and only when a majority really does not answer.

#include "cluster/membership/discovery.h"

#include <string>
#include <vector>

namespace warren::membership {

/// May this node be told to start without the others? A node alone may: there is nothing to do.
/// Errors: a RAM node, and one that never had a copy of the metadata.
Result<void> may_force_boot(const LocalState& self);

/// May this node be told to forget `name` while it is stopped? The member.
/// Errors: not_a_cluster_node, failed_to_remove_node, as online; those of may_force_boot.
Result<metadata::MemberDef> may_forget_offline(const LocalState& self, const std::string& self_name,
                                               const std::string& name);

struct Recovery {
  enum class Kind : std::uint8_t {
    none,      ///< nothing was asked for
    ordinary,  ///< a majority can be reached, or could be: start as always
    alone,     ///< take over
  };
  Kind kind{Kind::none};
  std::vector<metadata::MemberDef> left_behind;  ///< with `alone`
  std::string text;                              ///< for the log
};

/// What a start does about what was asked for, when the other members gave these answers.
Recovery plan_recovery(const LocalState& self, const std::string& self_name,
                       const std::vector<PeerAnswer>& answers);

/// The state of a node that goes on alone as the cluster `cluster_id`. It keeps its node id, under which
/// its own queues are listed.
LocalState taken_over(LocalState self, std::string cluster_id);

/// The text of a node that `other` went on without: as inconsistent(), with what to do.
Error left_behind(const std::string& self_name, const std::string& other);

/// The way out, for texts that say a majority is missing.
std::string way_out(const std::string& self_name);

}  // namespace warren::membership
