#pragma once
// What must be true of the whole cluster, seen from outside with all knowledge. Each check throws
// a Violation that names the invariant (reliability C.2, and Raft's own).

#include "cluster/raft/core.h"
#include "storage/api/store.h"
#include "tests/simulation/world.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace warren::simulation {

using raft::Index;
using raft::NodeId;
using raft::Term;
using storage::GroupUid;

class Checker {
 public:
  explicit Checker(World& world) : world_(world) {}

  /// A machine applied an entry; its digest covers everything up to it.
  void applied(NodeId node, GroupUid group, Index index, Term term, std::uint64_t body,
               std::uint64_t digest);
  /// A machine became what a checkpoint says.
  void restored(NodeId node, GroupUid group, Index index, std::uint64_t digest);
  /// After every step of a node: role and commit of each of its groups.
  void observe(NodeId node, GroupUid group, const raft::Core& core, bool fresh);
  /// A vote left the node (its own candidacy, or a granted reply).
  void voted(NodeId node, GroupUid group, Term term, NodeId for_whom);
  /// A client got a success for what it proposed under `fence`.
  void acknowledged(GroupUid group, Index index, Term fence, std::uint64_t body);
  Index acknowledged_upto(GroupUid group) { return facts_of(group).last_acknowledged; }
  void read_answered(GroupUid group, Index at_start, Index index);
  /// A node believes that its lease holds.
  void leased(NodeId node, GroupUid group, Term term, Millis lease_ms);

  [[noreturn]] void fail(const std::string& invariant, const std::string& text);

  std::uint64_t acks{0}, reads{0}, elections{0}, applies{0}, restores{0}, commits{0};

 private:
  /// All that is known about one index; term 0 is nothing.
  struct Fact {
    Term committed{0};
    Term committed_in{0};  ///< term of the node that was first to know
    Term applied{0};       ///< data entries
    std::uint64_t body{0};
    std::uint64_t digest{0};
    std::uint64_t membership{0};  ///< hash of what is in force here, once committed; 0 is unknown
    bool acknowledged{false};
  };
  struct Seen {
    Index commit{0};
    Term term{0};
    raft::Role role{raft::Role::follower};
    bool effective{false};
  };
  struct GroupFacts {
    std::vector<Fact> facts;
    Index last_committed{0};
    Index last_acknowledged{0};
    std::map<Term, NodeId> leaders;
    std::vector<std::pair<NodeId, Seen>> seen;
    std::map<std::pair<NodeId, Term>, NodeId> votes;
    std::map<Term, Micros> effective_since;

    Fact& at(Index index) {
      if (index >= facts.size()) facts.resize(index + index / 2 + 64);
      return facts[index];
    }
    Seen& seen_of(NodeId node) {
      for (auto& [id, what] : seen) {
        if (id == node) return what;
      }
      return seen.emplace_back(node, Seen{}).second;
    }
  };

  void check_new_leader(NodeId node, GroupUid group, GroupFacts& facts, const raft::Core& core);
  void check_commit(NodeId node, GroupUid group, GroupFacts& facts, const raft::Core& core,
                    Seen& seen);
  void check_digest(NodeId node, GroupUid group, Index index, std::uint64_t digest);

  GroupFacts& facts_of(GroupUid group) {
    for (auto& [uid, facts] : groups_) {
      if (uid == group) return facts;
    }
    return groups_.emplace_back(group, GroupFacts{}).second;
  }

  World& world_;
  std::vector<std::pair<GroupUid, GroupFacts>> groups_;
};

}  // namespace warren::simulation
