// Consuming: prefetch, settling, basic.get, cancels, replies, dead letters.

#include "tests/node/broker/broker_fixture.h"

namespace warren::broker::test {
namespace {

using Texts = std::vector<std::string>;

class ConsumeTest : public BrokerTest {
 protected:
  ConsumeTest() : client(connect()) {
    declare(client, "q");
    declare(client, "r");
  }
  void fill(int n, const char* queue = "q") {
    for (int i = 1; i <= n; ++i) publish(client, queue, std::to_string(i));
    sync();
    (void)client.receive();
  }
  std::vector<Delivered> take() {
    sync();
    return deliveries(client.receive());
  }
  Texts take_bodies() {
    sync();
    return bodies(client.receive());
  }
  std::uint16_t code() {
    sync();
    return closed_with(client.receive());
  }

  TestClient& client;
};

TEST_F(ConsumeTest, DeliversInOrderWithAscendingTags) {
  fill(3);
  consume(client, "q", "c");
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 4U);
  EXPECT_EQ(received[0].id(), amqp::BasicConsumeOk::kId) << "before the first delivery";
  EXPECT_EQ(deliveries(received), (std::vector<Delivered>{
                                      {1, "c", "1", false}, {2, "c", "2", false}, {3, "c", "3", false}}));
}

TEST_F(ConsumeTest, PrefetchIsPerConsumer) {
  qos(client, 2, false);
  consume(client, "q", "one");
  qos(client, 3, false);
  consume(client, "q", "two");
  fill(10);
  sync();
  EXPECT_EQ(unacked("q"), 5U);
  ack(client, 1);
  EXPECT_EQ(take().size(), 1U);
  EXPECT_EQ(unacked("q"), 5U);
}

TEST_F(ConsumeTest, PrefetchMayBeShared) {
  qos(client, 3, true);
  consume(client, "q", "one");
  consume(client, "r", "two");
  for (int i = 0; i < 5; ++i) publish(client, "q", "q"), publish(client, "r", "r");
  EXPECT_EQ(take().size(), 3U);
  ack(client, 2, true);
  EXPECT_EQ(take().size(), 2U);
  qos(client, 5, true);
  EXPECT_EQ(take().size(), 2U);
  qos(client, 0, true);
  EXPECT_EQ(take().size(), 3U);
  EXPECT_EQ(unacked("q") + unacked("r"), 8U);
}

TEST_F(ConsumeTest, SharedPrefetchCountsWhatIsOutAlready) {
  fill(6);
  consume(client, "q", "c");
  EXPECT_EQ(take().size(), 6U);
  qos(client, 4, true);
  publish(client, "q", "7");
  EXPECT_EQ(take().size(), 0U);
  ack(client, 2, true);
  EXPECT_EQ(take().size(), 0U);
  ack(client, 3);
  EXPECT_EQ(take().size(), 1U);
}

TEST_F(ConsumeTest, AutoAckIgnoresEveryPrefetch) {
  qos(client, 1, false);
  qos(client, 1, true);
  fill(5);
  consume(client, "q", "c", true);
  EXPECT_EQ(take().size(), 5U);
  EXPECT_EQ(unacked("q"), 0U);
  EXPECT_EQ(ready("q"), 0U);
}

TEST_F(ConsumeTest, AcksSettleOneOrAllBefore) {
  fill(6);
  consume(client, "q", "c");
  (void)take();
  ack(client, 2);
  EXPECT_EQ(code(), 0);
  EXPECT_EQ(unacked("q"), 5U);
  ack(client, 4, true);
  EXPECT_EQ(code(), 0);
  EXPECT_EQ(unacked("q"), 2U);
  ack(client, 0, true);
  EXPECT_EQ(code(), 0);
  EXPECT_EQ(unacked("q"), 0U);
  ack(client, 0, true);
  EXPECT_EQ(code(), 0) << "all of nothing is fine";
  EXPECT_EQ(broker_->totals.acknowledged, 6U);
}

TEST_F(ConsumeTest, UnknownTagsAre406) {
  for (const int which : {0, 1, 2, 3}) {
    fill(1);
    consume(client, "q", "c");
    (void)take();
    switch (which) {
      case 0: ack(client, 2); break;
      case 1: ack(client, 99, true); break;
      case 2: ack(client, 1), ack(client, 1); break;
      default: client.send(1, amqp::BasicReject{7, false}); break;
    }
    EXPECT_EQ(code(), 406) << which;
    reopen(client);
    amqp::QueuePurge purge;
    purge.queue = "q";
    (void)call(client, 1, purge);
  }
}

TEST_F(ConsumeTest, RequeuedMessagesComeBackInTheirPlace) {
  fill(3);
  qos(client, 2, false);
  consume(client, "q", "c");
  EXPECT_EQ(take_bodies(), (Texts{"1", "2"}));
  client.send(1, amqp::BasicNack{1, false, true});
  const auto again = take();
  ASSERT_EQ(again.size(), 1U);
  EXPECT_EQ(again[0], (Delivered{3, "c", "1", true}));
}

TEST_F(ConsumeTest, NackOfManyRequeuesThemAll) {
  fill(4);
  consume(client, "q", "c");
  (void)take();
  amqp::BasicCancel cancel;
  cancel.consumer_tag = "c";
  (void)call(client, 1, cancel);
  client.send(1, amqp::BasicNack{3, true, true});
  sync();
  EXPECT_EQ(ready("q"), 3U);
  EXPECT_EQ(unacked("q"), 1U);
}

TEST_F(ConsumeTest, RecoverBringsEverythingBack) {
  fill(3);
  consume(client, "q", "c");
  (void)take();
  client.send(1, amqp::BasicRecover{true});
  sync();
  const auto received = client.receive();
  EXPECT_EQ(received.at(0).id(), amqp::BasicRecoverOk::kId);
  EXPECT_EQ(bodies(received), (Texts{"1", "2", "3"}));
  EXPECT_TRUE(deliveries(received)[0].redelivered);
  client.send(1, amqp::BasicRecover{false});
  EXPECT_EQ(code(), 540);
}

TEST_F(ConsumeTest, AClosedChannelGivesItsMessagesBack) {
  fill(3);
  auto& other = connect();
  consume(other, "q", "c");
  sync();
  EXPECT_EQ(deliveries(other.receive()).size(), 3U);
  ack(other, 2);
  other.send(1, amqp::ChannelClose{});
  sync();
  EXPECT_EQ(ready("q"), 2U);
  consume(client, "q", "d");
  const auto again = take();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0], (Delivered{1, "d", "1", true}));
  EXPECT_EQ(again[1], (Delivered{2, "d", "3", true}));
}

