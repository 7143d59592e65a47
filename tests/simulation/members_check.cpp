// What must be true of members that come and go, and how every run must end.
#include "tests/simulation/members.h"

#include <algorithm>

namespace warren::simulation {

namespace {

constexpr GroupUid kGroup = GroupUid{1} << 62;

}  // namespace

Members::Universe::Universe(World& world, std::string cluster)
    : id(std::move(cluster)),
      checker(world),
      group{.uid = kGroup, .world = world, .checker = checker, .truth = MetadataTruth(checker)} {
  group.real_members = true;
  group.proposer.timeout_ms = 4'000;
  group.proposer.resend_ms = 300;
}

Members::Universe& Members::universe_of(const std::string& cluster_id) {
  auto& universe = universes_[cluster_id];
  if (!universe) universe = std::make_unique<Universe>(world_, cluster_id);
  return *universe;
}

Members::Host* Members::by_number(NodeId id) {
  for (auto& host : hosts_) {
    if (host->number() == id) return host.get();
  }
  return nullptr;
}

Members::Host* Members::by_name(const std::string& name) {
  for (auto& host : hosts_) {
    if (host->name == name) return host.get();
  }
  return nullptr;
}

std::string Members::fresh_id() {
  std::string id(16, 'i');
  const std::uint64_t number = ++next_id_;
  for (int i = 0; i < 8; ++i) id[static_cast<std::size_t>(i)] = static_cast<char>(number >> (56 - 8 * i));
  return id;
}

/// A host is about to write down who it is.
void Members::check_state(const Host& host, const membership::LocalState& next) {
  const membership::LocalState& now = host.file;
  const auto fail = [&](const char* invariant, const std::string& text) {
    world_.trace("VIOLATION {}: {}", invariant, text);
    throw Violation{invariant, host.name + " " + text};
  };
  for (const auto& other : hosts_) {
    if (other.get() != &host && other->file.node_id == next.node_id) fail("identity-unique", "takes the id of " + other->name);
  }
  if (next.founded()) {
    const bool listed = std::any_of(next.members.begin(), next.members.end(),
                                    [&](const auto& member) { return member.node_id == next.node_id; });
    if (!listed) fail("state-lists-itself", "is not in its own list");
  }
  const bool founds = !now.founded() && next.founded() && !next.wipe;
  if (founds && !configured_.empty() &&
      host.name != *std::min_element(configured_.begin(), configured_.end())) {
    fail("one-founder", "founds a cluster although another was to");
  }
  if (next.node_id == now.node_id && next.cluster_id == now.cluster_id) return;
  if (founds) return;
  // Another identity, or another cluster: what the host stored goes.
  if (!next.wipe) fail("wiped-only-when-agreed", "takes another identity and keeps its data");
  if (next.founded() && !universe_of(next.cluster_id).ever_listed.contains(membership::member_number(next.node_id))) {
    fail("wiped-only-when-agreed", "gives up its data before its new cluster has listed it");
  }
  if (!now.founded() || now.alone() || host.forcing) return;
  const auto& list = universe_of(now.cluster_id).group.truth.catalogue();
  if (list.find_member(membership::member_number(now.node_id)) != nullptr) {
    fail("wiped-only-when-agreed", "gives up its data while its old cluster lists it");
  }
}

/// After every step of a host with an app.
void Members::look(Host& host) {
  Universe& universe = *host.universe;
  const raft::Core& core = *host.core();
  universe.checker.observe(host.number(), kGroup, core, false);
  if (universe.group.truth.last() > universe.looked_at) check_list(universe);
  check_config(host, core);
}

void Members::check_list(Universe& universe) {
  universe.looked_at = universe.group.truth.last();
  const auto& members = universe.group.truth.catalogue().members();
  bool disc = members.empty();
  std::set<std::string> names;
  for (const auto& [id, member] : members) {
    universe.ever_listed.insert(id);
    universe.ram[id] = member.ram;
    disc = disc || !member.ram;
    if (!names.insert(member.name).second) universe.checker.fail("identity-unique", "two members are " + member.name);
  }
  if (!disc) universe.checker.fail("last-disc-stays", "a cluster of RAM nodes alone");
}

/// Memberships count once committed: only then somebody may rely on them.
void Members::check_config(Host& host, const raft::Core& core) {
  if (core.role() != raft::Role::leader || !core.effective()) return;
  Universe& universe = *host.universe;
  const Index at = core.config_index();
  const raft::Config& config = core.config();
  for (NodeId voter : config.voters) {
    const auto ram = universe.ram.find(voter.value);
    if (ram != universe.ram.end() && ram->second) {
      universe.checker.fail("ram-never-votes", fmt::format("n{} counts as a voter", voter.value));
    }
  }
  if (core.config_pending() || at <= universe.newest_config) return;
  universe.newest_config = at;
  for (NodeId voter : config.voters) {
    auto [in, fresh] = voters_of_.try_emplace(voter.value, universe.id);
    if (!fresh && in->second != universe.id) {
      universe.checker.fail("one-cluster", fmt::format("n{} has a vote in two clusters", voter.value));
    }
    const auto left = universe.left_at.find(voter.value);
    if (left != universe.left_at.end() && left->second < at) {
      universe.checker.fail("forgotten-stays-out", fmt::format("n{} had left, and votes again", voter.value));
    }
    universe.voted[voter.value] = at;
  }
  for (const auto& [id, when] : universe.voted) {
    if (when < at && !config.is_member(NodeId(id))) universe.left_at.try_emplace(id, at);
  }
}

/// Why the hosts are not yet all well; "" when they are.
std::string Members::unsettled() {
  for (const auto& host : hosts_) {
    if (!host->running || host->starting_since != 0) return fmt::format("{} does not run: {}", host->name, host->refusal);
    if (host->busy || host->operations->busy()) return host->name + " is in the middle of " + host->operations->doing();
  }
  for (const auto& host : hosts_) {
    const Universe& universe = *host->universe;
    const auto& list = universe.group.truth.catalogue().members();
    if (!list.contains(host->number().value)) return host->name + " is not on the list of its cluster";
    Host* leader = nullptr;
    for (const auto& other : hosts_) {
      if (other->universe == &universe && other->leads()) leader = other.get();
    }
    if (!leader) return fmt::format("the cluster of {} has no leader", host->name);
    const raft::Config& config = leader->core()->config();
    if (leader->core()->config_pending()) return "a change of the membership is pending";
    for (const auto& [id, member] : list) {
      const Host* who = by_number(NodeId(id));
      if (!who || who->universe != &universe) return fmt::format("{} is listed as n{} and is not there", member.name, id);
      if (member.ram ? !config.is_member(NodeId(id)) : !config.is_voter(NodeId(id))) {
        return member.name + " is listed, but the group does not count it";
      }
    }
    if (config.members().size() != list.size()) return fmt::format("the group of {} counts who is not listed", host->name);
    if (host->metadata->applied() < universe.group.truth.last()) return host->name + " is behind";
    if (auto busy = host->metadata->busy(); !busy.empty()) return host->name + " " + busy;
    if (host->file.members != host->members()) return host->name + " has not written down the list";
  }
  return "";
}

std::string Members::describe(const Host& host) const {
  std::string out = fmt::format("{} n{} cluster {} members", host.name, host.number().value,
                                membership::to_hex(host.file.cluster_id).substr(0, 16));
  for (const auto& member : host.file.members) out += fmt::format(" n{}{}", member.id, member.ram ? "(ram)" : "");
  out += fmt::format("; {}{}{}{}", host.running ? "runs" : "does not run", host.replica ? ", has an app" : "",
                     host.file.wipe ? ", wipes" : "", host.busy ? ", busy" : "");
  for (const auto& other : hosts_) {
    const auto from = links_.find(std::min(host.slot, other->slot));
    if (from == links_.end()) continue;
    const auto link = from->second.find(std::max(host.slot, other->slot));
    if (link != from->second.end() && link->second.standing) out += " +" + other->name;
  }
  if (!host.core()) return out;
  out += fmt::format("; term {} commit {} applied {} voters", host.core()->term(), host.core()->commit_index(),
                     host.core()->applied_index());
  for (NodeId voter : host.core()->config().voters) out += fmt::format(" n{}", voter.value);
  out += " learners";
  for (NodeId learner : host.core()->config().learners) out += fmt::format(" n{}", learner.value);
  return out;
}

void Members::demand(Millis within) {
  std::string why;
  for (Micros end = world_.now() + within * 1000; !(why = unsettled()).empty();) {
    if (world_.now() >= end) {
      for (const auto& host : hosts_) world_.trace("{}", describe(*host));
      world_.trace("VIOLATION liveness: {}", why);
      throw Violation{"liveness", why};
    }
    world_.run(world_.now() + 50'000);
  }
  for (const auto& host : hosts_) host->metadata->check_equal();
}

void Members::add_to(RunResult& result) const {
  for (const auto& [id, universe] : universes_) {
    result.changes += universe->group.answers;
    result.refusals += universe->group.refusals;
    result.lost += universe->group.lost_answers;
    result.fenced += universe->group.fenced;
    result.acks += universe->checker.acks;
    result.elections += universe->checker.elections;
    result.restores += universe->checker.restores;
    result.commits += universe->checker.commits;
  }
  result.joined = joined_;
  result.left = left_;
  result.forgotten = forgotten_;
  result.changed_type = changed_;
  result.refused = refused_;
  result.resumed = resumed_;
}

}  // namespace warren::simulation
