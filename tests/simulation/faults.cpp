#include "tests/simulation/faults.h"

#include <algorithm>
#include <array>

namespace warren::simulation {

const char* fault_name(FaultKind kind) {
  static constexpr std::array kNames{
      "kill",   "power_loss", "power_loss_all", "restart", "pause",      "cut_one_way", "cut_both",
      "isolate", "halves",    "ring",           "swizzle", "heal",       "loss",        "repeat",
      "slow",   "reorder",    "disc_stall",     "disc_error", "disc_damage", "disc_full", "disc_rot",
      "transfer", "membership", "clock_jump", "foreign", "coup"};
  static_assert(kNames.size() == static_cast<std::size_t>(FaultKind::count));
  return kNames[static_cast<std::size_t>(kind)];
}

std::string describe(const Fault& fault) {
  return fmt::format("{}ms {} a={} b={} ms={}", fault.at, fault_name(fault.kind), fault.a, fault.b,
                     fault.ms);
}

std::vector<Fault> plan_faults(std::uint64_t seed, int machines, Millis duration) {
  Prng prng(seed * 0x2545F4914F6CDD1DULL + 17);
  constexpr auto kKinds = static_cast<std::size_t>(FaultKind::count);
  std::array<std::uint64_t, kKinds> weight{};
  std::uint64_t total = 0;
  for (std::size_t kind = 0; kind < kKinds; ++kind) {
    weight[kind] = prng.chance(1, 2) ? 1 + prng.below(8) : 0;
    auto k = static_cast<FaultKind>(kind);
    if (k == FaultKind::restart || k == FaultKind::heal) weight[kind] = 10;
    if (k == FaultKind::power_loss_all || k == FaultKind::disc_damage ||
        k == FaultKind::disc_rot || k == FaultKind::foreign) {
      weight[kind] = std::min<std::uint64_t>(weight[kind], 2);
    }
    if (plot_of(seed) == Plot::elections || plot_of(seed) == Plot::snapshots) {
      bool keep = k == FaultKind::heal || k == FaultKind::restart || k == FaultKind::slow ||
                  k == FaultKind::repeat || k == FaultKind::kill || k == FaultKind::reorder ||
                  k == FaultKind::cut_both || k == FaultKind::isolate;
      weight[kind] = keep ? std::max<std::uint64_t>(weight[kind], 1) : 0;
    }
    total += weight[kind];
  }
  // Some runs are calm, some never give a leader time to settle.
  std::array<Millis, 4> gaps{100, 300, 800, 2'500};
  Millis gap = gaps[prng.below(gaps.size())];
  std::vector<Fault> plan;
  for (Millis at = 500; at < duration; at += prng.between(1, 2 * gap)) {
    std::uint64_t pick = prng.below(total);
    std::size_t kind = 0;
    while (pick >= weight[kind]) pick -= weight[kind++];
    Fault fault{at, static_cast<FaultKind>(kind), prng.below(static_cast<std::uint64_t>(machines)),
                prng.below(static_cast<std::uint64_t>(machines)), 0};
    std::array<Millis, 5> lengths{20, 200, 600, 1'500, 5'000};
    fault.ms = lengths[prng.below(lengths.size())] + static_cast<Millis>(prng.below(50));
    if (fault.kind == FaultKind::membership || fault.kind == FaultKind::halves) fault.b = prng.next();
    plan.push_back(fault);
  }
  return plan;
}

}  // namespace warren::simulation
