#pragma once
// A simulated network of frames between machines: latency, loss, repeats, reorder, one-way cuts.

#include "cluster/raft/types.h"
#include "storage/api/store.h"
#include "tests/simulation/world.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace warren::simulation {

/// A frame on the wire and what was seen of it when it left.
struct Packet {
  std::string bytes;
  raft::NodeId sender{};
  bool foreign{false};                        ///< of a version nobody here speaks
  std::vector<storage::GroupUid> pre_votes;  ///< groups asked, if there is nothing else in it
};

class Network {
 public:
  using Deliver = std::function<void(int to, const std::shared_ptr<const Packet>&)>;

  Network(World& world, Deliver deliver) : world_(world), deliver_(std::move(deliver)) {}

  void send(int from, int to, const std::shared_ptr<const Packet>& packet) {
    if (cut(from, to) || world_.prng.below(1000) < loss_permille) return;
    int copies = world_.prng.below(1000) < repeat_permille ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      Micros delay = world_.prng.between(100, 600);
      if (world_.prng.below(1000) < slow_permille) delay += world_.prng.between(1'000, slow_us);
      Micros when = world_.now() + delay;
      // A stream keeps order unless the fault says otherwise.
      Micros& last = last_[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
      if (!reorder && when < last) when = last;
      last = std::max(last, when);
      world_.at(when, [this, from, to, packet] {
        if (!cut(from, to)) deliver_(to, packet);
      });
    }
  }

  bool cut(int from, int to) const { return cuts_[place(from)][place(to)]; }
  void cut_one_way(int from, int to) { cuts_[place(from)][place(to)] = true; }
  void cut_both(int a, int b) {
    cut_one_way(a, b);
    cut_one_way(b, a);
  }
  void heal() {
    for (auto& row : cuts_) std::fill(std::begin(row), std::end(row), false);
    loss_permille = repeat_permille = slow_permille = 0;
    reorder = false;
  }
  void heal_pair(int a, int b) {
    cuts_[place(a)][place(b)] = false;
    cuts_[place(b)][place(a)] = false;
  }

  std::uint64_t loss_permille{0};
  std::uint64_t repeat_permille{0};
  std::uint64_t slow_permille{0};
  Micros slow_us{100'000};
  bool reorder{false};

 private:
  static constexpr std::size_t kMachines = 16;
  static std::size_t place(int machine) { return static_cast<std::size_t>(machine); }

  World& world_;
  Deliver deliver_;
  bool cuts_[kMachines][kMachines]{};
  Micros last_[kMachines][kMachines]{};
};

}  // namespace warren::simulation
