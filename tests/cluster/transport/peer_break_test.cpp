// What PeerNet promises when connections break: between up and down nothing is lost, doubled or out
// of order; and after a break both come together again.
#include <random>

#include "tests/cluster/transport/peer_proxy.h"
#include "tests/cluster/transport/peer_world.h"

namespace warren::transport {
namespace {

class PeerBreak : public PeerWorld {
 protected:
  void SetUp() override {
    a = node({.name = "a@localhost", .id = 'a', .start = false});
    b = node({.name = "b@localhost", .id = 'b', .start = false});
    to_a = std::make_unique<TcpProxy>(a->port);
    to_b = std::make_unique<TcpProxy>(b->port);
    a->net->start(to_a->port());
    b->net->start(to_b->port());
    Peer peer_a = a->as_peer(), peer_b = b->as_peer();
    peer_a.port = to_a->port();
    peer_b.port = to_b->port();
    a->net->set_peers({peer_b});
    b->net->set_peers({peer_a});
    ASSERT_TRUE(meet());
  }
  bool meet() {
    return loop.turn([&] { return a->sees(*b) && b->sees(*a); });
  }

  std::unique_ptr<TestNode> a, b;
  std::unique_ptr<TcpProxy> to_a, to_b;
};

TEST_F(PeerBreak, ACutInOneDirectionIsADownOnBothSidesAndThenUpAgain) {
  for (TcpProxy* proxy : {to_a.get(), to_b.get()}) {
    const int before_a = a->up_count, before_b = b->up_count;
    proxy->cut();
    ASSERT_TRUE(loop.turn([&] { return a->up_count > before_a && b->up_count > before_b; }));
    ASSERT_TRUE(meet());
  }
}

TEST_F(PeerBreak, GarbageOnTheWireBreaksTheStreamAndNothingElse) {
  const int before = a->up_count;
  to_a->garble();
  ASSERT_TRUE(loop.turn([&] { return a->up_count > before; }));
  ASSERT_TRUE(meet());
  EXPECT_EQ(a->frame_count + b->frame_count, 0u);
}

/// Frames are "pair number of the sender : number within the pair". The receiver's pairs and the
/// sender's need not have the same number, but within one pair all is there, from 0 on.
TEST_F(PeerBreak, UnderRandomCutsEachPairCarriesAPrefixInOrder) {
  const unsigned seed = 20261122;
  RecordProperty("seed", static_cast<int>(seed));
  std::mt19937 dice(seed);
  struct Checker {
    long pair{-1};
    std::array<long, kLanes> next{};
    int ups{0};
  };
  std::map<TestNode*, Checker> checkers;
  for (TestNode* one : {a.get(), b.get()}) {
    one->on_frame = [&checkers, one](raft::NodeId, Lane lane, const std::string& frame) {
      Checker& checker = checkers[one];
      const long pair = std::atol(frame.c_str());
      const long number = std::atol(frame.c_str() + frame.find(':') + 1);
      if (one->up_count != checker.ups) {
        EXPECT_NE(pair, checker.pair) << "frames of an earlier pair";
        checker = {pair, {}, one->up_count};
      }
      EXPECT_EQ(pair, checker.pair) << "two pairs in one up";
      EXPECT_EQ(number, checker.next[static_cast<std::size_t>(lane)]++) << "lost or out of order";
    };
  }
  std::map<TestNode*, std::array<long, kLanes>> numbers;
  std::map<TestNode*, int> pair_of;
  const auto send_some = [&] {
    for (auto [from, to] : {std::pair(a.get(), b.get()), std::pair(b.get(), a.get())}) {
      if (!from->sees(*to)) continue;
      if (pair_of[from] != from->up_count) numbers[from] = {};
      pair_of[from] = from->up_count;
      for (int i = 0; i < 20; ++i) {
        const std::size_t lane = dice() % kLanes;
        const std::size_t size = dice() % 10 == 0 ? dice() % 600'000 : dice() % 500;
        from->send(*to, static_cast<Lane>(lane),
                   std::to_string(pair_of[from]) + ":" + std::to_string(numbers[from][lane]++) + " " +
                       std::string(size, 'x'));
      }
    }
  };
  for (int round = 0; round < 150; ++round) {
    send_some();
    const unsigned what = dice() % 8;
    if (what == 0) to_a->cut();
    if (what == 1) to_b->cut();
    if (what == 2) {
      to_a->cut();
      to_b->cut();
    }
    if (dice() % 3 != 0) {
      loop.turn([] { return false; }, 0);
      continue;
    }
    // What the pair carries arrives, or the pair breaks.
    ASSERT_TRUE(meet()) << "round " << round;
    ASSERT_TRUE(loop.turn([&] {
      for (auto [from, to] : {std::pair(a.get(), b.get()), std::pair(b.get(), a.get())}) {
        if (!from->sees(*to) || !to->sees(*from)) return true;
        if (pair_of[from] == from->up_count &&
            checkers[to].pair == pair_of[from] && checkers[to].next != numbers[from])
          return false;
      }
      return true;
    })) << "round " << round;
  }
  // In the end, undisturbed but for cuts still on their way, all arrives.
  const auto arrived = [&] {
    return checkers[b.get()].next == numbers[a.get()] && checkers[a.get()].next == numbers[b.get()];
  };
  for (int last = 0; last < 5; ++last) {
    ASSERT_TRUE(meet());
    send_some();
    loop.turn([&] { return arrived() || !a->sees(*b) || !b->sees(*a); });
    if (arrived()) break;
  }
  EXPECT_TRUE(arrived());
  EXPECT_GT(a->up_count, 5);
}

}  // namespace
}  // namespace warren::transport
