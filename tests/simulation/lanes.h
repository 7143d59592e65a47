#pragma once
// Streams between machines as cluster/transport promises them: while up, every frame arrives, once
// and in order; what was under way when a stream breaks is lost; both ends are told, each in its time.

#include "tests/simulation/network.h"

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace warren::simulation {

/// The lanes beside consensus. Follows the cuts and delays of the network: a lost packet is sent again
/// by TCP, so it is late; a cut that lasts breaks the stream.
class Lanes {
 public:
  struct Events {
    std::function<bool(int)> awake;  ///< its process runs and answers
    std::function<raft::NodeId(int)> id;
    std::function<void(int at, raft::NodeId peer)> up, down;
    std::function<void(int at, raft::NodeId from, const std::string& frame)> frame;
  };

  Lanes(World& world, Network& network, int machines, Events events);

  /// Dropped when the stream is not up.
  void send(int from, int to, std::string frame);
  /// The process ended. `silent`: nobody closed its sockets.
  void stopped(int slot, bool silent);

 private:
  struct Side {
    bool up{false};
    std::uint64_t epoch{0};  ///< of the pair of streams it was told of
    Micros last{0};          ///< what arrives here arrives not before this
    std::deque<std::string> held;  ///< on its way to this side, behind a cut
  };
  struct Pair {
    int slots[2]{};
    raft::NodeId ids[2]{};
    bool standing{false};
    std::uint64_t epoch{0};
    Micros breaks_at{0};  ///< the cut lasted too long; 0 = no cut
    Side sides[2];
  };

  Pair& pair_of(int a, int b, int& side_of_a);
  void poll();
  void establish(Pair& pair);
  void fall(Pair& pair);
  void tell_up(Pair& pair, int side);
  void tell_down(Pair& pair, int side);
  void arrive(Pair& pair, int side, std::uint64_t epoch, std::string frame);

  World& world_;
  Network& network_;
  int machines_;
  Events events_;
  std::vector<std::unique_ptr<Pair>> pairs_;
};

}  // namespace warren::simulation
