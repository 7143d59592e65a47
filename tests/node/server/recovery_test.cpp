// Crashes of a whole node without sockets: what was confirmed is there afterwards, what was
// acknowledged and durable never comes back, order is kept. Random seeds, printed.

#include "tests/node/server/store_node.h"

#include <algorithm>
#include <set>

namespace warren::server::test {
namespace {

using broker::test::BrokerTest;
using broker::test::ConfirmLedger;
using broker::test::Pub;
using broker::test::Received;
using Texts = std::vector<std::string>;

/// The client's words that BrokerTest knows, for use outside a fixture.
struct Say : BrokerTest {
  using BrokerTest::bodies;
  using BrokerTest::declare_frame;
  using BrokerTest::deliveries;
  using BrokerTest::publish_frame;
  void TestBody() override {}
};

class RecoveryTest : public testing::Test {
 protected:
  void start() {
    node.reset();
    node = std::make_unique<StoreNode>(store);
    const auto up = node->start();
    ASSERT_TRUE(up) << up.error().text;
  }
  void crash(std::size_t keep = 0) {
    node.reset();
    store.crash_keeping(keep);
    start();
  }
  Texts drain(const std::string& queue) {
    auto& client = node->connect();
    amqp::BasicConsume consume;
    consume.queue = queue;
    consume.consumer_tag = "drain";
    consume.no_ack = true;
    client.send(1, consume);
    Texts all;
    for (int i = 0; i < 5; ++i) {
      node->settle();  // the first delivery waits until its watermark is on disc
      for (auto& body : Say::bodies(client.receive())) all.push_back(std::move(body));
    }
    return all;
  }

  storage::MemoryStore memory;
  storage::FaultyStore store{memory};
  std::unique_ptr<StoreNode> node;
};

TEST_F(RecoveryTest, WhatIsConfirmedSurvivesAndWhatIsNotMayGo) {
  start();
  auto& client = node->connect();
  client.send(Say::declare_frame(1, "q"));
  client.send(1, amqp::ConfirmSelect{});
  node->settle();
  (void)client.receive();
  client.send(Say::publish_frame(1, Pub{"", "q", "confirmed"}));
  node->run();
  EXPECT_TRUE(client.receive().empty());
  node->commit();
  ASSERT_EQ(client.receive().at(0).id(), amqp::BasicAck::kId);
  client.send(Say::publish_frame(1, Pub{"", "q", "too late"}));
  node->run();
  crash();
  EXPECT_EQ(drain("q"), Texts{"confirmed"});
}

TEST_F(RecoveryTest, AnUnansweredDeclareMayBeGone) {
  start();
  auto& client = node->connect();
  client.send(Say::declare_frame(1, "q"));
  node->run();
  EXPECT_TRUE(client.receive().empty());
  crash();
  EXPECT_EQ(node->broker().queue("/", "q"), nullptr);
}

TEST_F(RecoveryTest, ADeleteThatWasAnsweredStaysDone) {
  start();
  auto& client = node->connect();
  client.send(Say::declare_frame(1, "q"));
  node->settle();
  client.send(Say::publish_frame(1, Pub{"", "q", "m"}));
  node->settle();
  const auto uid = node->broker().queue("/", "q")->def().uid;
  amqp::QueueDelete method;
  method.queue = "q";
  client.send(1, method);
  node->run();
  node->commit();
  crash();
  EXPECT_EQ(node->broker().queue("/", "q"), nullptr);
  auto& again = node->connect();
  again.send(Say::declare_frame(1, "q"));
  node->settle();
  EXPECT_NE(node->broker().queue("/", "q")->def().uid, uid);
  EXPECT_EQ(drain("q"), Texts{});
}

TEST_F(RecoveryTest, TransientMessagesAndQueuesGo) {
  start();
  auto& client = node->connect();
  client.send(Say::declare_frame(1, "q") + Say::declare_frame(1, "t", false));
  node->settle();
  client.send(Say::publish_frame(1, Pub{"", "q", "kept"}));
  client.send(Say::publish_frame(1, Pub{"", "q", "transient", false, false}));
  node->settle();
  crash();
  EXPECT_EQ(node->broker().queue("/", "t"), nullptr);
  EXPECT_EQ(drain("q"), Texts{"kept"});
}

TEST_F(RecoveryTest, ACommittedTransactionSurvivesWithItsAcks) {
  start();
  auto& client = node->connect({1, 2});
  client.send(Say::declare_frame(1, "q") + Say::declare_frame(1, "r"));
  node->settle();
  client.send(Say::publish_frame(2, Pub{"", "q", "in"}));
  node->settle();
  client.send(1, amqp::TxSelect{});
  amqp::BasicGet get;
  get.queue = "q";
  client.send(1, get);
  node->settle();
  (void)client.receive();
  client.send(1, amqp::BasicAck{1, false});
  client.send(Say::publish_frame(1, Pub{"", "r", "out"}));
  client.send(1, amqp::TxCommit{});
  for (int i = 0; i < 10; ++i) {
    node->run();
    const auto received = client.receive();
    if (!received.empty()) {
      EXPECT_EQ(received[0].id(), amqp::TxCommitOk::kId);
      break;
    }
    ASSERT_GT(node->commit(), 0U);
  }
  crash();
  EXPECT_EQ(drain("q"), Texts{}) << "the ack was committed";
  EXPECT_EQ(drain("r"), Texts{"out"});
}

TEST_F(RecoveryTest, DeadLettersAreInOnePlaceAtLeast) {
  start();
  auto& client = node->connect();
  FieldTable arguments;
  arguments.set("x-dead-letter-exchange", FieldValue(""));
  arguments.set("x-dead-letter-routing-key", FieldValue("dead"));
  client.send(Say::declare_frame(1, "dead") + Say::declare_frame(1, "source", true, arguments));
  node->settle();
  client.send(Say::publish_frame(1, Pub{"", "source", "m"}));
  node->settle();
  amqp::BasicGet get;
  get.queue = "source";
  client.send(1, get);
  node->settle();
  client.send(1, amqp::BasicReject{1, false});
  node->run();
  node->commit();
  crash();
  auto here = drain("source");
  const auto there = drain("dead");
  here.insert(here.end(), there.begin(), there.end());
  EXPECT_EQ(here, Texts{"m"});
}

TEST_F(RecoveryTest, AnOrderlyStopReplaysNothing) {
  start();
  auto& client = node->connect();
  client.send(Say::declare_frame(1, "q"));
  node->settle();
  for (int i = 0; i < 10; ++i) client.send(Say::publish_frame(1, Pub{"", "q", std::to_string(i)}));
  node->settle();
  node->checkpoint_all();
  node->settle();
  crash();
  EXPECT_EQ(drain("q").size(), 10U);
}

TEST_F(RecoveryTest, StartUpSaysWhatTheStoreSays) {
  start();
  node.reset();
  store.crash();
  store.fail_nth(1);
  node = std::make_unique<StoreNode>(store);
  EXPECT_EQ(node->start().error().code, Errc::io);
}

// ---- random crashes -------------------------------------------------------------------------------------

/// What the clients know about the messages they sent.
struct Book {
  std::map<std::string, std::string> queue_of;           // body -> queue
  std::set<std::string> confirmed;                       // the broker promised them
  std::set<std::string> acked;                           // acknowledged, durable or not
  std::set<std::string> gone;                            // acknowledged, and the removal is durable
  std::map<std::string, int> number;                     // order of sending
};

class Storm {
 public:
  Storm(RecoveryTest&, std::uint64_t seed) : random_(seed) {}

