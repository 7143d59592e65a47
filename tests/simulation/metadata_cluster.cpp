// The catalogue's group in the simulated cluster: its processes, its streams, what only the whole
// cluster knows, and what must be true in the end.
#include "tests/simulation/cluster.h"

#include <array>

namespace warren::simulation {

namespace {

constexpr GroupUid kMetadataGroup = 11;

}  // namespace

void Cluster::plan_metadata(Prng& prng) {
  metadata_ = std::make_unique<MetadataGroup>(
      MetadataGroup{.uid = kMetadataGroup, .world = world_, .checker = checker_, .truth = MetadataTruth(checker_)});
  groups_ = {kMetadataGroup};
  if (prng.chance(1, 4)) groups_.push_back(7);
  constexpr std::array<Millis, 4> kTimeouts{600, 2'000, 5'000, 30'000};
  metadata_->proposer.timeout_ms = kTimeouts[prng.below(kTimeouts.size())];
  metadata_->proposer.resend_ms = prng.chance(1, 2) ? 1'000 : 100;
  metadata_->proposer.in_flight = 1 + prng.below(4);
  if (prng.chance(1, 3)) metadata_->proposer.batch_parts = 1 + prng.below(4);
  if (prng.chance(1, 4)) metadata_->proposer.waiting_parts = 4;
  metadata_->patience_ms = prng.chance(1, 2) ? 3'000 : 400;
  if (prng.chance(1, 2)) {  // whoever is a little behind gets a snapshot
    group_options_.checkpoint_entries = 1 + prng.below(10);
    group_options_.trailing_entries = prng.below(4);
    group_options_.laggard_entries = 5 + prng.below(10);
  }
  group_options_.chunk_bytes = static_cast<std::size_t>(500 + prng.below(4'000));
  lanes_ = std::make_unique<Lanes>(
      world_, network_, static_cast<int>(machines_.size()),
      Lanes::Events{
          .awake = [this](int slot) {
            const Machine& m = *machines_[static_cast<std::size_t>(slot)];
            return m.app_stopped || (m.up() && world_.now() >= m.paused_until);
          },
          .id = [this](int slot) { return machines_[static_cast<std::size_t>(slot)]->id; },
          .up = [this](int at, NodeId peer) {
            Machine& m = *machines_[static_cast<std::size_t>(at)];
            on(m, [&m, peer] { m.metadata->on_peer_up(peer); });
          },
          .down = [this](int at, NodeId peer) {
            Machine& m = *machines_[static_cast<std::size_t>(at)];
            on(m, [&m, peer] { m.metadata->on_peer_down(peer); });
          },
          .frame = [this](int at, NodeId from, const std::string& frame) {
            Machine& m = *machines_[static_cast<std::size_t>(at)];
            on(m, [&m, from, frame] { m.metadata->on_frame(from, frame); });
          }});
  app_restarts_ = prng.chance(1, 2);
  world_.after(100'000, [this] { metadata_loop(); });
}

/// stop_app and start_app: its streams to the others stand all the while.
void Cluster::restart_app(Machine& m) {
  if (calm_ || !m.up() || world_.now() < m.paused_until) return;
  world_.trace("m{} restarts its app", m.slot);
  m.metadata->stop();
  end_life(m);
  m.app_stopped = true;
  world_.after(world_.prng.between(1'000, 400'000), [this, &m, life = m.life] {
    if (life == m.life) start(m);
  });
}

void Cluster::start_metadata(Machine& m) {
  MetadataNode::Links links{
      m.clock,
      [this, &m](NodeId to, std::string frame) {
        Machine* target = by_id(to);
        if (!target || target == &m) return;
        lanes_->send(m.slot, target->slot, std::move(frame));
      },
      [&m] { m.turn_due = true; },
      [this](Index index, const raft::Core& core) {
        // Who answers may not have heard of the membership under which the entry was committed.
        if (newest_config_ <= index) check_discs_hold(metadata_->uid, index, core);
      },
      [this, &m](Index index) { check_everywhere(m, index); }};
  m.metadata = std::make_unique<MetadataNode>(*metadata_, m.id, m.incarnation, std::move(links));
}

/// Once it has the group: when founded or joined, and after each restart.
void Cluster::boot_metadata(Machine& m) {
  if (!m.metadata || !m.replica->core(metadata_->uid)) return;
  metadata::MemberDef self{m.id.value, std::string(16, 'x'), fmt::format("rabbit@m{}.{}", m.slot, m.generation), m.ram};
  std::vector<std::uint64_t> former;
  for (int g = 0; g < m.generation; ++g) former.push_back(identity(m.slot, g).value);
  m.metadata->boot(self, former, [this] {
    std::vector<NodeId> members;
    for (const auto& other : machines_) members.push_back(other->id);
    return members;
  });
}

void Cluster::metadata_loop() {
  const Micros gap = calm_ ? std::max<Micros>(client_gap_us_, 30'000) : client_gap_us_;
  const Micros pause = bursts_ && world_.prng.chance(1, 40) ? 2'000'000 : 0;
  world_.after(pause + world_.prng.between(1, 2 * gap), [this] { metadata_loop(); });
  if (quiet_) return;
  if (app_restarts_ && world_.prng.chance(1, 200)) restart_app(*machines_[world_.prng.below(machines_.size())]);
  Machine& m = *machines_[world_.prng.below(machines_.size())];
  const std::uint64_t count = world_.prng.chance(1, 8) ? 1 + world_.prng.below(8) : 1;
  on(m, [&m, count] {
    for (std::uint64_t i = 0; i < count; ++i) m.metadata->act();
  });
}

/// A change is about to be told to its client: whoever serves clients must have carried it out.
void Cluster::check_everywhere(const Machine& from, Index index) {
  for (const auto& m : machines_) {
    if (m.get() == &from || !m->up() || !m->metadata->serves() || !from.metadata->waits_for(m->id)) continue;
    if (m->metadata->applied() >= index) continue;
    checker_.fail("told-when-everywhere", fmt::format("n{} tells that {} is made, n{} stands at {}", from.id.value,
                                                      index, m->id.value, m->metadata->applied()));
  }
}

/// Why the catalogue's members are not at rest; "" when they are.
std::string Cluster::metadata_unsettled() {
  Machine* leader = leader_of(metadata_->uid);
  if (!leader) return "the catalogue has no effective leader";
  const raft::Core& core = *leader->replica->core(metadata_->uid);
  for (NodeId node : core.config().members()) {
    Machine* m = by_id(node);
    if (!m) continue;
    if (!m->up()) return fmt::format("n{} is down", node.value);
    if (auto busy = m->metadata->busy(); !busy.empty()) return fmt::format("n{} {}", node.value, busy);
    if (m->metadata->applied() < metadata_->truth.last()) return fmt::format("n{} is behind", node.value);
    for (NodeId other : core.config().members()) {
      if (other == node || !by_id(other) || m->metadata->waits_for(other)) continue;
      return fmt::format("n{} would not wait for n{}", node.value, other.value);
    }
  }
  return "";
}

void Cluster::demand_metadata(Millis within) {
  quiet_ = true;
  std::string why;
  // What was asked for just now may still run into its deadline.
  const Millis bound = within + metadata_->proposer.timeout_ms;
  for (Micros end = world_.now() + bound * 1000; !(why = metadata_unsettled()).empty();) {
    if (world_.now() >= end) checker_.fail("liveness", why);
    world_.run(world_.now() + 50'000);
  }
  Machine* leader = leader_of(metadata_->uid);
  for (NodeId node : leader->replica->core(metadata_->uid)->config().members()) {
    if (Machine* m = by_id(node)) m->metadata->check_equal();
  }
  for (const auto& [vhost_name, vhost] : metadata_->truth.catalogue().vhosts()) {
    for (const auto& [name, queue] : vhost.queues) {
      Machine* home = queue.exclusive ? by_id(NodeId(queue.home)) : nullptr;
      if (!home || !home->up() || home->metadata->has_connection(queue.owner_connection)) continue;
      if (!leader->replica->core(metadata_->uid)->config().is_member(home->id)) continue;
      checker_.fail("exclusive-ends", fmt::format("queue '{}' of n{} outlives its connection", name, queue.home));
    }
  }
}

}  // namespace warren::simulation
