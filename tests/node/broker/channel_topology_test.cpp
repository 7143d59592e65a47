// Declares, binds and deletes; who may do them, who waits for the disc; transactions.

#include "tests/node/broker/broker_fixture.h"

namespace warren::broker::test {
namespace {

class TopologyTest : public BrokerTest {
 protected:
  TopologyTest() : client(connect({1, 2})) {}
  std::uint16_t code(TestClient& of) {
    sync();
    return closed_with(of.receive());
  }

  template <class Method>
  static std::uint32_t count_of(const Received& answer) {
    return answer.frame.as<Method>().message_count;
  }

  TestClient& client;
};

// ---- durability -------------------------------------------------------------------------------------

TEST_F(TopologyTest, DeclareIsAnsweredBehindTheSync) {
  client.send(declare_frame(1, "q"));
  turn();
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(broker_->queue("/", "q"), nullptr) << "nobody may use what is not committed";
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].frame.as<amqp::QueueDeclareOk>().queue, "q");
}

TEST_F(TopologyTest, ARedeclareWaitsForTheFirstOne) {
  auto& other = connect();
  client.send(declare_frame(1, "q"));
  turn();
  other.send(declare_frame(1, "q"));
  turn();
  EXPECT_TRUE(other.receive().empty()) << "it would confirm what a crash may take back";
  sync();
  EXPECT_EQ(other.receive().at(0).id(), amqp::QueueDeclareOk::kId);
  other.send(declare_frame(1, "q"));
  turn();
  EXPECT_EQ(other.receive().size(), 1U) << "nothing is under way now";
}

TEST_F(TopologyTest, LaterFramesOfTheChannelWaitAndOthersDoNot) {
  declare(client, "there", false);
  client.send(declare_frame(1, "q") + publish_frame(1, {"", "q", "m"}) +
              publish_frame(2, {"", "there", "m"}));
  turn();
  EXPECT_EQ(ready("there"), 1U);
  EXPECT_EQ(broker_->queue("/", "q"), nullptr);
  sync();
  EXPECT_EQ(ready("q"), 1U);
}

TEST_F(TopologyTest, NoWaitDeclaresAreSilent) {
  client.send(declare_frame(1, "q", true, {}, false, true) + publish_frame(1, {"", "q", "m"}));
  sync();
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(ready("q"), 1U);
}

TEST_F(TopologyTest, AnUnknownNameIsLookedForOnceMore) {
  metadata::QueueDef q;
  q.vhost = "/";
  q.name = "q";
  metadata::ExchangeDef x;
  x.vhost = "/";
  x.name = "x";
  x.type = "fanout";
  metadata::BindingDef b;
  b.vhost = "/";
  b.source = "x";
  b.destination = "q";
  env_.behind = std::vector<metadata::Command>{metadata::DeclareQueue{q}};
  amqp::QueueDeclare passive;
  passive.queue = "q";
  passive.passive = true;
  client.send(1, passive);
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::QueueDeclareOk::kId);
  env_.behind = std::vector<metadata::Command>{metadata::DeclareExchange{x}, metadata::Bind{b}};
  client.send(publish_frame(1, {"x", "", "m"}));
  sync();
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(ready("q"), 1U);
  env_.catch_ups = 0;
  passive.queue = "none";
  client.send(1, passive);
  sync();
  EXPECT_EQ(closed_with(client.receive()), 404);
  EXPECT_EQ(env_.catch_ups, 1);
  env_.behind.reset();
}

TEST_F(TopologyTest, TwoDeletesOfOneQueueAreBothAnswered) {
  auto& other = connect();
  declare(client, "q");
  publish(client, "q", "m");
  sync();
  (void)client.receive();
  amqp::QueueDelete method;
  method.queue = "q";
  client.send(1, method);
  other.send(1, method);
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::QueueDeleteOk::kId);
  EXPECT_EQ(other.receive().at(0).id(), amqp::QueueDeleteOk::kId);
}

