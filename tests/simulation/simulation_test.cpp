// The shipped core under random faults: fifty simulated hours, or what five minutes of all cores allow.
// WARREN_LONG=1 runs ten minutes, however many hours that makes.
#include "tests/simulation/cluster.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <map>
#include <mutex>
#include <thread>

namespace warren::simulation {
namespace {

double cpu_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }
bool long_run() { return std::getenv("WARREN_LONG") != nullptr; }

constexpr double kWantedHours = 50;
#ifdef __SANITIZE_ADDRESS__
constexpr int kSecondsMax = 60;  // ten times slower: the hours are for the build without
#else
constexpr int kSecondsMax = 300;
#endif

std::string story(const RunOptions& options, const RunResult& result) {
  return fmt::format("seed {} broke {}: {}\nreplay: warren-simulate --seed {} --count 1 --trace",
                     options.seed, result.violation.invariant, result.violation.text, options.seed);
}

/// Every core of the machine runs seeds of its own.
TEST(SimulationTest, NoInvariantBreaksUnderRandomFaults) {
  using Wall = std::chrono::steady_clock;
  const char* chosen = std::getenv("WARREN_SEED");
  std::atomic<std::uint64_t> next{chosen ? std::strtoull(chosen, nullptr, 10) : 1};
  auto start = Wall::now();
  auto end = start + std::chrono::seconds(long_run() ? 600 : kSecondsMax);
  std::atomic<Millis> simulated{0};
  auto enough = [&] { return !long_run() && static_cast<double>(simulated) >= kWantedHours * 3.6e6; };
  double begin = cpu_seconds();
  std::mutex mutex;
  RunResult sum;
  std::uint64_t runs = 0;
  std::map<std::uint64_t, std::string> broken;
  auto work = [&] {
    while (Wall::now() < end && !enough()) {
      RunOptions options;
      options.seed = next++;
      options.plan = plan_for(options.seed, options.chaos_ms);
      RunResult result = run_once(options);
      simulated += result.simulated_ms;
      std::lock_guard lock(mutex);
      ++runs;
      sum.acks += result.acks, sum.elections += result.elections;
      sum.restores += result.restores, sum.reads += result.reads;
      sum.simulated_ms += result.simulated_ms;
      sum.changes += result.changes, sum.fenced += result.fenced, sum.lost += result.lost;
      if (!result.failed) continue;
      broken[options.seed] = story(options, result);
      return;
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  double cpu = cpu_seconds() - begin;
  fmt::print("runs={} simulated_hours={:.2f} speed={:.0f}x acks={} reads={} elections={} restores={} "
             "changes={} fenced={} lost={}\n",
             runs, static_cast<double>(sum.simulated_ms) / 3.6e6,
             static_cast<double>(sum.simulated_ms) / 1000 / cpu, sum.acks, sum.reads, sum.elections,
             sum.restores, sum.changes, sum.fenced, sum.lost);
  double hours = static_cast<double>(sum.simulated_ms) / 3.6e6;
  auto seconds = std::chrono::duration_cast<std::chrono::seconds>(Wall::now() - start).count();
  fmt::print("NOTE simulated hours: {:.1f} in {} s", hours, seconds);
  if (hours < kWantedHours) fmt::print("; {} were wanted, but the machine is slow or busy", kWantedHours);
  fmt::print("\n");
  for (const auto& [seed, text] : broken) ADD_FAILURE() << text;
  EXPECT_GT(sum.acks, 0u);
  EXPECT_GT(sum.reads, 0u);
  EXPECT_GT(sum.elections, 0u);
  EXPECT_GT(sum.restores, 0u);
  EXPECT_GT(sum.changes, 0u);
  EXPECT_GT(sum.fenced, 0u);
}

/// Hosts join, leave, are forgotten and change their type meanwhile.
TEST(SimulationTest, MembersComeAndGoWithoutLosingTheirCluster) {
  RunResult sum;
  double begin = cpu_seconds();
  std::uint64_t runs = 0;
  for (std::uint64_t seed = 1; cpu_seconds() - begin < (long_run() ? 120 : 8); ++seed, ++runs) {
    RunOptions options;
    options.seed = seed;
    options.scene = Scene::members;
    options.plan = plan_for(seed, options.chaos_ms);
    RunResult result = run_once(options);
    ASSERT_FALSE(result.failed) << story(options, result) << " --members";
    sum.simulated_ms += result.simulated_ms;
    sum.joined += result.joined, sum.left += result.left, sum.forgotten += result.forgotten;
    sum.changed_type += result.changed_type, sum.resumed += result.resumed;
  }
  fmt::print("members: runs={} simulated_hours={:.1f} joined={} left={} forgotten={} changed_type={} wipes_resumed={}\n",
             runs, static_cast<double>(sum.simulated_ms) / 3.6e6, sum.joined, sum.left, sum.forgotten,
             sum.changed_type, sum.resumed);
  EXPECT_GT(sum.joined, 0u);
  EXPECT_GT(sum.left, 0u);
  EXPECT_GT(sum.forgotten, 0u);
  EXPECT_GT(sum.changed_type, 0u);
}

/// The same over the shipped store, on real files that lose what was not synced.
TEST(SimulationTest, NoInvariantBreaksOverTheShippedStore) {
  using Wall = std::chrono::steady_clock;
  auto end = Wall::now() + std::chrono::seconds(long_run() ? 300 : 8);
  std::atomic<std::uint64_t> next{1};
  std::mutex mutex;
  RunResult sum;
  std::uint64_t runs = 0;
  auto work = [&] {
    while (Wall::now() < end) {
      RunOptions options;
      options.seed = next++;
      options.store = StoreKind::disc;
      options.plan = plan_for(options.seed, options.chaos_ms);
      RunResult result = run_once(options);
      std::lock_guard lock(mutex);
      ++runs;
      sum.acks += result.acks, sum.simulated_ms += result.simulated_ms;
      EXPECT_FALSE(result.failed) << story(options, result) << " --store disc";
      if (result.failed) return;
    }
  };
  std::vector<std::thread> workers;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) workers.emplace_back(work);
  for (std::thread& worker : workers) worker.join();
  fmt::print("over the shipped store: runs={} simulated_minutes={:.1f} acks={}\n", runs,
             static_cast<double>(sum.simulated_ms) / 6e4, sum.acks);
  EXPECT_GT(sum.acks, 0u);
}

TEST(SimulationTest, ASeedIsARunOverTheShippedStore) {
  RunOptions options;
  options.seed = 4711;
  options.store = StoreKind::disc;
  options.plan = plan_for(options.seed, options.chaos_ms);
  options.tracing = true;
  RunResult first = run_once(options);
  RunResult second = run_once(options);
  EXPECT_EQ(first.steps, second.steps);
  EXPECT_EQ(first.trace, second.trace);
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
