// A run from seed to verdict, and shrinking a failing one.
#include "tests/simulation/cluster.h"
#include "tests/simulation/members.h"

#include <algorithm>

namespace warren::simulation {

constexpr int kPlanMachines = 5;

namespace {

template <class What>
void live_through(World& world, What& what, const RunOptions& options) {
  const Micros begin = world.now();
  for (const Fault& fault : options.plan) {
    world.run(begin + fault.at * 1000);
    what.inject(fault);
  }
  world.run(begin + options.chaos_ms * 1000);
  what.heal_all();
}

}  // namespace

std::vector<Fault> plan_for(std::uint64_t seed, Millis chaos_ms) {
  return plan_faults(seed, kPlanMachines, chaos_ms);
}

RunResult run_once(const RunOptions& options) {
  RunResult result;
  World world(options.seed);
  world.tracing = options.tracing;
  Checker checker(world);
  Micros begin = world.now();
  try {
    if (options.scene == Scene::members) {
      Members members(world, options.seed, options.store);
      live_through(world, members, options);
      members.demand(4 * options.settle_ms);
      members.add_to(result);
    } else {
      Cluster cluster(world, checker, options.seed, options.store);
      live_through(world, cluster, options);
      cluster.demand_progress(options.settle_ms);
      if (const MetadataGroup* metadata = cluster.metadata()) {
        result.changes = metadata->answers;
        result.refusals = metadata->refusals;
        result.lost = metadata->lost_answers;
        result.fenced = metadata->fenced;
      }
    }
  } catch (const Violation& violation) {
    result.failed = true;
    result.violation = violation;
  }
  result.simulated_ms = (world.now() - begin) / 1000;
  result.steps = world.steps();
  result.acks += checker.acks;
  result.reads = checker.reads;
  result.elections += checker.elections;
  result.restores += checker.restores;
  result.commits += checker.commits;
  result.trace = std::move(world.lines);
  return result;
}

std::vector<Fault> shrink(RunOptions options, const std::string& invariant, int tries) {
  std::vector<Fault> best = options.plan;
  std::size_t piece = std::max<std::size_t>(1, best.size() / 2);
  while (tries > 0) {
    bool smaller = false;
    for (std::size_t at = 0; at < best.size() && tries > 0; --tries) {
      options.plan = best;
      auto first = options.plan.begin() + static_cast<std::ptrdiff_t>(at);
      options.plan.erase(first, first + static_cast<std::ptrdiff_t>(std::min(piece, best.size() - at)));
      RunResult result = run_once(options);
      if (result.failed && result.violation.invariant == invariant) {
        best = options.plan;
        smaller = true;
      } else {
        at += piece;
      }
    }
    if (piece == 1 && !smaller) break;
    piece = std::max<std::size_t>(1, piece / 2);
  }
  return best;
}

}  // namespace warren::simulation
