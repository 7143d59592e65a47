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

}  // namespace
}  // namespace warren::broker::test
