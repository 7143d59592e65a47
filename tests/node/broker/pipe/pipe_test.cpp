// A client on one node, its queue on another: what it sees is what a local queue would show it.

#include "tests/node/broker/pipe/pipe_fixture.h"

namespace warren::broker::test {
namespace {

using Numbers = std::vector<std::int64_t>;
using Bodies = std::vector<std::string>;

/// Runs twice: with the queue on the client's node, and with the queue on the other one.
class AnywhereTest : public ClusterTest, public ::testing::WithParamInterface<MemberId> {
 protected:
  MemberId home() const { return GetParam(); }
  Broker& home_broker() { return broker(home()); }
};

INSTANTIATE_TEST_SUITE_P(Homes, AnywhereTest, ::testing::Values(1, 2),
                         [](const auto& info) { return info.param == 1 ? "local" : "remote"; });

TEST_P(AnywhereTest, PublishConsumeAck) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  consume(c, "q", "tag");
  settle();
  EXPECT_EQ(c.receive().at(0).id(), amqp::BasicConsumeOk::kId);
  for (const char* body : {"a", "b", "c"}) publish(c, "q", body);
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"a", "b", "c"}));
  EXPECT_EQ(unacked_on(home(), "q"), 3U);
  ack(c, 2, true);
  settle();
  EXPECT_EQ(unacked_on(home(), "q"), 1U);
}

class TwoNodes : public ClusterTest {};

TEST_F(TwoNodes, CLU_28_ASlowCableHoldsOnlyWhoPublishesOverIt) {
  queue_on(2, "far");
  queue_on(1, "near");
  auto& flood = client_on(1);
  auto& other = client_on(1);
  const std::string body(64 << 10, 'x');
  int sent = 0;
  for (; sent < 1'000 && std::string(flood.session().state_name()) != "flow"; ++sent) {
    publish(flood, "far", body);
    turn(node(1));  // nothing gets through to the other node
  }
  EXPECT_GT(sent, 50);
  EXPECT_LT(sent, 400) << "more than 25 MB wait for one node";
  EXPECT_LT(broker(1).pipes().unanswered_bytes(), std::size_t{16} << 20);
  for (const char* text : {"a", "b"}) publish(other, "near", text);
  turn(node(1));
  EXPECT_EQ(ready_on(1, "near"), 2U);
  EXPECT_STREQ(other.session().state_name(), "running");
  settle();
  EXPECT_STREQ(flood.session().state_name(), "running");
  EXPECT_EQ(ready_on(2, "far"), static_cast<std::uint64_t>(sent));
}

TEST_P(AnywhereTest, ConfirmsComeBehindTheDiscOfTheHomeNode) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  confirms_on(c);
  ConfirmLedger confirms;
  confirms.sent(1);
  publish(c, "q", "a");
  settle(false);
  EXPECT_EQ(confirms.take(c.receive()), Numbers{}) << "not on disc yet";
  EXPECT_EQ(ready_on(home(), "q"), 1U);
  settle();
  EXPECT_EQ(confirms.take(c.receive()), Numbers{1});
}

TEST_P(AnywhereTest, GetAndDeclareOkTellTheDepth) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  publish(c, "q", "a");
  publish(c, "q", "b");
  settle();
  c.send(declare_frame(1, "q"));
  settle();
  auto answers = c.receive();
  ASSERT_EQ(answers.size(), 1U);
  EXPECT_EQ(answers[0].frame.as<amqp::QueueDeclareOk>().message_count, 2U);
  amqp::BasicGet get;
  get.queue = "q";
  auto got = ask(c, get);
  ASSERT_EQ(got.id(), amqp::BasicGetOk::kId);
  EXPECT_EQ(got.body, "a");
  EXPECT_EQ(got.frame.as<amqp::BasicGetOk>().message_count, 1U);
  EXPECT_FALSE(got.frame.as<amqp::BasicGetOk>().redelivered);
  c.send(1, amqp::BasicNack{1, false, true});
  got = ask(c, get);
  EXPECT_EQ(got.body, "a");
  EXPECT_TRUE(got.frame.as<amqp::BasicGetOk>().redelivered);
  get.no_ack = true;
  EXPECT_EQ(ask(c, get).body, "b");
  EXPECT_EQ(ask(c, get).id(), amqp::BasicGetEmpty::kId);
}

