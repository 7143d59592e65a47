// The connection under pressure: bytes cut anywhere, busy channels, the publish gate, heartbeats.

#include "base/prng.h"
#include "tests/node/amqp/connection_fixture.h"

namespace warren::amqp::test {
namespace {

/// Body of `n` bytes that shows what was lost or moved.
std::string pattern(std::size_t n) {
  std::string bytes(n, '\0');
  for (std::size_t i = 0; i < n; ++i) bytes[i] = static_cast<char>('a' + (i * 7 + i / 251) % 26);
  return bytes;
}

struct Outcome {
  Log log;
  std::string output;
  std::vector<std::string> refused;
  ConnectionState state;
  bool operator==(const Outcome&) const = default;
};

/// Everything a client may say, sent in pieces that end at `cuts`.
Outcome play(const std::string& script, const std::vector<std::size_t>& cuts) {
  Client client;
  client.broker.failing[BasicGet::kId] = {ReplyCode::not_found, "none", BasicGet::kId};
  std::size_t at = 0;
  for (const std::size_t cut : cuts) {
    client.send(std::string_view(script).substr(at, cut - at));
    at = cut;
  }
  client.send(std::string_view(script).substr(at));
  EXPECT_TRUE(client.kept.empty());
  return {client.broker.log, take_output(client.connection.output()), {},
          client.connection.state()};
}

std::string long_script() {
  std::string script = Client::handshake({}, Client::tune_ok(100, 4096));
  script += encode_frame(1, ChannelOpen{}) + encode_frame(2, ChannelOpen{});
  script += publish_frames(1, "one", pattern(40));
  script += raw_frame(kFrameHeartbeat, 0, "");
  // Contents of two channels, interleaved, with empty frames between.
  BasicPublish publish;
  publish.routing_key = "left";
  script += encode_frame(1, publish) + header_frame(1, 30);
  publish.routing_key = "right";
  script += encode_frame(2, publish) + header_frame(2, 20);
  script += body_frame(1, pattern(13)) + body_frame(2, "") + body_frame(2, pattern(20));
  script += body_frame(1, pattern(30).substr(13));
  script += publish_frames(2, "empty", "");
  script += encode_frame(2, BasicQos{}) + encode_frame(2, BasicGet{});
  script += publish_frames(2, "unheard", pattern(25));  // its channel was closed by the error
  script += encode_frame(2, ChannelCloseOk{}) + encode_frame(2, ChannelOpen{});
  script += publish_frames(2, "again", pattern(5));
  script += encode_frame(1, ChannelClose{});
  return script;
}

TEST(ConnectionCuts, OneCutAnywhereChangesNothing) {
  for (const std::string& tail :
       {std::string(), encode_frame(0, ConnectionClose{}), raw_frame(kFrameBody, 2, "unasked"),
        raw_frame(kFrameMethod, 2, "12345", 0), encode_frame(9, BasicQos{})}) {
    const std::string script = long_script() + tail;
    const Outcome whole = play(script, {});
    ASSERT_GT(whole.log.size(), 20U);
    for (std::size_t cut = 1; cut < script.size(); ++cut)
      ASSERT_EQ(play(script, {cut}), whole) << "cut at " << cut;
  }
}

TEST(ConnectionCuts, ByteByByteChangesNothing) {
  const std::string script = long_script() + encode_frame(0, ConnectionClose{});
  std::vector<std::size_t> cuts;
  for (std::size_t i = 1; i < script.size(); ++i) cuts.push_back(i);
  EXPECT_EQ(play(script, cuts), play(script, {}));
}

TEST(ConnectionCuts, RandomCutsChangeNothing) {
  const std::uint64_t seed = 20261122;
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  Prng random(seed);
  std::string script = Client::handshake({}, Client::tune_ok(100, 4096)) +
                       encode_frame(1, ChannelOpen{}) + encode_frame(2, ChannelOpen{});
  for (int i = 0; i < 40; ++i)
    script += publish_frames(static_cast<std::uint16_t>(1 + random.below(2)), "k" + std::to_string(i),
                             pattern(random.below(9'000)), 1 + random.below(4'088));
  const Outcome whole = play(script, {});
  for (int round = 0; round < 200; ++round) {
    std::vector<std::size_t> cuts;
    for (std::size_t at = 1 + random.below(3'000); at < script.size(); at += 1 + random.below(3'000))
      cuts.push_back(at);
    ASSERT_EQ(play(script, cuts), whole) << "round " << round;
  }
}

TEST(ConnectionBodies, LongFramesAreHandedOnAsTheyCome) {
  Client client;
  client.run();
  const std::string body = pattern(1 << 20);
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, body.size()));
  std::string frames;
  for (std::size_t at = 0; at < body.size(); at += 131'064)
    frames += body_frame(1, std::string_view(body).substr(at, 131'064));
  std::size_t most_kept = 0;
  for (std::size_t at = 0; at < frames.size(); at += 1'000) {
    client.send(std::string_view(frames).substr(at, 1'000));
    most_kept = std::max(most_kept, client.kept.size());
  }
  EXPECT_EQ(client.broker.log.back(), "1 body " + body);
  EXPECT_LT(most_kept, kFrameHeaderBytes) << "bodies must not pile up in the driver";
}

TEST(ConnectionBodies, ABadEndBehindPartsIsStillSeen) {
  Client client;
  client.run();
  const std::string frame = raw_frame(kFrameBody, 1, pattern(1'000), 0xCD);
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, 1'000) + frame.substr(0, 500));
  client.send(frame.substr(500));
  const Frame end = client.only();
  EXPECT_EQ(end.as<ConnectionClose>().reply_code, 501);
}

// ---- busy channels ----------------------------------------------------------------------------------

TEST(ConnectionBusy, FramesWaitInOrderAndOthersGoOn) {
  Client client;
  client.run({1, 2});
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "first", pattern(5'000)) +
              encode_frame(1, BasicQos{}) + publish_frames(2, "other", "now"));
  EXPECT_EQ(client.broker.log.size(), 4U);
  EXPECT_EQ(client.broker.log.back(), "2 body now");
  client.ready(1);
  ASSERT_EQ(client.broker.log.size(), 8U);
  EXPECT_EQ(client.broker.log[4], "1 publish first");
  EXPECT_EQ(client.broker.log[6], "1 body " + pattern(5'000));
  EXPECT_EQ(client.broker.log[7].substr(0, 14), "1 method 60.10");
}

TEST(ConnectionBusy, EachSlowMethodHoldsWhatIsBehindIt) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  std::string script;
  for (int i = 0; i < 5; ++i) {
    QueueDeclare method;
    const std::string name = "q" + std::to_string(i);
    method.queue = name;
    script += encode_frame(1, method) + publish_frames(1, name, "m");
  }
  client.send(script);
  for (std::size_t i = 0; i < 5; ++i) {
    ASSERT_EQ(client.broker.log.size(), 1 + i * 4);
    client.ready(1);
  }
  EXPECT_EQ(client.broker.log.size(), 20U);
  EXPECT_EQ(client.broker.log[17], "1 publish q4");
}

TEST(ConnectionBusy, ReadingPausesAtTheBoundAndGoesOn) {
  ConnectionLimits limits;
  limits.inbox_bytes = 10'000;
  Client client(limits);
  client.run({1, 2});
  client.broker.slow = {QueueDeclare::kId};
  client.send(1, QueueDeclare{});
  std::string script;
  for (int i = 0; i < 20; ++i) script += publish_frames(1, "k" + std::to_string(i), pattern(1'000));
  script += encode_frame(2, BasicQos{});
  client.send(script);
  EXPECT_TRUE(client.connection.paused());
  EXPECT_GT(client.kept.size(), 5'000U);
  EXPECT_EQ(client.broker.log.size(), 1U);
  client.ready(1);
  EXPECT_FALSE(client.connection.paused());
  EXPECT_TRUE(client.kept.empty());
  EXPECT_EQ(client.broker.log.size(), 1 + 20 * 3 + 1U);
  for (std::size_t i = 0; i < 20; ++i)
    EXPECT_EQ(client.broker.log[1 + i * 3], "1 publish k" + std::to_string(i));
}

TEST(ConnectionBusy, AnAnswerInsideAnotherCallMayCloseTheConnection) {
  Client client;
  client.run({1, 2});
  client.broker.slow = {QueueDeclare::kId};
  // Channel 2 waits; behind it lies what closes the connection. Its answer comes while channel 1
  // is in a call, so the handler of channel 1 must outlive that call.
  client.send(encode_frame(2, QueueDeclare{}) + encode_frame(2, ChannelOpen{}));
  client.broker.during[BasicGet::kId] = [&] {
    client.broker.busy.clear();
    client.connection.channel_ready(2);
  };
  client.send(1, BasicGet{});
  EXPECT_EQ(client.connection.state(), ConnectionState::closing);
  EXPECT_EQ(client.broker.live_channels, 0);
}

TEST(ConnectionBusy, AnErrorThrowsTheInboxAway) {
  ConnectionLimits limits;
  limits.inbox_bytes = 1'000;
  Client client(limits);
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "k", pattern(2'000)));
  EXPECT_TRUE(client.connection.paused());
  client.broker.busy.clear();
  client.connection.channel_error(1, {ReplyCode::precondition_failed, "inequivalent"});
  EXPECT_FALSE(client.connection.paused());
  client.offer();
  EXPECT_EQ(client.only().id(), ChannelClose::kId);
  EXPECT_EQ(client.broker.log.back(), "1 closed");
}

TEST(ConnectionBusy, ACloseWaitsForItsTurnInTheInbox) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "k", "m") +
              encode_frame(1, ChannelClose{}));
  EXPECT_TRUE(client.receive().empty());
  client.ready(1);
  EXPECT_EQ(client.only().id(), ChannelCloseOk::kId);
  EXPECT_EQ(client.broker.log[3], "1 body m");
  EXPECT_EQ(client.broker.log[4], "1 closed");
}

TEST(ConnectionBusy, ACloseOfTheConnectionComesBehindWhatWasSentBefore) {
  Client client;
  client.run({1, 2});
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "one", "m") +
              encode_frame(2, QueueDeclare{}) + publish_frames(2, "two", "m") +
              encode_frame(0, ConnectionClose{}));
  EXPECT_TRUE(client.connection.paused());
  EXPECT_TRUE(client.receive().empty());
  client.ready(1);
  EXPECT_TRUE(client.connection.paused());
  client.ready(2);
  EXPECT_EQ(client.only().id(), ConnectionCloseOk::kId);
  EXPECT_TRUE(client.connection.finished());
  EXPECT_EQ(client.broker.log, (Log{client.broker.log[0], client.broker.log[1], "1 publish one", "1 header 1 2",
                                    "1 body m", "2 publish two", "2 header 1 2", "2 body m", "1 closed",
                                    "2 closed", "closing: closed by the client"}));
}

TEST(ConnectionBusy, OurOwnCloseWaitsForNobody) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "one", "m") +
              encode_frame(0, ConnectionClose{}));
  EXPECT_TRUE(client.connection.paused());
  client.connection.close({ReplyCode::connection_forced, "shutdown"});
  EXPECT_FALSE(client.connection.paused());
  client.offer();
  const auto frames = client.receive();
  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[1].id(), ConnectionCloseOk::kId);
  EXPECT_TRUE(client.connection.finished());
}

TEST(ConnectionBusy, NothingOvertakesAnInbox) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "first", "m"));
  client.broker.busy.clear();  // it is free, but has not said so yet
  client.send(publish_frames(1, "second", "m"));
  EXPECT_EQ(client.broker.log.size(), 1U);
  client.ready(1);
  EXPECT_EQ(client.broker.log.at(1), "1 publish first");
  EXPECT_EQ(client.broker.log.at(4), "1 publish second");
}

TEST(ConnectionBusy, LongInboxesOfSlowMethodsAreReadOnce) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  constexpr int kMethods = 20'000;  // quadratic work on this inbox would take most of a minute
  std::string bytes;
  for (int i = 0; i < kMethods; ++i) {
    QueueDeclare method;
    const std::string name = "queue-" + std::to_string(i);
    method.queue = name;
    bytes += encode_frame(1, method);
  }
  client.send(bytes);
  int answered = 0;
  while (!client.broker.busy.empty()) {
    client.ready(1);
    ++answered;
  }
  EXPECT_EQ(answered, kMethods);
  ASSERT_EQ(client.broker.log.size(), static_cast<std::size_t>(kMethods));
  EXPECT_NE(client.broker.log.back().find("queue-" + std::to_string(kMethods - 1)), std::string::npos);
  EXPECT_FALSE(client.connection.paused());
  EXPECT_TRUE(client.kept.empty());
}

