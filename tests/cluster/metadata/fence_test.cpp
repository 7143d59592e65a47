// The fence: who is waited for, and who is not (CLU-19).

#include "base/prng.h"
#include "cluster/metadata/fence.h"

#include <gmock/gmock.h>

#include <memory>
#include <set>
#include <utility>

namespace warren::metadata::test {
namespace {

constexpr Millis kPatience = 3'000;

/// Members in a row, and streams between them that keep order until they break.
class World {
 public:
  class Node final : public FenceLink {
   public:
    Node(World& world, std::uint64_t id) : world_(world), id(id), fence(std::make_unique<Fence>(raft::NodeId(id), kPatience, *this)) {}
    void send(raft::NodeId to, std::string frame) override {
      if (world_.up(id, to.value)) world_.wires[{id, to.value}].push_back(std::move(frame));
    }
    bool suspected(raft::NodeId peer) const override { return suspects.contains(peer.value); }

    World& world_;
    std::uint64_t id;
    std::set<std::uint64_t> suspects;
    raft::Index applied{0};
    std::unique_ptr<Fence> fence;
  };

  explicit World(std::uint64_t count) {
    for (std::uint64_t i = 1; i <= count; ++i) nodes.push_back(std::make_unique<Node>(*this, i));
    for (std::uint64_t a = 1; a <= count; ++a)
      for (std::uint64_t b = a + 1; b <= count; ++b) join(a, b);
    for (std::uint64_t i = 1; i <= count; ++i) serve(i);
    settle();
  }
  Node& node(std::uint64_t id) { return *nodes.at(id - 1); }
  Fence& operator[](std::uint64_t id) { return *node(id).fence; }
  void serve(std::uint64_t id) {
    std::vector<raft::NodeId> all;
    for (const auto& n : nodes) all.push_back(raft::NodeId(n->id));
    (*this)[id].serve(all);
  }
  bool up(std::uint64_t a, std::uint64_t b) const { return streams.contains(std::minmax(a, b)); }
  void join(std::uint64_t a, std::uint64_t b) {
    streams.insert(std::minmax(a, b));
    (*this)[a].on_peer_up(raft::NodeId(b));
    (*this)[b].on_peer_up(raft::NodeId(a));
  }
  void part(std::uint64_t a, std::uint64_t b) {
    streams.erase(std::minmax(a, b));
    wires[{a, b}].clear();
    wires[{b, a}].clear();
    (*this)[a].on_peer_down(raft::NodeId(b));
    (*this)[b].on_peer_down(raft::NodeId(a));
  }
  bool deliver_one() {
    for (auto& [ends, frames] : wires) {
      if (frames.empty()) continue;
      const std::string frame = std::move(frames.front());
      frames.pop_front();
      ++delivered;
      EXPECT_TRUE(Fence::is_frame(frame));
      EXPECT_TRUE((*this)[ends.second].on_frame(raft::NodeId(ends.first), frame, now));
      return true;
    }
    return false;
  }
  void turn(std::uint64_t id) { (*this)[id].turn(node(id).applied, now); }
  void settle() {
    do
      for (const auto& n : nodes) turn(n->id);
    while (deliver_one());
  }
  void apply(std::uint64_t id, raft::Index index) { node(id).applied = index; }
  void apply(std::initializer_list<std::uint64_t> ids, raft::Index index) {
    for (const std::uint64_t id : ids) apply(id, index);
  }
  /// The app of a node stops without a word, and starts again.
  void begin_anew(std::uint64_t id) {
    node(id).fence = std::make_unique<Fence>(raft::NodeId(id), kPatience, node(id));
  }

