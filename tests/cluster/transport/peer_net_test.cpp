// Real streams between nodes in one process, over loopback ports the system chooses.
#include "tests/cluster/transport/peer_world.h"

namespace warren::transport {
namespace {

TEST_F(PeerWorld, TwoNodesComeUpAndFramesArriveWholeAndInOrder) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b', 7});
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  EXPECT_EQ(a->ups.at(b->number()), 7u);
  EXPECT_TRUE(a->net->up(b->number()));

  std::array<std::vector<std::string>, kLanes> sent;
  std::size_t count = 0;
  for (int i = 0; i < 3000; ++i) {
    const auto lane = static_cast<Lane>(i % kLanes);
    std::string frame = std::to_string(i) + std::string(i % 1000 == 0 ? 3'000'000 : i % 257, 'x');
    sent[i % kLanes].push_back(frame);
    a->send(*b, lane, std::move(frame));
    b->send(*a, lane, "back " + std::to_string(i));
    ++count;
  }
  ASSERT_TRUE(loop.turn([&] { return b->frame_count == count && a->frame_count == count; }));
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const auto& got = b->from(*a, static_cast<Lane>(lane));
    ASSERT_EQ(got.size(), sent[lane].size());
    for (std::size_t i = 0; i < got.size(); ++i) ASSERT_EQ(*got[i], sent[lane][i]);
  }
  EXPECT_TRUE(loop.turn([&] { return a->net->lane(Lane::queues).unsent_bytes(b->number()) == 0; }));
  EXPECT_TRUE(a->down_reasons.empty() && b->down_reasons.empty());
}

TEST_F(PeerWorld, ThreeNodesAllSeeEachOther) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b'});
  const auto c = node({"c@localhost", 'c'});
  introduce({a.get(), b.get(), c.get()});
  ASSERT_TRUE(loop.turn([&] {
    return a->ups.size() == 2 && b->ups.size() == 2 && c->ups.size() == 2;
  }));
  c->send(*a, Lane::metadata, "to a");
  c->send(*b, Lane::metadata, "to b");
  ASSERT_TRUE(loop.turn([&] { return a->frame_count + b->frame_count == 2; }));
  EXPECT_EQ(*a->from(*c, Lane::metadata).at(0), "to a");
  EXPECT_EQ(*b->from(*c, Lane::metadata).at(0), "to b");
}

TEST_F(PeerWorld, ANodeThatStopsIsDownAndUpAgainWhenItReturnsElsewhere) {
  const auto a = node({"a@localhost", 'a'});
  auto b = node({"b@localhost", 'b', 1});
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  b->stop();
  ASSERT_TRUE(loop.turn([&] { return !a->sees(*b); }));
  a->send(*b, Lane::queues, "into the void");
  EXPECT_EQ(a->net->lane(Lane::queues).unsent_bytes(b->number()), 0u);

  // On another port: it tells when it opens its own stream.
  const auto again = node({"b@localhost", 'b', 2});
  again->net->set_peers({a->as_peer()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*again) && again->sees(*a); }));
  EXPECT_EQ(a->ups.at(again->number()), 2u);
  a->send(*again, Lane::queues, "hello again");
  ASSERT_TRUE(loop.turn([&] { return again->frame_count == 1; }));
}

TEST_F(PeerWorld, ARunThatIsOlderThanOneHeardOfIsRefusedOnBothSides) {
  const auto a = node({"a@localhost", 'a'});
  auto b = node({"b@localhost", 'b', 5});
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  const auto ghost = node({"b@localhost", 'b', 4});
  ghost->net->set_peers({a->as_peer()});
  ASSERT_TRUE(loop.turn([&] { return ghost->refused_with("stale incarnation"); }));
  EXPECT_NE(a->log.lines().find("stale incarnation"), std::string::npos);
  EXPECT_TRUE(a->sees(*b)) << "the good stream stands";
  EXPECT_FALSE(ghost->sees(*a));
}

TEST_F(PeerWorld, AWrongCookieIsToldOnBothSidesWithFingerprintsOnly) {
  NodeSetup other{"b@localhost", 'b'};
  other.cookies = {cookie_of("WRONGWRONGWRONG")};
  const auto a = node({"a@localhost", 'a'});
  const auto b = node(other);
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] {
    return a->refused_with("cookies") && b->refused_with("cookies");
  }));
  for (const TestNode* one : {a.get(), b.get()}) {
    EXPECT_NE(one->log.lines().find("disallowed node"), std::string::npos);
    for (const char* secret : {"PEERPEERPEERPEER", "WRONGWRONGWRONG"}) {
      EXPECT_TRUE(one->refused_with(cookie_of(secret).fingerprint()));
      EXPECT_EQ(one->log.lines().find(secret), std::string::npos);
    }
  }
  EXPECT_TRUE(a->ups.empty() && b->ups.empty());
}

TEST_F(PeerWorld, WhileTheCookieIsRotatedEitherOpens) {
  NodeSetup both{"a@localhost", 'a'}, old{"b@localhost", 'b'};
  both.cookies = {cookie_of("NEWNEWNEWNEWNEW"), cookie_of("OLDOLDOLDOLDOLD")};
  old.cookies = {cookie_of("OLDOLDOLDOLDOLD")};
  const auto a = node(both);
  const auto b = node(old);
  introduce({a.get(), b.get()});
  EXPECT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
}

