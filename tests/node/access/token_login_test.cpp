// What tokens allow: scopes, audience, times, names; row ids are those of the acceptance list.

#include "node/access/token_login.h"

#include "node/access/access.h"
#include "tests/node/access/token_fixture.h"

#include <boost/json/parse.hpp>
#include <gtest/gtest.h>

namespace warren::access {
namespace {

using namespace testing_keys;

constexpr std::int64_t kNow = 1'700'000'000;

const Key& issuer() {
  static const Key key = rsa_key();
  return key;
}

TokenOptions options() {
  TokenOptions out;
  out.resource_server_id = "mq";
  out.signing_keys["k"] = public_pem(issuer());
  return out;
}

/// Claims read by a verifier of these options.
Result<TokenLogin> read(std::string_view claims, const TokenOptions& with = options()) {
  return (*TokenVerifier::make(with))->read_claims(boost::json::parse({claims.data(), claims.size()}).as_object(), kNow);
}

TEST(WildcardTest, ACC12_stars_stand_for_any_characters) {
  const auto matches = [](std::string_view pattern, std::string_view text) {
    const auto parsed = Wildcard::parse(pattern);
    return parsed && parsed->matches(text);
  };
  for (const auto& [pattern, text] : std::vector<std::pair<const char*, const char*>>{
           {"*", ""}, {"*", "any"}, {"**", "any"}, {"abc", "abc"}, {"a*", "a"}, {"a*", "abc"}, {"*c", "abc"},
           {"*c", "cc"}, {"a*c", "ac"}, {"a*c", "abc.abc"}, {"*b*", "abc"}, {"a*b*c", "a1b2b3c"}, {"", ""},
           {"%2F", "/"}, {"%2fx*", "/xy"}, {"a+b", "a b"}, {"%2A", "*"}, {"*ab", "aab"}, {"a**b", "ab"}})
    EXPECT_TRUE(matches(pattern, text)) << pattern << ' ' << text;
  for (const auto& [pattern, text] : std::vector<std::pair<const char*, const char*>>{
           {"abc", "abcd"}, {"abc", "ab"}, {"a*", "ba"}, {"*c", "cb"}, {"a*c", "a"}, {"aa*a", "aa"}, {"", "x"},
           {"%2A", "x"}, {"%", "%"}, {"%2", "%2"}, {"%zz", "%zz"}, {"a*b*c", "acb"}, {"*ab*ab", "xab"}})
    EXPECT_FALSE(matches(pattern, text)) << pattern << ' ' << text;
}

TEST(ScopeTest, ACC12_forms) {
  for (const char* good : {"read:*/*", "write:vhost/name", "configure:%2F/q*", "read:a/b/c", "write:*/*/*", "read:/",
                           "read://"})
    EXPECT_TRUE(parse_scope(good)) << good;
  for (const char* bad : {"", "read", "read:", "read:*", "reads:*/*", "read:a/b/c/d", "tag:administrator", "READ:*/*",
                          "read:%/x", "read:x/%4", "read:x/y/%4"})
    EXPECT_FALSE(parse_scope(bad)) << bad;
}

TEST(TokenLoginTest, ACC12_scopes_are_permissions) {
  const auto login = read(R"({"aud":"mq","sub":"me","scope":"mq.read:v*/q1 mq.write:v1/x/a.* mq.configure:*/* openid other.read:*/*"})");
  ASSERT_TRUE(login) << login.error().text;
  EXPECT_EQ(login->user, "me");
  EXPECT_TRUE(login->tags.empty());
  EXPECT_TRUE(login->enters("v2"));
  EXPECT_TRUE(login->can("v2", Permission::read, "q1"));
  EXPECT_FALSE(login->can("v2", Permission::read, "q2"));
  EXPECT_FALSE(login->can("v2", Permission::write, "x"));
  EXPECT_TRUE(login->can("v1", Permission::write, "x"));
  EXPECT_TRUE(login->can("elsewhere", Permission::configure, "anything"));
  EXPECT_TRUE(login->can_use_topic("v1", "x", "a.b", Permission::write));
  EXPECT_FALSE(login->can_use_topic("v1", "x", "b", Permission::write));
  EXPECT_FALSE(login->can_use_topic("v1", "q1", "b", Permission::read));  // asked RabbitMQ 3.10.8: no key, no topic
}

TEST(TokenLoginTest, ACC12_without_scopes_nothing_is_allowed) {
  const auto login = read(R"({"aud":["x","mq"]})");
  ASSERT_TRUE(login);
  EXPECT_FALSE(login->enters("/"));
  EXPECT_FALSE(login->can("/", Permission::read, "q"));
}

TEST(TokenLoginTest, ACC12_tags) {
  const auto login = read(R"({"aud":"mq","scope":["mq.tag:management","mq.tag:administrator","tag:monitoring","mq.tag:management"]})");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->tags, (std::vector<std::string>{"administrator", "management"}));
}

TEST(TokenLoginTest, ACC12_audience) {
  for (const char* wrong : {R"({})", R"({"aud":"other"})", R"({"aud":["a","b"]})", R"({"aud":7})", R"({"aud":"mq2"})"})
    EXPECT_FALSE(read(wrong)) << wrong;
  EXPECT_TRUE(read(R"({"aud":"a mq b"})"));
  TokenOptions loose = options();
  loose.verify_audience = false;
  EXPECT_TRUE(read(R"({"aud":"other"})", loose));
  loose.verify_audience = true;
  loose.resource_server_id.clear();
  const auto login = read(R"({"scope":"read:*/*"})", loose);
  ASSERT_TRUE(login);
  EXPECT_TRUE(login->can("/", Permission::read, "q"));
}

TEST(TokenLoginTest, CON32_times) {
  EXPECT_FALSE(read(R"({"aud":"mq","exp":1700000000})"));  // just over
  const auto login = read(R"({"aud":"mq","exp":1700000001})");
  ASSERT_TRUE(login);
  EXPECT_EQ(login->expires_s, kNow + 1);
  EXPECT_FALSE(read(R"({"aud":"mq"})")->expires_s);
  EXPECT_EQ(read(R"({"aud":"mq","exp":1700000005.9})")->expires_s, kNow + 5);
  for (const char* bad : {R"({"aud":"mq","exp":"never"})", R"({"aud":"mq","exp":null})", R"({"aud":"mq","exp":1e300})",
                          R"({"aud":"mq","exp":18446744073709551615})", R"({"aud":"mq","nbf":1700000100})"})
    EXPECT_FALSE(read(bad)) << bad;
  EXPECT_TRUE(read(R"({"aud":"mq","nbf":1700000059})"));
}

TEST(TokenLoginTest, ACC12_names) {
  EXPECT_EQ(read(R"({"aud":"mq","sub":"s","client_id":"c"})")->user, "c");
  EXPECT_EQ(read(R"({"aud":"mq","sub":"s","client_id":""})")->user, "s");
  EXPECT_EQ(read(R"({"aud":"mq","client_id":5})")->user, "unknown");
  TokenOptions with = options();
  with.username_claims = {"user_name", "who.mail"};
  EXPECT_EQ(read(R"({"aud":"mq","sub":"s","who":{"mail":"m"}})", with)->user, "m");
  EXPECT_EQ(read(R"({"aud":"mq","sub":"s","who":{"mail":"m"},"user_name":"u"})", with)->user, "u");
}

TEST(TokenLoginTest, ACC12_scopes_from_other_claims) {
  TokenOptions with = options();
  with.additional_scopes_key = "roles realm.access";
  const auto allows = [&](std::string_view claims) {
    const auto login = read(claims, with);
    return login && login->can("v", Permission::read, "q");
  };
  EXPECT_TRUE(allows(R"({"aud":"mq","roles":"mq.read:v/q"})"));
  EXPECT_TRUE(allows(R"({"aud":"mq","roles":["mq.read:v/q"]})"));
  EXPECT_TRUE(allows(R"({"aud":"mq","roles":{"mq":["read:v/q"]}})"));
  EXPECT_TRUE(allows(R"({"aud":"mq","roles":{"mq":"x read:v/q"}})"));
  EXPECT_TRUE(allows(R"({"aud":"mq","realm":{"access":"mq.read:v/q"}})"));
  EXPECT_TRUE(allows(R"({"aud":"mq","authorization":{"permissions":[1,{"scopes":["mq.read:v/q"]}]}})"));
  EXPECT_FALSE(allows(R"({"aud":"mq","roles":{"other":["read:v/q"]}})"));
  EXPECT_FALSE(allows(R"({"aud":"mq","roles":["read:v/q"]})"));
  EXPECT_FALSE(allows(R"({"aud":"mq","scope":{"mq":"read:v/q"}})"));
  with.scope_aliases["reader"] = {"mq.read:v/q", "reader2"};
  with.scope_aliases["reader2"] = {"mq.read:w/q"};
  EXPECT_TRUE(allows(R"({"aud":"mq","scope":"reader"})"));
  EXPECT_FALSE(read(R"({"aud":"mq","scope":"reader"})", with)->enters("w"));
  with.scope_prefix = "";
  EXPECT_TRUE(allows(R"({"aud":"mq","scope":"read:v/q"})"));
}

TEST(TokenVerifierTest, ACC12_signatures_and_keys) {
  const auto verifier = *TokenVerifier::make(options());
  const char* claims = R"({"aud":"mq","sub":"me","scope":"mq.read:*/*"})";
  EXPECT_TRUE(verifier->verify(token(issuer(), claims), kNow));
  const auto why = [&](const std::string& bad) {
    const auto refused = verifier->verify(bad, kNow);
    EXPECT_FALSE(refused) << bad;
    return refused ? std::string() : refused.error().text;
  };
  EXPECT_NE(why(token(rsa_key(), claims)).find("signature"), std::string::npos);
  EXPECT_NE(why(token(issuer(), claims, ",\"kid\":\"other\"")).find("not known"), std::string::npos);
  EXPECT_NE(why(token(issuer(), claims, "")).find("no default key"), std::string::npos);
  EXPECT_NE(why(unsigned_token("none", claims, ",\"kid\":\"k\"") + ".").find("signature"), std::string::npos);
  EXPECT_FALSE(why("").empty());
  EXPECT_FALSE(why("secret").empty());
  const std::string good = token(issuer(), claims);
  const std::string other = token(issuer(), R"({"aud":"mq","sub":"admin"})");
  // The claims of one with the signature of the other.
  why(other.substr(0, other.rfind('.')) + good.substr(good.rfind('.')));
  TokenOptions with = options();
  with.default_key = "k";
  EXPECT_TRUE((*TokenVerifier::make(with))->verify(token(issuer(), claims, ""), kNow));
  with.algorithms = {"PS256"};
  EXPECT_FALSE((*TokenVerifier::make(with))->verify(good, kNow));
}

TEST(TokenVerifierTest, OptionsThatCannotBe) {
  TokenOptions bad = options();
  bad.default_key = "none";
  EXPECT_FALSE(TokenVerifier::make(bad));
  bad = options();
  bad.algorithms = {"HS256"};
  EXPECT_FALSE(TokenVerifier::make(bad));
  bad = options();
  bad.signing_keys["x"] = "text";
  EXPECT_NE(TokenVerifier::make(bad).error().text.find("'x'"), std::string::npos);
}

class TokenAccessTest : public ::testing::Test {
 protected:
  TokenAccessTest() {
    metadata::PutVhost vhost;
    vhost.def.name = "/";
    EXPECT_TRUE(catalogue.apply(vhost));
    metadata::PutUser put;
    put.def.name = "me";
    put.def.hashing_algorithm = kDefaultHashing_;
    put.def.tags = {"administrator"};
    EXPECT_TRUE(catalogue.apply(put));
    EXPECT_TRUE(catalogue.apply(metadata::PutPermission{{"me", "/", ".*", ".*", ".*"}}));
  }
  AccessOptions both() const {
    AccessOptions out;
    out.backends = {Backend::internal, Backend::oauth2};
    out.tokens = *TokenVerifier::make(options());
    return out;
  }
  static constexpr const char* kDefaultHashing_ = "rabbit_password_hashing_sha256";
  metadata::Catalogue catalogue;
};

TEST_F(TokenAccessTest, ACC11_rights_come_from_the_token_alone) {
  Access access(catalogue, both());
  const std::string text = token(issuer(), R"({"aud":"mq","sub":"me","scope":"mq.read:%2F/q mq.tag:monitoring"})");
  const auto who = access.authenticate("whoever", text, false, kNow);
  ASSERT_TRUE(who) << who.error().text;
  EXPECT_EQ(who->name, "me");
  EXPECT_TRUE(access.can_access_vhost(*who, "/"));
  EXPECT_FALSE(access.can_access_vhost(*who, "v"));
  EXPECT_TRUE(access.require(*who, "/", Permission::read, ResourceKind::queue, "q"));
  const auto refused = access.require(*who, "/", Permission::write, ResourceKind::exchange, "");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, "write access to exchange 'amq.default' in vhost '/' refused for user 'me'");
  EXPECT_FALSE(access.can_use_topic(*who, "/", "amq.topic", "k", Permission::write));
  EXPECT_EQ(access.tags(*who), std::vector<std::string>{"monitoring"});
  EXPECT_TRUE(access.can("me", "/", Permission::write, "q"));  // the catalogue's user of that name
}

TEST_F(TokenAccessTest, CON08_loopback_users_also_by_token) {
  Access access(catalogue, both());
  const std::string text = token(issuer(), R"({"aud":"mq","sub":"guest"})");
  EXPECT_TRUE(access.authenticate("", text, true, kNow));
  EXPECT_EQ(access.authenticate("", text, false, kNow).error().code, Errc::permission_denied);
}

TEST_F(TokenAccessTest, ACC11_backends_that_are_not_set_let_nobody_in) {
  const std::string text = token(issuer(), R"({"aud":"mq","sub":"me"})");
  EXPECT_FALSE(Access(catalogue).authenticate("me", text, true, kNow));
  AccessOptions only = both();
  only.backends = {Backend::oauth2};
  Access access(catalogue, only);
  EXPECT_TRUE(access.authenticate("me", text, true, kNow));
  EXPECT_FALSE(access.authenticate(SaslClaim{"me", {}}, true, kNow));
  EXPECT_FALSE(access.authenticate("me", "", true, kNow));
}

TEST_F(TokenAccessTest, CON31_renewal) {
  Access access(catalogue, both());
  const auto me = *access.authenticate("", token(issuer(), R"({"aud":"mq","sub":"me","exp":1700000010})"), true, kNow);
  const auto next = access.renew(me, token(issuer(), R"({"aud":"mq","sub":"me","exp":1700000090})"), kNow + 5);
  ASSERT_TRUE(next) << next.error().text;
  EXPECT_EQ(next->token->expires_s, kNow + 90);
  EXPECT_FALSE(access.renew(me, token(issuer(), R"({"aud":"mq","sub":"me","exp":1700000004})"), kNow + 5));
  EXPECT_EQ(access.renew(me, token(issuer(), R"({"aud":"mq","sub":"you"})"), kNow).error().code, Errc::permission_denied);
  EXPECT_FALSE(access.renew(me, "password", kNow));
  EXPECT_TRUE(access.renew(Identity("me"), "any password", kNow));  // asked RabbitMQ 3.10.8
}

}  // namespace
}  // namespace warren::access