TEST_P(AnywhereTest, PurgeAnswersTheNumber) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  for (int i = 0; i < 5; ++i) publish(c, "q", "m");
  amqp::QueuePurge purge;
  purge.queue = "q";
  const auto purged = ask(c, purge);
  EXPECT_EQ(purged.frame.as<amqp::QueuePurgeOk>().message_count, 5U);
  EXPECT_EQ(ready_on(home(), "q"), 0U);
}

TEST_P(AnywhereTest, RefusedPublishesAreNacked) {
  FieldTable arguments;
  arguments.set("x-max-length", FieldValue(std::int32_t{2}));
  arguments.set("x-overflow", FieldValue("reject-publish"));
  queue_on(home(), "q", true, arguments);
  auto& c = client_on(1);
  confirms_on(c);
  ConfirmLedger confirms;
  for (std::uint64_t i = 1; i <= 4; ++i) {
    confirms.sent(i);
    publish(c, "q", "m");
  }
  settle();
  auto settled = confirms.take(c.receive());
  std::sort(settled.begin(), settled.end());
  EXPECT_EQ(settled, (Numbers{-4, -3, 1, 2}));
}

TEST_P(AnywhereTest, PrefetchHoldsBackAndAcksLetOn) {
  queue_on(home(), "q", false);
  auto& c = client_on(1);
  qos(c, 2, false);
  consume(c, "q", "tag");
  for (int i = 0; i < 5; ++i) publish(c, "q", std::to_string(i));
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"0", "1"}));
  ack(c, 1);
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"2"}));
}

TEST_P(AnywhereTest, SharedPrefetchHoldsBackToo) {
  queue_on(home(), "q", false);
  auto& c = client_on(1);
  qos(c, 2, true);
  consume(c, "q", "tag");
  for (int i = 0; i < 5; ++i) publish(c, "q", std::to_string(i));
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"0", "1"}));
  ack(c, 2, true);
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"2", "3"}));
}

TEST_P(AnywhereTest, ExclusiveConsumerIsExclusive) {
  queue_on(home(), "q");
  auto& a = client_on(1);
  auto& b = client_on(2);
  amqp::BasicConsume method;
  method.queue = "q";
  method.exclusive = true;
  EXPECT_EQ(ask(a, method).id(), amqp::BasicConsumeOk::kId);
  b.send(1, method);
  settle();
  EXPECT_EQ(closed_with(b.receive()), 403);
  a.disconnect();
  settle();
  reopen_on(b);
  EXPECT_EQ(ask(b, method).id(), amqp::BasicConsumeOk::kId);
}

TEST_P(AnywhereTest, ClosedChannelsGiveBackWhatTheyHold) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  consume(c, "q", "tag");
  publish(c, "q", "a");
  settle();
  EXPECT_EQ(unacked_on(home(), "q"), 1U);
  c.disconnect();
  settle();
  EXPECT_EQ(unacked_on(home(), "q"), 0U);
  EXPECT_EQ(ready_on(home(), "q"), 1U);
  auto& d = client_on(1);
  consume(d, "q", "tag");
  settle();
  const auto got = deliveries(d.receive());
  ASSERT_EQ(got.size(), 1U);
  EXPECT_TRUE(got[0].redelivered);
}

TEST_P(AnywhereTest, CancelGivesBackWhatTheClientHasNotSeen) {
  queue_on(home(), "q", false);
  auto& c = client_on(1);
  qos(c, 1, true);
  consume(c, "q", "tag");
  for (int i = 0; i < 4; ++i) publish(c, "q", std::to_string(i));
  settle();
  EXPECT_EQ(bodies(c.receive()), (Bodies{"0"}));
  amqp::BasicCancel cancel;
  cancel.consumer_tag = "tag";
  EXPECT_EQ(ask(c, cancel).id(), amqp::BasicCancelOk::kId);
  EXPECT_EQ(ready_on(home(), "q"), 3U);
  EXPECT_EQ(unacked_on(home(), "q"), 1U);
  ack(c, 1);
  settle();
  EXPECT_EQ(unacked_on(home(), "q"), 0U);
}

