// Who uses the cluster: clients that propose and read, the operator who changes and repairs memberships.
#include "cluster/raft/quorum.h"
#include "tests/simulation/cluster.h"

#include <algorithm>

namespace warren::simulation {

void Cluster::check_discs_hold(GroupUid group, Index index, const raft::Core& leader) {
  // A later membership may need other discs than the one under which this was committed.
  if (leader.config_index() > index) return;
  bool held = raft::has_quorum(leader.config(), [&](NodeId node) {
    Machine* m = by_id(node);
    // A disc that was lost meanwhile held it when it said so.
    return !m || m->damaged || m->disc.holds(group, index);
  });
  if (!held) {
    checker_.fail("confirm-after-durability",
                  fmt::format("g{} index {} confirmed without a majority of discs", group, index));
  }
}

void Cluster::client_loop() {
  // A calm cluster is asked for little, so that "caught up" is a fair demand in every profile.
  Micros gap = calm_ ? std::max<Micros>(client_gap_us_, 30'000) : client_gap_us_;
  Micros pause = bursts_ && world_.prng.chance(1, 40) ? 2'000'000 : 0;
  world_.after(pause + world_.prng.between(1, 2 * gap), [this] { client_loop(); });
  GroupUid group = groups_[world_.prng.below(groups_.size())];
  if (is_metadata(group)) return;  // its clients: metadata_loop
  // A client may talk to any node that believes to lead, also to a deposed one.
  Machine& m = *machines_[world_.prng.below(machines_.size())];
  Machine* target = world_.prng.chance(1, 4) ? &m : leader_of(group);
  if (!target || !target->up()) return;
  const raft::Core* core = target->replica->core(group);
  if (!core || !core->effective()) return;
  // Sometimes the decision was made long before the call arrives: the fence must hold.
  Micros thinking = world_.prng.chance(1, 5) ? world_.prng.between(0, 3'000'000) : 0;
  world_.after(thinking, [this, target, group, fence = core->term(), life = target->life] {
    if (life == target->life) client_propose(*target, group, fence);
  });
}

void Cluster::client_propose(Machine& m, GroupUid group, Term fence) {
  on(m, [this, &m, group, fence] {
    std::vector<raft::Slice> bodies;
    auto& removable = removable_[group];
    std::uint64_t count = world_.prng.chance(1, 8) ? 1 + world_.prng.below(8) : 1;
    for (std::uint64_t i = 0; i < count; ++i) {
      std::string text = fmt::format("+{}", ++next_text_);
      if (bulky_ && world_.prng.chance(1, 4)) text.resize(world_.prng.below(60'000), 'x');
      if (!removable.empty() && world_.prng.chance(1, 2)) {
        std::size_t at = world_.prng.below(removable.size());
        text = fmt::format("-{} {}", removable[at], ++next_text_);
        removable.erase(removable.begin() + static_cast<std::ptrdiff_t>(at));
      }
      bodies.push_back(raft::Slice::of(std::move(text)));
    }
    std::string last(bodies.back().bytes);
    m.replica->propose(group, fence, std::move(bodies), [this, &m, group, fence, last](Result<Index> at) {
      if (!at) return;
      checker_.acknowledged(group, *at, fence, hash_bytes(last));
      if (const raft::Core* core = m.replica->core(group)) check_discs_hold(group, *at, *core);
      if (last.front() == '+') removable_[group].push_back(*at);
    });
  });
}

void Cluster::client_read() {
  world_.after(world_.prng.between(1, 60'000), [this] { client_read(); });
  GroupUid group = groups_[world_.prng.below(groups_.size())];
  Machine& m = *machines_[world_.prng.below(machines_.size())];
  Index before = checker_.acknowledged_upto(group);
  on(m, [this, &m, group, before] {
    m.replica->read(group, [this, group, before](Result<Index> at) {
      if (at) checker_.read_answered(group, before, *at);
    });
  });
}

void Cluster::operator_loop() {
  world_.after(200'000, [this] { operator_loop(); });
  for (GroupUid group : groups_) repair(group);
  // Now and then a store is about to write tables and wants the floors of the moment.
  Machine& m = *machines_[world_.prng.below(machines_.size())];
  if (world_.prng.chance(1, 10)) on(m, [&m] { m.replica->write_checkpoints([] {}); });
  if (store_ == StoreKind::rows) return;
  Machine& full = *machines_[world_.prng.below(machines_.size())];
  bool asks = world_.prng.chance(1, 2);
  if (calm_ || !world_.prng.chance(1, 4) || !full.up() || full.ram) return;
  if (!asks) return tidy(full);
  on(full, [this, &full] {
    full.replica->write_checkpoints([this, &full, life = full.life] {
      world_.after(1, [this, &full, life] {
        if (life == full.life && !calm_) tidy(full);
      });
    });
  });
}

/// Brings machines that came back under a new identity into the groups: first as learners, then,
/// once they have caught up, as voters in the place of what they were.
void Cluster::repair(GroupUid group) {
  Machine* leader = leader_of(group);
  if (!leader) return;
  on(*leader, [this, leader, group] {
    const raft::Core* core = leader->replica->core(group);
    if (!core || !core->effective() || core->config_pending() || core->config().joint()) return;
    raft::Config target = core->config();
    for (auto& m : machines_) {
      if (m->ram && !core->config().is_member(m->id)) target.learners.push_back(m->id);
      if (!m->wiped) continue;
      for (int g = 0; g < m->generation; ++g) {
        std::erase(target.learners, identity(m->slot, g));
      }
      bool was_voter = false;
      for (int g = 0; g < m->generation; ++g) was_voter |= core->config().is_voter(identity(m->slot, g));
      if (!core->config().is_member(m->id)) {
        target.learners.push_back(m->id);
      } else if (was_voter && !core->config().is_voter(m->id)) {
        const raft::Progress* progress = core->progress(m->id);
        if (!progress || progress->match() + 10 < core->commit_index()) continue;
        std::erase(target.learners, m->id);
        for (int g = 0; g < m->generation; ++g) std::erase(target.voters, identity(m->slot, g));
        target.voters.push_back(m->id);
      }
    }
    raft::Config tidy = raft::make_config(target.voters, target.learners);
    if (tidy == core->config()) return;
    if (leader->replica->change_config(group, core->term(), tidy)) {
      world_.trace("operator repairs g{} through n{}", group, leader->id.value);
    }
  });
}

void Cluster::change_membership(std::uint64_t random) {
  GroupUid group = groups_[random % groups_.size()];
  Machine* leader = leader_of(group);
  if (!leader) return;
  on(*leader, [this, leader, group, random] {
    const raft::Core* core = leader->replica->core(group);
    if (!core || !core->effective()) return;
    // While a machine is being replaced, or may have to be, the operator does nothing else.
    for (auto& m : machines_) {
      if (m->damaged || m->rotted) return;
      for (int g = 0; m->wiped && g < m->generation; ++g) {
        if (core->config().is_voter(identity(m->slot, g))) return;
      }
    }
    Prng prng(random);
    std::vector<NodeId> voters, learners;
    for (auto& m : machines_) {
      if (m->damaged || m->wiped) {
        if (core->config().is_voter(m->id)) voters.push_back(m->id);
        continue;
      }
      if (m->ram) {
        learners.push_back(m->id);
        continue;
      }
      std::uint64_t dice = prng.below(10);
      if (dice < 7) voters.push_back(m->id);
      if (dice == 7 || dice == 8) learners.push_back(m->id);
    }
    if (voters.size() < static_cast<std::size_t>(std::min(first_voters_, 3))) return;
    if (leader->replica->change_config(group, core->term(), raft::make_config(voters, learners))) {
      world_.trace("operator changes g{} to {} voters {} learners", group, voters.size(), learners.size());
    }
  });
}

/// One disc may be lost only while everybody else holds everything: more than that is beyond
/// what any majority survives.
bool Cluster::may_damage(const Machine& victim) {
  for (GroupUid group : groups_) {
    Machine* leader = leader_of(group);
    if (!leader) return false;
    const raft::Core& core = *leader->replica->core(group);
    if (core.config_pending() || core.config().joint()) return false;
    if (core.config().voters.size() < 3 || victim.ram) return false;
    for (const auto& m : machines_) {
      if (m->damaged || m->rotted) return false;
      for (int g = 0; g < m->generation; ++g) {
        if (core.config().is_voter(identity(m->slot, g))) return false;
      }
    }
    for (NodeId node : core.config().voters) {
      if (node == victim.id) continue;
      Machine* m = by_id(node);
      if (!m || !m->up() || !m->disc.holds(group, core.commit_index())) return false;
      const raft::Core* other = m->replica->core(group);
      if (!other || other->config_index() != core.config_index()) return false;
    }
  }
  return true;
}

}  // namespace warren::simulation