  void play(storage::FaultyStore& store, std::unique_ptr<StoreNode>& node) {
    auto& publisher = node->connect();
    auto& consumer = node->connect();
    for (int i = 0; i < kQueues; ++i) publisher.send(Say::declare_frame(1, "q" + std::to_string(i)));
    publisher.send(1, amqp::ConfirmSelect{});
    node->settle();
    (void)publisher.receive();
    for (int i = 0; i < kQueues; ++i) {
      amqp::BasicConsume consume;
      const std::string queue = "q" + std::to_string(i);
      consume.queue = queue;
      consume.consumer_tag = queue;
      if (random_.chance(2, 3)) consumer.send(1, consume);
    }
    ConfirmLedger ledger;
    std::map<std::int64_t, std::string> sent;
    std::map<std::uint64_t, std::string> held;
    std::int64_t seq = 0;
    const auto listen = [&] {
      for (const auto n : ledger.take(publisher.receive())) {
        ASSERT_GT(n, 0);
        book.confirmed.insert(sent[n]);
      }
      for (const auto& d : Say::deliveries(consumer.receive())) {
        ASSERT_FALSE(book.gone.contains(d.body)) << d.body << " was acknowledged and durable";
        if (!d.redelivered) {
          ASSERT_FALSE(delivered_.contains(d.body)) << d.body << " came again and does not say so";
        }
        delivered_.insert(d.body);
        held[d.tag] = d.body;
      }
    };
    const int steps = 20 + static_cast<int>(random_.below(60));
    for (int step = 0; step < steps; ++step) {
      switch (random_.below(8)) {
        case 0:
        case 1:
        case 2: {
          std::string bytes;
          for (std::uint64_t i = 0; i <= random_.below(6); ++i) {
            const std::string body = "m" + std::to_string(next_++);
            const std::string queue = "q" + std::to_string(random_.below(kQueues));
            book.queue_of[body] = queue;
            book.number[body] = next_;
            sent[++seq] = body;
            ledger.sent(static_cast<std::uint64_t>(seq));
            bytes += Say::publish_frame(1, Pub{"", queue, body});
          }
          publisher.send(bytes);
          break;
        }
        case 3:
          if (!held.empty()) {
            auto one = std::next(held.begin(), static_cast<std::ptrdiff_t>(random_.below(held.size())));
            consumer.send(1, amqp::BasicAck{one->first, false});
            book.acked.insert(one->second);
            held.erase(one);
          }
          break;
        case 4:
          if (!held.empty() && random_.chance(1, 2)) {
            auto one = std::next(held.begin(), static_cast<std::ptrdiff_t>(random_.below(held.size())));
            consumer.send(1, amqp::BasicReject{one->first, true});
            held.erase(one);
          }
          break;
        case 5: node->run(); break;
        case 6: node->commit(); break;
        default:
          if (random_.chance(1, 4)) node->checkpoint_all();
          if (random_.chance(1, 3)) node->journal().flush_lazy();
      }
      listen();
      // Everything was written and synced: what is acknowledged now may never come back.
      if (random_.chance(1, 6)) {
        node->settle();
        listen();
        ASSERT_TRUE(store.write(storage::WriteBatch{}, storage::Durability::synced));
        if (store.unsynced_batches() == 0 && node->journal().idle()) book.gone = book.acked;
      }
    }
  }

