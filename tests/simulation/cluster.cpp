#include "tests/simulation/cluster.h"

#include <algorithm>
#include <array>

namespace warren::simulation {
namespace {

constexpr std::uint64_t kCluster = 42;
constexpr int kMachines = 5;

NullLogger& logger() {
  static NullLogger instance;
  return instance;
}

}  // namespace

/// A machine's way to the network; sees every frame that leaves.
class Cluster::WireTap final : public replica::Transport {
 public:
  WireTap(Cluster& cluster, Machine& machine) : cluster_(cluster), machine_(machine) {}
  void send(NodeId to, std::string frame) override {
    Machine* target = cluster_.by_id(to);
    auto packet = cluster_.inspect_sent(machine_, std::move(frame));
    if (target) cluster_.network_.send(machine_.slot, target->slot, packet);
  }
  std::size_t unsent_bytes(NodeId) const override { return 0; }

 private:
  Cluster& cluster_;
  Machine& machine_;
};

Cluster::Cluster(World& world, Checker& checker, std::uint64_t seed, StoreKind store)
    : world_(world),
      checker_(checker),
      store_(store),
      network_(world, [this](int to, const std::shared_ptr<const Packet>& packet) {
        deliver(to, packet);
      }) {
  Prng prng(seed ^ 0xABCDEF);
  raft_.quiet = prng.chance(3, 4);
  raft_.prompt_commit = Prng(seed ^ 0x9209).chance(1, 2);
  raft_.inflight.count = prng.chance(1, 3) ? 4 : 256;
  raft_.max_append_bytes = prng.chance(1, 3) ? 200 : 1 << 20;
  group_options_.checkpoint_entries = 5 + prng.below(60);
  group_options_.trailing_entries = prng.below(20);
  group_options_.laggard_entries = 20 + prng.below(100);
  group_options_.chunk_bytes = 100 + prng.below(400);
  group_options_.cache_bytes = prng.chance(1, 2) ? 300 : 1 << 20;
  constexpr std::array<Micros, 4> kGaps{8'000, 30'000, 60'000, 150'000};
  client_gap_us_ = kGaps[prng.below(kGaps.size())];
  bursts_ = prng.chance(1, 3);
  if (bursts_) group_options_.checkpoint_entries = 1 + prng.below(4);
  plot_ = plot_of(seed);
  if (plot_ == Plot::elections) {
    coup_until_ = INT64_MAX;
    client_gap_us_ = 3'000;
  } else if (plot_ == Plot::snapshots) {
    bursts_ = true;
    group_options_ = {};
    group_options_.checkpoint_entries = 1 + prng.below(3);
    group_options_.trailing_entries = 0;
    group_options_.laggard_entries = 5;
    group_options_.chunk_bytes = 40;
  }
  if (plot_ == Plot::elections || (plot_ == Plot::chance && prng.chance(1, 3))) {
    // Hasty: candidates meet, entries travel one by one, terms pass quickly.
    raft_.election_ms = prng.between(20, 60);
    raft_.lease_ms = 15;
    raft_.heartbeat_ms = 10;
    raft_.quorum_ms = 200;
    raft_.quiet = false;
    raft_.max_append_bytes = 1;
    raft_.inflight.count = 1 + prng.below(4);
  }
  // Most clusters are founded by three; some by one or two and grown, some by all.
  constexpr std::array<int, 8> kFounders{3, 3, 3, 3, 3, 1, 2, 5};
  first_voters_ = kFounders[prng.below(kFounders.size())];
  if (plot_ == Plot::elections && first_voters_ < 3) first_voters_ = 3;
  bool ram = first_voters_ < kMachines && prng.chance(1, 3);
  bulky_ = plot_ == Plot::chance && prng.chance(1, 16);
  if (bulky_) {
    raft_.max_append_bytes = 20'000;
    group_options_.chunk_bytes = 30'000;
    group_options_.cache_bytes = 100'000;
    group_options_.checkpoint_bytes = 200'000;
    client_gap_us_ = 60'000;
  }
  group_options_.chunks_inflight = 1 + prng.below(5);
  group_options_.transfer_bytes = prng.chance(1, 3) ? 2 * group_options_.chunk_bytes : 1 << 20;
  std::vector<NodeId> voters;
  for (int slot = 0; slot < kMachines; ++slot) {
    bool in_memory = ram && slot == kMachines - 1;
    machines_.push_back(std::make_unique<Machine>(world, slot, in_memory ? StoreKind::rows : store));
    machines_.back()->id = identity(slot, 0);
    machines_.back()->ram = in_memory;
    if (slot < first_voters_) voters.push_back(identity(slot, 0));
  }
  groups_ = {7, 9};
  if (plot_ == Plot::metadata) plan_metadata(prng);
  for (auto& m : machines_) {
    start(*m);
    for (GroupUid group : groups_) {
      if (m->replica->core(group)) continue;  // joined when it started
      auto machine = make_machine(*m, group);
      auto made = m->slot < first_voters_
                      ? m->replica->found(group, raft::make_config(voters), std::move(machine))
                      : m->replica->join(group, std::move(machine));
      if (!made) checker_.fail("setup", made.error().text);
    }
    boot_metadata(*m);
  }
  client_loop();
  world_.after(200'000, [this] { operator_loop(); });
  world_.after(30'000, [this] { client_read(); });
}

void Cluster::start(Machine& m) {
  if (m.up()) return;
  ++m.life;
  ++m.incarnation;
  m.backlog.clear();
  m.paused_until = 0;
  m.turn_due = false;
  m.app_stopped = false;
  m.transport = std::make_unique<WireTap>(*this, m);
  if (metadata_) start_metadata(m);
  replica::ReplicaOptions options;
  options.self = m.id;
  options.cluster = kCluster;
  options.incarnation = m.incarnation;
  options.seed = world_.prng.next();
  options.raft = raft_;
  options.raft.may_vote = !m.ram;
  options.group = group_options_;
  if (bulky_) options.max_frame_bytes = 50'000;
  auto opened = m.disc.open();
  // Some discs were last written by a version before this one.
  for (GroupUid group : groups_) {
    if (world_.prng.chance(1, 8)) m.disc.age(group);
  }
  auto post = [this, &m, life = m.life](std::function<void()> what) {
    world_.after(5, [this, &m, life, what = std::move(what)] {
      if (life == m.life) on(m, what);
    });
  };
  auto wake = [&m] { m.turn_due = true; };
  auto fatal = [this, &m, life = m.life](const Error& error) {
    if (life == m.life) on_fatal(m, error);
  };
  m.replica = std::make_unique<replica::ReplicaNode>(options, m.disc, m.disc, *m.transport, m.clock,
                                                     logger(), post, wake, fatal);
  world_.trace("m{} starts as n{}", m.slot, m.id.value);
  if (m.metadata) m.metadata->attach(*m.replica);
  auto loaded = opened ? m.replica->load([&](GroupUid group) { return make_machine(m, group); }) : opened;
  if (!loaded) {
    m.replica.reset();
    m.metadata.reset();
    ++m.life;
    if (!m.damaged && !m.disc.rotten()) {
      checker_.fail("no-silent-shrink",
                    fmt::format("n{} cannot open its undamaged disc: {}", m.id.value, loaded.error().text));
    }
    world_.trace("m{} refuses to start: {}", m.slot, loaded.error().text);
    return replace(m);
  }
  if (m.damaged) {
    checker_.fail("damage-is-refused", fmt::format("n{} opened a damaged disc as if nothing was wrong", m.id.value));
  }
  for (GroupUid group : groups_) {
    if ((m.wiped || m.ram) && !m.replica->core(group)) {
      (void)m.replica->join(group, make_machine(m, group));
    }
  }
  for (GroupUid group : groups_) {
    if (const raft::Core* core = m.replica->core(group)) checker_.observe(m.id, group, *core, true);
  }
  boot_metadata(m);
  schedule_tick(m);
  after_step(m);
}

std::unique_ptr<replica::StateMachine> Cluster::make_machine(Machine& m, GroupUid group) {
  if (is_metadata(group)) return m.metadata->make_machine();
  return std::make_unique<ToyMachine>(checker_, m.id, group);
}

/// The node stopped itself. Damage says that its disc is to be replaced; anything else may pass.
void Cluster::on_fatal(Machine& m, const Error& error) {
  bool rotten = error.code == Errc::corruption && m.disc.rotten();
  if (error.code == Errc::corruption && !rotten) {
    checker_.fail("no-silent-shrink",
                  fmt::format("n{} finds its undamaged disc damaged: {}", m.id.value, error.text));
  }
  world_.after(1'000, [this, &m, rotten, life = m.life] {
    if (life != m.life) return;
    stop(m, false);
    if (rotten) {
      replace(m);
    } else if (calm_) {
      start(m);
    }
  });
}

/// It said so and stays away; the operator brings the machine back under a new identity.
void Cluster::replace(Machine& m) {
  if (lanes_) lanes_->stopped(m.slot, false);  // streams belong to an identity
  m.app_stopped = false;
  m.disc.wipe();
  m.damaged = m.rotted = false;
  m.wiped = true;
  m.id = identity(m.slot, ++m.generation);
  world_.after(500'000, [this, &m] { start(m); });
}

/// The store writes its tables, with the floors of the moment or older ones.
void Cluster::tidy(Machine& m) {
  if (m.disc.tidy()) return;
  world_.trace("m{} dies while it writes tables", m.slot);
  world_.after(1, [this, &m, life = m.life] {
    if (life != m.life) return;
    stop(m, true);
    world_.after(world_.prng.between(1'000, 800'000), [this, &m] { start(m); });
  });
}

void Cluster::stop(Machine& m, bool silent) {
  if (!m.up()) return;
  world_.trace("m{} stops{}", m.slot, silent ? " silently" : "");
  end_life(m);
  if (lanes_) lanes_->stopped(m.slot, silent);
  if (silent) return;
  for (auto& other : machines_) {
    if (other.get() == &m || network_.cut(m.slot, other->slot)) continue;
    world_.after(world_.prng.between(100, 2'000), [this, &o = *other, id = m.id, life = other->life] {
      if (o.life == life) on(o, [&o, id] { o.replica->on_peer_down(id); });
    });
  }
}

void Cluster::end_life(Machine& m) {
  ++m.life;
  m.replica.reset();
  m.metadata.reset();
  m.backlog.clear();
  m.foreign = false;
  m.disc.crash();
  if (m.ram) m.disc.wipe();
}

void Cluster::resume(Machine& m) {
  while (!m.backlog.empty() && m.up() && world_.now() >= m.paused_until) {
    auto what = std::move(m.backlog.front());
    m.backlog.pop_front();
    what();
    after_step(m);
  }
}

void Cluster::after_step(Machine& m) {
  for (int i = 0; i < 100 && m.up() && m.turn_due; ++i) {
    m.turn_due = false;
    if (m.metadata) m.metadata->before_turn();
    m.replica->turn();
    if (m.metadata) m.metadata->end_of_turn();
  }
  if (!m.up() || m.replica->failed()) return;
  for (GroupUid group : groups_) {
    const raft::Core* core = m.replica->core(group);
    if (!core) continue;
    checker_.observe(m.id, group, *core, false);
    if (is_metadata(group)) newest_config_ = std::max(newest_config_, core->config_index());
    plot(m, group, *core);
  }
}

/// The worst moments are those right after an election: entries of several terms lie about, each
/// on few discs (paper, figure 8); and those while a snapshot is on its way. Chance alone hardly
/// ever meets them.
void Cluster::plot(Machine& m, GroupUid group, const raft::Core& core) {
  if (calm_ || core.role() != raft::Role::leader) return;
  if (plot_ == Plot::snapshots && world_.prng.chance(1, 20)) {
    for (NodeId node : core.config().voters) {
      const raft::Progress* progress = core.progress(node);
      if (!progress || progress->state() != raft::Progress::State::snapshot) continue;
      return cut_off(m.slot, world_.prng.between(0, 5'000), world_.prng.between(300'000, 1'500'000));
    }
  }
  if (core.term() <= led_[group]) return;
  led_[group] = core.term();
  if (world_.now() >= coup_until_) return;
  bool merciless = plot_ == Plot::elections;
  if (!merciless && world_.prng.chance(1, 2)) return;
  // At once: its first entry stays its own. Soon: in the middle of what it found. Later: a tail.
  Micros delay = 0;
  if (world_.prng.chance(2, 3)) delay = world_.prng.between(0, 8'000);
  if (merciless && world_.prng.chance(1, 3)) delay = world_.prng.between(20'000, 200'000);
  cut_off(m.slot, delay, world_.prng.between(10'000, merciless ? 250'000 : 500'000));
}

void Cluster::cut_off(int slot, Micros delay, Micros length) {
  world_.after(delay, [this, slot, length] {
    if (calm_) return;
    world_.trace("coup against m{}", slot);
    for (int other = 0; other < kMachines; ++other) network_.cut_both(slot, other);
    world_.after(length, [this, slot] {
      for (int other = 0; other < kMachines; ++other) network_.heal_pair(slot, other);
    });
  });
}

void Cluster::schedule_tick(Machine& m) {
  world_.after(20'000, [this, &m, life = m.life] {
    if (life != m.life) return;
    on(m, [this, &m] {
      m.replica->tick();
      if (m.metadata) m.metadata->tick(), m.turn_due = true;
      for (GroupUid group : groups_) {
        const raft::Core* core = m.replica->core(group);
        if (core && core->lease_valid()) checker_.leased(m.id, group, core->term(), raft_.lease_ms);
      }
    });
    schedule_tick(m);
  });
}

Cluster::Machine* Cluster::by_id(NodeId id) {
  for (auto& m : machines_) {
    if (m->id == id) return m.get();
  }
  return nullptr;
}

Cluster::Machine* Cluster::leader_of(GroupUid group) {
  Machine* best = nullptr;
  for (auto& m : machines_) {
    if (!m->up() || world_.now() < m->paused_until) continue;
    const raft::Core* core = m->replica->core(group);
    if (!core || !core->effective()) continue;
    if (!best || core->term() > best->replica->core(group)->term()) best = m.get();
  }
  return best;
}

void Cluster::deliver(int to, const std::shared_ptr<const Packet>& packet) {
  Machine& target = *machines_[static_cast<std::size_t>(to)];
  on(target, [this, &target, packet] {
    std::vector<std::pair<Term, NodeId>> before;
    for (GroupUid group : packet->pre_votes) {
      const raft::Core* core = target.replica->core(group);
      before.emplace_back(core ? core->term() : 0, core ? core->vote() : NodeId{});
    }
    auto refused = target.replica->refused(replica::FrameRefusal::foreign_version);
    target.replica->on_frame(packet->sender, {packet, &packet->bytes});
    bool refuses = target.replica->refused(replica::FrameRefusal::foreign_version) != refused;
    if (refuses != packet->foreign && !target.replica->failed()) {
      checker_.fail("foreign-version-is-refused", fmt::format("n{} took a foreign frame", target.id.value));
    }
    for (std::size_t i = 0; i < before.size(); ++i) {
      GroupUid group = packet->pre_votes[i];
      const raft::Core* core = target.replica->core(group);
      // A lone voter may have stood and won meanwhile: time passes with every frame.
      bool alone = core && core->config().voters.size() == 1;
      if (core && !alone && std::pair(core->term(), core->vote()) != before[i]) {
        checker_.fail("pre-vote-is-pure", fmt::format("n{} g{} changed by a pre-vote", target.id.value, group));
      }
    }
  });
}

std::shared_ptr<const Packet> Cluster::inspect_sent(Machine& from, std::string bytes) {
  auto packet = std::make_shared<Packet>();
  packet->bytes = std::move(bytes);
  packet->sender = from.id;
  if (from.foreign) {
    packet->bytes[2] = static_cast<char>(replica::kFrameVersion + 1);
    packet->foreign = true;
    return packet;
  }
  // Heartbeats of the pair carry no messages: there is nothing in them to inspect.
  auto frame = replica::decode_frame({packet, &packet->bytes});
  if (!frame) checker_.fail("codec", frame.error().text);
  bool only_pre_votes = !frame->messages.empty();
  for (const auto& [group, m] : frame->messages) {
    only_pre_votes = only_pre_votes && std::holds_alternative<raft::PreVote>(m.payload);
    inspect_message(from, group, m);
  }
  if (only_pre_votes) {
    for (const auto& m : frame->messages) packet->pre_votes.push_back(m.group);
  }
  return packet;
}

/// Promises that leave a machine must already be on its disc.
void Cluster::inspect_message(Machine& from, GroupUid group, const raft::Message& m) {
  if (auto* reply = std::get_if<raft::VoteReply>(&m.payload)) {
    if (reply->granted) checker_.voted(from.id, group, m.term, m.to);
  } else if (auto* ask = std::get_if<raft::Vote>(&m.payload)) {
    checker_.voted(from.id, group, m.term, from.id);
    if (!from.disc.holds(group, ask->last_index)) {
      checker_.fail("candidacy-is-durable", fmt::format("n{} g{} stands with a log to {} that is not on disc",
                                                        from.id.value, group, ask->last_index));
    }
  } else if (auto* ack = std::get_if<raft::AppendReply>(&m.payload)) {
    if (ack->ok && ack->match > 0 && !from.disc.holds(group, ack->match)) {
      checker_.fail("ack-is-durable", fmt::format("n{} g{} acknowledged {} before it was on disc",
                                                  from.id.value, group, ack->match));
    }
  }
  if (from.ram && (std::holds_alternative<raft::Vote>(m.payload) || std::holds_alternative<raft::PreVote>(m.payload))) {
    checker_.fail("ram-never-stands", fmt::format("n{} g{} campaigns", from.id.value, group));
  }
  if (world_.tracing && !std::holds_alternative<raft::Append>(m.payload) &&
      !std::holds_alternative<raft::AppendReply>(m.payload)) {
    world_.trace("n{} -> n{} g{} {} term {}", m.from.value, m.to.value, group, raft::message_name(m),
                 m.term);
  }
}

void Cluster::inject(const Fault& fault) {
  world_.trace("fault {}", simulation::describe(fault));
  Machine& m = *machines_[fault.a % machines_.size()];
  int a = m.slot;
  int b = static_cast<int>(fault.b % machines_.size());
  int count = static_cast<int>(machines_.size());
  switch (fault.kind) {
    case FaultKind::kill: return stop(m, false);
    case FaultKind::power_loss: return stop(m, true);
    case FaultKind::power_loss_all:
      for (auto& each : machines_) stop(*each, true);
      for (auto& each : machines_) {
        world_.after(world_.prng.between(1'000, 800'000), [this, &e = *each] { start(e); });
      }
      return;
    case FaultKind::restart:
      for (auto& each : machines_) start(*each);
      return;
    case FaultKind::pause:
      m.paused_until = world_.now() + fault.ms * 1000;
      world_.at(m.paused_until, [this, &m] { resume(m); });
      return;
    case FaultKind::cut_one_way: return network_.cut_one_way(a, b);
    case FaultKind::cut_both: return network_.cut_both(a, b);
    case FaultKind::isolate:
      for (int other = 0; other < count; ++other) network_.cut_both(a, other);
      return;
    case FaultKind::halves:
      for (int i = 0; i < count; ++i) {
        for (int j = 0; j < i; ++j) {
          if (((fault.b >> i) & 1) != ((fault.b >> j) & 1)) network_.cut_both(i, j);
        }
      }
      return;
    case FaultKind::ring:
      for (int i = 0; i < count; ++i) {
        for (int j = 0; j < i; ++j) {
          if (i - j != 1 && i - j != count - 1) network_.cut_both(i, j);
        }
      }
      return;
    case FaultKind::swizzle:
      for (int i = 0; i < count; ++i) {
        world_.after(world_.prng.between(0, fault.ms * 1000), [this, i, a] {
          if (!calm_) network_.cut_both(i, a);
        });
        world_.after(world_.prng.between(0, fault.ms * 2000), [this, i, a] { network_.heal_pair(i, a); });
      }
      return;
    case FaultKind::heal: return network_.heal();
    case FaultKind::loss: network_.loss_permille = 10 + fault.b * 60; return;
    case FaultKind::repeat: network_.repeat_permille = 100; return;
    case FaultKind::slow: network_.slow_permille = 200; return;
    case FaultKind::reorder: network_.reorder = true; return;
    case FaultKind::disc_stall: return m.disc.stall(fault.ms * 1000);
    case FaultKind::disc_error: return m.disc.fail_next();
    case FaultKind::disc_damage:
      if (!may_damage(m)) return;
      stop(m, true);
      m.damaged = m.disc.damage(groups_[fault.b % groups_.size()]);
      world_.after(300'000, [this, &m] { start(m); });
      return;
    case FaultKind::disc_full: return m.disc.fill(fault.ms * 1000);
    case FaultKind::disc_rot:
      if (may_damage(m)) m.rotted = m.disc.rot();
      return;
    case FaultKind::foreign:
      m.foreign = m.up();
      return;
    case FaultKind::transfer:
      for (GroupUid group : groups_) {
        if (Machine* leader = leader_of(group)) {
          on(*leader, [leader, group, id = machines_[static_cast<std::size_t>(b)]->id] {
            (void)leader->replica->transfer(group, id);
          });
        }
      }
      return;
    case FaultKind::membership: return change_membership(fault.b);
    case FaultKind::clock_jump: m.clock.wall_offset += (fault.b % 2 ? 1 : -1) * 3'600'000; return;
    case FaultKind::coup:
      coup_until_ = world_.now() + 4 * fault.ms * 1000;
      return;
    case FaultKind::count: return;
  }
}

}  // namespace warren::simulation
