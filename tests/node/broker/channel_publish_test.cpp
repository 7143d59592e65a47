// Publishing and confirms: nothing is confirmed before it is on disc, everything is confirmed once.

#include "node/broker/channel.h"
#include "tests/node/broker/broker_fixture.h"

namespace warren::broker::test {
namespace {

using Numbers = std::vector<std::int64_t>;

FieldTable reject_beyond(std::int32_t length) {
  FieldTable arguments;
  arguments.set("x-max-length", FieldValue(length));
  arguments.set("x-overflow", FieldValue("reject-publish"));
  return arguments;
}

class ConfirmTest : public BrokerTest {
 protected:
  ConfirmTest() : client(connect()) {
    declare(client, "a");
    declare(client, "b");
    declare(client, "t", false);
    declare_exchange(client, "both", "fanout");
    bind(client, "a", "both", "");
    bind(client, "b", "both", "");
    confirm_select(client);
  }
  void send(const Pub& pub) {
    confirms.sent(++seq);
    client.send(publish_frame(1, pub));
  }
  void to(const char* queue) { send({"", queue, "m" + std::to_string(seq + 1)}); }
  Numbers settled() { return confirms.take(client.receive()); }

  TestClient& client;
  ConfirmLedger confirms;
  std::uint64_t seq{0};
};

TEST_F(ConfirmTest, DurableMessagesAreConfirmedBehindTheSync) {
  to("a");
  turn();
  EXPECT_EQ(settled(), Numbers{});
  EXPECT_EQ(ready("a"), 1U) << "readers need not wait for the disc";
  sync();
  EXPECT_EQ(settled(), Numbers{1});
}

TEST_F(ConfirmTest, TransientMessagesNeedNoDisc) {
  to("t");
  send({"", "a", "transient", false, false});
  turn();
  EXPECT_EQ(settled(), (Numbers{1, 2}));
}

TEST_F(ConfirmTest, UnroutableMessagesAreConfirmedAtOnce) {
  to("nowhere");
  turn();
  EXPECT_EQ(settled(), Numbers{1});
}

TEST_F(ConfirmTest, ATurnIsOneMultipleAck) {
  for (int i = 0; i < 50; ++i) client.kept += publish_frame(1, {"", "a", "m"}), confirms.sent(++seq);
  client.offer();
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 1U);
  const auto method = received[0].frame.as<amqp::BasicAck>();
  EXPECT_EQ(method.delivery_tag, 50U);
  EXPECT_TRUE(method.multiple);
  EXPECT_EQ(confirms.take(received).size(), 50U);
}

TEST_F(ConfirmTest, OneMessageIsASingleAck) {
  to("a");
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 1U);
  EXPECT_FALSE(received[0].frame.as<amqp::BasicAck>().multiple);
}

TEST_F(ConfirmTest, AllQueuesOfAMessageMustHaveIt) {
  send({"both", "", "m"});
  turn();
  sync_queue("a");
  EXPECT_EQ(settled(), Numbers{});
  sync_queue("b");
  EXPECT_EQ(settled(), Numbers{1});
}

TEST_F(ConfirmTest, ASlowQueueDoesNotHoldTheOthers) {
  to("a");
  turn();
  to("b");
  turn();
  to("b");
  turn();
  sync_queue("b");
  EXPECT_EQ(settled(), (Numbers{2, 3}));
  to("b");
  turn();
  EXPECT_EQ(settled(), Numbers{});
  sync_queue("a");
  EXPECT_EQ(settled(), Numbers{1});
  sync_queue("b");
  EXPECT_EQ(settled(), Numbers{4});
}

