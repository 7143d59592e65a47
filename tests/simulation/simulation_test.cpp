// The shipped core under random faults. WARREN_LONG=1 runs for minutes instead of seconds.
#include "tests/simulation/cluster.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace warren::simulation {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
bool long_run() { return std::getenv("WARREN_LONG") != nullptr; }

std::string story(const RunOptions& options, const RunResult& result) {
  return fmt::format("seed {} broke {}: {}\nreplay: warren-simulate --seed {} --count 1 --trace",
                     options.seed, result.violation.invariant, result.violation.text, options.seed);
}

TEST(SimulationTest, NoInvariantBreaksUnderRandomFaults) {
  const char* chosen = std::getenv("WARREN_SEED");
  std::uint64_t seed = chosen ? std::strtoull(chosen, nullptr, 10) : 1;
  double budget = long_run() ? 600 : 15;
  double begin = cpu_seconds();
  std::uint64_t runs = 0, acks = 0, elections = 0, restores = 0, reads = 0;
  Millis simulated = 0;
  for (; cpu_seconds() - begin < budget; ++seed, ++runs) {
    RunOptions options;
    options.seed = seed;
    options.plan = plan_for(seed, options.chaos_ms);
    RunResult result = run_once(options);
    ASSERT_FALSE(result.failed) << story(options, result);
    acks += result.acks, elections += result.elections;
    restores += result.restores, reads += result.reads, simulated += result.simulated_ms;
  }
  double cpu = cpu_seconds() - begin;
  fmt::print("runs={} simulated_hours={:.2f} speed={:.0f}x acks={} reads={} elections={} restores={}\n",
             runs, static_cast<double>(simulated) / 3.6e6, static_cast<double>(simulated) / 1000 / cpu,
             acks, reads, elections, restores);
  EXPECT_GT(acks, 0u);
  EXPECT_GT(reads, 0u);
  EXPECT_GT(elections, 0u);
  EXPECT_GT(restores, 0u);
}

TEST(SimulationTest, ASeedIsARun) {
  RunOptions options;
  options.seed = 4711;
  options.plan = plan_for(options.seed, options.chaos_ms);
  options.tracing = true;
  RunResult first = run_once(options);
  RunResult second = run_once(options);
  EXPECT_EQ(first.steps, second.steps);
  EXPECT_EQ(first.acks, second.acks);
  EXPECT_EQ(first.trace, second.trace);
  EXPECT_FALSE(first.trace.empty());
}

TEST(SimulationTest, ACalmClusterNeverChangesItsLeaders) {
  for (std::uint64_t seed : {1, 3, 5, 7, 9}) {  // none of them plots
    RunOptions options;
    options.seed = seed;
    options.chaos_ms = 60'000;
    RunResult result = run_once(options);
    ASSERT_FALSE(result.failed) << story(options, result);
    EXPECT_EQ(result.elections, 2u) << "one per group; seed " << seed;
  }
}

}  // namespace
}  // namespace warren::simulation