TEST_F(PeerWorld, AnotherClusterIsRefusedNamingBoth) {
  NodeSetup one{"a@localhost", 'a'}, two{"b@localhost", 'b'};
  one.cluster = "cluster-one";
  two.cluster = "cluster-two";
  const auto a = node(one);
  const auto b = node(two);
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->refused_with("wrong cluster"); }));
  EXPECT_TRUE(a->refused_with("cluster-one") && a->refused_with("cluster-two"));
}

TEST_F(PeerWorld, AStrangerIsRefusedOnBothSides) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b'});
  b->net->set_peers({a->as_peer()});
  ASSERT_TRUE(loop.turn([&] { return b->refused_with("is not a member of the cluster"); }));
  EXPECT_NE(a->log.lines().find("is not a member of the cluster"), std::string::npos);
  // Introduced at last, it gets in.
  a->net->set_peers({b->as_peer()});
  EXPECT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
}

TEST_F(PeerWorld, CLU_28_SilenceEndsAPairAndTrafficKeepsIt) {
  NodeSetup listening{"a@localhost", 'a'};
  listening.silence_max = 1'000;
  const auto a = node(listening);
  const auto b = node({"b@localhost", 'b'});
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  a->net->end_silent();
  for (std::size_t i = 1; i <= 5; ++i) {  // ten times the limit, and always something said
    b->send(*a, Lane::consensus, "beat");
    ASSERT_TRUE(loop.turn([&] { return a->frame_count == i; }));
    a->clock.advance(900);
    a->net->end_silent();
    a->clock.advance(900);
    a->net->end_silent();
  }
  EXPECT_TRUE(a->down_reasons.empty());
  a->clock.advance(60'000);
  a->net->end_silent();  // it stood still itself
  EXPECT_TRUE(a->net->up(b->number()));
  a->clock.advance(600);
  a->net->end_silent();
  EXPECT_TRUE(a->net->up(b->number()));
  a->clock.advance(600);
  a->net->end_silent();
  ASSERT_TRUE(loop.turn([&] { return !a->down_reasons.empty(); }));
  EXPECT_NE(a->down_reasons.front().find("nothing was heard"), std::string::npos);
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b); })) << "it is dialled again";
}

TEST_F(PeerWorld, D12_ANodeThatWasRenamedIsKnownByItsId) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"bunny@localhost", 'b'});
  Peer known = b->as_peer();
  known.node_name = "b@localhost";
  a->net->set_peers({known});
  b->net->set_peers({a->as_peer()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
}

TEST_F(PeerWorld, D12_ANodeThatWasMovedSaysWhereItIs) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b'});
  Peer known = b->as_peer();
  known.node_name = "b@no-such-host.invalid";
  known.host.clear();
  known.port = 0;
  a->net->set_peers({known});
  b->net->set_peers({a->as_peer()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
}

TEST_F(PeerWorld, AnotherIdUnderTheNameIsRefusedOnBothSides) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b'});
  Peer lost = b->as_peer();
  lost.node_id = std::string(16, 'z');
  lost.id = member_number(lost.node_id);
  a->net->set_peers({lost});
  ASSERT_TRUE(loop.turn([&] { return a->refused_with("it was reset or its data directory"); }));
  EXPECT_NE(b->log.lines().find("it was reset or its data directory"), std::string::npos);
}

TEST_F(PeerWorld, APeerTakenOutIsDownOnBothSides) {
  const auto a = node({"a@localhost", 'a'});
  const auto b = node({"b@localhost", 'b'});
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  a->net->set_peers({});
  EXPECT_TRUE(loop.turn([&] { return !a->sees(*b) && !b->sees(*a); }));
}

TEST_F(PeerWorld, ASlowReaderBreaksTheStreamInsteadOfLosingAFrameInTheMiddle) {
  NodeSetup small{"a@localhost", 'a'}, slow{"b@localhost", 'b'};
  small.unsent_max = 4u << 20;
  slow.untaken_max = 1u << 20;
  const auto a = node(small);
  const auto b = node(slow);
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  // The loop stands still: nothing is taken. In the end nothing more fits.
  std::size_t sent = 0;
  while (a->net->up(b->number()) && sent < 2000) {
    a->send(*b, Lane::queues, std::to_string(sent++) + std::string(100'000, 's'));
  }
  ASSERT_FALSE(a->net->up(b->number())) << "no bound was met in 200 MB";
  // Both hear of it, and come together again.
  ASSERT_TRUE(loop.turn([&] {
    return a->up_count == 2 && b->up_count == 2 && a->sees(*b) && b->sees(*a);
  }));
  const auto& got = b->from(*a, Lane::queues);
  EXPECT_LT(got.size(), sent);
  for (std::size_t i = 0; i < got.size(); ++i)
    ASSERT_EQ(got[i]->substr(0, got[i]->find('s')), std::to_string(i));
}

TEST_F(PeerWorld, ReadingGoesOnWhenTheLoopTakesAgain) {
  NodeSetup slow{"b@localhost", 'b'};
  slow.untaken_max = 200'000;
  const auto a = node({"a@localhost", 'a'});
  const auto b = node(slow);
  introduce({a.get(), b.get()});
  ASSERT_TRUE(loop.turn([&] { return a->sees(*b) && b->sees(*a); }));
  for (int i = 0; i < 300; ++i) a->send(*b, Lane::queues, std::string(100'000, 's'));
  EXPECT_TRUE(loop.turn([&] { return b->frame_count == 300; }));
  EXPECT_TRUE(a->down_reasons.empty());
}

}  // namespace
}  // namespace warren::transport