TEST_F(ConsumeTest, ALostConnectionGivesItsMessagesBack) {
  fill(3);
  auto& other = connect();
  consume(other, "q", "c");
  amqp::BasicGet get;
  get.queue = "q";
  other.send(1, get);
  sync();
  (void)other.receive();
  clients_.pop_back();
  sync();
  EXPECT_EQ(ready("q"), 3U);
  EXPECT_EQ(broker_->queue("/", "q")->stats().consumers, 0U);
}

TEST_F(ConsumeTest, GetTakesOneAtATime) {
  fill(2);
  amqp::BasicGet get;
  get.queue = "q";
  const auto first = call(client, 1, get);
  const auto ok = first.frame.as<amqp::BasicGetOk>();
  EXPECT_EQ(ok.delivery_tag, 1U);
  EXPECT_EQ(ok.message_count, 1U);
  EXPECT_EQ(first.body, "1");
  get.no_ack = true;
  EXPECT_EQ(call(client, 1, get).frame.id(), amqp::BasicGetOk::kId);
  EXPECT_EQ(call(client, 1, get).frame.id(), amqp::BasicGetEmpty::kId);
  EXPECT_EQ(unacked("q"), 1U);
  ack(client, 1);
  sync();
  EXPECT_EQ(unacked("q"), 0U);
}

TEST_F(ConsumeTest, CancelledConsumersMayStillSettle) {
  fill(2);
  consume(client, "q", "c");
  (void)take();
  amqp::BasicCancel cancel;
  cancel.consumer_tag = "c";
  EXPECT_EQ(call(client, 1, cancel).id(), amqp::BasicCancelOk::kId);
  publish(client, "q", "3");
  EXPECT_EQ(take().size(), 0U);
  EXPECT_EQ(unacked("q"), 2U);
  ack(client, 2, true);
  sync();
  EXPECT_EQ(unacked("q"), 0U);
  EXPECT_EQ(ready("q"), 1U);
  consume(client, "q", "c");  // the tag is free again
  EXPECT_EQ(take_bodies(), Texts{"3"});
}

TEST_F(ConsumeTest, ADeletedQueueCancelsItsConsumers) {
  auto& told = connect({1}, "guest", amqp::test::Client::capable({"consumer_cancel_notify"}));
  fill(1);
  consume(told, "q", "c");
  sync();
  (void)told.receive();
  amqp::QueueDelete method;
  method.queue = "q";
  (void)call(client, 1, method);
  const auto received = told.receive();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_EQ(received[0].frame.as<amqp::BasicCancel>().consumer_tag, "c");
  ack(told, 1);  // crossed the cancel
  sync();
  EXPECT_EQ(closed_with(told.receive()), 0);
}