TEST_F(TopologyTest, AnExclusiveQueueThatComesTooLateGoes) {
  auto& other = connect();
  other.send(declare_frame(1, "mine", false, {}, true));
  turn();
  other.disconnect();
  clients_.pop_back();
  sync();
  EXPECT_EQ(broker_->catalogue().find_queue("/", "mine"), nullptr);
}

TEST_F(TopologyTest, AChannelThatGoesWhileItWaitsIsLeftAlone) {
  client.send(declare_frame(1, "q"));
  turn();
  client.connection().channel_error(1, {amqp::ReplyCode::internal_error, "x"});
  auto& other = connect();
  other.send(declare_frame(1, "r"));
  turn();
  other.disconnect();
  clients_.pop_back();
  sync();
  EXPECT_NE(broker_->queue("/", "q"), nullptr);
  EXPECT_NE(broker_->queue("/", "r"), nullptr);
}

TEST_F(TopologyTest, BindsAndExchangesWaitToo) {
  declare(client, "q");
  amqp::ExchangeDeclare exchange;
  exchange.exchange = "x";
  exchange.type = "direct";
  exchange.durable = true;
  amqp::QueueBind bind;
  bind.queue = "q";
  bind.exchange = "x";
  bind.routing_key = "k";
  client.send(1, exchange);
  turn();
  EXPECT_TRUE(client.receive().empty());
  sync();
  EXPECT_EQ(client.receive().size(), 1U);
  client.send(1, bind);
  turn();
  EXPECT_TRUE(client.receive().empty());
  client.send(2, bind);
  turn();
  EXPECT_TRUE(client.receive().empty()) << "the same binding again";
  sync();
  EXPECT_EQ(client.receive().size(), 2U);
}

TEST_F(TopologyTest, ASecondDeleteWaitsForTheFirst) {
  declare(client, "q");
  auto& other = connect();
  amqp::QueueDelete method;
  method.queue = "q";
  client.send(1, method);
  turn();
  other.send(1, method);
  turn();
  EXPECT_TRUE(other.receive().empty());
  sync();
  EXPECT_EQ(other.receive().at(0).id(), amqp::QueueDeleteOk::kId);
  EXPECT_EQ(client.receive().at(0).id(), amqp::QueueDeleteOk::kId);
}

// ---- rules ------------------------------------------------------------------------------------------

TEST_F(TopologyTest, InequivalentDeclaresAre406) {
  declare(client, "q");
  client.send(declare_frame(1, "q", false));
  EXPECT_EQ(code(client), 406);
}

TEST_F(TopologyTest, PassiveDeclaresAsk) {
  declare(client, "q");
  publish(client, "q", "m");
  sync();
  amqp::QueueDeclare method;
  method.queue = "q";
  method.passive = true;
  EXPECT_EQ(count_of<amqp::QueueDeclareOk>(call(client, 1, method)), 1U);
  method.queue = "nope";
  client.send(1, method);
  EXPECT_EQ(code(client), 404);
}

TEST_F(TopologyTest, TheServerFindsNames) {
  client.send(declare_frame(1, "", false));
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 1U);
  const std::string name(received[0].frame.as<amqp::QueueDeclareOk>().queue);
  EXPECT_TRUE(name.starts_with("amq.gen-"));
  EXPECT_EQ(name.size(), 8 + 22U);
  amqp::QueueBind bind;  // "" is the queue declared last
  bind.exchange = "amq.direct";
  EXPECT_EQ(call(client, 1, bind).id(), amqp::QueueBindOk::kId);
  client.send(publish_frame(1, {"amq.direct", name, "m"}));
  turn();
  EXPECT_EQ(ready(name), 1U);
}

TEST_F(TopologyTest, DeleteLooksAtItsConditions) {
  declare(client, "q");
  publish(client, "q", "m");
  consume(client, "q", "c", false, 2);
  sync();
  (void)client.receive();
  amqp::QueueDelete method;
  method.queue = "q";
  method.if_unused = true;
  client.send(1, method);
  EXPECT_EQ(code(client), 406);
  reopen(client);
  method.if_unused = false;
  method.if_empty = true;
  publish(client, "q", "m2", 2);
  qos(client, 1, false, 2);
  client.send(2, amqp::ChannelClose{});
  sync();
  (void)client.receive();
  client.send(1, method);
  EXPECT_EQ(code(client), 406);
  reopen(client);
  method.if_empty = false;
  EXPECT_EQ(count_of<amqp::QueueDeleteOk>(call(client, 1, method)), 2U);
  EXPECT_EQ(count_of<amqp::QueueDeleteOk>(call(client, 1, method)), 0U);
}

