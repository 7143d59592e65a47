// Who changes the membership: an operator who joins, resets, forgets and changes types, at bad moments, and
// who cleans up in the end as the documentation says. And the faults meanwhile.
#include "cluster/membership/duties.h"
#include "tests/simulation/members.h"

#include <algorithm>
#include <array>

namespace warren::simulation {

namespace {

constexpr int kHosts = 5;
constexpr Micros kPatience = 12'000'000;  // an operator gives up and starts the app again

}  // namespace

Members::Members(World& world, std::uint64_t seed, StoreKind store) : world_(world), seed_(seed) {
  Prng prng(seed ^ 0x3E3B);
  crashes_inside_ = prng.chance(1, 2);
  raft_.quiet = true;
  raft_.prompt_commit = true;
  group_options_.checkpoint_entries = 1 + prng.below(20);
  group_options_.trailing_entries = prng.below(4);
  group_options_.laggard_entries = 5 + prng.below(20);
  group_options_.chunk_bytes = static_cast<std::size_t>(300 + prng.below(4'000));
  if (prng.chance(1, 3)) {
    for (int slot = 0; slot < 3; ++slot) configured_.push_back(fmt::format("rabbit@h{}", slot));
  }
  for (int slot = 0; slot < kHosts; ++slot) hosts_.push_back(std::make_unique<Host>(*this, slot, store));
  for (auto& host : hosts_) {
    world_.after(world_.prng.between(0, 500'000), [&h = *host] { h.boot_process(); });
  }
  struct Ticks {
    static void again(Members& all) {
      all.world_.after(20'000, [&all] {
        for (auto& host : all.hosts_) {
          host->tick();
          host->after_step();
        }
        again(all);
      });
    }
  };
  Ticks::again(*this);
  poll_links();
  world_.after(1'500'000, [this] { operator_loop(); });
  world_.after(1'000'000, [this] { client_loop(); });
}

Members::~Members() {
  for (auto& host : hosts_) ++host->life, ++host->app_life;
}

void Members::client_loop() {
  world_.after(world_.prng.between(1'000, calm_ ? 300'000 : 100'000), [this] { client_loop(); });
  if (calm_) return;
  Host& host = *hosts_[world_.prng.below(hosts_.size())];
  if (!host.running) return;
  host.metadata->act();
  host.after_step();
}

void Members::operator_loop() {
  if (calm_) {
    repair();
    world_.after(300'000, [this] { operator_loop(); });
    return;
  }
  world_.after(world_.prng.between(50'000, 2'500'000), [this] { operator_loop(); });
  operate(*hosts_[world_.prng.below(hosts_.size())], world_.prng.next());
}

void Members::operate(Host& host, std::uint64_t random) {
  Prng prng(random);
  if (!host.up()) return host.boot_process();
  if (host.busy && world_.now() - host.busy_since < kPatience) return;
  Host& other = *hosts_[prng.below(hosts_.size())];
  if (!host.replica && host.waiters.empty()) {  // somebody should look after it
    if (host.refusal.find("inconsistent_cluster") != std::string::npos) return reset(host, true);
    return host.start_app(Mode::serve, [](const auto&) {});
  }
  if (!host.running) return;
  const std::uint64_t dice = prng.below(12);
  if (dice < 6 && &other != &host) return join(host, other, prng.chance(1, 4));
  if (dice < 8) return reset(host, false);
  if (dice < 10) return change_type(host, prng.chance(1, 2));
  if (&other != &host) forget(host, other);
}

/// stop_app, the operation, start_app whatever came of it.
void Members::with_app_stopped(Host& host, std::function<void(membership::Done)> what) {
  host.busy = true;
  host.busy_since = world_.now();
  host.stop_app([this, &host, what = std::move(what)] {
    what([this, &host](Result<std::string> result) {
      if (!result) ++refused_;
      world_.trace("{}: {}", host.name, result ? "done " + *result : "refused: " + result.error().text);
      host.forcing = false;
      host.start_app(Mode::serve, [this, &host](const auto&) { finish(host); });
    });
  });
}

void Members::join(Host& host, Host& target, bool ram) {
  world_.trace("operator: {} joins {}{}", host.name, target.name, ram ? " as a RAM node" : "");
  with_app_stopped(host, [this, &host, &target, ram](membership::Done done) {
    host.operations->join(target.name, ram, [this, done](Result<std::string> result) {
      if (result && result->empty()) ++joined_;
      done(std::move(result));
    });
  });
}

void Members::reset(Host& host, bool force) {
  world_.trace("operator: {} is reset{}", host.name, force ? " by force" : "");
  with_app_stopped(host, [this, &host, force](membership::Done done) {
    host.forcing = force;
    host.operations->reset(force, [this, done](Result<std::string> result) {
      if (result) ++left_;
      done(std::move(result));
    });
  });
}

void Members::change_type(Host& host, bool ram) {
  world_.trace("operator: {} becomes a {} node", host.name, ram ? "RAM" : "disc");
  with_app_stopped(host, [this, &host, ram](membership::Done done) {
    host.operations->change_type(ram, [this, done](Result<std::string> result) {
      if (result && result->empty()) ++changed_;
      done(std::move(result));
    });
  });
}

/// As node/server does it: the list says who is meant, the target says whether it runs.
void Members::forget(Host& at, Host& target) {
  const auto may = membership::may_forget(at.members(), at.name, target.name, false);
  if (!may || target.busy) return;
  world_.trace("operator: {} forgets {}", at.name, target.name);
  const auto go = [this, &at, name = target.name] {
    at.ask(name, "cluster_probe", {}, 500, [this, &at, name](Result<boost::json::value> answer) {
      const auto view = answer ? membership::view_from_json(*answer) : Result<membership::NodeView>(answer.error());
      const auto member = membership::may_forget(at.members(), at.name, name, view && view->app_running);
      if (!member || !at.running) return (void)++refused_;
      at.dismiss(member->node_id, [this](const Result<void>& removed) { ++(removed ? forgotten_ : refused_); });
    });
  };
  if (!target.replica) return go();
  target.busy = true;
  target.busy_since = world_.now();
  target.stop_app([this, &target, go, &at, was = at.life] {
    if (at.life == was && at.running) go();
    world_.after(world_.prng.between(0, 3'000'000), [this, &target, was = target.life] {
      if (was != target.life) return;
      target.start_app(Mode::serve, [this, &target](const auto&) { finish(target); });
    });
  });
}

bool Members::listed(const Host& host) {
  return universe_of(host.file.cluster_id).group.truth.catalogue().find_member(host.number().value) != nullptr;
}

/// Nothing new is asked for; what is left half done is gone on with or cleaned up.
void Members::repair() {
  for (auto& host : hosts_) {
    if (!host->up()) {
      host->boot_process();
      continue;
    }
    const bool hangs = host->busy && world_.now() - host->busy_since > kPatience;
    const bool starts_long = host->starting_since != 0 && world_.now() - host->starting_since > kPatience;
    // Forgotten, and nobody of its cluster is left who could say so.
    if (starts_long && host->replica && !listed(*host)) {
      reset(*host, true);
      continue;
    }
    // Everybody it knew has gone or come back as another: rabbitmqctl update_cluster_nodes.
    Host* fellow = nullptr;
    for (auto& other : hosts_) {
      if (other != host && other->running && other->file.cluster_id == host->file.cluster_id) fellow = other.get();
    }
    if (starts_long && host->replica && fellow) {
      ++updated_;
      with_app_stopped(*host, [&host = *host, fellow](membership::Done done) {
        host.operations->update_nodes(fellow->name, std::move(done));
      });
      continue;
    }
    if (hangs || starts_long) {
      host->kill("the operator restarts it");
      continue;
    }
    if (host->busy || host->operations->busy() || host->starting_since != 0) continue;
    if (!host->replica) {
      if (host->refusal.find("inconsistent_cluster") != std::string::npos) reset(*host, true);
      else host->start_app(Mode::serve, [](const auto&) {});
      continue;
    }
    if (!host->running) {
      host->kill("it runs without clients");
      continue;
    }
    if (!listed(*host)) {
      host->kill("it was forgotten while it ran");
      continue;
    }
    // Who is listed under an id that nobody has any more.
    for (const auto& member : membership::listed(host->universe->group.truth.catalogue())) {
      Host* who = by_number(NodeId(member.id));
      if (who && who->file.cluster_id == host->universe->id) continue;
      Host* named = by_name(member.name);
      if (named && named != host.get() && !named->busy) forget(*host, *named);
      break;
    }
  }
}

void Members::inject(const Fault& fault) {
  world_.trace("fault {}", simulation::describe(fault));
  Host& host = *hosts_[fault.a % hosts_.size()];
  const int a = host.slot;
  const int b = static_cast<int>(fault.b % hosts_.size());
  switch (fault.kind) {
    case FaultKind::kill:
    case FaultKind::power_loss: return host.kill("killed");
    case FaultKind::power_loss_all:
      for (auto& each : hosts_) each->kill("power");
      return;
    case FaultKind::restart:
      for (auto& each : hosts_) each->boot_process();
      return;
    case FaultKind::cut_one_way:
    case FaultKind::cut_both: cuts_[a][b] = true; return;
    case FaultKind::isolate:
      for (int other = 0; other < kHosts; ++other) cuts_[a][other] = true;
      return;
    case FaultKind::halves:
      for (int i = 0; i < kHosts; ++i) {
        for (int j = 0; j < i; ++j) cuts_[i][j] = ((fault.b >> i) & 1) != ((fault.b >> j) & 1);
      }
      return;
    case FaultKind::heal:
      for (auto& row : cuts_) std::fill(std::begin(row), std::end(row), false);
      slow_ = false;
      return;
    case FaultKind::slow: slow_ = true; return;
    case FaultKind::disc_stall: return host.disc.stall(fault.ms * 1000);
    case FaultKind::disc_error: return host.disc.fail_next();
    case FaultKind::membership:
    case FaultKind::transfer: return operate(host, fault.b);
    default: return;
  }
}

void Members::heal_all() {
  world_.trace("everything heals");
  for (auto& row : cuts_) std::fill(std::begin(row), std::end(row), false);
  slow_ = false;
  calm_ = true;
  configured_.clear();  // two clusters among them would keep every newcomer waiting
  for (auto& host : hosts_) host->disc.heal();
}

}  // namespace warren::simulation
