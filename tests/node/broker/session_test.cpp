// Sessions and the broker around them: logins, limits, virtual hosts, ends, restarts.

#include "tests/node/broker/broker_fixture.h"

namespace warren::broker::test {
namespace {

class SessionTest : public BrokerTest {
 protected:
  std::uint16_t refusal(std::string_view user, const FieldTable& properties = {},
                        std::string_view vhost = "/") {
    TestClient client(*broker_, user, properties, {}, vhost);
    return closed_with(client.handshake);
  }
  void limit_user(const char* user, const char* name, std::int64_t value) {
    const auto* known = broker_->catalogue().find_user(user);
    ASSERT_NE(known, nullptr);
    metadata::PutUser put;
    put.def = *known;
    put.def.limits[name] = value;
    apply(put);
  }
};

TEST_F(SessionTest, TellsWhatClientsLookFor) {
  const auto& client = connect();
  const auto start = client.handshake.at(0).frame.as<amqp::ConnectionStart>();
  const auto table = FieldTable::decode(start.server_properties.pairs);
  ASSERT_TRUE(table);
  EXPECT_EQ(table->find("product")->as_string(), "RabbitMQ");
  EXPECT_EQ(table->find("version")->as_string(), "3.10.8");
  const FieldTable* can = table->find("capabilities")->as_table();
  ASSERT_NE(can, nullptr);
  for (const char* name : {"publisher_confirms", "basic.nack", "consumer_cancel_notify",
                           "connection.blocked", "exchange_exchange_bindings"})
    EXPECT_NE(can->find(name), nullptr) << name;
}

TEST_F(SessionTest, UnknownUsersAreRefused) {
  EXPECT_EQ(refusal("nobody", amqp::test::Client::capable({"authentication_failure_close"})), 403);
  EXPECT_EQ(refusal("nobody"), 0) << "others hear nothing";
}

TEST_F(SessionTest, VirtualHostsNeedAPermission) {
  EXPECT_EQ(refusal("guest", {}, "nope"), 530);
  metadata::PutVhost vhost;
  vhost.def.name = "other";
  apply(vhost);
  EXPECT_EQ(refusal("guest", {}, "other"), 530);
  apply(metadata::PutPermission{{"guest", "other", "", "", ""}});
  EXPECT_EQ(refusal("guest", {}, "other"), 0);
}

TEST_F(SessionTest, ConnectionsAreLimitedPerVhost) {
  metadata::PutVhost vhost;
  vhost.def.name = "/";
  vhost.def.limits["max-connections"] = 2;
  apply(vhost);
  connect();
  connect();
  EXPECT_EQ(refusal("guest"), 530);
  clients_.pop_back();
  EXPECT_EQ(refusal("guest"), 0);
  EXPECT_EQ(refusal("guest"), 0) << "those that went count no more";
}

TEST_F(SessionTest, ConnectionsAreLimitedPerUser) {
  add_user("u", ".*", ".*", ".*");
  limit_user("u", "max-connections", 1);
  connect({1}, "u");
  EXPECT_EQ(refusal("u"), 530);
  EXPECT_EQ(refusal("guest"), 0);
}

TEST_F(SessionTest, ChannelsAreLimitedPerUserAndNode) {
  add_user("u", ".*", ".*", ".*");
  limit_user("u", "max-channels", 2);
  auto& client = connect({1, 2}, "u");
  client.send(3, amqp::ChannelOpen{});
  turn();
  EXPECT_EQ(closed_with(client.receive()), 530);

  BrokerOptions options;
  options.channel_max_per_node = 3;
  start(std::move(options));
  auto& one = connect({1, 2, 3});
  auto& two = connect({});
  two.send(1, amqp::ChannelOpen{});
  turn();
  EXPECT_EQ(closed_with(two.receive()), 530);
  one.send(1, amqp::ChannelClose{});
  turn();
  auto& three = connect({1});
  EXPECT_EQ(three.connection().channel_count(), 1U);
}

TEST_F(SessionTest, ADeletedVhostTakesItsConnections) {
  metadata::PutVhost vhost;
  vhost.def.name = "doomed";
  apply(vhost);
  apply(metadata::PutPermission{{"guest", "doomed", ".*", ".*", ".*"}});
  auto& client = *clients_.emplace_back(
      std::make_unique<TestClient>(*broker_, "guest", FieldTable{}, amqp::ConnectionLimits{}, "doomed"));
  auto& other = connect();
  client.send(1, amqp::ChannelOpen{});
  client.send(declare_frame(1, "q"));
  client.send(declare_frame(1, "mine", true, {}, true));
  sync();
  (void)client.receive();
  client.send(publish_frame(1, {"", "q", "m"}) + publish_frame(1, {"", "mine", "m"}));
  apply(metadata::DeleteVhost{"doomed"});
  EXPECT_EQ(closed_with(client.receive()), 320);
  client.send(0, amqp::ConnectionCloseOk{});
  sync();
  EXPECT_TRUE(client.connection().finished());
  EXPECT_EQ(other.connection().state(), amqp::ConnectionState::running);
  EXPECT_EQ(broker_->vhost("doomed"), nullptr);
  clients_.clear();
}

TEST_F(SessionTest, CountsComeBackToZero) {
  for (int round = 0; round < 3; ++round) {
    auto& client = connect({1, 2, 3});
    declare(client, "q");
    consume(client, "q", "c");
    sync();
    if (round == 0) client.send(0, amqp::ConnectionClose{});
    if (round == 1) client.session().disconnected("gone");
    clients_.clear();
    sync();
  }
  EXPECT_EQ(broker_->channel_count(), 0U);
  EXPECT_TRUE(broker_->sessions().empty());
  EXPECT_EQ(broker_->vhost("/")->connections, 0U);
  EXPECT_EQ(broker_->totals.connections_created, 3U);
  EXPECT_EQ(broker_->totals.connections_closed, 3U);
  EXPECT_EQ(broker_->totals.channels_created, broker_->totals.channels_closed);
  EXPECT_EQ(broker_->queue("/", "q")->stats().consumers, 0U);
}

TEST_F(SessionTest, APipelinedCloseLosesNothing) {
  auto& client = connect();
  client.send(declare_frame(1, "q", true, {}, false, true) + publish_frame(1, {"", "q", "m"}) +
              amqp::encode_frame(0, amqp::ConnectionClose{}));
  sync();
  EXPECT_EQ(client.receive().at(0).id(), amqp::ConnectionCloseOk::kId);
  EXPECT_EQ(ready("q"), 1U);
}

TEST_F(SessionTest, StatesHaveRabbitsNames) {
  auto& client = connect();
  EXPECT_STREQ(client.session().state_name(), "running");
  client.session().close(amqp::ReplyCode::connection_forced, "operator");
  EXPECT_STREQ(client.session().state_name(), "closing");
  turn();
  EXPECT_EQ(closed_with(client.receive()), 320);
  client.send(0, amqp::ConnectionCloseOk{});
  EXPECT_STREQ(client.session().state_name(), "closed");
}

// ---- the broker itself ------------------------------------------------------------------------------

TEST_F(SessionTest, SeveralCommandsStopAtTheFirstError) {
  metadata::PutVhost vhost;
  vhost.def.name = "new";
  std::optional<Error> told;
  broker_->apply_all({vhost, metadata::DeleteVhost{"nope"}, metadata::DeleteVhost{"new"}},
                     [&](const Result<void>& r) {
                       if (!r) told = r.error();
                     });
  sync();
  ASSERT_TRUE(told);
  EXPECT_EQ(told->code, Errc::not_found);
  EXPECT_NE(broker_->vhost("new"), nullptr);
  bool done = false;
  broker_->apply_all({metadata::DeleteVhost{"new"}}, [&](const Result<void>& r) { done = bool(r); });
  EXPECT_FALSE(done) << "success is told when it is committed";
  sync();
  EXPECT_TRUE(done);
}

TEST_F(SessionTest, NamesAreRandomAndUrlSafe) {
  const std::string one = broker_->random_name("p-"), two = broker_->random_name("p-");
  EXPECT_NE(one, two);
  EXPECT_EQ(one.size(), 2 + 22U);
  EXPECT_EQ(one.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
            std::string::npos);
}

TEST_F(SessionTest, PoliciesReachQueuesThatExist) {
  auto& client = connect();
  declare(client, "q");
  for (int i = 0; i < 5; ++i) publish(client, "q", "m");
  sync();
  metadata::PolicyDef policy;
  policy.vhost = "/";
  policy.name = "short";
  policy.pattern = "^q$";
  policy.apply_to = "queues";
  policy.definition = R"({"max-length":2})";
  apply(metadata::PutPolicy{policy});
  EXPECT_EQ(ready("q"), 2U);
}

}  // namespace
}  // namespace warren::broker::test