TEST_F(TopologyTest, PurgeCounts) {
  declare(client, "q");
  for (int i = 0; i < 5; ++i) publish(client, "q", "m");
  sync();
  amqp::QueuePurge method;
  method.queue = "q";
  EXPECT_EQ(count_of<amqp::QueuePurgeOk>(call(client, 1, method)), 5U);
  EXPECT_EQ(ready("q"), 0U);
}

TEST_F(TopologyTest, BindsNeedBothEnds) {
  declare(client, "q");
  amqp::QueueBind method;
  method.queue = "q";
  method.exchange = "nope";
  client.send(1, method);
  EXPECT_EQ(code(client), 404);
  reopen(client);
  method.queue = "nope";
  method.exchange = "amq.direct";
  client.send(1, method);
  EXPECT_EQ(code(client), 404);
}

TEST_F(TopologyTest, ReservedNamesStayReserved) {
  client.send(declare_frame(1, "amq.mine"));
  EXPECT_EQ(code(client), 403);
  amqp::ExchangeDeclare method;
  method.exchange = "amq.mine";
  method.type = "direct";
  client.send(2, method);
  EXPECT_EQ(code(client), 403);
}

// ---- exclusive and auto-delete --------------------------------------------------------------------------

TEST_F(TopologyTest, ExclusiveQueuesAreOnesOwn) {
  auto& other = connect();
  client.send(declare_frame(1, "mine", false, {}, true));
  EXPECT_EQ(code(client), 0);
  other.send(declare_frame(1, "mine", false, {}, true));
  EXPECT_EQ(code(other), 405);
  reopen(other);
  consume(other, "mine", "c");
  EXPECT_EQ(code(other), 405);
  reopen(other);
  publish(other, "mine", "anybody may publish");
  sync();
  EXPECT_EQ(ready("mine"), 1U);
}

TEST_F(TopologyTest, ExclusiveQueuesGoWithTheirConnection) {
  for (const bool politely : {true, false}) {
    auto& other = connect();
    for (int i = 0; i < 3; ++i) other.send(declare_frame(1, "mine" + std::to_string(i), false, {}, true));
    sync();
    EXPECT_EQ(other.receive().size(), 3U);
    ASSERT_NE(broker_->queue("/", "mine2"), nullptr);
    if (politely) {
      other.send(0, amqp::ConnectionClose{});
      turn();
      EXPECT_TRUE(other.receive().empty()) << "they are not gone yet";
      sync();
      EXPECT_EQ(broker_->queue("/", "mine2"), nullptr);
      EXPECT_EQ(other.receive().at(0).id(), amqp::ConnectionCloseOk::kId);
    }
    clients_.pop_back();
    sync();
    EXPECT_EQ(broker_->queue("/", "mine0"), nullptr);
    EXPECT_EQ(broker_->queue("/", "mine1"), nullptr);
    EXPECT_EQ(broker_->queue("/", "mine2"), nullptr);
  }
}

TEST_F(TopologyTest, ExclusiveDurableQueuesLeaveNothingOnDisc) {
  // They end with their connection, so a crash must not leave a log that nobody owns.
  client.send(declare_frame(1, "mine", true, {}, true));
  sync();
  EXPECT_EQ(client.receive().size(), 1U);
  publish(client, "mine", "m");
  sync();
  EXPECT_EQ(ready("mine"), 1U);
  EXPECT_TRUE(env_.logs.empty());
  client.send(0, amqp::ConnectionClose{});
  sync();
  EXPECT_TRUE(env_.retired.empty());
}

