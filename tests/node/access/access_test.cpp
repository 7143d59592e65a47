// Logins, permissions, topic permissions and limits; row ids are those of the acceptance list.

#include "node/access/access.h"

#include "node/access/passwords.h"

#include <gtest/gtest.h>

namespace warren::access {
namespace {

class AccessTest : public testing::Test {
 protected:
  AccessTest() {
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    apply(vhost);
    for (const char* name : {"guest", "u", "nopass"}) {
      metadata::PutUser put;
      put.def.name = name;
      put.def.hashing_algorithm = kDefaultHashing;
      if (std::string_view(name) != "nopass")
        put.def.password_hash =
            *hash_password(kDefaultHashing, "secret", [](auto salt) { salt[0] = 7; });
      if (std::string_view(name) == "guest") put.def.tags = {"administrator", "impersonator"};
      apply(put);
    }
  }
  void apply(const metadata::Command& command) {
    auto done = catalogue.apply(command);
    ASSERT_TRUE(done) << done.error().text;
  }
  void permit(const char* configure, const char* write, const char* read) {
    apply(metadata::PutPermission{{"u", "/", configure, write, read}});
  }

  metadata::Catalogue catalogue;
  Access access{catalogue};
};

TEST_F(AccessTest, CON07_login) {
  const auto user = access.authenticate("u", "secret", false, 0);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->name, "u");
  for (const auto& [name, password] : std::vector<std::pair<const char*, const char*>>{
           {"u", "wrong"}, {"u", ""}, {"nobody", "secret"}, {"nopass", ""}, {"nopass", "secret"},
           {"", ""}}) {
    const auto refused = access.authenticate(name, password, true, 0);
    ASSERT_FALSE(refused) << name;
    EXPECT_EQ(refused.error().code, Errc::unauthenticated);
  }
  EXPECT_EQ(access.authenticate("u", "wrong", true, 0).error().text, "user 'u' - invalid credentials");
}

TEST_F(AccessTest, CON08_loopback_users_stay_local) {
  EXPECT_TRUE(access.authenticate("guest", "secret", true, 0));
  EXPECT_EQ(access.authenticate("guest", "secret", false, 0).error().code, Errc::permission_denied);
  EXPECT_EQ(access.authenticate("guest", "wrong", false, 0).error().code, Errc::unauthenticated);
  EXPECT_EQ(access.authenticate(SaslClaim{"guest", {}}, false, 0).error().code,
            Errc::permission_denied);
  EXPECT_TRUE(access.authenticate(SaslClaim{"u", {}}, false, 0));
  Access open(catalogue, AccessOptions{{}});
  EXPECT_TRUE(open.authenticate("guest", "secret", false, 0));
}

TEST_F(AccessTest, ACC04_patterns_are_searched_and_empty_allows_nothing) {
  EXPECT_FALSE(access.can_access_vhost("u", "/"));
  EXPECT_FALSE(access.can("u", "/", Permission::read, "q"));
  permit("^c", "w", "");
  EXPECT_TRUE(access.can_access_vhost("u", "/"));
  EXPECT_TRUE(access.can("u", "/", Permission::configure, "c1"));
  EXPECT_FALSE(access.can("u", "/", Permission::configure, "xc"));
  EXPECT_TRUE(access.can("u", "/", Permission::write, "xwx"));
  EXPECT_FALSE(access.can("u", "/", Permission::read, "c1"));
  EXPECT_FALSE(access.can("u", "/other", Permission::configure, "c1"));
  EXPECT_FALSE(access.can("nobody", "/", Permission::configure, "c1"));
}

TEST_F(AccessTest, ACC04_lookahead_works_and_default_exchange_has_a_name) {
  permit("^(?!amq\\.).*", "^amq\\.default$", ".*");
  EXPECT_TRUE(access.can("u", "/", Permission::configure, "orders"));
  EXPECT_FALSE(access.can("u", "/", Permission::configure, "amq.gen-x"));
  EXPECT_TRUE(access.can("u", "/", Permission::write, ""));
  EXPECT_FALSE(access.can("u", "/", Permission::write, "amq.topic"));
  EXPECT_TRUE(access.can("u", "/", Permission::read, ""));
}

TEST_F(AccessTest, ACC06_texts) {
  permit("", "", "");
  EXPECT_EQ(access.require("u", "/", Permission::read, ResourceKind::queue, "q").error().text,
            "read access to queue 'q' in vhost '/' refused for user 'u'");
  EXPECT_EQ(access.require("u", "/", Permission::write, ResourceKind::exchange, "").error().text,
            "write access to exchange 'amq.default' in vhost '/' refused for user 'u'");
}

TEST_F(AccessTest, changes_are_seen_at_once) {
  permit(".*", ".*", ".*");
  EXPECT_TRUE(access.can("u", "/", Permission::read, "q"));
  permit(".*", ".*", "^a");
  EXPECT_FALSE(access.can("u", "/", Permission::read, "q"));
}

TEST_F(AccessTest, ACC07_topic_permissions) {
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", "any.key", Permission::write));
  apply(metadata::PutTopicPermission{{"u", "/", "amq.topic", "^a", "^{username}-{vhost}-{client_id}$"}});
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", "a.b", Permission::write));
  EXPECT_FALSE(access.can_use_topic("u", "/", "amq.topic", "b.a", Permission::write));
  EXPECT_TRUE(access.can_use_topic("u", "/", "other", "b.a", Permission::write));
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", "u-/-c1", Permission::read, {"c1"}));
  EXPECT_FALSE(access.can_use_topic("u", "/", "amq.topic", "u-/-c2", Permission::read, {"c1"}));
  EXPECT_EQ(access.require_topic("u", "/", "amq.topic", "b.c", Permission::write).error().text,
            "access to topic 'b.c' in exchange 'amq.topic' in vhost '/' refused for user 'u'");
}

TEST_F(AccessTest, ACC07_a_client_id_is_text_not_a_pattern) {
  apply(metadata::PutTopicPermission{{"u", "/", "amq.topic", "^{client_id}$", ""}});
  EXPECT_FALSE(access.can_use_topic("u", "/", "amq.topic", "secret", Permission::write, {".*"}));
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", ".*", Permission::write, {".*"}));
  EXPECT_FALSE(access.can_use_topic("u", "/", "amq.topic", "x", Permission::write, {"a|x"}));
  const std::string odd("a\\E.{vhost}\0b", 13);
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", odd, Permission::write, {odd}));
  EXPECT_FALSE(access.can_use_topic("u", "/", "amq.topic", "key", Permission::read));
  EXPECT_TRUE(access.can_use_topic("u", "/", "amq.topic", "", Permission::read));
}

TEST_F(AccessTest, PUB_user_id_must_be_the_sender_or_the_sender_an_impersonator) {
  EXPECT_TRUE(access.check_user_id("u", "u"));
  EXPECT_EQ(access.check_user_id("u", "other").error().text,
            "user_id property set to 'other' but authenticated user was 'u'");
  EXPECT_TRUE(access.check_user_id("guest", "other"));
}

TEST_F(AccessTest, CON16_ACC13_ACC14_limits) {
  EXPECT_TRUE(access.check_user_connections("u", 1000000));
  metadata::PutUser user;
  user.def.name = "u";
  user.def.limits = {{"max-connections", 1}, {"max-channels", 0}};
  apply(user);
  EXPECT_TRUE(access.check_user_connections("u", 0));
  EXPECT_EQ(access.check_user_connections("u", 1).error().text,
            "connection refused for user 'u': user connection limit (1) is reached");
  EXPECT_EQ(access.check_user_channels("u", 0).error().text,
            "number of channels opened for user 'u' has reached the maximum allowed user limit of "
            "(0)");
  metadata::PutVhost vhost;
  vhost.def.name = "/";
  vhost.def.limits = {{"max-connections", 2}};
  apply(vhost);
  EXPECT_TRUE(access.check_vhost_connections("u", "/", 1));
  EXPECT_EQ(access.check_vhost_connections("u", "/", 2).error().text,
            "access to vhost '/' refused for user 'u': connection limit (2) is reached");
  vhost.def.limits = {{"max-connections", -1}};
  apply(vhost);
  EXPECT_TRUE(access.check_vhost_connections("u", "/", 1000));
  EXPECT_TRUE(check_limit_names("user", {{"max-channels", 1}}));
  EXPECT_FALSE(check_limit_names("user", {{"max-queues", 1}}));
  EXPECT_FALSE(check_limit_names("vhost", {{"max-channels", 1}}));
}

TEST_F(AccessTest, ACC03_tags) {
  EXPECT_TRUE(access.has_tag("guest", "administrator"));
  EXPECT_FALSE(access.has_tag("u", "administrator"));
  EXPECT_EQ(access.tags("guest").size(), 2u);
  EXPECT_TRUE(access.tags("nobody").empty());
}

}  // namespace
}  // namespace warren::access
