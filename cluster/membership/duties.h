#pragma once
// What a member that runs does about the list of members by itself: it enters itself, lets others in, and
// remembers the list for its next start. Pure; the node and the simulator carry it out.

#include "cluster/membership/local_state.h"
#include "cluster/membership/node_view.h"
#include "cluster/metadata/catalogue.h"
#include "cluster/metadata/types.h"
#include "cluster/raft/config.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace warren::membership {

/// Entries that a learner may lack and still be given a vote: it will have them within a moment.
inline constexpr std::uint64_t kCaughtUp = 64;

/// The catalogue's members by number.
std::vector<metadata::MemberDef> listed(const metadata::Catalogue& catalogue);

/// What a node proposes when its app has started: a founder enters cluster and itself, a node whose name
/// changed says so; mostly nothing. `wanted_name`: the cluster's, "" = the node's;
/// `flags`: those of a cluster that is founded now.
std::vector<metadata::Command> introduction(const LocalState& self, const std::string& self_name,
                                            const std::string& wanted_name, std::vector<std::string> flags,
                                            const metadata::Catalogue& catalogue);

/// What the metadata group counts at the moment.
struct Counted {
  raft::Config config;
  bool changing{false};  ///< a change of it is not committed yet
};

/// Whom this node keeps streams with, itself included: who is listed, and of those it `knew` whoever the group
/// still counts. A leader that leaves must be heard until its group has agreed to go on without it: without
/// that, and the leader wiped, the old membership would have no majority any more.
std::vector<metadata::MemberDef> kept_in_touch(const std::vector<metadata::MemberDef>& knew,
                                               const metadata::Catalogue& catalogue, const Counted& counted);

/// Whom to call before a start is over: those last known, and those whom the catalogue on disc names. It may know
/// more than the state file, and nobody else may be there to tell.
std::vector<metadata::MemberDef> known_at_start(const std::vector<metadata::MemberDef>& knew,
                                                const metadata::Catalogue& catalogue);

/// The state to keep now that the catalogue says this; nothing when it is kept already, or when the catalogue
/// does not list this node: who was put off the list keeps what it knew. Its members are those kept in touch,
/// so that a restart in between finds them again.
std::optional<LocalState> remembered(const LocalState& self, const metadata::Catalogue& catalogue,
                                     const Counted& counted);

/// May this member be taken off the list, or be replaced? Not while the group would have no voter left: who
/// is listed as a disc node and has not caught up yet holds nothing. Errors: conflict, resetting_only_disc_node.
Result<void> may_dismiss(const metadata::Catalogue& catalogue, const Counted& counted, std::uint64_t member);

/// How who asks to come in is entered.
metadata::PutMember entry_of(const JoinRequest& request);

}  // namespace warren::membership