TEST(ConnectionBusy, SomeHandlersTakeNoCommandMeanwhile) {
  for (const bool at_once : {true, false}) {
    Client client;
    client.run({1, 2});
    client.broker.slow = {TxCommit::kId};
    client.broker.refuses_commands = true;
    const std::string commit = encode_frame(1, TxCommit{});
    if (at_once) {  // both in the inbox, behind something slow that refuses nothing
      client.broker.slow.insert(QueueDeclare::kId);
      client.broker.refuses_commands = false;
      client.send(1, QueueDeclare{});
      client.send(commit + encode_frame(1, TxSelect{}));
      client.broker.refuses_commands = true;
      client.ready(1);
    } else {
      client.send(commit);
      client.send(2, TxSelect{});
      EXPECT_EQ(client.connection.state(), ConnectionState::running) << "another channel's business";
      client.send(1, TxSelect{});
    }
    const auto close = client.only();
    ASSERT_EQ(close.id(), ConnectionClose::kId);
    EXPECT_EQ(close.as<ConnectionClose>().reply_code, 504);
    EXPECT_EQ(close.as<ConnectionClose>().class_id, 90);
    EXPECT_EQ(client.broker.live_channels, 0);
  }
}

TEST(ConnectionBusy, FramesOfAnOpenContentMayWaitToo) {
  Client client;
  client.run();
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, 6) + body_frame(1, "abc"));
  client.broker.busy.insert(1);  // from outside, in the middle of a content
  client.send(body_frame(1, "def") + encode_frame(1, BasicQos{}));
  EXPECT_EQ(client.broker.log.size(), 2U);
  client.ready(1);
  EXPECT_EQ(client.broker.log[2], "1 body abcdef");
  EXPECT_EQ(client.broker.log.size(), 4U);
}