TEST_P(AnywhereTest, DeletionCancelsConsumersAndAnswersConfirms) {
  queue_on(home(), "q");
  auto& c = client_on(1, cancel_notify());
  consume(c, "q", "tag");
  confirms_on_quiet(c);
  publish(c, "q", "a");
  everywhere(metadata::DeleteQueue{"/", "q"});
  bool cancelled = false, confirmed = false;
  for (const auto& r : c.receive()) {
    cancelled |= r.id() == amqp::BasicCancel::kId;
    confirmed |= r.id() == amqp::BasicAck::kId;
  }
  EXPECT_TRUE(cancelled);
  EXPECT_TRUE(confirmed);
}

TEST_P(AnywhereTest, LargeBodiesPass) {
  queue_on(home(), "q", false);
  auto& c = client_on(1);
  consume(c, "q", "tag");
  const std::string body(5'000'000, 'x');
  publish(c, "q", body);
  publish(c, "q", "small");
  settle();
  auto got = bodies(c.receive());
  settle();  // the output was full, and is drained now
  for (auto& more : bodies(c.receive())) got.push_back(std::move(more));
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0], body);
  EXPECT_EQ(got[1], "small");
}

TEST_P(AnywhereTest, RepliesFindTheirRequester) {
  auto& requester = client_on(home());
  auto& server = client_on(1);
  amqp::BasicConsume method;
  method.queue = kReplyTo;
  method.no_ack = true;
  ASSERT_EQ(ask(requester, method).id(), amqp::BasicConsumeOk::kId);
  queue_on(1, "rpc", false);
  consume(server, "rpc", "tag");
  requester.send(publish_frame(1, Pub{"", "rpc", "ping", false, true, std::string(kReplyTo)}));
  settle();
  std::string token;
  for (const auto& r : server.receive())
    if (r.id() == amqp::BasicDeliver::kId) token = *amqp::decode_properties(r.props)->reply_to;
  ASSERT_TRUE(token.starts_with(kReplyToPrefix));
  server.send(declare_frame(1, token));
  settle();
  EXPECT_EQ(server.receive().at(0).id(), amqp::QueueDeclareOk::kId);
  publish(server, token, "pong");
  settle();
  EXPECT_EQ(bodies(requester.receive()), Bodies{"pong"});
  requester.disconnect();
  settle();
  server.send(declare_frame(1, token));
  settle();
  EXPECT_EQ(closed_with(server.receive()), 404);
}

TEST_P(AnywhereTest, DeadLettersReachTheirQueue) {
  FieldTable arguments;
  arguments.set("x-dead-letter-exchange", FieldValue(""));
  arguments.set("x-dead-letter-routing-key", FieldValue("dead"));
  queue_on(1, "source", true, arguments);
  queue_on(home(), "dead");
  auto& c = client_on(2);
  publish(c, "source", "a");
  amqp::BasicGet get;
  get.queue = "source";
  ASSERT_EQ(ask(c, get).body, "a");
  c.send(1, amqp::BasicReject{1, false});
  settle();
  EXPECT_EQ(ready_on(home(), "dead"), 1U);
  EXPECT_EQ(ready_on(1, "source") + unacked_on(1, "source"), 0U);
}

TEST_P(AnywhereTest, CommitsWaitForTheQueues) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  ASSERT_EQ(ask(c, amqp::TxSelect{}).id(), amqp::TxSelectOk::kId);
  publish(c, "q", "a");
  publish(c, "q", "b");
  settle();
  EXPECT_EQ(ready_on(home(), "q"), 0U);
  c.send(1, amqp::TxCommit{});
  settle(false);
  EXPECT_TRUE(c.receive().empty()) << "not on disc yet";
  settle();
  ASSERT_EQ(c.receive().size(), 1U);
  EXPECT_EQ(ready_on(home(), "q"), 2U);
}

TEST_P(AnywhereTest, ACommitThatAQueueRefusesFails) {
  FieldTable arguments;
  arguments.set("x-max-length", FieldValue(std::int32_t{0}));
  arguments.set("x-overflow", FieldValue("reject-publish"));
  queue_on(home(), "full", true, arguments);
  auto& c = client_on(1);
  ASSERT_EQ(ask(c, amqp::TxSelect{}).id(), amqp::TxSelectOk::kId);
  publish(c, "full", "a");
  c.send(1, amqp::TxCommit{});
  settle();
  EXPECT_EQ(closed_with(c.receive()), 406);
}