  std::vector<std::unique_ptr<Node>> nodes;
  std::set<std::pair<std::uint64_t, std::uint64_t>> streams;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::deque<std::string>> wires;
  std::size_t delivered{0};
  Millis now{0};
};

struct Told {
  std::vector<int> all;
  std::function<void()> as(int number) {
    return [this, number] { all.push_back(number); };
  }
};

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Fence, waits_for_all_who_serve) {
  World world(3);
  Told told;
  world.apply(1, 7);
  world[1].wait(7, told.as(1));
  world.settle();
  world.apply(2, 7);
  world.apply(3, 6);
  world.settle();
  EXPECT_THAT(told.all, IsEmpty());
  world.apply(3, 7);
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1));
  EXPECT_TRUE(world[1].idle());
}

TEST(Fence, alone_nobody_waits) {
  World world(1);
  Told told;
  world[1].wait(1, told.as(1));
  EXPECT_THAT(told.all, ElementsAre(1));
}

TEST(Fence, order_holds_and_progress_is_told_while_more_is_asked) {
  World world(2);
  Told told;
  for (int i = 1; i <= 20; ++i) {
    world.apply(1, static_cast<raft::Index>(i));
    world[1].wait(static_cast<raft::Index>(i), told.as(i));
    world.settle();
    if (i > 1) world.apply(2, static_cast<raft::Index>(i - 1));  // always one behind
    world.settle();
    EXPECT_EQ(told.all.size(), static_cast<std::size_t>(i - 1));
  }
  EXPECT_TRUE(std::is_sorted(told.all.begin(), told.all.end()));
}

TEST(Fence, one_question_for_all_of_a_turn) {
  World world(2);
  Told told;
  world.apply({1, 2}, 100);
  const std::size_t before = world.delivered;
  for (int i = 1; i <= 100; ++i) world[1].wait(static_cast<raft::Index>(i), told.as(i));
  world.settle();
  EXPECT_EQ(told.all.size(), 100U);
  EXPECT_EQ(world.delivered - before, 2U);
  world[1].wait(100, told.as(101));
  world.settle();
  EXPECT_EQ(told.all.size(), 101U);
  EXPECT_EQ(world.delivered - before, 2U) << "what is known is not asked again";
}

TEST(Fence, who_left_broke_or_is_suspected_is_not_waited_for) {
  for (int how = 0; how < 4; ++how) {
    World world(3);
    Told told;
    world.apply({1, 2}, 5);
    world[1].wait(5, told.as(1));
    world.settle();
    EXPECT_THAT(told.all, IsEmpty());
    if (how == 0) world[3].stop_serving();
    if (how == 1) world.part(1, 3);
    if (how == 2) world.node(1).suspects.insert(3);
    if (how == 3) world[1].release_all();
    world.settle();
    EXPECT_THAT(told.all, ElementsAre(1)) << how;
  }
}

/// As in a partial cut: it hears us, and not the leader.
TEST(Fence, who_lags_is_waited_for_once) {
  World world(3);
  Told told;
  world.apply({1, 2}, 5);
  world[1].wait(5, told.as(1));
  world.settle();
  world.now += kPatience - 1;
  world.settle();
  EXPECT_THAT(told.all, IsEmpty());
  world.now += 1;
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1));
  world.apply({1, 2}, 6);
  world[1].wait(6, told.as(2));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2));
  world.apply(3, 6);  // it has caught up, and counts again
  world.settle();
  world.apply({1, 2}, 7);
  world[1].wait(7, told.as(3));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2));
  world.apply(3, 7);
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2, 3));
}

TEST(Fence, who_comes_back_is_waited_for_again) {
  World world(2);
  Told told;
  world.apply({1, 2}, 5);
  world[1].wait(5, told.as(1));
  world.settle();
  world[2].stop_serving();
  world.settle();
  world.begin_anew(2);  // stop_app, start_app
  world.apply(2, 3);  // its replica starts behind
  world.serve(2);
  world.settle();
  world[1].wait(5, told.as(2));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1));
  world.apply(2, 5);
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2));
}