TEST_F(ConsumeTest, TagsAreChecked) {
  consume(client, "q", "c");
  consume(client, "r", "c");
  EXPECT_EQ(code(), 530);
}

TEST_F(ConsumeTest, ExclusiveConsumersStayAlone) {
  amqp::BasicConsume method;
  method.queue = "q";
  method.consumer_tag = "alone";
  method.exclusive = true;
  EXPECT_EQ(call(client, 1, method).id(), amqp::BasicConsumeOk::kId);
  auto& other = connect();
  consume(other, "q", "c");
  sync();
  EXPECT_EQ(closed_with(other.receive()), 403);
}

TEST_F(ConsumeTest, MissingQueuesAre404) {
  consume(client, "nope", "c");
  EXPECT_EQ(code(), 404);
  reopen(client);
  amqp::BasicGet get;
  get.queue = "nope";
  client.send(1, get);
  EXPECT_EQ(code(), 404);
}

TEST_F(ConsumeTest, AFullOutputHoldsTheConsumerBack) {
  const std::string body(100'000, 'x');
  for (int i = 0; i < 40; ++i) publish(client, "q", body);
  sync();
  auto& reader = connect();
  reader.stuck = true;
  consume(reader, "q", "c");
  sync();
  EXPECT_LT(reader.session().output_bytes(), 1'000'000U);
  EXPECT_GT(ready("q"), 25U);
  reader.stuck = false;
  std::size_t total = 0;
  for (int i = 0; i < 60 && total < 40; ++i) {
    sync();
    total += deliveries(reader.receive()).size();
  }
  EXPECT_EQ(total, 40U) << "what waited for room must go on";
}

TEST_F(ConsumeTest, DeliveriesTooOldCloseTheChannel) {
  BrokerOptions options;
  options.consumer_timeout_ms = 10'000;
  start(std::move(options));
  auto& late = connect();
  declare(late, "q");
  publish(late, "q", "m");
  consume(late, "q", "c");
  sync();
  (void)late.receive();
  env_.clock.advance(9'000);
  late.session().tick();
  sync();
  EXPECT_EQ(closed_with(late.receive()), 0);
  env_.clock.advance(1'500);
  late.session().tick();
  sync();
  EXPECT_EQ(closed_with(late.receive()), 406);
  EXPECT_EQ(ready("q"), 1U);
}

/// QUE-28: the queue's own limit, by argument or policy, stands instead of the node's.
TEST_F(ConsumeTest, QUE28_AQueueMayHaveATimeoutOfItsOwn) {
  BrokerOptions options;
  options.consumer_timeout_ms = 10'000;
  start(std::move(options));
  auto& reader = connect();
  FieldTable longer, shorter;
  longer.set("x-consumer-timeout", FieldValue(std::int32_t{60'000}));
  shorter.set("x-consumer-timeout", FieldValue(std::int32_t{3'000}));
  declare(reader, "longer", true, longer);
  declare(reader, "shorter", true, shorter);
  declare(reader, "plain");
  for (const char* queue : {"longer", "shorter", "plain"}) publish(reader, queue, "m");
  consume(reader, "longer", "c");
  const auto closed_after = [&](Millis ms) {
    env_.clock.advance(ms);
    reader.session().tick();
    sync();
    return closed_with(reader.receive());
  };
  sync();
  (void)reader.receive();
  EXPECT_EQ(closed_after(11'000), 0);
  consume(reader, "shorter", "d");
  sync();
  (void)reader.receive();
  EXPECT_EQ(closed_after(2'500), 0);
  EXPECT_EQ(closed_after(1'000), 406) << "the older one, of the longer limit, must not hide it";
  EXPECT_EQ(ready("longer"), 1U);
  EXPECT_EQ(ready("shorter"), 1U);
}

TEST_F(ConsumeTest, QUE28_APolicyChangesTheTimeoutOfWhatIsHeld) {
  consume(client, "q", "c");
  publish(client, "q", "m");
  sync();
  (void)client.receive();
  env_.clock.advance(5'000);
  client.session().tick();
  metadata::PutPolicy put;
  put.def.vhost = "/";
  put.def.name = "p";
  put.def.pattern = "^q$";
  put.def.apply_to = "queues";
  put.def.definition = R"({"consumer-timeout":4000})";
  broker_->apply(put, [](const Result<void>& done) { EXPECT_TRUE(done); });
  sync();
  EXPECT_EQ(closed_with(client.receive()), 0);
  client.session().tick();
  sync();
  EXPECT_EQ(closed_with(client.receive()), 406);
}

// ---- direct replies -----------------------------------------------------------------------------------

TEST_F(ConsumeTest, RepliesGoStraightToTheRequester) {
  auto& server = connect();
  consume(client, "amq.rabbitmq.reply-to", "replies", true);
  Pub request{"", "q", "question"};
  request.reply_to = "amq.rabbitmq.reply-to";
  client.send(publish_frame(1, request));
  sync();
  (void)client.receive();
  consume(server, "q", "c", true);
  sync();
  const auto received = server.receive();
  const auto properties = amqp::decode_properties(received.back().props);
  ASSERT_TRUE(properties);
  ASSERT_TRUE(properties->reply_to->starts_with("amq.rabbitmq.reply-to."));
  publish(server, *properties->reply_to, "answer");
  sync();
  const auto answers = deliveries(client.receive());
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].consumer, "replies");
  EXPECT_EQ(answers[0].body, "answer");
  // The requester goes; later answers are dropped, or come back when they are mandatory.
  client.send(1, amqp::ChannelClose{});
  sync();
  server.send(publish_frame(1, {"", *properties->reply_to, "late", true}));
  sync();
  const auto back = server.receive();
  ASSERT_EQ(back.size(), 1U);
  EXPECT_EQ(back[0].id(), amqp::BasicReturn::kId);
}

TEST_F(ConsumeTest, RepliesNeedAConsumerWithoutAcks) {
  Pub request{"", "q", "question"};
  request.reply_to = "amq.rabbitmq.reply-to";
  client.send(publish_frame(1, request));
  EXPECT_EQ(code(), 406);
  reopen(client);
  consume(client, "amq.rabbitmq.reply-to", "replies", false);
  EXPECT_EQ(code(), 406);
}

// ---- dead letters -------------------------------------------------------------------------------------

class DeadLetteringTest : public ConsumeTest {
 protected:
  DeadLetteringTest() {
    declare(client, "dead");
    FieldTable arguments;
    arguments.set("x-dead-letter-exchange", FieldValue(""));
    arguments.set("x-dead-letter-routing-key", FieldValue("dead"));
    arguments.set("x-message-ttl", FieldValue(std::int32_t{60'000}));
    declare(client, "source", true, arguments);
  }
};

TEST_F(DeadLetteringTest, RejectedMessagesMoveInOneTurn) {
  fill(2, "source");
  consume(client, "source", "c");
  (void)take();
  FakeLog& source = *env_.logs.at(uid("source"));
  FakeLog& dead = *env_.logs.at(uid("dead"));
  const auto source_before = source.last, dead_before = dead.last;
  client.send(1, amqp::BasicReject{1, false});
  turn();
  EXPECT_EQ(dead.last, dead_before + 1) << "the copy is in the log ...";
  EXPECT_EQ(source.last, source_before + 1) << "... in the turn of the removal";
  sync();
  EXPECT_EQ(ready("dead"), 1U);
  EXPECT_EQ(unacked("source"), 1U);
  consume(client, "dead", "d", true);
  sync();
  const auto received = client.receive();
  ASSERT_EQ(bodies(received), Texts{"1"});
  const auto properties = amqp::decode_properties(received.back().props);
  ASSERT_TRUE(properties);
  ASSERT_NE(properties->headers->find("x-death"), nullptr);
  EXPECT_EQ(properties->headers->find("x-first-death-reason")->as_string(), "rejected");
}

TEST_F(DeadLetteringTest, ExpiredMessagesMoveToo) {
  fill(3, "source");
  advance(59'000);
  EXPECT_EQ(ready("dead"), 0U);
  advance(1'100);
  EXPECT_EQ(ready("dead"), 3U);
  EXPECT_EQ(ready("source"), 0U);
}

TEST_F(DeadLetteringTest, AnUnknownExchangeDropsThem) {
  FieldTable arguments;
  arguments.set("x-dead-letter-exchange", FieldValue("nowhere"));
  declare(client, "lossy", true, arguments);
  fill(1, "lossy");
  consume(client, "lossy", "c");
  (void)take();
  client.send(1, amqp::BasicReject{1, false});
  sync();
  EXPECT_EQ(ready("lossy") + unacked("lossy"), 0U);
  EXPECT_EQ(code(), 0);
}

}  // namespace
}  // namespace warren::broker::test
