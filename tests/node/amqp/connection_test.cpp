// The connection's state machine: handshakes, frame errors and the ways to an end.

#include "tests/node/amqp/connection_fixture.h"

namespace warren::amqp::test {
namespace {

std::uint16_t close_code(const Frame& frame) { return frame.as<ConnectionClose>().reply_code; }

// ---- handshake ----------------------------------------------------------------------------------

TEST(ConnectionHandshake, GoesThroughStartTuneOpen) {
  Client client;
  client.send(kProtocolHeader);
  EXPECT_EQ(client.connection.state(), ConnectionState::start);
  const Frame start_frame = client.only();
  const auto start = start_frame.as<ConnectionStart>();
  EXPECT_EQ(start.version_major, 0);
  EXPECT_EQ(start.version_minor, 9);
  EXPECT_EQ(start.mechanisms.text, "PLAIN AMQPLAIN");

  client.send(Client::start_ok());
  const Frame tune_frame = client.only();
  const auto tune = tune_frame.as<ConnectionTune>();
  EXPECT_EQ(tune.channel_max, 2047);
  EXPECT_EQ(tune.frame_max, 131072U);
  EXPECT_EQ(tune.heartbeat, 60);
  EXPECT_EQ(client.broker.log, Log{"login PLAIN credentials"});

  client.send(Client::tune_ok(10, 8192, 7));
  EXPECT_TRUE(client.connection.output().empty());
  EXPECT_EQ(client.connection.channel_max(), 10);
  EXPECT_EQ(client.connection.frame_max(), 8192U);
  EXPECT_EQ(client.connection.heartbeat_s(), 7);

  client.send(Client::open("/v"));
  EXPECT_EQ(client.only().id(), ConnectionOpenOk::kId);
  EXPECT_EQ(client.connection.state(), ConnectionState::running);
  EXPECT_EQ(client.broker.log.back(), "open /v");
}

TEST(ConnectionHandshake, AllAtOnceWorksToo) {
  Client client;
  client.send(Client::handshake());
  EXPECT_EQ(client.connection.state(), ConnectionState::running);
  EXPECT_EQ(client.receive().size(), 3U);
}

TEST(ConnectionHandshake, AcceptsTheHeaderOf09) {
  Client client;
  client.send(std::string_view("AMQP\x01\x01\x00\x09", 8));
  EXPECT_EQ(client.connection.state(), ConnectionState::start);
}

TEST(ConnectionHandshake, AnswersForeignProtocolsWithItsHeader) {
  for (const std::string& hello :
       {std::string("GET / HTTP/1.1\r\n"), std::string("AMQP\x03\x01\x00\x00", 8), std::string("X"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01", 8), std::string("AMQQ")}) {
    Client client;
    client.send(hello);
    EXPECT_TRUE(client.connection.finished()) << hello;
    EXPECT_EQ(take_output(client.connection.output()), kProtocolHeader) << hello;
    EXPECT_EQ(client.broker.refused.size(), 1U) << hello;
    EXPECT_EQ(client.broker.log, Log{}) << hello;
  }
}

TEST(ConnectionHandshake, WaitsForAWholeHeader) {
  Client client;
  for (const char c : kProtocolHeader.substr(0, 7)) client.send({&c, 1});
  EXPECT_EQ(client.connection.state(), ConnectionState::header);
  EXPECT_TRUE(client.connection.output().empty());
}

TEST(ConnectionHandshake, RefusedLoginClosesWith403WhereTheClientKnowsIt) {
  Client client;
  client.broker.login_answer = {Login::Outcome::refused, "no such pair"};
  client.send(std::string(kProtocolHeader));
  (void)client.receive();
  client.send(Client::start_ok(Client::capable({"authentication_failure_close"})));
  const Frame close_frame = client.only();
  const auto close = close_frame.as<ConnectionClose>();
  EXPECT_EQ(close.reply_code, 403);
  EXPECT_EQ(close.reply_text, "ACCESS_REFUSED - no such pair");
  client.send(0, ConnectionCloseOk{});
  EXPECT_TRUE(client.connection.finished());
}

TEST(ConnectionHandshake, RefusedLoginIsSilentAndSlowForOthers) {
  for (const auto outcome :
       {Login::Outcome::refused, Login::Outcome::malformed, Login::Outcome::unknown_mechanism}) {
    Client client;
    client.broker.login_answer = {outcome, "no"};
    client.send(std::string(kProtocolHeader));
    (void)client.receive();
    client.send(Client::start_ok());
    EXPECT_TRUE(client.receive().empty());
    client.send(Client::tune_ok() + Client::open());  // nobody listens any more
    client.tick(2'900);
    EXPECT_FALSE(client.connection.finished());
    client.tick(200);
    EXPECT_TRUE(client.connection.finished());
    EXPECT_TRUE(client.receive().empty());
    EXPECT_EQ(client.broker.log, Log{"login PLAIN credentials"});
  }
}

TEST(ConnectionHandshake, TuneOkMustStayInside) {
  struct Case {
    std::uint16_t channels;
    std::uint32_t frame;
    const char* what;
  };
  for (const Case& c : {Case{2048, 131072, "channel_max"}, Case{0, 131072, "channel_max"},
                        Case{10, 131073, "frame_max"}, Case{10, 0, "frame_max"},
                        Case{10, 4095, "frame_max"}}) {
    Client client;
    client.send(std::string(kProtocolHeader) + Client::start_ok());
    (void)client.receive();
    client.send(Client::tune_ok(c.channels, c.frame));
    const Frame frame = client.only();
    const auto close = frame.as<ConnectionClose>();
    EXPECT_EQ(close.reply_code, 530);
    EXPECT_NE(close.reply_text.find(c.what), std::string_view::npos) << close.reply_text;
    EXPECT_EQ(close.class_id, 10);
    EXPECT_EQ(close.failing_method, 31);
  }
}

TEST(ConnectionHandshake, NoLimitIsTakenWhereTheServerHasNone) {
  ConnectionLimits limits;
  limits.channel_max = 0;
  limits.frame_max = 0;
  Client client(limits);
  client.run({}, {}, Client::tune_ok(0, 0, 0));
  EXPECT_EQ(client.connection.channel_max(), 65535);
  EXPECT_GE(client.connection.frame_max(), 1U << 30);
  client.send(65535, ChannelOpen{});
  EXPECT_EQ(client.only().id(), ChannelOpenOk::kId);
}

TEST(ConnectionHandshake, RefusedVhostClosesAndNamesTheMethod) {
  Client client;
  client.broker.vhost_error = AmqpError{ReplyCode::not_allowed, "vhost nope not found"};
  client.send(std::string(kProtocolHeader) + Client::start_ok() + Client::tune_ok());
  (void)client.receive();
  client.send(Client::open("nope"));
  const Frame frame = client.only();
  const auto close = frame.as<ConnectionClose>();
  EXPECT_EQ(close.reply_code, 530);
  EXPECT_EQ(close.class_id, 10);
  EXPECT_EQ(close.failing_method, 40);
}

TEST(ConnectionHandshake, UndecodableStepsAreRefused) {
  const auto method = [](MethodId id, std::string_view arguments) {
    std::string payload(4, '\0');
    store_be(payload.data(), id);
    payload += arguments;
    return raw_frame(kFrameMethod, 0, payload);
  };
  {
    Client client;
    client.send(std::string(kProtocolHeader) + method(ConnectionStartOk::kId, "\xff\xff"));
    EXPECT_EQ(client.broker.refused.size(), 1U);
    EXPECT_EQ(client.broker.log, Log{});
  }
  {
    Client client;
    client.send(std::string(kProtocolHeader) + Client::start_ok());
    (void)client.receive();
    client.send(method(ConnectionTuneOk::kId, "1"));
    EXPECT_EQ(close_code(client.only()), 501);
  }
  {
    Client client;
    client.send(std::string(kProtocolHeader) + Client::start_ok() + Client::tune_ok());
    (void)client.receive();
    client.send(method(ConnectionOpen::kId, "\x05/"));
    EXPECT_EQ(close_code(client.only()), 501);
  }
}

TEST(ConnectionHandshake, MethodsOutOfPlaceEndIt) {
  {
    Client client;  // open before login: not even an answer
    client.send(std::string(kProtocolHeader));
    (void)client.receive();
    client.send(Client::open());
    EXPECT_TRUE(client.receive().empty());
    EXPECT_EQ(client.broker.refused.size(), 1U);
    EXPECT_EQ(client.broker.log, Log{});
  }
  {
    Client client;
    client.send(std::string(kProtocolHeader) + Client::start_ok());
    (void)client.receive();
    client.send(Client::start_ok());
    EXPECT_GE(close_code(client.only()), 503);
  }
  {
    Client client;  // a channel before open
    client.send(std::string(kProtocolHeader) + Client::start_ok() + Client::tune_ok());
    (void)client.receive();
    client.send(1, ChannelOpen{});
    EXPECT_EQ(client.broker.refused.size(), 1U);
    EXPECT_EQ(client.connection.channel_count(), 0U);
  }
}

// ---- before a peer has proved who it is -----------------------------------------------------------

TEST(ConnectionBeforeLogin, LargeFramesAreNotWaitedFor) {
  Client client;
  client.send(std::string(kProtocolHeader));
  (void)client.receive();
  std::string frame = raw_frame(kFrameMethod, 0, std::string(4097, 'x'));
  client.send(std::string_view(frame).substr(0, 7));
  EXPECT_EQ(client.broker.refused.size(), 1U);
  EXPECT_TRUE(client.kept.empty());
  client.tick(3'000);
  EXPECT_TRUE(client.connection.finished());
}

TEST(ConnectionBeforeLogin, TheLimitGrowsWithTune) {
  Client client;
  client.run({1});
  client.send(1, BasicPublish{});
  client.send(header_frame(1, 100'000) + body_frame(1, std::string(100'000, 'b')));
  EXPECT_EQ(client.broker.log.back().size(), 7 + 100'000U);
  EXPECT_TRUE(client.receive().empty());
}

TEST(ConnectionBeforeLogin, DawdlersAreDropped) {
  for (const int steps : {0, 1, 2, 3}) {
    Client client;
    if (steps > 0) client.send(std::string(kProtocolHeader));
    if (steps > 1) client.send(Client::start_ok());
    if (steps > 2) client.send(Client::tune_ok());
    client.tick(9'999);
    EXPECT_FALSE(client.connection.finished());
    client.tick(1);
    EXPECT_TRUE(client.connection.finished()) << steps;
    EXPECT_EQ(client.broker.refused.size(), 1U);
    EXPECT_EQ(client.broker.refused[0].empty(), steps == 0) << "a port scan is no news";
  }
}

// ---- frame errors ---------------------------------------------------------------------------------

TEST(ConnectionErrors, BadFrameEndIs501AndDeaf) {
  Client client;
  client.run();
  client.send(raw_frame(kFrameMethod, 1, "12345", 0x00));
  EXPECT_EQ(close_code(client.only()), 501);
  EXPECT_EQ(client.broker.log, (Log{"1 closed", client.broker.log.back()}));
  client.send(publish_frames(1, "k", "never seen"));
  EXPECT_TRUE(client.kept.empty());
  EXPECT_EQ(client.broker.log.size(), 2U);
  client.tick(3'000);
  EXPECT_TRUE(client.connection.finished());
}

TEST(ConnectionErrors, TooLongAFrameIs501) {
  Client client;
  client.run({1}, {}, Client::tune_ok(10, 4096));
  const std::string frame = raw_frame(kFrameMethod, 1, std::string(4097, 'x'));
  client.send(std::string_view(frame).substr(0, 7));  // its head is enough
  EXPECT_EQ(close_code(client.only()), 501);
}

TEST(ConnectionErrors, ClientsThatCountThePayloadAloneAreToleratedByEightBytes) {
  Client client;
  client.run({1}, {}, Client::tune_ok(10, 4096));
  client.send(1, BasicPublish{});
  client.send(header_frame(1, 4096) + body_frame(1, std::string(4096, 'b')));
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(client.connection.state(), ConnectionState::running);
}

TEST(ConnectionErrors, UnknownFrameTypesAre501) {
  for (const std::uint16_t channel : {0, 1}) {
    Client client;
    client.run();
    client.send(raw_frame(9, channel, "x"));
    EXPECT_EQ(close_code(client.only()), 501) << channel;
  }
}

TEST(ConnectionErrors, MethodFramesNeedAMethod) {
  for (const std::uint16_t channel : {0, 1}) {
    Client client;
    client.run();
    client.send(raw_frame(kFrameMethod, channel, "123"));
    EXPECT_EQ(close_code(client.only()), 501) << channel;
  }
}

TEST(ConnectionErrors, ContentWhereNoneIsExpectedIs505) {
  for (const std::string& frame : {header_frame(1, 3), body_frame(1, "abc"), header_frame(0, 3),
                                   body_frame(0, "x"), raw_frame(kFrameHeartbeat, 1, "")}) {
    Client client;
    client.run();
    client.send(frame);
    EXPECT_EQ(close_code(client.only()), 505);
  }
}

TEST(ConnectionErrors, AMethodInsideContentIs505) {
  for (const bool with_header : {false, true}) {
    Client client;
    client.run();
    client.send(1, BasicPublish{});
    if (with_header) client.send(header_frame(1, 3));
    client.send(1, BasicQos{});
    const Frame frame = client.only();
    const auto close = frame.as<ConnectionClose>();
    EXPECT_EQ(close.reply_code, 505);
    EXPECT_EQ(method_id(close.class_id, close.failing_method), BasicQos::kId);
  }
}

TEST(ConnectionErrors, ContentFramesOutOfOrderAre505) {
  {
    Client client;
    client.run();
    client.send(1, BasicPublish{});
    client.send(body_frame(1, "x"));
    EXPECT_EQ(close_code(client.only()), 505);
  }
  {
    Client client;
    client.run();
    client.send(1, BasicPublish{});
    client.send(header_frame(1, 3) + header_frame(1, 3));
    EXPECT_EQ(close_code(client.only()), 505);
  }
  {
    Client client;
    client.run();
    client.send(1, BasicPublish{});
    client.send(header_frame(1, 3, 50));
    EXPECT_EQ(close_code(client.only()), 505);
  }
}

TEST(ConnectionErrors, ACutContentHeaderIs502) {
  Client client;
  client.run();
  client.send(1, BasicPublish{});
  client.send(raw_frame(kFrameHeader, 1, std::string_view("\0\x3c\0\0\0\0\0\0\0\0\0\1\0", 13)));
  EXPECT_EQ(close_code(client.only()), 502);
}

TEST(ConnectionErrors, BodiesKeepWhatTheHeaderSaid) {
  Client client;
  client.run();
  client.send(1, BasicPublish{});
  client.send(header_frame(1, 3) + body_frame(1, "abcd"));
  EXPECT_EQ(close_code(client.only()), 501);
}

TEST(ConnectionErrors, TooLargeAnAnnouncementIs501) {
  ConnectionLimits limits;
  limits.body_max = 1000;
  Client client(limits);
  client.run();
  client.send(1, BasicPublish{});
  client.send(header_frame(1, 1001));
  EXPECT_EQ(close_code(client.only()), 501);
}

TEST(ConnectionErrors, ChannelsThatAreNotOpenAre504) {
  for (const std::string& frame :
       {encode_frame(2, BasicQos{}), header_frame(2, 1), body_frame(2, "x")}) {
    Client client;
    client.run();
    client.send(frame);
    EXPECT_EQ(close_code(client.only()), 504);
  }
}

TEST(ConnectionErrors, OpeningTwiceIs504) {
  Client client;
  client.run();
  client.send(1, ChannelOpen{});
  EXPECT_EQ(close_code(client.only()), 504);
}

TEST(ConnectionErrors, ChannelsBeyondTheNegotiatedNumberAreRefused) {
  Client client;
  client.run({1}, {}, Client::tune_ok(5));
  client.send(5, ChannelOpen{});
  EXPECT_EQ(client.only().id(), ChannelOpenOk::kId);
  client.send(6, ChannelOpen{});
  EXPECT_EQ(close_code(client.only()), 530);
  EXPECT_EQ(client.connection.channel_count(), 0U);
}

TEST(ConnectionErrors, ChannelsRefusedByTheBrokerCloseTheConnection) {
  Client client;
  client.run();
  client.broker.channel_refusal = AmqpError{ReplyCode::not_allowed, "limit"};
  client.send(2, ChannelOpen{});
  const Frame frame = client.only();
  EXPECT_EQ(close_code(frame), 530);
  EXPECT_EQ(frame.as<ConnectionClose>().failing_method, 10);
}

TEST(ConnectionErrors, StrangeMethodsOnChannelZeroAre503) {
  Client client;
  client.run();
  client.send(raw_frame(kFrameMethod, 0, std::string_view("\0\x63\0\1", 4)));
  EXPECT_EQ(close_code(client.only()), 503);
}

TEST(ConnectionErrors, AfterACloseOnlyTheAnswerCounts) {
  Client client;
  client.run({1, 2});
  client.send(raw_frame(kFrameHeartbeat, 1, ""));
  (void)client.receive();
  client.broker.log.clear();
  client.send(publish_frames(2, "k", "late") + encode_frame(3, ChannelOpen{}) +
              encode_frame(1, ChannelCloseOk{}));
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(client.broker.log, Log{});
  client.send(0, ConnectionCloseOk{});
  EXPECT_TRUE(client.connection.finished());
  EXPECT_EQ(client.broker.closings, 1);
}

// ---- ends -----------------------------------------------------------------------------------------

TEST(ConnectionClosing, TheClientCloses) {
  Client client;
  client.run({1, 7});
  client.send(0, ConnectionClose{});
  EXPECT_EQ(client.only().id(), ConnectionCloseOk::kId);
  EXPECT_TRUE(client.connection.finished());
  EXPECT_EQ(client.broker.log, (Log{"1 closed", "7 closed", "closing: closed by the client"}));
  EXPECT_EQ(client.broker.live_channels, 0);
}

TEST(ConnectionClosing, BothCloseAtOnce) {
  Client client;
  client.run();
  client.connection.close({ReplyCode::connection_forced, "shutdown"});
  EXPECT_EQ(close_code(client.only()), 320);
  client.send(0, ConnectionClose{});
  EXPECT_EQ(client.only().id(), ConnectionCloseOk::kId);
  EXPECT_TRUE(client.connection.finished());
  EXPECT_EQ(client.broker.closings, 1);
}

TEST(ConnectionClosing, AnAnswerThatNeverComesIsNotWaitedForForEver) {
  for (const std::uint16_t heartbeat : {0, 5}) {
    Client client;
    client.run({1}, {}, Client::tune_ok(10, 131072, heartbeat));
    client.connection.close({ReplyCode::connection_forced, "shutdown"});
    const Millis wait = heartbeat == 0 ? 30'000 : 5'000;
    client.tick(wait - 1);
    EXPECT_FALSE(client.connection.finished());
    client.tick(1);
    EXPECT_TRUE(client.connection.finished());
    EXPECT_EQ(client.broker.closings, 1);
  }
}

TEST(ConnectionClosing, ASocketThatGoesTakesTheChannelsWithIt) {
  Client client;
  client.run({1, 2});
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, 10) + body_frame(1, "abc"));
  client.connection.on_disconnected("gone");
  client.connection.on_disconnected("gone again");
  EXPECT_TRUE(client.connection.finished());
  EXPECT_TRUE(client.connection.output().empty());
  EXPECT_EQ(client.broker.closings, 1);
  EXPECT_EQ(client.broker.live_channels, 0);
  EXPECT_EQ(client.broker.log.back(), "closing: gone");
}

TEST(ConnectionClosing, ChannelsCloseAndOpenAgain) {
  Client client;
  client.run();
  client.send(1, ChannelClose{});
  EXPECT_EQ(client.only().id(), ChannelCloseOk::kId);
  EXPECT_EQ(client.connection.channel_count(), 0U);
  client.send(1, ChannelOpen{});
  EXPECT_EQ(client.only().id(), ChannelOpenOk::kId);
  client.send(1, BasicQos{});
  EXPECT_EQ(client.broker.log.size(), 3U);
  EXPECT_EQ(client.broker.live_channels, 1);
}

TEST(ConnectionClosing, AChannelErrorClosesThatChannelAlone) {
  Client client;
  client.run({1, 2});
  client.broker.failing[BasicGet::kId] = {ReplyCode::not_found, "no queue", BasicGet::kId};
  client.send(encode_frame(1, BasicGet{}) + publish_frames(1, "late", "x") +
              encode_frame(2, BasicQos{}));
  const Frame frame = client.only();
  EXPECT_EQ(frame.channel, 1);
  const auto close = frame.as<ChannelClose>();
  EXPECT_EQ(close.reply_code, 404);
  EXPECT_EQ(close.reply_text, "NOT_FOUND - no queue");
  EXPECT_EQ(method_id(close.class_id, close.failing_method), BasicGet::kId);
  EXPECT_EQ(client.broker.log.size(), 3U) << "nothing of the closed channel is heard";
  client.send(encode_frame(1, ChannelCloseOk{}) + encode_frame(1, ChannelOpen{}));
  EXPECT_EQ(client.only().id(), ChannelOpenOk::kId);
}

TEST(ConnectionClosing, ChannelClosesMayCross) {
  Client client;
  client.run();
  client.connection.channel_error(1, {ReplyCode::precondition_failed, "too late"});
  (void)client.receive();
  client.send(1, ChannelClose{});
  EXPECT_EQ(client.only().id(), ChannelCloseOk::kId);
  client.send(1, ChannelCloseOk{});  // the answer to ours, behind theirs
  EXPECT_TRUE(client.receive().empty());
  EXPECT_EQ(client.connection.state(), ConnectionState::running);
}

TEST(ConnectionClosing, AChannelErrorInTheMiddleOfABodySwallowsTheRest) {
  Client client;
  client.run({1, 2});
  const std::string body = body_frame(1, std::string(10'000, 'b'));
  client.send(encode_frame(1, BasicPublish{}) + header_frame(1, 10'000) + body.substr(0, 3'000));
  client.connection.channel_error(1, {ReplyCode::precondition_failed, "no"});
  client.send(body.substr(3'000) + encode_frame(2, BasicQos{}));
  EXPECT_EQ(client.only().id(), ChannelClose::kId);
  EXPECT_EQ(client.broker.log.back().substr(0, 14), "2 method 60.10");
  EXPECT_EQ(client.connection.state(), ConnectionState::running);
}

TEST(ConnectionClosing, ErrorsOfTheConnectionRaisedByAChannelCloseIt) {
  Client client;
  client.run({1, 2});
  client.broker.failing[BasicGet::kId] = {ReplyCode::not_allowed, "reuse", BasicGet::kId};
  client.send(encode_frame(2, BasicGet{}) + encode_frame(1, BasicQos{}));
  const auto frames = client.receive();
  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(close_code(frames[0]), 530);
  EXPECT_EQ(client.broker.live_channels, 0);
  EXPECT_EQ(client.connection.state(), ConnectionState::closing);
}

TEST(ConnectionClosing, ReplyTextsAreCutAtACharacter) {
  Client client;
  client.run();
  std::string text;
  for (int i = 0; i < 200; ++i) text += "\xc3\xa9";
  client.connection.close({ReplyCode::internal_error, text});
  const Frame frame = client.only();
  const auto got = frame.as<ConnectionClose>().reply_text;
  EXPECT_LE(got.size(), 255U);
  EXPECT_GE(got.size(), 253U);
  EXPECT_EQ(static_cast<std::uint8_t>(got.back()), 0xA9);
}

TEST(ConnectionSecret, IsPassedOnAndAnswered) {
  Client client;
  client.run();
  ConnectionUpdateSecret method;
  method.new_secret.text = "new";
  client.send(0, method);
  EXPECT_EQ(client.only().id(), ConnectionUpdateSecretOk::kId);
  EXPECT_EQ(client.broker.log, Log{"secret new"});
  client.broker.secret_error = AmqpError{ReplyCode::not_allowed, "refused"};
  client.send(0, method);
  EXPECT_EQ(close_code(client.only()), 530);
}

}  // namespace
}  // namespace warren::amqp::test