TEST_F(ConfirmTest, WhatWasToldOutOfTurnIsForgotten) {
  const auto* channel = static_cast<const Channel*>(client.connection().channel(1));
  to("a");
  turn();
  for (int i = 0; i < 1'000; ++i) {
    to("b");
    turn();
    sync_queue("b");
    ASSERT_EQ(settled(), Numbers{i + 2});
    ASSERT_EQ(channel->info().unconfirmed, 1U);
    ASSERT_LE(channel->info().batches, 130U) << "batches that were told must not pile up";
  }
  sync_queue("a");
  EXPECT_EQ(settled(), Numbers{1});
  EXPECT_EQ(channel->info().batches, 0U);
  to("b");
  sync();
  EXPECT_EQ(settled(), Numbers{1'002});
}

TEST_F(ConfirmTest, RefusedMessagesAreNackedExactly) {
  client.send(declare_frame(1, "small", true, reject_beyond(2)));
  sync();
  (void)client.receive();
  std::string bytes;
  for (int i = 0; i < 3; ++i) {
    bytes += publish_frame(1, {"", "a", "m"});
    bytes += publish_frame(1, {"", "small", "m"});
    confirms.sent(++seq);
    confirms.sent(++seq);
  }
  client.send(bytes);
  turn();
  EXPECT_EQ(settled(), Numbers{});
  sync();
  EXPECT_EQ(settled(), (Numbers{1, 2, 3, 4, 5, -6}));
  EXPECT_EQ(ready("small"), 2U);
}

TEST_F(ConfirmTest, ARefusalByOneQueueIsARefusal) {
  client.send(declare_frame(1, "small", true, reject_beyond(1)));
  sync();
  (void)client.receive();
  bind(client, "small", "both", "");
  send({"both", "", "m"});
  send({"both", "", "m"});
  send({"", "a", "m"});
  sync();
  EXPECT_EQ(settled(), (Numbers{1, -2, 3}));
  EXPECT_EQ(confirms.open(), 0U);
}

TEST_F(ConfirmTest, RefusalsBehindAWaitingBatchAreTold) {
  client.send(declare_frame(1, "small", true, reject_beyond(1)));
  sync();
  (void)client.receive();
  to("a");
  turn();
  to("small");
  to("small");
  turn();
  EXPECT_EQ(settled(), Numbers{-3}) << "a refusal waits for nothing";
  sync_queue("small");
  EXPECT_EQ(settled(), Numbers{2});
  sync_queue("a");
  EXPECT_EQ(settled(), Numbers{1});
  to("a");
  sync();
  EXPECT_EQ(settled(), Numbers{4});
}

TEST_F(ConfirmTest, MandatoryMessagesReturnBeforeTheirConfirm) {
  send({"both", "", "routed", true});
  send({"", "nowhere", "lost", true});
  send({"", "nowhere", "dropped", false});
  sync();
  const auto received = client.receive();
  ASSERT_GE(received.size(), 2U);
  EXPECT_EQ(received[0].id(), amqp::BasicReturn::kId);
  EXPECT_EQ(received[0].body, "lost");
  const auto method = received[0].frame.as<amqp::BasicReturn>();
  EXPECT_EQ(method.reply_code, 312);
  EXPECT_EQ(method.routing_key, "nowhere");
  EXPECT_EQ(confirms.take(received), (Numbers{2, 3, 1}));
  EXPECT_EQ(broker_->totals.unroutable_returned, 1U);
  EXPECT_EQ(broker_->totals.unroutable_dropped, 1U);
}

TEST_F(ConfirmTest, QueuesThatGoHaveTakenWhatTheyHad) {
  to("a");
  turn();
  const auto other_id = clients_.size();
  auto& other = connect();
  ASSERT_EQ(clients_.size(), other_id + 1);
  amqp::QueueDelete method;
  method.queue = "a";
  other.send(1, method);
  turn();
  sync();
  EXPECT_EQ(settled(), Numbers{1});
}

TEST_F(ConfirmTest, PublishAndDeleteInOneTurn) {
  // The channel still holds what goes to a queue that another client deletes in the same turn.
  auto& other = connect();
  const std::string bytes = publish_frame(1, {"", "a", "m"}) + publish_frame(1, {"", "a", "m"});
  client.send(std::string_view(bytes).substr(0, bytes.size() - 1));
  confirms.sent(++seq);
  amqp::QueueDelete method;
  method.queue = "a";
  other.send(1, method);
  client.send(std::string_view(bytes).substr(bytes.size() - 1));
  confirms.sent(++seq);
  sync();
  EXPECT_EQ(settled(), (Numbers{1, 2}));
  to("a");  // goes nowhere now
  sync();
  EXPECT_EQ(settled(), Numbers{3});
}

TEST_F(ConfirmTest, AChannelClosedInFlightIsLeftAlone) {
  to("a");
  send({"both", "", "m"});
  turn();
  client.send(1, amqp::ChannelClose{});
  turn();
  EXPECT_EQ(client.receive().size(), 1U);
  client.send(1, amqp::ChannelOpen{});
  sync();
  const auto received = client.receive();
  ASSERT_EQ(received.size(), 1U) << "no confirm for the channel that was";
  EXPECT_EQ(received[0].id(), amqp::ChannelOpenOk::kId);
  EXPECT_EQ(ready("a"), 2U);
}

TEST_F(ConfirmTest, AConnectionLostInFlightIsLeftAlone) {
  for (const bool confirming : {true, false}) {
    auto& doomed = connect();
    if (confirming) confirm_select(doomed);
    for (int i = 0; i < 10; ++i) publish(doomed, i % 2 == 0 ? "a" : "b", "m");
    const std::string partial = publish_frame(1, {"", "a", std::string(1000, 'x')});
    doomed.send(std::string_view(partial).substr(0, partial.size() - 10));
    turn();
    doomed.disconnect();
    clients_.pop_back();
    sync();
  }
  EXPECT_EQ(ready("a"), 10U);
  EXPECT_EQ(ready("b"), 10U);
}

TEST_F(ConfirmTest, NumbersBeginWithTheSelect) {
  auto& other = connect();
  publish(other, "a", "before");
  other.send(1, amqp::ConfirmSelect{});
  publish(other, "a", "first");
  sync();
  const auto received = other.receive();
  ASSERT_EQ(received.size(), 2U);
  EXPECT_EQ(received[0].id(), amqp::ConfirmSelectOk::kId);
  EXPECT_EQ(received[1].frame.as<amqp::BasicAck>().delivery_tag, 1U);
}

TEST_F(ConfirmTest, RandomOrdersOfTheDisc) {
  constexpr int kQueues = 4;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Prng random(seed);
    start({});
    auto& publisher = connect();
    std::vector<std::string> names;
    for (int i = 0; i < kQueues; ++i) {
      names.push_back("q" + std::to_string(i));
      declare(publisher, names.back(), true,
              i == 3 ? reject_beyond(static_cast<std::int32_t>(5 + random.below(20))) : FieldTable{});
      declare_exchange(publisher, "x" + std::to_string(i), "fanout");
    }
    for (int i = 0; i < kQueues; ++i)
      for (int j = 0; j < kQueues; ++j)
        if (random.chance(1, 2)) bind(publisher, names[static_cast<std::size_t>(j)], "x" + std::to_string(i), "");
    confirm_select(publisher);

    ConfirmLedger ledger;
    struct Sent {
      std::map<std::string, LogIndex> needs;  // queue -> index that must be durable
    };
    std::map<std::int64_t, Sent> sent;
    std::vector<std::int64_t> this_turn;
    std::map<std::int64_t, std::vector<std::string>> routes;
    std::int64_t number = 0;
    std::size_t nacks = 0;
    const auto check = [&] {
      for (const auto settled : ledger.take(publisher.receive())) {
        if (settled < 0) {
          ++nacks;
          ASSERT_FALSE(routes[-settled].empty());
          continue;
        }
        for (const auto& [queue, index] : sent[settled].needs)
          ASSERT_GE(env_.logs.at(uid(queue))->durable, index)
              << "message " << settled << " was confirmed before " << queue << " had it";
      }
    };
    for (int step = 0; step < 150; ++step) {
      if (random.chance(2, 3)) {
        const auto x = random.below(kQueues);
        const std::string exchange = "x" + std::to_string(x);
        ledger.sent(static_cast<std::uint64_t>(++number));
        for (const auto& binding : broker_->catalogue().bindings_from("/", exchange))
          routes[number].push_back(binding.destination);
        publisher.send(publish_frame(1, {exchange, "", "m" + std::to_string(number)}));
        this_turn.push_back(number);
      }
      if (random.chance(1, 2)) {
        turn();
        for (const auto n : this_turn)
          for (const auto& queue : routes[n])
            if (queue != "q3") sent[n].needs[queue] = env_.logs.at(uid(queue))->last;
        this_turn.clear();
        check();
      }
      if (this_turn.empty() && random.chance(1, 3)) {
        sync_queue(names[random.below(kQueues)]);
        check();
      }
    }
    turn();
    this_turn.clear();
    sync();
    check();
    EXPECT_EQ(ledger.open(), 0U) << "everything is answered in the end";
  }
}

// ---- publishing without confirms --------------------------------------------------------------------

class PublishTest : public BrokerTest {};

TEST_F(PublishTest, LargeBodiesComeInPieces) {
  auto& client = connect();
  declare(client, "q");
  std::string body(900'000, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 131 >> 3);
  const std::string small = publish_frame(1, {"", "q", "small"});
  const std::string bytes = small + publish_frame(1, {"", "q", body}) + small;
  for (std::size_t at = 0; at < bytes.size(); at += 70'001) {
    client.send(std::string_view(bytes).substr(at, 70'001));
    turn();
  }
  consume(client, "q", "c", true);
  std::vector<std::string> got;
  for (int i = 0; i < 4; ++i) {
    sync();
    for (auto& one : bodies(client.receive())) got.push_back(std::move(one));
  }
  ASSERT_EQ(got.size(), 3U);
  EXPECT_EQ(got[0], "small");
  EXPECT_TRUE(got[1] == body);
  EXPECT_EQ(got[2], "small");
}

TEST_F(PublishTest, AnnouncedBodiesTakeMemoryAsTheyCome) {
  auto& client = connect();
  declare(client, "q");
  const auto* channel = static_cast<const Channel*>(client.connection().channel(1));
  constexpr std::size_t kAnnounced = 100'000'000;
  amqp::BasicPublish method;
  method.routing_key = "q";
  client.send(amqp::encode_frame(1, method) + header_frame(1, kAnnounced));
  turn();
  EXPECT_LE(channel->info().batch_bytes, 128U << 10) << "an announcement costs its sender nothing";
  std::size_t sent = 0;
  const std::string piece(131'000, 'p');
  while (sent + piece.size() < 8'000'000) {
    client.send(body_frame(1, piece));
    sent += piece.size();
    ASSERT_LE(channel->info().batch_bytes, sent * 4 + (128U << 10));
  }
  client.disconnect();
  EXPECT_EQ(ready("q"), 0U);
}

TEST_F(PublishTest, BodiesAroundTheSizesOfBlocksArrive) {
  auto& client = connect();
  declare(client, "q");
  std::vector<std::string> wanted;
  for (const std::size_t at : {128U << 10, 512U << 10, 2048U << 10})
    for (const int by : {-100, -80, -40, -39, -38, -37, -36, -35, -34, -33, -32, 0, 1}) {
      std::string body(static_cast<std::size_t>(static_cast<long>(at) + by), 'x');
      for (std::size_t i = 0; i < body.size(); i += 997) body[i] = static_cast<char>(i >> 8);
      client.kept += publish_frame(1, {"", "q", "between"}) + publish_frame(1, {"", "q", body});
      wanted.push_back("between");
      wanted.push_back(std::move(body));
    }
  client.offer();
  consume(client, "q", "c", true);
  std::vector<std::string> got;
  for (std::size_t i = 0; i < wanted.size() && got.size() < wanted.size(); ++i) {
    sync();
    for (auto& one : bodies(client.receive())) got.push_back(std::move(one));
  }
  ASSERT_EQ(got.size(), wanted.size());
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_TRUE(got[i] == wanted[i]) << i;
}

/// A publisher of the broker's own: who waits over HTTP.
struct Waiting final : Publisher {
  explicit Waiting(std::vector<std::string>& said) : log(said) {}
  ~Waiting() override { log.push_back("gone"); }
  void on_settled(PublishBatch&) override { log.push_back("settled"); }
  std::vector<std::string>& log;
};

TEST_F(PublishTest, OwnersOfInternalMessagesEndWithThem) {
  auto& client = connect();
  declare(client, "q");
  const auto props = amqp::encode_properties({.delivery_mode = 2});
  const auto publish_as = [&](const std::string& key, std::vector<std::string>& said) {
    return broker_->publish_internal(*broker_->vhost("/"), "", {&key, 1}, props, "m",
                                     std::make_shared<Waiting>(said));
  };
  std::vector<std::string> durable, nowhere, cut_off;
  EXPECT_EQ(publish_as("q", durable), 1U);
  turn();
  EXPECT_EQ(durable, std::vector<std::string>{});
  sync();
  EXPECT_EQ(durable, (std::vector<std::string>{"settled", "gone"}));
  EXPECT_EQ(publish_as("nowhere", nowhere), 0U);
  EXPECT_EQ(nowhere, std::vector<std::string>{"gone"});
  EXPECT_EQ(publish_as("q", cut_off), 1U);
  turn();
  clients_.clear();
  broker_.reset();
  EXPECT_EQ(cut_off, std::vector<std::string>{"gone"}) << "never settled, and not forgotten";
}

TEST_F(PublishTest, OrderIsKeptAcrossTurnsAndSizes) {
  auto& client = connect();
  declare(client, "q");
  Prng random(3);
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    std::string body = std::to_string(i) + ":";
    body.append(random.below(3'000), 'x');
    bytes += publish_frame(1, {"", "q", body});
  }
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t n = 1 + random.below(40'000);
    client.send(std::string_view(bytes).substr(at, n));
    at += n;
    if (random.chance(1, 2)) turn();
  }
  consume(client, "q", "c", true);
  sync();
  std::vector<std::string> got;
  for (int i = 0; i < 20 && got.size() < 300; ++i) {
    for (auto& body : bodies(client.receive())) got.push_back(body.substr(0, body.find(':')));
    sync();
  }
  ASSERT_EQ(got.size(), 300U);
  for (int i = 0; i < 300; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], std::to_string(i));
}

TEST_F(PublishTest, MoreQueuesThanAChannelRemembers) {
  auto& client = connect();
  constexpr int kQueues = 4'200;
  for (int i = 0; i < kQueues; ++i) {
    metadata::QueueDef def;
    def.vhost = "/";
    def.name = "q" + std::to_string(i);
    def.durable = false;
    broker_->apply(metadata::DeclareQueue{def}, [](const Result<void>& r) { ASSERT_TRUE(r); });
  }
  sync();
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < kQueues; ++i) {
      publish(client, "q" + std::to_string(i), "m");
      if (i % 50 == 0) turn();
    }
  turn();
  EXPECT_EQ(ready("q0"), 2U);
  EXPECT_EQ(ready("q4096"), 2U);
  EXPECT_EQ(ready("q4199"), 2U);
  EXPECT_EQ(closed_with(client.receive()), 0);
}

TEST_F(PublishTest, ErrorsCloseTheChannelAndKeepWhatWasBefore) {
  auto& client = connect();
  declare(client, "q", false);
  client.send(publish_frame(1, {"", "q", "kept"}) + publish_frame(1, {"nope", "", "x"}) +
              publish_frame(1, {"", "q", "behind"}));
  turn();
  EXPECT_EQ(closed_with(client.receive()), 404);
  EXPECT_EQ(ready("q"), 1U);
  reopen(client);
  amqp::BasicPublish immediate;
  immediate.immediate = true;
  client.send(1, immediate);
  turn();
  EXPECT_EQ(closed_with(client.receive()), 540);
}

TEST_F(PublishTest, TooLargeAMessageIs406) {
  BrokerOptions options;
  options.max_message_size = 1'000;
  start(std::move(options));
  auto& client = connect();
  declare(client, "q", false);
  publish(client, "q", std::string(1'000, 'x'));
  turn();
  EXPECT_EQ(ready("q"), 1U);
  publish(client, "q", std::string(1'001, 'x'));
  turn();
  EXPECT_EQ(closed_with(client.receive()), 406);
  EXPECT_EQ(ready("q"), 1U);
}

TEST_F(PublishTest, PropertiesAreChecked) {
  auto& client = connect();
  declare(client, "q", false);
  Pub pub{"", "q", "m"};
  pub.expiration = "soon";
  client.send(publish_frame(1, pub));
  turn();
  EXPECT_EQ(closed_with(client.receive()), 406);
  EXPECT_EQ(ready("q"), 0U);
  reopen(client);
  pub.expiration = "1000";
  client.send(publish_frame(1, pub));
  turn();
  EXPECT_EQ(ready("q"), 1U);
  advance(1'100);
  EXPECT_EQ(ready("q"), 0U);
}

TEST_F(PublishTest, CopiesNamedInTheHeadersAreRouted) {
  auto& client = connect();
  for (const char* name : {"q", "cc", "bcc"}) declare(client, name, false);
  Pub pub{"", "q", "m"};
  pub.headers.set("CC", FieldValue(FieldArray{FieldValue("cc")}));
  pub.headers.set("BCC", FieldValue(FieldArray{FieldValue("bcc")}));
  client.send(publish_frame(1, pub) + publish_frame(1, {"", "q", "plain"}));
  turn();
  EXPECT_EQ(ready("q"), 2U);
  EXPECT_EQ(ready("cc"), 1U);
  EXPECT_EQ(ready("bcc"), 1U);
  consume(client, "cc", "c", true);
  turn();
  const auto received = client.receive();
  ASSERT_EQ(bodies(received).size(), 1U);
  const auto properties = amqp::decode_properties(received.back().props);
  ASSERT_TRUE(properties);
  EXPECT_NE(properties->headers->find("CC"), nullptr);
  EXPECT_EQ(properties->headers->find("BCC"), nullptr);
}

// ---- alarms and flow ----------------------------------------------------------------------------------

TEST_F(PublishTest, AlarmsBlockPublishersAlone) {
  auto& publisher = connect({1}, "guest", amqp::test::Client::capable({"connection.blocked"}));
  auto& consumer = connect();
  declare(publisher, "q", false);
  publish(publisher, "q", "1");
  consume(consumer, "q", "c");
  turn();
  EXPECT_EQ(deliveries(consumer.receive()).size(), 1U);
  broker_->alarms().set("n", "memory", true);
  broker_->alarms_changed();
  turn();
  EXPECT_TRUE(publisher.receive().empty()) << "only who publishes hears of it";
  EXPECT_STREQ(publisher.session().state_name(), "blocking");
  publish(publisher, "q", "2");
  publish(publisher, "q", "3");
  turn();
  const auto told = publisher.receive();
  ASSERT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].frame.as<amqp::ConnectionBlocked>().reason, "low on memory");
  EXPECT_STREQ(publisher.session().state_name(), "blocked");
  ack(consumer, 1);
  turn();
  EXPECT_EQ(unacked("q"), 0U);
  EXPECT_TRUE(consumer.receive().empty());
  broker_->alarms().set("n", "memory", false);
  broker_->alarms_changed();
  turn();
  EXPECT_EQ(publisher.receive().at(0).id(), amqp::ConnectionUnblocked::kId);
  EXPECT_EQ(bodies(consumer.receive()), (std::vector<std::string>{"2", "3"}));
}

TEST_F(PublishTest, TooMuchInFlightHoldsPublishersUntilHalfIsGone) {
  BrokerOptions options;
  options.flow_bytes = 1'000;
  start(std::move(options));
  auto& client = connect();
  declare(client, "q", false);
  env_.in_flight = 1'001;
  publish(client, "q", "1");
  turn();
  publish(client, "q", "2");
  turn();
  EXPECT_EQ(ready("q"), 1U);
  EXPECT_STREQ(client.session().state_name(), "flow");
  env_.in_flight = 501;
  broker_->check_flow();
  turn();
  EXPECT_EQ(ready("q"), 1U);
  env_.in_flight = 500;
  broker_->check_flow();
  turn();
  EXPECT_EQ(ready("q"), 2U);
  EXPECT_STREQ(client.session().state_name(), "running");
}

TEST_F(PublishTest, AChannelThatWaitsLongIsReadAgain) {
  // More than an inbox holds arrives behind a declare that waits for the disc.
  auto& client = connect();
  std::string bytes = declare_frame(1, "q");
  constexpr int kMessages = 40;
  for (int i = 0; i < kMessages; ++i)
    bytes += publish_frame(1, {"", "q", std::string(50'000, 'x'), false, false});
  client.send(bytes);
  turn();
  EXPECT_TRUE(client.connection().paused());
  EXPECT_FALSE(client.kept.empty());
  sync();
  EXPECT_FALSE(client.connection().paused());
  EXPECT_TRUE(client.kept.empty()) << "nobody asked the socket to go on";
  EXPECT_EQ(ready("q"), static_cast<std::uint64_t>(kMessages));
}

TEST_F(PublishTest, AChannelThatFailsLateIsReadAgain) {
  auto& client = connect({1, 2});
  declare(client, "there", false);
  std::string bytes = declare_frame(1, "pending", false);
  for (int i = 0; i < 40; ++i)
    bytes += publish_frame(1, {"", "there", std::string(50'000, 'x'), false, false});
  bytes += publish_frame(2, {"", "there", "behind"});
  client.send(bytes);
  turn();
  EXPECT_TRUE(client.connection().paused());
  client.session().connection().channel_error(1, {amqp::ReplyCode::precondition_failed, "late"});
  client.session().touch();
  turn();
  EXPECT_TRUE(client.kept.empty());
  EXPECT_EQ(ready("there"), 1U);
}

}  // namespace
}  // namespace warren::broker::test
