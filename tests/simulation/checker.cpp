#include "tests/simulation/checker.h"

#include <algorithm>

namespace warren::simulation {
namespace {

/// Never 0.
std::uint64_t membership_hash(const raft::Core& core, Index index) {
  std::uint64_t hash = 1;
  auto add = [&](const std::vector<NodeId>& list) {
    for (NodeId node : list) hash = (hash ^ node.value) * 0x100000001B3ULL;
    hash = (hash ^ 0xFFFF) * 0x100000001B3ULL;
  };
  auto [at, config] = core.config_at(index);
  add(config->voters);
  add(config->outgoing);
  add(config->learners);
  return mix(hash, at) | 1;
}

}  // namespace

void Checker::fail(const std::string& invariant, const std::string& text) {
  world_.trace("VIOLATION {}: {}", invariant, text);
  throw Violation{invariant, text};
}

void Checker::applied(NodeId node, GroupUid group, Index index, Term term, std::uint64_t body,
                      std::uint64_t digest) {
  ++applies;
  Fact& fact = facts_of(group).at(index);
  if (fact.applied == 0) {
    fact.applied = term;
    fact.body = body;
    fact.digest = digest;
  }
  if (fact.applied != term || fact.body != body) {
    fail("state-machine-safety",
         fmt::format("node {} group {} applied something else at index {}", node.value, group, index));
  }
  if (fact.digest != digest) {
    fail("replica-equality", fmt::format("node {} group {} differs at index {}", node.value, group, index));
  }
}

void Checker::restored(NodeId node, GroupUid group, Index index, std::uint64_t digest) {
  ++restores;
  // The digest stands at the last data entry at or below the index.
  GroupFacts& facts = facts_of(group);
  Index at = index;
  while (at > 0 && facts.at(at).applied == 0) --at;
  if (at > 0 && facts.at(at).digest != digest) {
    fail("replica-equality", fmt::format("node {} group {} restored a wrong state for index {}",
                                         node.value, group, index));
  }
}

void Checker::observe(NodeId node, GroupUid group, const raft::Core& core, bool fresh) {
  GroupFacts& facts = facts_of(group);
  Seen& seen = facts.seen_of(node);
  if (fresh) seen = Seen{};
  bool effective = core.effective();
  if (core.term() == seen.term && core.role() == seen.role && core.commit_index() == seen.commit &&
      effective == seen.effective) {
    return;
  }
  if (core.term() < seen.term) {
    fail("term-monotonic", fmt::format("node {} group {} went back in term", node.value, group));
  }
  if (core.role() == raft::Role::leader && (seen.role != raft::Role::leader || seen.term != core.term())) {
    check_new_leader(node, group, facts, core);
  }
  if (effective && facts.effective_since.try_emplace(core.term(), world_.now()).second) {
    world_.trace("n{} g{} effective in term {}", node.value, group, core.term());
  }
  if (core.commit_index() != seen.commit) check_commit(node, group, facts, core, seen);
  seen.term = core.term();
  seen.role = core.role();
  seen.effective = effective;
}

void Checker::check_new_leader(NodeId node, GroupUid group, GroupFacts& facts,
                               const raft::Core& core) {
  ++elections;
  world_.trace("n{} g{} leads term {} last {}", node.value, group, core.term(), core.log().last_index());
  auto [at, fresh] = facts.leaders.try_emplace(core.term(), node);
  if (!fresh && at->second != node) {
    fail("election-safety", fmt::format("group {} term {} has leaders {} and {}", group, core.term(),
                                        at->second.value, node.value));
  }
  // Only what was committed in a lower term must be there: with late votes a leader of an older
  // term may still appear after a newer one has committed; it can commit nothing itself.
  Index index = facts.last_committed;
  while (index > 0 && (facts.at(index).committed == 0 || facts.at(index).committed_in >= core.term())) --index;
  if (index == 0) return;
  Term term = facts.at(index).committed;
  if (core.log().base_index() < index && !core.log().matches(index, term)) {
    fail("leader-completeness", fmt::format("group {} leader {} of term {} lacks committed index {}",
                                            group, node.value, core.term(), index));
  }
}

void Checker::check_commit(NodeId node, GroupUid group, GroupFacts& facts, const raft::Core& core,
                           Seen& seen) {
  if (core.commit_index() < seen.commit) {
    fail("commit-monotonic", fmt::format("node {} group {} commit went from {} to {}", node.value,
                                         group, seen.commit, core.commit_index()));
  }
  Index from = std::max(seen.commit + 1, core.log().base_index());
  for (Index i = from; i <= core.commit_index(); ++i) {
    auto term = core.log().term(i);
    if (!term) continue;
    Fact& fact = facts.at(i);
    if (fact.committed == 0) {
      ++commits;
      fact.committed = *term;
      fact.committed_in = core.term();
      facts.last_committed = std::max(facts.last_committed, i);
    }
    if (fact.committed != *term) {
      fail("log-matching", fmt::format("node {} group {} committed index {} in term {}, others in {}",
                                       node.value, group, i, *term, fact.committed));
    }
  }
  seen.commit = core.commit_index();
  // The membership at a committed index is part of the committed prefix, whoever tells it.
  std::uint64_t hash = membership_hash(core, seen.commit);
  Fact& fact = facts.at(seen.commit);
  if (fact.membership == 0) fact.membership = hash;
  if (fact.membership != hash) {
    fail("membership-equality", fmt::format("node {} group {} has another membership at index {}",
                                            node.value, group, seen.commit));
  }
}

void Checker::voted(NodeId node, GroupUid group, Term term, NodeId for_whom) {
  auto [at, fresh] = facts_of(group).votes.try_emplace({node, term}, for_whom);
  if (!fresh && at->second != for_whom) {
    fail("one-vote-per-term", fmt::format("node {} group {} voted in term {} for {} and {}",
                                          node.value, group, term, at->second.value, for_whom.value));
  }
}

void Checker::acknowledged(GroupUid group, Index index, Term fence, std::uint64_t body) {
  ++acks;
  GroupFacts& facts = facts_of(group);
  Fact& fact = facts.at(index);
  if (fact.applied == 0 || fact.body != body) {
    fail("confirmed-stored", fmt::format("group {} confirmed index {} holds something else", group, index));
  }
  if (fact.applied != fence) {
    fail("fence", fmt::format("group {} index {} proposed for term {} entered in term {}", group,
                              index, fence, fact.applied));
  }
  fact.acknowledged = true;
  facts.last_acknowledged = std::max(facts.last_acknowledged, index);
}

void Checker::read_answered(GroupUid group, Index at_start, Index index) {
  ++reads;
  if (index < at_start) {
    fail("linearizable-read", fmt::format("group {} read at {} after {} was confirmed", group, index, at_start));
  }
}

void Checker::leased(NodeId node, GroupUid group, Term term, Millis lease_ms) {
  const auto& since = facts_of(group).effective_since;
  auto newer = since.upper_bound(term);
  if (newer == since.end()) return;
  // One tick of 20 ms and the granularity of the clock on top of the lease.
  if (world_.now() - newer->second > (lease_ms + 25) * 1000) {
    fail("deposed-leader-stops", fmt::format("node {} group {} still claims its lease of term {}, {} us into term {}",
                                             node.value, group, term, world_.now() - newer->second, newer->first));
  }
}

}  // namespace warren::simulation