TEST_F(TopologyTest, AutoDeleteQueuesGoWithTheirLastConsumer) {
  client.send(declare_frame(1, "q", false, {}, false, false, true));
  consume(client, "q", "one");
  consume(client, "q", "two");
  sync();
  amqp::BasicCancel cancel;
  cancel.consumer_tag = "one";
  client.send(1, cancel);
  sync();
  EXPECT_NE(broker_->queue("/", "q"), nullptr);
  cancel.consumer_tag = "two";
  client.send(1, cancel);
  sync();
  EXPECT_EQ(broker_->queue("/", "q"), nullptr);
}

TEST_F(TopologyTest, QueuesExpireWhenNobodyUsesThem) {
  FieldTable arguments;
  arguments.set("x-expires", FieldValue(std::int32_t{10'000}));
  declare(client, "q", true, arguments);
  const auto log = uid("q");
  advance(9'000);
  declare(client, "q", true, arguments);  // use
  advance(9'000);
  EXPECT_NE(broker_->queue("/", "q"), nullptr);
  advance(1'500);
  EXPECT_EQ(broker_->queue("/", "q"), nullptr);
  EXPECT_EQ(env_.retired, std::vector<metadata::QueueUid>{log});
}

// ---- permissions ------------------------------------------------------------------------------------

TEST_F(TopologyTest, PermissionsAreAskedEverywhere) {
  add_user("limited", "^mine", "^mine|^amq\\.default$", "^mine");
  declare(client, "other");
  declare_exchange(client, "x", "direct");
  auto& limited = connect({1}, "limited");
  declare(limited, "mine");
  const auto refused = [&](const std::string& bytes) {
    limited.send(bytes);
    EXPECT_EQ(code(limited), 403);
    reopen(limited);
  };
  refused(declare_frame(1, "theirs"));
  amqp::QueueDelete remove;
  remove.queue = "other";
  refused(amqp::encode_frame(1, remove));
  amqp::QueuePurge purge;
  purge.queue = "other";
  refused(amqp::encode_frame(1, purge));
  amqp::BasicGet get;
  get.queue = "other";
  refused(amqp::encode_frame(1, get));
  amqp::BasicConsume consume;
  consume.queue = "other";
  refused(amqp::encode_frame(1, consume));
  refused(publish_frame(1, {"x", "k", "m"}));
  amqp::ExchangeDeclare exchange;
  exchange.exchange = "theirs";
  exchange.type = "fanout";
  refused(amqp::encode_frame(1, exchange));
  amqp::QueueBind bind;
  bind.queue = "mine";
  bind.exchange = "x";
  refused(amqp::encode_frame(1, bind));
  FieldTable arguments;
  arguments.set("x-dead-letter-exchange", FieldValue("x"));
  refused(declare_frame(1, "mine2", true, arguments));
  publish(limited, "mine", "m");
  publish(limited, "other", "the default exchange asks for its own name alone");
  sync();
  EXPECT_EQ(ready("mine"), 1U);
  EXPECT_EQ(ready("other"), 1U);
}

TEST_F(TopologyTest, PermissionsTakenAwayCountAtOnce) {
  add_user("limited", ".*", ".*", ".*");
  auto& limited = connect({1}, "limited");
  declare(limited, "q");
  publish(limited, "q", "1");
  sync();
  apply(metadata::PutPermission{{"limited", "/", ".*", "^$", ".*"}});
  publish(limited, "q", "2");
  sync();
  EXPECT_EQ(closed_with(limited.receive()), 403);
  EXPECT_EQ(ready("q"), 1U);
}

// ---- transactions -------------------------------------------------------------------------------------

class TxTest : public TopologyTest {
 protected:
  TxTest() {
    declare(client, "q");
    declare(client, "r");
    EXPECT_EQ(call(client, 1, amqp::TxSelect{}).id(), amqp::TxSelectOk::kId);
  }
};

TEST_F(TxTest, CommitIsAnsweredBehindTheSyncOfEveryQueue) {
  publish(client, "q", "1");
  publish(client, "r", "2");
  turn();
  EXPECT_EQ(ready("q") + ready("r"), 0U) << "nothing is there before the commit";
  client.send(1, amqp::TxCommit{});
  turn();
  sync_queue("q");
  EXPECT_TRUE(client.receive().empty());
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(ready("q") + ready("r"), 2U);
}

TEST_F(TxTest, RollbackForgets) {
  publish(client, "q", "1");
  EXPECT_EQ(call(client, 1, amqp::TxRollback{}).id(), amqp::TxRollbackOk::kId);
  EXPECT_EQ(call(client, 1, amqp::TxCommit{}).id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(ready("q"), 0U);
}

TEST_F(TxTest, AcksAreKeptUntilTheCommit) {
  publish(client, "q", "1", 2);
  consume(client, "q", "c");
  sync();
  EXPECT_EQ(deliveries(client.receive()).size(), 1U);
  ack(client, 1);
  sync();
  EXPECT_EQ(unacked("q"), 1U);
  client.send(1, amqp::TxRollback{});
  ack(client, 1);
  client.send(1, amqp::TxCommit{});
  sync();
  EXPECT_EQ(closed_with(client.receive()), 0);
  EXPECT_EQ(unacked("q"), 0U);
  ack(client, 1);
  EXPECT_EQ(code(client), 406);
}

TEST_F(TxTest, ACommitOfAcksAloneIsDurableToo) {
  publish(client, "q", "1", 2);
  consume(client, "q", "c");
  sync();
  (void)client.receive();
  ack(client, 1);
  client.send(1, amqp::TxCommit{});
  turn();
  EXPECT_TRUE(client.receive().empty()) << "the removal is not on disc yet";
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::TxCommitOk::kId);
}

TEST_F(TxTest, PUB04_WhatChangesBeforeTheCommitChangesNothing) {
  declare_exchange(client, "x", "fanout");
  declare_exchange(client, "unbound", "fanout");
  bind(client, "r", "x", "");
  publish(client, "q", "1");
  client.send(publish_frame(1, {"x", "", "2"}));
  client.send(publish_frame(1, {"unbound", "", "3"}));
  turn();
  bind(client, "r", "unbound", "");
  amqp::ExchangeDelete gone;
  gone.exchange = "x";
  EXPECT_EQ(call(client, 2, gone).id(), amqp::ExchangeDeleteOk::kId);
  EXPECT_EQ(call(client, 1, amqp::TxCommit{}).id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(ready("q"), 1U);
  EXPECT_EQ(ready("r"), 1U) << "bound behind the publish, it is not one of its queues";
}

TEST_F(TxTest, PUB04_AQueueThatIsGoneAtTheCommitIsLeftOut) {
  publish(client, "q", "1");
  publish(client, "r", "2");
  turn();
  amqp::QueueDelete gone;
  gone.queue = "q";
  EXPECT_EQ(call(client, 2, gone).id(), amqp::QueueDeleteOk::kId);
  EXPECT_EQ(call(client, 1, amqp::TxCommit{}).id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(ready("r"), 1U);
}

/// PUB-14: the header is taken out when the message comes, so only then it can be followed.
TEST_F(TxTest, PUB04_BccIsFollowedInATransaction) {
  Pub pub{"", "q", "1"};
  FieldTable headers;
  headers.set("BCC", FieldArray{FieldValue("r")});
  pub.headers = headers;
  client.send(publish_frame(1, pub));
  EXPECT_EQ(call(client, 1, amqp::TxCommit{}).id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(ready("q"), 1U);
  EXPECT_EQ(ready("r"), 1U);
}

TEST_F(TxTest, NoCommandMayFollowACommitThatIsPending) {
  publish(client, "q", "1");
  client.send(1, amqp::TxCommit{});
  client.send(2, amqp::TxSelect{});
  turn();
  ASSERT_EQ(client.receive().at(0).id(), amqp::TxSelectOk::kId) << "channels are for themselves";
  client.send(1, amqp::BasicQos{0, 1, false});
  EXPECT_EQ(code(client), 504);
  EXPECT_EQ(client.connection().state(), amqp::ConnectionState::closing);
  sync();
  EXPECT_EQ(ready("q"), 1U) << "the commit was on its way";
}

TEST_F(TxTest, AChannelMayCloseBehindItsCommit) {
  publish(client, "q", "1");
  client.send(1, amqp::TxCommit{});
  client.send(1, amqp::ChannelClose{});
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 2U);
  EXPECT_EQ(received[0].id(), amqp::TxCommitOk::kId);
  EXPECT_EQ(received[1].id(), amqp::ChannelCloseOk::kId);
}

TEST_F(TxTest, LargeBodiesAreKeptUntilTheCommit) {
  const std::string body(700'000, 'b');
  publish(client, "q", "1");
  publish(client, "q", body);
  publish(client, "r", "3");
  client.send(1, amqp::TxCommit{});
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::TxCommitOk::kId);
  consume(client, "q", "c", true, 2);
  sync();
  std::vector<std::string> got = bodies(client.receive());
  sync();
  for (auto& more : bodies(client.receive())) got.push_back(more);
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0], "1");
  EXPECT_TRUE(got[1] == body);
}

TEST_F(TxTest, UnroutableMandatoryMessagesReturnAtTheCommit) {
  client.send(publish_frame(1, {"", "nowhere", "lost", true}));
  turn();
  EXPECT_TRUE(client.receive().empty());
  client.send(1, amqp::TxCommit{});
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 2U);
  EXPECT_EQ(received[0].id(), amqp::BasicReturn::kId);
  EXPECT_EQ(received[1].id(), amqp::TxCommitOk::kId);
}

TEST_F(TxTest, LargeTransactionsGoInSeveralBlocks) {
  for (int i = 0; i < 300; ++i) publish(client, i % 2 == 0 ? "q" : "r", std::string(2'000, 'x'));
  client.send(1, amqp::TxCommit{});
  turn();
  EXPECT_TRUE(client.receive().empty());
  sync_queue("q");
  EXPECT_TRUE(client.receive().empty());
  sync();
  ASSERT_EQ(client.receive().size(), 1U);
  EXPECT_EQ(ready("q"), 150U);
  EXPECT_EQ(ready("r"), 150U);
}

TEST_F(TxTest, TransactionsOverMoreQueuesThanAChannelRemembers) {
  constexpr int kQueues = 4'200;
  for (int i = 0; i < kQueues; ++i) {
    metadata::QueueDef def;
    def.vhost = "/";
    def.name = "t" + std::to_string(i);
    def.durable = false;
    broker_->apply(metadata::DeclareQueue{def}, [](const Result<void>& r) { ASSERT_TRUE(r); });
  }
  sync();
  publish(client, "q", "durable");
  for (int i = 0; i < kQueues; ++i) publish(client, "t" + std::to_string(i), "m");
  client.send(1, amqp::TxCommit{});
  turn();
  EXPECT_TRUE(client.receive().empty()) << "q is not on disc yet";
  sync();
  ASSERT_EQ(client.receive().size(), 1U);
  EXPECT_EQ(ready("t4199"), 1U);
}

TEST_F(TxTest, AChannelThatGoesDuringItsCommitIsLeftAlone) {
  publish(client, "q", "1");
  publish(client, "r", "1");
  client.send(1, amqp::TxCommit{});
  turn();
  client.connection().channel_error(1, {amqp::ReplyCode::internal_error, "x"});
  turn();
  clients_.clear();
  sync();
  EXPECT_EQ(ready("q"), 1U);
}

TEST_F(TxTest, ConfirmsAndTransactionsExcludeEachOther) {
  client.send(1, amqp::ConfirmSelect{});
  EXPECT_EQ(code(client), 406);
  confirm_select(client, 2);
  client.send(2, amqp::TxSelect{});
  EXPECT_EQ(code(client), 406);
}

TEST_F(TxTest, CommitOutsideATransactionIs406) {
  client.send(2, amqp::TxCommit{});
  EXPECT_EQ(code(client), 406);
}

}  // namespace
}  // namespace warren::broker::test