TEST_P(AnywhereTest, TheSingleActiveConsumerHandsOver) {
  FieldTable arguments;
  arguments.set("x-single-active-consumer", FieldValue(true));
  queue_on(home(), "q", true, arguments);
  auto& a = client_on(1);
  auto& b = client_on(2);
  consume(a, "q", "a");
  settle();
  consume(b, "q", "b");
  publish(a, "q", "m");
  settle();
  EXPECT_EQ(bodies(b.receive()), Bodies{});
  EXPECT_EQ(bodies(a.receive()), Bodies{"m"});
  a.disconnect();
  settle();
  EXPECT_EQ(bodies(b.receive()), Bodies{"m"});
}

TEST_P(AnywhereTest, ConsumersOfHigherPriorityComeFirst) {
  queue_on(home(), "q");
  auto& low = client_on(2);
  auto& high = client_on(1);
  consume(low, "q", "low");
  FieldTable table;
  table.set("x-priority", FieldValue(std::int32_t{5}));
  const std::string pairs = table.encode();
  amqp::BasicConsume method;
  method.queue = "q";
  method.arguments.pairs = pairs;
  high.send(1, method);
  settle();
  publish(low, "q", "m");
  settle();
  EXPECT_EQ(bodies(high.receive()), Bodies{"m"});
  EXPECT_EQ(bodies(low.receive()), Bodies{});
}

TEST_P(AnywhereTest, AFanOutIsConfirmedWhenEveryQueueHasIt) {
  queue_on(home(), "a");
  queue_on(home(), "b");
  queue_on(1, "c");
  for (const char* name : {"a", "b", "c"}) {
    metadata::BindingDef def;
    def.vhost = "/";
    def.source = "amq.fanout";
    def.destination = name;
    everywhere(metadata::Bind{def});
  }
  auto& c = client_on(1);
  confirms_on(c);
  ConfirmLedger confirms;
  confirms.sent(1);
  c.send(publish_frame(1, Pub{"amq.fanout", "", "m"}));
  settle(false);
  EXPECT_EQ(confirms.take(c.receive()), Numbers{});
  node(home()).env->sync_queue(broker(home()).queue("/", "a")->def().uid);
  settle(false);
  EXPECT_EQ(confirms.take(c.receive()), Numbers{});
  settle();
  EXPECT_EQ(confirms.take(c.receive()), Numbers{1});
  EXPECT_EQ(ready_on(home(), "b"), 1U);
}

TEST_P(AnywhereTest, MessagesToManyQueuesGoWhereTheyBelong) {
  for (int i = 0; i < 20; ++i) queue_on(home(), "q" + std::to_string(i), false);
  auto& c = client_on(1);
  std::string frames;
  for (int i = 0; i < 200; ++i)
    frames += publish_frame(1, Pub{"", "q" + std::to_string(i % 20), std::to_string(i)});
  c.send(frames);
  settle();
  for (int i = 0; i < 20; ++i) {
    const std::string name = "q" + std::to_string(i);
    EXPECT_EQ(ready_on(home(), name), 10U);
    amqp::BasicGet get;
    get.queue = name;
    get.no_ack = true;
    EXPECT_EQ(ask(c, get).body, std::to_string(i));
  }
}

TEST_P(AnywhereTest, StatsAndConsumersAreToldAnywhere) {
  queue_on(home(), "q");
  auto& c = client_on(1);
  qos(c, 7, false);
  consume(c, "q", "tag");
  publish(c, "q", "a");
  settle();
  std::optional<QueueStats> stats;
  std::vector<ConsumerInfo> infos;
  auto queue = broker(1).endpoint("/", "q");
  queue->ask_stats([&](const Asked<QueueStats>& got) { stats = got.value; });
  queue->ask_consumers([&](const Asked<std::vector<ConsumerInfo>>& got) { infos = got.value; });
  settle();
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->unacked, 1U);
  EXPECT_EQ(stats->counters.publish, 1U);
  EXPECT_EQ(stats->state, "running");
  ASSERT_EQ(infos.size(), 1U);
  EXPECT_EQ(infos[0].spec.tag, "tag");
  EXPECT_EQ(infos[0].spec.prefetch, 7U);
  EXPECT_EQ(infos[0].spec.node, home() == 1 ? 0U : 1U);
  EXPECT_EQ(infos[0].unacked, 1U);
}

}  // namespace
}  // namespace warren::broker::test
