// warren-simulate: runs seeds, prints what broke, replays with a trace, shrinks.
// Usage: warren-simulate [--seed N] [--count N] [--step N] [--seconds CPU] [--chaos MS] [--trace] [--shrink]
//        [--store rows|disc] [--members] [--mutant N]
// With --step 6 all seeds have the same plot.

#include "cluster/raft/mutant.h"
#include "tests/simulation/cluster.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace {

using warren::simulation::RunOptions;
using warren::simulation::RunResult;

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

}  // namespace

int main(int argc, char** argv) {
  std::uint64_t seed = 1, count = 100, step = 1;
  double limit = 60;
  RunOptions options;
  bool trace = false, shrinking = false;
  for (int i = 1; i < argc; ++i) {
    auto number = [&] { return std::strtoull(i + 1 < argc ? argv[++i] : "0", nullptr, 10); };
    if (!std::strcmp(argv[i], "--seed")) seed = number();
    else if (!std::strcmp(argv[i], "--count")) count = number();
    else if (!std::strcmp(argv[i], "--step")) step = number();
    else if (!std::strcmp(argv[i], "--seconds")) limit = static_cast<double>(number());
    else if (!std::strcmp(argv[i], "--chaos")) options.chaos_ms = static_cast<warren::Millis>(number());
    else if (!std::strcmp(argv[i], "--trace")) trace = true;
    else if (!std::strcmp(argv[i], "--shrink")) shrinking = true;
    else if (!std::strcmp(argv[i], "--members")) options.scene = warren::simulation::Scene::members;
    else if (!std::strcmp(argv[i], "--store")) {
      std::string kind = i + 1 < argc ? argv[++i] : "";
      if (kind != "disc" && kind != "rows") return std::fprintf(stderr, "--store rows or disc\n"), 2;
      options.store = kind == "disc" ? warren::simulation::StoreKind::disc : warren::simulation::StoreKind::rows;
    }
#ifdef WARREN_RAFT_MUTANTS
    else if (!std::strcmp(argv[i], "--mutant")) warren::raft::active_mutant = static_cast<int>(number());
#endif
    else return std::fprintf(stderr, "unknown argument %s\n", argv[i]), 2;
  }
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  double begin = cpu_seconds();
  std::uint64_t runs = 0, steps = 0, acks = 0, reads = 0, elections = 0, restores = 0, commits = 0;
  std::uint64_t changes = 0, refusals = 0, lost = 0, fenced = 0;
  std::uint64_t joined = 0, left = 0, forgotten = 0, typed = 0, refused = 0, resumed = 0;
  warren::Millis simulated = 0;
  int failures = 0;
  for (; runs < count && cpu_seconds() - begin < limit && failures < 5; ++runs, seed += step) {
    options.seed = seed;
    options.plan = warren::simulation::plan_for(seed, options.chaos_ms);
    options.tracing = trace;
    double run_begin = cpu_seconds();
    RunResult result = run_once(options);
    if (double took = cpu_seconds() - run_begin; took > 2) {
      std::printf("seed %llu was slow: %.1f s\n", static_cast<unsigned long long>(seed), took);
    }
    simulated += result.simulated_ms;
    steps += result.steps, acks += result.acks, reads += result.reads;
    elections += result.elections, restores += result.restores, commits += result.commits;
    changes += result.changes, refusals += result.refusals, lost += result.lost, fenced += result.fenced;
    joined += result.joined, left += result.left, forgotten += result.forgotten, typed += result.changed_type;
    refused += result.refused, resumed += result.resumed;
    if (trace) {
      for (const auto& line : result.trace) std::puts(line.c_str());
    }
    if (!result.failed) continue;
    ++failures;
    std::printf("seed %llu broke %s: %s (after %lld ms, %llu steps)\n",
                static_cast<unsigned long long>(seed), result.violation.invariant.c_str(),
                result.violation.text.c_str(), static_cast<long long>(result.simulated_ms),
                static_cast<unsigned long long>(result.steps));
    if (!shrinking) continue;
    options.tracing = false;
    for (const auto& fault : warren::simulation::shrink(options, result.violation.invariant, 200)) {
      std::printf("  %s\n", describe(fault).c_str());
    }
  }
  double cpu = cpu_seconds() - begin;
  if (options.scene == warren::simulation::Scene::members) {
    std::puts(fmt::format("members: joined={} left={} forgotten={} changed_type={} refused={} wipes_resumed={}", joined,
                          left, forgotten, typed, refused, resumed).c_str());
  }
  std::printf("catalogue: changes=%llu refused=%llu lost=%llu fenced=%llu\n", static_cast<unsigned long long>(changes),
              static_cast<unsigned long long>(refusals), static_cast<unsigned long long>(lost),
              static_cast<unsigned long long>(fenced));
  std::printf("runs=%llu failures=%d simulated_hours=%.2f speed=%.0fx steps=%llu acks=%llu reads=%llu "
              "elections=%llu restores=%llu commits=%llu cpu_s=%.1f\n",
              static_cast<unsigned long long>(runs), failures,
              static_cast<double>(simulated) / 3.6e6, static_cast<double>(simulated) / 1000 / cpu,
              static_cast<unsigned long long>(steps), static_cast<unsigned long long>(acks),
              static_cast<unsigned long long>(reads), static_cast<unsigned long long>(elections),
              static_cast<unsigned long long>(restores), static_cast<unsigned long long>(commits), cpu);
  return failures != 0;
}
