#pragma once
// A plan of faults: plain data made from a seed before the run, so that it can be printed and shrunk.

#include "base/prng.h"
#include "tests/simulation/world.h"

#include <string>
#include <vector>

namespace warren::simulation {

/// What a seed is after, beside plain chance. Rare bugs need a plot: figure 8 of the paper wants
/// leaders that fall right after their election, lost snapshots want leaders that fall while sending.
/// With `metadata` one of the groups is the shipped catalogue under chance; all else runs only toys.
enum class Plot { chance, elections, snapshots, metadata };
inline Plot plot_of(std::uint64_t seed) {
  constexpr Plot kPlots[] = {Plot::metadata,  Plot::chance, Plot::elections,
                             Plot::chance, Plot::snapshots, Plot::chance};
  return kPlots[seed % 6];
}

enum class FaultKind {
  kill,          ///< the process dies, sockets close
  power_loss,    ///< the machine goes dark: nobody is told
  power_loss_all,
  restart,
  pause,         ///< SIGSTOP for `ms`
  cut_one_way,
  cut_both,
  isolate,
  halves,        ///< random split
  ring,          ///< each sees only its neighbours
  swizzle,       ///< links cut and healed one by one
  heal,
  loss, repeat, slow, reorder,
  disc_stall, disc_error, disc_damage,
  disc_full,     ///< writes fail for `ms`, also after a restart
  disc_rot,      ///< a bit flips in a row; whoever reads it is told
  transfer,
  membership,
  clock_jump,
  foreign,       ///< until its restart a machine speaks a version nobody else knows
  coup,          ///< for a while every second new leader is cut off within milliseconds
  count
};
const char* fault_name(FaultKind kind);

struct Fault {
  Millis at{0};
  FaultKind kind{};
  std::uint64_t a{0};  ///< machine or random number
  std::uint64_t b{0};
  Millis ms{0};
};
std::string describe(const Fault& fault);

/// Requires: seed decides everything. Each seed draws its own mix of kinds, so that rare
/// combinations are not drowned by common ones.
std::vector<Fault> plan_faults(std::uint64_t seed, int machines, Millis duration);

}  // namespace warren::simulation
