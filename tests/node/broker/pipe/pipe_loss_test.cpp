// What a client sees when streams break, nodes die and come back.

#include "tests/node/broker/pipe/pipe_fixture.h"

namespace warren::broker::test {
namespace {

using Numbers = std::vector<std::int64_t>;
using Bodies = std::vector<std::string>;

class PipeLossTest : public ClusterTest {
 protected:
  PipeLossTest() : c(client_on(1, cancel_notify())) {
    queue_on(2, "q");
    queue_on(2, "t", false);
  }
  void send(const Pub& pub) {
    confirms.sent(++seq);
    c.send(publish_frame(1, pub));
  }
  void to(const char* queue) { send({"", queue, "m" + std::to_string(seq + 1)}); }
  Numbers settled() {
    auto all = confirms.take(c.receive());
    std::sort(all.begin(), all.end());
    return all;
  }
  TestClient& c;
  ConfirmLedger confirms;
  std::uint64_t seq{0};
};

TEST_F(PipeLossTest, ABlipLosesNothing) {
  confirms_on(c);
  consume(c, "t", "tag");
  settle();
  c.receive();
  to("q");
  turn(node(1));
  part(1, 2);  // the publish was on its way
  to("q");
  to("t");
  settle();
  EXPECT_EQ(settled(), Numbers{});
  join(1, 2);
  settle();
  const auto got = c.receive();
  EXPECT_EQ(bodies(got), Bodies{"m3"});
  auto all = confirms.take(got);
  std::sort(all.begin(), all.end());
  EXPECT_EQ(all, (Numbers{1, 2, 3}));
  EXPECT_EQ(drain(2, "q"), (Bodies{"m1", "m2"}));
}

TEST_F(PipeLossTest, AnswersLostInABlipAreToldAgain) {
  confirms_on(c);
  to("q");
  turn(node(1));
  while (!net_.wire(1, 2).empty()) deliver_one();
  turn(node(2));
  sync_disc(node(2));
  turn(node(2));
  EXPECT_FALSE(net_.wire(2, 1).empty());
  part(1, 2);  // the answer was on its way
  join(1, 2);
  settle();
  EXPECT_EQ(settled(), Numbers{1});
  EXPECT_EQ(ready_on(2, "q"), 1U);
}

TEST_F(PipeLossTest, ANodeGivenUpCancelsItsConsumers) {
  consume(c, "q", "tag");
  settle();
  c.receive();
  part(1, 2);
  settle();
  EXPECT_TRUE(c.receive().empty()) << "a broken stream alone is no loss";
  give_up(1, 2);
  const auto told = c.receive();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].id(), amqp::BasicCancel::kId);
  EXPECT_EQ(told[0].frame.as<amqp::BasicCancel>().consumer_tag, "tag");
}

TEST_F(PipeLossTest, QueuesOfANodeThatIsDownAreNotFound) {
  part(1, 2);
  give_up(1, 2);
  const auto refused = [&](const auto& method) {
    c.send(1, method);
    settle();
    const auto told = c.receive();
    ASSERT_EQ(told.size(), 1U);
    ASSERT_EQ(told[0].id(), amqp::ChannelClose::kId);
    const auto close = told[0].frame.as<amqp::ChannelClose>();
    EXPECT_EQ(close.reply_code, 404);
    EXPECT_EQ(close.reply_text,
              "NOT_FOUND - home node 'rabbit@n2' of durable queue 'q' in vhost '/' is down or inaccessible");
    reopen_on(c);
  };
  amqp::QueueDeclare declare;
  declare.queue = "q";
  declare.durable = true;
  refused(declare);
  declare.passive = true;
  refused(declare);
  amqp::BasicConsume consume;
  consume.queue = "q";
  refused(consume);
  amqp::BasicGet get;
  get.queue = "q";
  refused(get);
  amqp::QueuePurge purge;
  purge.queue = "q";
  refused(purge);
  amqp::QueueDelete remove;
  remove.queue = "q";
  refused(remove);
  join(1, 2);
  settle();
  EXPECT_EQ(ask(c, declare).id(), amqp::QueueDeclareOk::kId) << "it is back";
}

