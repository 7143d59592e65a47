// The gate of mutants: every catalogued bug of the consensus layer is switched on, and the simulator
// must notice. Each mutant runs in a process of its own: an assertion counts as noticed too.
#include "cluster/raft/mutant.h"
#include "tests/simulation/cluster.h"

#include <gtest/gtest.h>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace warren::simulation {
namespace {

struct Mutant {
  int number;
  const char* what;
  Plot plot{Plot::chance};  ///< which seeds are tried: all, or those with the plot that suits it
  std::uint64_t hint{0};      ///< tried first: it found this one before; then the search goes on
  StoreKind store{StoreKind::rows};
};

constexpr Mutant kMutants[] = {
    {1, "commits entries of former terms by counting", Plot::elections, 9002},
    {2, "no entry at the start of a term"},
    {3, "commits past what was matched"},
    {4, "counts what is not durable"},
    {5, "votes before they are durable", Plot::chance, 29},
    {6, "stands and votes with a snapshot still in flight", Plot::snapshots},
    {7, "a late write completion confirms new entries", Plot::chance, 26},
    {8, "goes on after a failed write"},
    {9, "a pre-vote changes state"},
    {10, "membership survives the cut of its entry", Plot::chance, 137},
    {11, "answers of removed members count"},
    {12, "a proposal of an old leadership is accepted"},
    {13, "a checkpoint claims more than was applied", Plot::chance, 55},
    {14, "cached entries survive a cut"},
    {15, "skips an entry behind a snapshot"},
    {16, "a deposed leader answers reads"},
    {17, "a restart forgets synced writes"},
    {18, "an unreadable record is read as nothing"},
    {19, "a same-term step-down forgets the vote", Plot::elections, 308},
    {31, "a snapshot forgets which batches were carried out", Plot::metadata},
    {32, "a batch's sequence is used again under a new leader", Plot::metadata},
    {33, "a change is answered before all who serve have it", Plot::metadata},
    {34, "a batch sent twice is carried out twice", Plot::metadata},
    {35, "a change under way is said not to have happened", Plot::metadata},
    {36, "a leader gives out a uid twice", Plot::metadata},
    {37, "a snapshot leaves out bindings of queues declared anew", Plot::metadata, 1098},
    {38, "a snapshot that hides a boot makes it fail", Plot::metadata},
    {39, "who serves does not tell a member that comes", Plot::metadata},
    {23, "a sync of the log syncs nothing", Plot::chance, 0, StoreKind::disc},
    {24, "the same, seen by the cluster alone", Plot::chance, 0, StoreKind::disc},
    {22, "the floor runs ahead of the durable checkpoint"},
};

struct Finding {
  bool found{false};
  std::uint64_t seed{0};
  std::uint64_t runs{0};
  std::uint64_t steps{0};
  char invariant[48]{};
};

/// In the child: runs seeds until one breaks or the CPU budget is gone; reports after every seed.
void hunt(const Mutant& mutant, double budget, int out) {
  raft::active_mutant = mutant.number;
  Finding finding;
  for (std::uint64_t next = 0; static_cast<double>(std::clock()) / CLOCKS_PER_SEC < budget; ++next) {
    std::uint64_t seed = next + 1;
    if (next == 0 && mutant.hint != 0) {
      seed = mutant.hint;
    } else if (mutant.plot != Plot::chance) {
      for (seed = next * 6 + 1; plot_of(seed) != mutant.plot;) ++seed;
    }
    finding.seed = seed;
    ++finding.runs;
    // Written before the run, so that a crash still tells its seed.
    if (write(out, &finding, sizeof finding) != sizeof finding) _exit(3);
    RunOptions options;
    options.seed = seed;
    options.store = mutant.store;
    options.plan = plan_for(seed, options.chaos_ms);
    RunResult result = run_once(options);
    finding.steps += result.steps;
    if (!result.failed) continue;
    finding.found = true;
    std::snprintf(finding.invariant, sizeof finding.invariant, "%s", result.violation.invariant.c_str());
    break;
  }
  if (write(out, &finding, sizeof finding) != sizeof finding) _exit(3);
  _exit(0);
}

Finding hunt_in_child(const Mutant& mutant, double budget) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  std::fflush(nullptr);
  pid_t child = fork();
  if (child == 0) {
    close(ends[0]);
    if (std::freopen("/dev/null", "w", stderr) == nullptr) _exit(3);
    // A mutant may spin for ever: the kernel ends it a while after its budget.
    auto seconds = static_cast<rlim_t>(budget * 2 + 20);
    rlimit limit{seconds, seconds};
    setrlimit(RLIMIT_CPU, &limit);
    rlimit no_core{0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    hunt(mutant, static_cast<double>(std::clock()) / CLOCKS_PER_SEC + budget, ends[1]);
  }
  close(ends[1]);
  Finding last, next;
  while (read(ends[0], &next, sizeof next) == sizeof next) last = next;
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) {
    last.found = true;
    bool spun = WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL;
    std::snprintf(last.invariant, sizeof last.invariant, spun ? "spins" : "assertion");
  }
  return last;
}

TEST(MutantGate, EveryCataloguedBugIsNoticed) {
  const char* only = std::getenv("WARREN_MUTANT_ONLY");
  double budget = std::getenv("WARREN_LONG") ? 600 : 25;
  std::string table = "mutant  seed   runs      steps  invariant                   bug\n";
  for (const Mutant& mutant : kMutants) {
    if (only && std::atoi(only) != mutant.number) continue;
    Finding finding = hunt_in_child(mutant, budget);
    table += fmt::format("{:>6} {:>5} {:>6} {:>10}  {:<26}  {}\n", mutant.number, finding.seed,
                         finding.runs, finding.steps, finding.found ? finding.invariant : "SURVIVES",
                         mutant.what);
    EXPECT_TRUE(finding.found) << "mutant " << mutant.number << " survives: " << mutant.what;
  }
  fmt::print("{}", table);
}

TEST(MutantGate, AFailingPlanShrinksAndStillFails) {
  raft::active_mutant = 4;
  for (std::uint64_t seed = 1; seed < 200; ++seed) {
    RunOptions options;
    options.seed = seed;
    options.plan = plan_for(seed, options.chaos_ms);
    RunResult result = run_once(options);
    if (!result.failed) continue;
    std::size_t before = options.plan.size();
    options.plan = shrink(options, result.violation.invariant, 40);
    EXPECT_LE(options.plan.size(), before);
    EXPECT_EQ(run_once(options).violation.invariant, result.violation.invariant);
    raft::active_mutant = 0;
    return;
  }
  raft::active_mutant = 0;
  FAIL() << "mutant 4 was not found";
}

}  // namespace
}  // namespace warren::simulation
