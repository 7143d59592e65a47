#include "tests/simulation/checker.h"

#include <algorithm>

namespace warren::simulation {

void Checker::fail(const std::string& invariant, const std::string& text) {
  world_.trace("VIOLATION {}: {}", invariant, text);
  throw Violation{invariant, text};
}

void Checker::check_digest(NodeId node, GroupUid group, Index index, std::uint64_t digest) {
  auto [at, fresh] = groups_[group].digests.try_emplace(index, digest);
  if (!fresh && at->second != digest) {
    fail("replica-equality", fmt::format("node {} group {} differs at index {}", node.value, group, index));
  }
}

void Checker::applied(NodeId node, GroupUid group, Index index, Term term, std::uint64_t body,
                      std::uint64_t digest) {
  ++applies;
  auto [at, fresh] = groups_[group].applied.try_emplace(index, Fact{term, body, digest});
  if (!fresh && (at->second.term != term || at->second.body != body)) {
    fail("state-machine-safety",
         fmt::format("node {} group {} applied something else at index {}", node.value, group, index));
  }
  check_digest(node, group, index, digest);
}

void Checker::restored(NodeId node, GroupUid group, Index index, std::uint64_t digest) {
  ++restores;
  // The digest stands at the last data entry at or below the index.
  auto& digests = groups_[group].digests;
  auto after = digests.upper_bound(index);
  if (after == digests.begin()) return;
  auto at = std::prev(after);
  if (at->second != digest) {
    fail("replica-equality", fmt::format("node {} group {} restored a wrong state for index {}",
                                         node.value, group, index));
  }
}

void Checker::observe(NodeId node, GroupUid group, const raft::Core& core, bool fresh) {
  GroupFacts& facts = groups_[group];
  Seen& seen = facts.seen[node];
  if (fresh) seen = Seen{};
  if (core.term() < seen.term) {
    fail("term-monotonic", fmt::format("node {} group {} went back in term", node.value, group));
  }
  if (core.role() == raft::Role::leader && (seen.role != raft::Role::leader || seen.term != core.term())) {
    check_new_leader(node, group, facts, core);
  }
  if (core.effective() && facts.effective_since.try_emplace(core.term(), world_.now()).second) {
    world_.trace("n{} g{} effective in term {}", node.value, group, core.term());
  }
  if (core.commit_index() != seen.commit) check_commit(node, group, facts, core, seen);
  seen.term = core.term();
  seen.role = core.role();
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
  auto last = facts.committed_in.rbegin();
  while (last != facts.committed_in.rend() && last->second >= core.term()) ++last;
  if (last == facts.committed_in.rend()) return;
  Index index = last->first;
  Term term = facts.committed.at(index);
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
    auto [at, fresh] = facts.committed.try_emplace(i, *term);
    if (fresh) {
      ++commits;
      facts.committed_in[i] = core.term();
    }
    if (!fresh && at->second != *term) {
      fail("log-matching", fmt::format("node {} group {} committed index {} in term {}, others in {}",
                                       node.value, group, i, *term, at->second));
    }
  }
  seen.commit = core.commit_index();
  // The membership at a committed index is part of the committed prefix, whoever tells it.
  raft::LogBase at_commit = core.describe(seen.commit);
  std::uint64_t hash = mix(hash_bytes(raft::encode_config(at_commit.config)), at_commit.config_index);
  auto [at, fresh] = facts.memberships.try_emplace(seen.commit, hash);
  if (!fresh && at->second != hash) {
    fail("membership-equality", fmt::format("node {} group {} has another membership at index {}",
                                            node.value, group, seen.commit));
  }
}

void Checker::voted(NodeId node, GroupUid group, Term term, NodeId for_whom) {
  auto [at, fresh] = groups_[group].votes.try_emplace({node, term}, for_whom);
  if (!fresh && at->second != for_whom) {
    fail("one-vote-per-term", fmt::format("node {} group {} voted in term {} for {} and {}",
                                          node.value, group, term, at->second.value, for_whom.value));
  }
}

void Checker::acknowledged(GroupUid group, Index index, Term fence, std::uint64_t body) {
  ++acks;
  GroupFacts& facts = groups_[group];
  auto found = facts.applied.find(index);
  if (found == facts.applied.end() || found->second.body != body) {
    fail("confirmed-stored", fmt::format("group {} confirmed index {} holds something else", group, index));
  }
  if (found->second.term != fence) {
    fail("fence", fmt::format("group {} index {} proposed for term {} entered in term {}", group,
                              index, fence, found->second.term));
  }
  facts.acknowledged[index] = body;
}

Index Checker::acknowledged_upto(GroupUid group) const {
  auto found = groups_.find(group);
  if (found == groups_.end() || found->second.acknowledged.empty()) return 0;
  return found->second.acknowledged.rbegin()->first;
}

void Checker::read_answered(GroupUid group, Index at_start, Index index) {
  ++reads;
  if (index < at_start) {
    fail("linearizable-read", fmt::format("group {} read at {} after {} was confirmed", group, index, at_start));
  }
}

void Checker::leased(NodeId node, GroupUid group, Term term, Millis lease_ms) {
  const auto& since = groups_[group].effective_since;
  auto newer = since.upper_bound(term);
  if (newer == since.end()) return;
  // One tick of 20 ms and the granularity of the clock on top of the lease.
  if (world_.now() - newer->second > (lease_ms + 25) * 1000) {
    fail("deposed-leader-stops", fmt::format("node {} group {} still claims its lease of term {}, {} us into term {}",
                                             node.value, group, term, world_.now() - newer->second, newer->first));
  }
}

}  // namespace warren::simulation