  /// After a restart: every queue holds what was promised, in order, and nothing that was ended.
  void check(StoreNode& node) {
    auto& client = node.connect();
    std::uint64_t last_tag = 0;
    std::set<std::string> found;
    for (int i = 0; i < kQueues; ++i) {
      const std::string queue = "q" + std::to_string(i);
      amqp::BasicConsume consume;
      consume.queue = queue;
      consume.consumer_tag = queue;
      client.send(1, consume);
      int last = -1;
      for (int round = 0; round < 3; ++round) {
        node.settle();
        for (const auto& d : Say::deliveries(client.receive())) {
          last_tag = d.tag;
          ASSERT_TRUE(book.queue_of.contains(d.body)) << d.body;
          ASSERT_EQ(book.queue_of[d.body], queue);
          ASSERT_TRUE(found.insert(d.body).second) << d.body << " is there twice";
          ASSERT_FALSE(book.gone.contains(d.body)) << d.body << " was acknowledged and durable";
          ASSERT_GT(book.number[d.body], last) << "order of " << queue;
          if (!d.redelivered) {
            ASSERT_FALSE(delivered_.contains(d.body)) << d.body << " was delivered before the crash";
          }
          last = book.number[d.body];
        }
      }
    }
    for (const auto& body : book.confirmed)
      ASSERT_TRUE(found.contains(body) || book.acked.contains(body)) << body << " was confirmed and is lost";
    // The next life goes on with what is there.
    book.confirmed = found;
    book.acked.clear();
    delivered_ = found;
    client.send(0, amqp::ConnectionClose{});
    node.run();
    (void)last_tag;
  }

  Book book;

 private:
  static constexpr int kQueues = 3;
  Prng random_;
  int next_{0};
  std::set<std::string> delivered_;
};

TEST_F(RecoveryTest, RandomCrashesLoseNothingThatWasPromised) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    node.reset();
    storage::MemoryStore disc;
    storage::FaultyStore faulty(disc);
    Storm storm(*this, seed);
    Prng random(seed * 7919);
    for (int life = 0; life < 4; ++life) {
      auto alive = std::make_unique<StoreNode>(faulty);
      const auto up = alive->start();
      ASSERT_TRUE(up) << up.error().text;
      alive->settle();
      if (life > 0) storm.check(*alive);
      if (HasFatalFailure()) return;
      storm.play(faulty, alive);
      if (HasFatalFailure()) return;
      alive.reset();
      faulty.crash_keeping(random.below(faulty.unsynced_batches() + 1));
    }
  }
}

TEST_F(RecoveryTest, AFailingDiscConfirmsNothingMore) {
  for (std::uint64_t n = 1; n <= 12; ++n) {
    for (const bool reaches : {false, true}) {
      SCOPED_TRACE(testing::Message() << "write " << n << (reaches ? " reaches" : " does not reach"));
      storage::MemoryStore disc;
      storage::FaultyStore faulty(disc);
      Texts confirmed;
      {
        StoreNode alive(faulty);
        ASSERT_TRUE(alive.start());
        auto& client = alive.connect();
        client.send(Say::declare_frame(1, "q"));
        client.send(1, amqp::ConfirmSelect{});
        alive.settle();
        (void)client.receive();
        faulty.fail_nth_write(n, reaches);
        ConfirmLedger ledger;
        for (int i = 1; i <= 15; ++i) {
          client.send(Say::publish_frame(1, Pub{"", "q", std::to_string(i)}));
          ledger.sent(static_cast<std::uint64_t>(i));
          alive.run();
          alive.commit();
          const bool broken = alive.failure.has_value();
          for (const auto number : ledger.take(client.receive())) {
            EXPECT_FALSE(broken) << "confirmed behind a failure";
            confirmed.push_back(std::to_string(number));
          }
        }
        EXPECT_TRUE(alive.failure.has_value());
        EXPECT_EQ(confirmed.size(), n - 1);
      }
      faulty.crash();
      StoreNode again(faulty);
      ASSERT_TRUE(again.start());
      const auto stats = again.broker().queue("/", "q")->stats();
      EXPECT_GE(stats.ready, confirmed.size());
      EXPECT_LE(stats.ready, confirmed.size() + 1);
    }
  }
}

}  // namespace
}  // namespace warren::server::test