// ---- the publish gate -------------------------------------------------------------------------------

TEST(ConnectionGate, StopsAtAPublishAndLosesNothing) {
  for (const PublishGate shut : {PublishGate::alarm, PublishGate::flow}) {
    Client client;
    client.run({1, 2});
    client.broker.gate = shut;
    client.send(encode_frame(1, BasicQos{}) + publish_frames(1, "a", pattern(3'000)) +
                publish_frames(2, "b", "2") + encode_frame(1, BasicQos{}));
    EXPECT_TRUE(client.connection.paused());
    EXPECT_EQ(client.connection.gate(), shut);
    EXPECT_EQ(client.broker.log.size(), 1U);
    EXPECT_FALSE(client.connection.ever_published());
    client.send(publish_frames(2, "c", "3"));
    EXPECT_EQ(client.broker.log.size(), 1U);
    client.open_gate();
    EXPECT_TRUE(client.kept.empty());
    ASSERT_EQ(client.broker.log.size(), 1 + 3 + 3 + 1 + 3U);
    EXPECT_EQ(client.broker.log[1], "1 publish a");
    EXPECT_EQ(client.broker.log[3], "1 body " + pattern(3'000));
    EXPECT_EQ(client.broker.log[6], "2 body 2");
    EXPECT_EQ(client.broker.log[10], "2 body 3");
  }
}

TEST(ConnectionGate, ConsumersAreNotHeldUpUntilSomebodyPublishes) {
  Client client;
  client.run();
  client.broker.gate = PublishGate::alarm;
  client.send(encode_frame(1, BasicAck{1, false}) + encode_frame(1, BasicAck{2, false}));
  EXPECT_EQ(client.broker.log.size(), 2U);
  EXPECT_FALSE(client.connection.paused());
}

TEST(ConnectionGate, AContentThatHasBegunIsFinished) {
  Client client;
  client.run();
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, 3));
  client.broker.gate = PublishGate::flow;
  client.send(body_frame(1, "abc") + publish_frames(1, "next", "x"));
  EXPECT_EQ(client.broker.log.back(), "1 body abc");
  EXPECT_TRUE(client.connection.paused());
}

TEST(ConnectionGate, ChangesThatKeepItShutLetNothingThrough) {
  Client client;
  client.run();
  client.broker.gate = PublishGate::flow;
  client.send(publish_frames(1, "a", "x"));
  client.broker.gate = PublishGate::alarm;
  client.connection.gate_changed();
  EXPECT_EQ(client.connection.gate(), PublishGate::alarm);
  EXPECT_TRUE(client.connection.paused());
  client.open_gate();
  EXPECT_EQ(client.broker.log.size(), 3U);
}

TEST(ConnectionGate, APublishInAnInboxWaitsThere) {
  Client client;
  client.run();
  client.broker.slow = {QueueDeclare::kId};
  client.send(encode_frame(1, QueueDeclare{}) + publish_frames(1, "a", "x") +
              publish_frames(1, "b", "y"));
  client.broker.gate = PublishGate::flow;
  client.ready(1);
  EXPECT_EQ(client.broker.log.size(), 1U);
  EXPECT_TRUE(client.connection.paused());
  client.send(publish_frames(1, "c", "z"));
  client.open_gate();
  ASSERT_EQ(client.broker.log.size(), 10U);
  EXPECT_EQ(client.broker.log[1], "1 publish a");
  EXPECT_EQ(client.broker.log[4], "1 publish b");
  EXPECT_EQ(client.broker.log[7], "1 publish c");
}

TEST(ConnectionGate, GateAndBusyChannelsTogetherKeepTheOrder) {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    Prng random(seed);
    ConnectionLimits limits;
    limits.inbox_bytes = 200 + random.below(2'000);
    Client client(limits);
    client.run({1, 2, 3});
    client.broker.slow = {QueueDeclare::kId};
    std::map<std::uint16_t, Log> expected;
    for (int i = 0; i < 120; ++i) {
      const auto channel = static_cast<std::uint16_t>(1 + random.below(3));
      const std::string name = "n" + std::to_string(i);
      switch (random.below(6)) {
        case 0: {
          QueueDeclare method;
          method.queue = name;
          expected[channel].push_back(name);
          client.send(channel, method);
          break;
        }
        case 1: client.broker.gate = PublishGate::flow; break;
        case 2: client.open_gate(); break;
        case 3: client.ready(static_cast<std::uint16_t>(1 + random.below(3))); break;
        default: {
          expected[channel].push_back(name);
          const std::string bytes = publish_frames(channel, name, pattern(random.below(300)), 50);
          const std::size_t cut = random.below(bytes.size());
          client.send(bytes.substr(0, cut));
          client.send(bytes.substr(cut));
        }
      }
    }
    client.open_gate();
    for (int round = 0; round < 200; ++round)
      for (std::uint16_t channel = 1; channel <= 3; ++channel) client.ready(channel);
    EXPECT_TRUE(client.kept.empty());
    std::map<std::uint16_t, Log> got;
    for (const std::string& line : client.broker.log) {
      const auto channel = static_cast<std::uint16_t>(line[0] - '0');
      if (line.find(" publish ") != std::string::npos)
        got[channel].push_back(line.substr(10));
      else if (line.find(" method ") != std::string::npos)
        got[channel].push_back(line.substr(line.find('n', 10), line.find('\0', line.find('n', 10)) -
                                                                   line.find('n', 10)));
    }
    ASSERT_EQ(got, expected);
  }
}

TEST(ConnectionAlarm, IsToldOnceToThoseThatAskedAndPublish) {
  Client client;
  client.run({1}, Client::capable({"connection.blocked"}));
  client.connection.alarm_changed(true, "low on memory");
  client.connection.alarm_changed(true, "low on memory");
  const Frame frame = client.only();
  EXPECT_EQ(frame.as<ConnectionBlocked>().reason, "low on memory");
  EXPECT_TRUE(client.connection.blocked_told());
  client.connection.alarm_changed(false, {});
  client.connection.alarm_changed(false, {});
  EXPECT_EQ(client.only().id(), ConnectionUnblocked::kId);
}

TEST(ConnectionAlarm, IsNotToldToOthers) {
  Client client;
  client.run();
  client.connection.alarm_changed(true, "low on memory");
  client.connection.alarm_changed(false, {});
  EXPECT_TRUE(client.receive().empty());
}

// ---- heartbeats -------------------------------------------------------------------------------------

TEST(ConnectionHeartbeat, IsSentWhenNothingElseWas) {
  Client client;
  client.run({}, {}, Client::tune_ok(10, 131072, 10));
  client.tick(4'900);
  EXPECT_TRUE(client.receive().empty());
  client.tick(200);
  const Frame frame = client.only();
  EXPECT_EQ(frame.type, kFrameHeartbeat);
  EXPECT_EQ(frame.channel, 0);
  EXPECT_TRUE(frame.payload.empty());
  client.tick(3'000);
  client.connection.on_sent(client.now);
  client.tick(4'000);
  EXPECT_TRUE(client.receive().empty());
}

TEST(ConnectionHeartbeat, SilenceEndsTheConnection) {
  Client client;
  client.run({1}, {}, Client::tune_ok(10, 131072, 10));
  client.tick(19'000);
  client.send(raw_frame(kFrameHeartbeat, 0, ""));
  client.tick(19'999);
  EXPECT_FALSE(client.connection.finished());
  client.tick(1);
  EXPECT_TRUE(client.connection.finished());
  EXPECT_NE(client.broker.log.back().find("missed heartbeats"), std::string::npos);
}

TEST(ConnectionHeartbeat, PartOfAFrameIsALifeSign) {
  Client client;
  client.run({1}, {}, Client::tune_ok(10, 131072, 10));
  const std::string frame = encode_frame(1, BasicQos{});
  for (const char byte : frame) {
    client.tick(15'000);
    client.send({&byte, 1});
    ASSERT_FALSE(client.connection.finished());
  }
  EXPECT_EQ(client.broker.log.size(), 1U);
}

TEST(ConnectionHeartbeat, ZeroMeansNone) {
  Client client;
  client.run({}, {}, Client::tune_ok(10, 131072, 0));
  client.tick(100'000'000);
  EXPECT_TRUE(client.receive().empty());
  EXPECT_FALSE(client.connection.finished());
}

TEST(ConnectionHeartbeat, APausedConnectionIsNotSilent) {
  Client client;
  client.run({1}, {}, Client::tune_ok(10, 131072, 10));
  client.broker.gate = PublishGate::alarm;
  client.send(publish_frames(1, "a", "x"));
  for (int i = 0; i < 100; ++i) client.tick(1'000);
  EXPECT_FALSE(client.connection.finished()) << "we did not read; the client is not to blame";
  client.open_gate();
  client.tick(19'000);
  EXPECT_FALSE(client.connection.finished());
  client.tick(1'001);
  EXPECT_TRUE(client.connection.finished());
}

}  // namespace
}  // namespace warren::amqp::test
