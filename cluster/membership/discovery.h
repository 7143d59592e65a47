#pragma once
// First start with configured peers (CLU-21, CLU-22): found a cluster or join one, such that nodes
// started at the same moment make exactly one. Pure: the node asks its peers and brings the answers.
//
// The founder is fixed by the configuration alone: the first by name of all that are listed. Everybody
// else waits for a peer that is in a cluster, and joins it. No lock, no random delay: two nodes can
// never both believe to be the founder while their lists agree, however messages are lost.

#include "cluster/membership/rules.h"

#include <optional>
#include <string>
#include <vector>

namespace warren::membership {

/// A peer's answer, or why there is none.
struct PeerAnswer {
  std::string name;
  std::optional<NodeView> view;
  std::string failure;
};

struct DiscoveryStep {
  enum class Kind : std::uint8_t { found, join, wait };
  Kind kind{Kind::wait};
  std::string target;  ///< whom to join
  std::string text;    ///< what is waited for, for log and status
};

/// Whom to ask: the configured names without our own, each once.
std::vector<std::string> peers_to_ask(const std::vector<std::string>& configured, const std::string& self);

/// What to do after one round of answers (in any order). `may_found`: the list of names is complete.
/// Order of preference among clusters found: the founder's, else the one of the first by name.
DiscoveryStep next_discovery_step(const std::vector<std::string>& configured, const std::string& self,
                                  bool ram, const std::vector<PeerAnswer>& answers, bool may_found = true);

/// The nodes on the hosts that the addresses of a seed name lead back to (CLU-21, `dns`): each has our
/// own node's first part, and a host name as long as ours. Ascending, each once.
std::vector<std::string> peers_on_hosts(const std::vector<std::string>& hosts, const std::string& self);

/// A list that grows while nodes come up (DNS) is complete for founding when it names this node and as many
/// as the cluster is to have.
bool complete(const std::vector<std::string>& found, const std::string& self, std::size_t size_hint);

/// Two clusters among the peers' answers: a text that names both, or nothing.
std::optional<std::string> split_clusters(const std::vector<PeerAnswer>& answers);

}  // namespace warren::membership
