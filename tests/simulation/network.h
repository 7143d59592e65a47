#pragma once
// A simulated network of frames between machines: latency, loss, repeats, reorder, one-way cuts.

#include "tests/simulation/world.h"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

namespace warren::simulation {

class Network {
 public:
  using Deliver = std::function<void(int from, int to, std::shared_ptr<const std::string>)>;

  Network(World& world, Deliver deliver) : world_(world), deliver_(std::move(deliver)) {}

  void send(int from, int to, std::string frame) {
    if (cut(from, to) || world_.prng.below(1000) < loss_permille) return;
    auto bytes = std::make_shared<const std::string>(std::move(frame));
    int copies = world_.prng.below(1000) < repeat_permille ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Micros delay = world_.prng.between(100, 600);
      if (world_.prng.below(1000) < slow_permille) delay += world_.prng.between(1'000, slow_us);
      Micros when = world_.now() + delay;
      // A stream keeps order unless the fault says otherwise.
      Micros& last = last_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
      if (!reorder && when < last) when = last;
      last = std::max(last, when);
      world_.at(when, [this, from, to, bytes] {
        if (!cut(from, to)) deliver_(from, to, bytes);
      });
    }
  }

  bool cut(int from, int to) const { return cuts_.contains({from, to}); }
  void cut_one_way(int from, int to) { cuts_.insert({from, to}); }
  void cut_both(int a, int b) {
    cut_one_way(a, b);
    cut_one_way(b, a);
  }
  void heal() {
    cuts_.clear();
    loss_permille = repeat_permille = slow_permille = 0;
    reorder = false;
  }
  void heal_pair(int a, int b) {
    cuts_.erase({a, b});
    cuts_.erase({b, a});
  }

  std::uint64_t loss_permille{0};
  std::uint64_t repeat_permille{0};
  std::uint64_t slow_permille{0};
  Micros slow_us{100'000};
  bool reorder{false};

 private:
  static constexpr std::size_t kMachines = 16;

  World& world_;
  Deliver deliver_;
  std::set<std::pair<int, int>> cuts_;
  Micros last_[kMachines][kMachines]{};
};

}  // namespace warren::simulation
