// The end of a run: everything heals, and then everything must work again.
#include "tests/simulation/cluster.h"

#include <set>

namespace warren::simulation {

void Cluster::heal_all() {
  world_.trace("everything heals");
  network_.heal();
  for (auto& m : machines_) {
    m->disc.heal();
    m->foreign = false;
    if (m->paused_until > world_.now()) {
      m->paused_until = world_.now();
      resume(*m);
    }
    start(*m);
  }
  calm_ = true;
}

/// What leader and member think of each other, for the text of a liveness violation.
std::string Cluster::describe(const Machine& leader, GroupUid group, NodeId node) {
  const raft::Core& core = *leader.replica->core(group);
  std::string out = fmt::format(" [leader n{} term {}", leader.id.value, core.term());
  if (const raft::Progress* p = core.progress(node)) {
    out += fmt::format(" state {} match {} next {}", static_cast<int>(p->state()), p->match(), p->next());
  }
  out += "]";
  Machine* m = by_id(node);
  const raft::Core* other = m && m->up() ? m->replica->core(group) : nullptr;
  if (!other) return out + " down";
  out += fmt::format(" [term {} leader n{} last {} durable {} commit {} stalled {}", other->term(),
                     other->leader().value, other->log().last_index(), other->durable_index(),
                     other->commit_index(), m->disc.stalled_ms());
  for (int i = 0; i < static_cast<int>(raft::Refusal::count); ++i) {
    auto why = static_cast<raft::Refusal>(i);
    if (other->refused(why)) out += fmt::format(" {}={}", raft::refusal_name(why), other->refused(why));
  }
  for (int i = 0; i < static_cast<int>(replica::FrameRefusal::count); ++i) {
    auto why = static_cast<replica::FrameRefusal>(i);
    if (m->replica->refused(why)) {
      out += fmt::format(" {}={}", replica::frame_refusal_name(why), m->replica->refused(why));
    }
  }
  return out + "]";
}

void Cluster::demand_progress(Millis within) {
  Micros end = world_.now() + within * 1000;
  std::string why;
  std::map<GroupUid, Index> acked_before;
  for (GroupUid group : groups_) acked_before[group] = checker_.acknowledged_upto(group);
  auto healthy = [&] {
    for (GroupUid group : groups_) {
      Machine* leader = leader_of(group);
      why = fmt::format("g{} has no effective leader", group);
      if (!leader) return false;
      why = fmt::format("g{} confirms nothing", group);
      if (checker_.acknowledged_upto(group) <= acked_before[group]) return false;
      const raft::Core& core = *leader->replica->core(group);
      for (NodeId node : core.config().members()) {
        Machine* m = by_id(node);
        if (!m) continue;  // an identity that is gone for good and still to be replaced
        const raft::Core* other = m->up() ? m->replica->core(group) : nullptr;
        why = fmt::format("g{} n{} is behind: {} of {}", group, node.value,
                          other ? other->applied_index() : 0, core.commit_index());
        if (!other || other->applied_index() + 60 < core.commit_index()) {
          why += describe(*leader, group, node);
          return false;
        }
      }
      why = fmt::format("g{} waits for a membership change", group);
      if (core.config_pending() || core.config().joint()) return false;
    }
    return true;
  };
  while (!healthy()) {
    if (world_.now() >= end) checker_.fail("liveness", why);
    world_.run(world_.now() + 50'000);
  }
  demand_reads(5'000);
  if (metadata_) demand_metadata(within);
}

/// Every member of a healthy cluster answers a linearizable read, wherever the leader is.
void Cluster::demand_reads(Millis within) {
  using Open = std::set<std::pair<GroupUid, int>>;
  auto open = std::make_shared<Open>();
  for (Micros end = world_.now() + within * 1000; world_.now() < end;) {
    // A round of its own each time: a machine may be replaced in between.
    open = std::make_shared<Open>();
    for (GroupUid group : groups_) {
      Index before = checker_.acknowledged_upto(group);
      for (auto& m : machines_) {
        // Who was removed may not know it yet: the leader does.
        Machine* leader = leader_of(group);
        if (!m->up() || !leader || !leader->replica->core(group)->config().is_member(m->id)) continue;
        open->emplace(group, m->slot);
        on(*m, [this, &m = *m, group, before, open] {
          m.replica->read(group, [this, &m, group, before, open](Result<Index> at) {
            if (!at) return;
            checker_.read_answered(group, before, *at);
            open->erase({group, m.slot});
          });
        });
      }
    }
    for (Micros pause = world_.now() + 2'500'000; !open->empty() && world_.now() < pause;) {
      world_.run(world_.now() + 20'000);
    }
    if (open->empty()) return;
  }
  auto [group, slot] = *open->begin();
  Machine& m = *machines_[static_cast<std::size_t>(slot)];
  Machine* leader = leader_of(group);
  checker_.fail("liveness", fmt::format("n{} does not answer a read of g{}{}", m.id.value, group,
                                        leader ? describe(*leader, group, m.id) : " [no leader]"));
}

}  // namespace warren::simulation