TEST_F(PipeLossTest, PublishesToANodeThatIsDownAreNeverConfirmed) {
  confirms_on(c);
  to("q");
  settle(false);
  part(1, 2);
  give_up(1, 2);
  EXPECT_EQ(settled(), Numbers{-1}) << "it had no answer";
  to("q");
  settle();
  EXPECT_EQ(settled(), Numbers{-2});
  send({"", "q", "m3", true});
  settle();
  const auto told = c.receive();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].id(), amqp::BasicReturn::kId);
  EXPECT_EQ(confirms.take(told), Numbers{-3});
  join(1, 2);
  settle();
  to("q");
  settle();
  EXPECT_EQ(settled(), Numbers{4});
}

TEST_F(PipeLossTest, WhatADeadClientsNodeHeldReturns) {
  consume(c, "q", "tag");
  publish(c, "q", "a");
  publish(c, "q", "b");
  settle();
  EXPECT_EQ(unacked_on(2, "q"), 2U);
  kill(1);
  settle();
  EXPECT_EQ(unacked_on(2, "q"), 2U) << "a broken stream alone is no loss";
  give_up(2, 1);
  EXPECT_EQ(unacked_on(2, "q"), 0U);
  EXPECT_EQ(broker(2).queue("/", "q")->depth(), (QueueDepth{2, 0}));
}

/// Whether the message reached the disc nobody knows: sent again it could be there twice.
TEST_F(PipeLossTest, ARestartedHomeRefusesWhatWasOnItsWay) {
  for (const bool reached_the_disc : {false, true}) {
    confirms_on(c);
    consume(c, "q", "tag");
    settle();
    c.receive();
    to("q");
    to("t");
    turn(node(1));
    while (!net_.wire(1, 2).empty()) deliver_one();
    turn(node(2));
    if (reached_the_disc) sync_disc(node(2));
    kill(2);
    restart(2);
    join(1, 2);
    settle();
    const auto told = c.receive();
    EXPECT_EQ(told.at(0).id(), amqp::BasicCancel::kId);
    auto all = confirms.take(told);
    std::sort(all.begin(), all.end());
    EXPECT_EQ(all, reached_the_disc ? (Numbers{-4, -3}) : (Numbers{-2, -1}));
    EXPECT_EQ(drain(2, "q"), reached_the_disc ? Bodies{"m3"} : Bodies{});
  }
}

TEST_F(PipeLossTest, ConfirmedMessagesSurviveTheHomesRestart) {
  confirms_on(c);
  for (int i = 0; i < 10; ++i) to("q");
  settle();
  EXPECT_EQ(settled().size(), 10U);
  kill(2);
  give_up(1, 2);
  restart(2);
  join(1, 2);
  settle();
  EXPECT_EQ(drain(2, "q").size(), 10U);
}

TEST_F(PipeLossTest, AHomeThatHadGivenUsUpTakesABlockOnce) {
  confirms_on(c);
  consume(c, "t", "tag");
  settle();
  c.receive();
  to("q");
  to("t");
  settle(false);
  part(1, 2);
  give_up(2, 1);
  join(1, 2);
  settle();
  bool cancelled = false;
  const auto told = c.receive();
  for (const auto& r : told) cancelled |= r.id() == amqp::BasicCancel::kId;
  EXPECT_TRUE(cancelled);
  confirms.take(told);
  EXPECT_EQ(confirms.open(), 0U);
  EXPECT_EQ(drain(2, "q"), Bodies{"m1"});
}

TEST_F(PipeLossTest, RefusalsAreToldAgainToo) {
  FieldTable arguments;
  arguments.set("x-max-length", FieldValue(std::int32_t{1}));
  arguments.set("x-overflow", FieldValue("reject-publish"));
  queue_on(2, "small", true, arguments);
  confirms_on(c);
  to("small");
  settle();
  EXPECT_EQ(settled(), Numbers{1});
  to("small");
  turn(node(1));
  while (!net_.wire(1, 2).empty()) deliver_one();
  turn(node(2));
  part(1, 2);  // the refusal was on its way, and its session ends
  give_up(2, 1);
  join(1, 2);
  settle();
  EXPECT_EQ(settled(), Numbers{-2});
}

