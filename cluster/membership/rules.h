#pragma once
// What an operator may do with the membership, and in which words it is refused. Pure: the node asks
// around first and brings what it learned. Identifiers: those RabbitMQ 3.x prints.

#include "base/result.h"
#include "cluster/membership/feature_flags.h"
#include "cluster/membership/local_state.h"

#include <string>
#include <string_view>

namespace warren::membership {

/// What another node said of itself when it was asked.
struct NodeView {
  std::string name;
  std::string node_id;
  std::string cluster_id;   ///< "" = not founded
  std::string cluster_name;
  std::string version;
  bool ram{false};
  bool app_running{false};
  bool joining{false};      ///< it starts for the first time and looks for peers
  std::vector<metadata::MemberDef> members;
  FlagView flags;           ///< with name and version of the node again
};

enum class JoinVerdict : std::uint8_t { join, already_member };

/// May this node join the cluster of `target`? `release`: what this node is.
/// Errors (identifier first): cannot_cluster_node_with_itself, clustering_only_disc_node,
/// inconsistent_cluster, node_not_running, incompatible_feature_flags.
Result<JoinVerdict> may_join(const LocalState& self, const std::string& self_name, const NodeView& target,
                             const Release& release = warren::release());

/// May this node leave its cluster? Alone it always may.
/// Errors: resetting_only_disc_node.
Result<void> may_leave(const LocalState& self);

enum class TypeVerdict : std::uint8_t { change, is_already };
/// Errors: not_clustered, resetting_only_disc_node.
Result<TypeVerdict> may_change_type(const LocalState& self, bool to_ram);

/// The member that is to be forgotten. `running`: its app answers.
/// Errors: not_a_cluster_node, and that a running node must be stopped first.
Result<metadata::MemberDef> may_forget(const std::vector<metadata::MemberDef>& members,
                                       const std::string& self_name, const std::string& name,
                                       bool running);

/// The text of a node that believes in a cluster which does not know it.
Error inconsistent(const std::string& self_name, const std::string& other);

/// A node that an operator named does not answer: tools tell it by the identifier and say more.
Error unreachable(const std::string& node, const Error& why);

/// How many more disc nodes may be lost before changes of metadata stop, and in words with advice.
struct CanLose {
  std::size_t nodes{0};
  std::string text;
};
/// `running` disc nodes out of `disc`; what is down already is subtracted.
CanLose can_lose(std::size_t disc, std::size_t running);

}  // namespace warren::membership