/// stop_app and start_app without a word, on a stream that stands: found by the simulator.
TEST(Fence, a_new_life_owes_no_answer_of_the_former) {
  World world(2);
  Told told;
  world.apply(1, 5);
  world[1].wait(5, told.as(1));
  world.turn(1);
  world.wires.clear();  // nobody heard the question
  world.now += kPatience;
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1)) << "it lags";
  world.begin_anew(2);
  world.serve(2);
  world.settle();
  world.apply(1, 6);
  world[1].wait(6, told.as(2));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1)) << "and is waited for again";
  world.apply(2, 6);
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2));
}

TEST(Fence, a_new_life_is_told_what_the_former_knew) {
  World world(2);
  Told told;
  world.apply({1, 2}, 9);
  world[2].wait(9, told.as(1));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1));
  world.begin_anew(2);
  world.serve(2);
  world.settle();
  world.apply(2, 7);
  world[2].wait(7, told.as(2));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1, 2));
}

TEST(Fence, who_leaves_says_so_also_to_those_it_never_heard) {
  World world(3);
  world.begin_anew(3);
  world.serve(3);
  world[3].stop_serving();
  world.settle();
  Told told;
  world.apply({1, 2}, 5);
  world[1].wait(5, told.as(1));
  world.settle();
  EXPECT_THAT(told.all, ElementsAre(1));
}

TEST(Fence, asks_again_over_a_new_stream) {
  World world(3);
  Told told;
  world.apply({1, 3}, 5);
  world[1].wait(5, told.as(1));
  world.turn(1);  // the questions are on their way
  world.part(1, 2);
  world.join(1, 2);
  world.settle();
  // Its "I serve" came over the new stream before the answers of the others were all in.
  if (told.all.empty()) {
    world.apply(2, 5);
    world.settle();
  }
  EXPECT_THAT(told.all, ElementsAre(1));
}

TEST(Fence, nonsense_is_refused) {
  World world(2);
  EXPECT_FALSE(Fence::is_frame(""));
  EXPECT_FALSE(Fence::is_frame(std::string("\1\1", 2)));
  const std::string whole("\1\x12\0\0\0\0\0\0\0\1", 10);
  EXPECT_TRUE(world[1].on_frame(raft::NodeId(2), whole, 0));
  for (std::size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(world[1].on_frame(raft::NodeId(2), whole.substr(0, n), 0)) << n;
  EXPECT_FALSE(world[1].on_frame(raft::NodeId(2), whole + "x", 0));
  EXPECT_FALSE(world[1].on_frame(raft::NodeId(2), std::string("\2\x12\0\0\0\0\0\0\0\1", 10), 0));
  EXPECT_FALSE(world[1].on_frame(raft::NodeId(2), std::string("\1\x63\0\0\0\0\0\0\0\1", 10), 0));
}

/// Whoever is told, everybody who serves over a standing stream and is not suspected has it.
TEST(Fence, random_breaks_never_answer_early_and_end) {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    Prng prng(seed);
    World world(3);
    std::size_t waiting = 0;
    raft::Index last = 0;
    for (int step = 0; step < 400; ++step) {
      const std::uint64_t id = 1 + prng.next() % 3;
      const std::uint64_t other = 1 + (id + prng.next() % 2) % 3;
      switch (prng.next() % 8) {
        case 0: {
          const raft::Index index = ++last;
          world.apply(id, index);
          ++waiting;
          world[id].wait(index, [&, id, index] {
            --waiting;
            for (std::uint64_t peer = 1; peer <= 3; ++peer) {
              // A stream that is new has not brought its "I serve" yet.
              if (peer == id || !world.up(id, peer) || !world.wires[{peer, id}].empty()) continue;
              EXPECT_GE(world.node(peer).applied, index) << "seed " << seed;
            }
          });
          break;
        }
        case 1:
          if (world.up(id, other)) world.part(id, other); else world.join(id, other);
          break;
        case 2: world.apply(id, last); break;
        case 3: world.turn(id); break;
        default: world.deliver_one(); break;
      }
    }
    for (std::uint64_t id = 1; id <= 3; ++id) world.apply(id, last);
    world.settle();
    EXPECT_EQ(waiting, 0U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace warren::metadata::test