TEST_F(PipeLossTest, AnAlarmAnywhereBlocksPublishersEverywhere) {
  FieldTable capabilities, properties;
  capabilities.set("connection.blocked", FieldValue(true));
  properties.set("capabilities", FieldValue(std::move(capabilities)));
  auto& p = client_on(1, properties);
  const auto alarm = [&](bool on) {
    broker(2).alarms().set("rabbit@n2", "memory", on);
    broker(2).alarms_changed();
    settle();
  };
  alarm(true);
  EXPECT_TRUE(broker(1).alarms().any());
  publish(p, "q", "a");
  settle();
  EXPECT_EQ(p.receive().at(0).id(), amqp::ConnectionBlocked::kId);
  alarm(false);
  EXPECT_EQ(p.receive().at(0).id(), amqp::ConnectionUnblocked::kId);
  EXPECT_EQ(ready_on(2, "q"), 1U);
  alarm(true);
  part(1, 2);
  EXPECT_TRUE(broker(1).alarms().any());
  give_up(1, 2);
  EXPECT_FALSE(broker(1).alarms().any()) << "the node is gone, and its alarm with it";
  join(1, 2);
  settle();
  EXPECT_TRUE(broker(1).alarms().any()) << "it is back, and still short of memory";
}

TEST_F(PipeLossTest, AStuckClientDoesNotFloodItsNode) {
  consume(c, "t", "tag", true);
  settle();
  c.stuck = true;
  for (int i = 0; i < 64; ++i) {
    auto& p = *node(1).clients.front();
    publish(p, "t", std::string(100'000, 'x'));
    settle();
  }
  EXPECT_GT(ready_on(2, "t"), 30U) << "they wait in the queue, not on the way";
  c.stuck = false;
  std::size_t got = 0;
  for (int i = 0; i < 200 && got < 64; ++i) {
    got += bodies(c.receive()).size();
    settle();
  }
  EXPECT_EQ(got, 64U);
}

TEST_F(PipeLossTest, OperationsWaitForAQueueThatTheHomeDoesNotKnowYet) {
  metadata::QueueDef def;
  def.vhost = "/";
  def.name = "new";
  def.home = 2;
  def.uid = 5000;
  const metadata::Command declare = metadata::DeclareQueue{def};
  ASSERT_TRUE(broker(1).commit(declare, true));  // its catalogue is ahead
  confirms_on(c);
  to("new");
  settle();
  consume(c, "new", "tag");
  settle();
  EXPECT_TRUE(c.receive().empty());
  ASSERT_TRUE(broker(2).commit(declare, false));
  settle();
  const auto told = c.receive();
  EXPECT_EQ(confirms.take(told), Numbers{1});
  EXPECT_EQ(bodies(told), Bodies{"m1"});
}

TEST_F(PipeLossTest, AQueueThatNeverComesRefuses) {
  metadata::QueueDef def;
  def.vhost = "/";
  def.name = "new";
  def.home = 2;
  def.uid = 5000;
  ASSERT_TRUE(broker(1).commit(metadata::DeclareQueue{def}, true));
  confirms_on(c);
  to("new");
  settle();
  pass(11'000);
  EXPECT_EQ(settled(), Numbers{-1});
}

TEST_F(PipeLossTest, ANodeThatWasNeverHeardOfIsDownAfterAWhile) {
  queue_on(9, "far");
  confirms_on(c);
  to("far");
  settle();
  EXPECT_EQ(settled(), Numbers{}) << "it may be coming up";
  pass(6'000);
  EXPECT_EQ(settled(), Numbers{-1});
}

TEST_F(PipeLossTest, NonsenseFromAPeerEndsTheSessionOnly) {
  Prng prng(7);
  confirms_on(c);
  for (int i = 0; i < 300; ++i) {
    to("q");
    turn(node(1));
    auto& wire = net_.wire(1, 2);
    if (!wire.empty() && prng.next() % 4 == 0)
      wire.back()[prng.next() % wire.back().size()] ^= static_cast<char>(1 + prng.next() % 255);
    settle();
    if (i % 10 == 0) pass(500);
  }
  for (int i = 0; i < 40; ++i) pass(500);
  confirms.take(c.receive());
  EXPECT_EQ(confirms.open(), 0U);
}

// ---- random ---------------------------------------------------------------------------------------

class PipeRandomTest : public ClusterTest, public ::testing::WithParamInterface<int> {
 protected:
  PipeRandomTest() : ClusterTest(3), prng_(static_cast<std::uint64_t>(GetParam()) * 77 + 5) {}
  std::uint64_t roll(std::uint64_t n) { return prng_.next() % n; }
  Prng prng_;
};
INSTANTIATE_TEST_SUITE_P(Seeds, PipeRandomTest, ::testing::Range(1, 41));

/// Streams break and heal at any time, no process dies: everything arrives once, in order.
TEST_P(PipeRandomTest, BreaksAloneLoseAndRepeatNothing) {
  queue_on(2, "q", roll(2) == 0);
  auto& p = client_on(1);
  auto& c = client_on(3, cancel_notify());
  confirms_on(p);
  qos(c, static_cast<std::uint16_t>(roll(2) == 0 ? 0 : 3), false);
  consume(c, "q", "tag", roll(2) == 0);
  settle();
  c.receive();
  ConfirmLedger confirms;
  Bodies got;
  std::uint64_t sent = 0;
  const bool manual = !broker(2).queue("/", "q")->consumers().at(0).spec.no_ack;
  const auto listen = [&] {
    for (const auto& d : deliveries(c.receive())) {
      EXPECT_FALSE(d.redelivered);
      got.push_back(d.body);
      if (manual) ack(c, d.tag, true);
    }
    confirms.take(p.receive());
  };
  for (int step = 0; step < 400; ++step) {
    switch (roll(8)) {
      case 0:
      case 1:
        confirms.sent(++sent);
        publish(p, "q", std::to_string(sent));
        break;
      case 2: {
        const MemberId other = roll(2) == 0 ? 1 : 3;
        if (net_.up(2, other)) part(2, other); else join(2, other);
        break;
      }
      case 3: turn(node(1 + roll(3))); break;
      case 4: sync_disc(node(2)); break;
      case 5: listen(); break;
      default: deliver_one(); break;
    }
  }
  for (const MemberId other : {1, 3})
    if (!net_.up(2, other)) join(2, other);
  for (int i = 0; i < 500 && got.size() < sent; ++i) {
    settle();
    listen();
  }
  settle();
  listen();
  EXPECT_EQ(confirms.open(), 0U);
  Bodies expected;
  for (std::uint64_t i = 1; i <= sent; ++i) expected.push_back(std::to_string(i));
  EXPECT_EQ(got, expected) << "seed " << GetParam();
}

/// Nodes are given up and the home node dies too: what was confirmed is there in the end, nothing twice.
TEST_P(PipeRandomTest, ConfirmedIsNeverLost) {
  queue_on(2, "q");
  auto& p = client_on(1);
  confirms_on(p);
  ConfirmLedger confirms;
  std::set<std::string> confirmed, got;
  std::uint64_t sent = 0;
  const auto listen = [&] {
    for (const std::int64_t n : confirms.take(p.receive()))
      if (n > 0) confirmed.insert(std::to_string(n));
  };
  for (int step = 0; step < 300; ++step) {
    switch (roll(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        confirms.sent(++sent);
        publish(p, "q", std::to_string(sent));
        break;
      case 4:
        if (!node(2).alive) break;
        if (net_.up(1, 2)) part(1, 2); else join(1, 2);
        break;
      case 5: turn(node(1)); break;
      case 6:
        if (node(2).alive) turn(node(2));
        break;
      case 7:
        if (node(2).alive) sync_disc(node(2));
        break;
      case 8:
        if (roll(4) != 0) break;
        if (roll(2) == 0)
          broker(1).pipes().on_node_down(2);
        else if (node(2).alive)
          broker(2).pipes().on_node_down(1);
        break;
      case 9:
        if (roll(4) != 0) break;
        if (node(2).alive) {
          kill(2);
        } else {
          restart(2);
          join(1, 2);
        }
        break;
      default: deliver_one(); break;
    }
    listen();
  }
  if (!node(2).alive) restart(2);
  if (!net_.up(1, 2)) join(1, 2);
  for (int i = 0; i < 4; ++i) pass(1'000);
  listen();
  EXPECT_EQ(confirms.open(), 0U) << "seed " << GetParam();
  for (const auto& body : drain(2, "q")) EXPECT_TRUE(got.insert(body).second) << body << " twice, seed " << GetParam();
  for (const auto& body : confirmed) EXPECT_TRUE(got.contains(body)) << body << " seed " << GetParam();
}

}  // namespace
}  // namespace warren::broker::test
