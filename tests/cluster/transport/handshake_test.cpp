#include <limits>
#include <set>

#include "cluster/transport/crypto.h"
#include "tests/cluster/transport/support.h"

namespace warren::transport {
namespace {

Transcript sample() {
  Transcript t;
  t.client = identity("ctl@a", "ctl");
  t.server = identity("rabbit@b");
  t.client_nonce = std::string(32, 'c');
  t.server_nonce = std::string(32, 's');
  t.session_id = std::string(16, 'i');
  t.version = 1;
  return t;
}

TEST(HandshakeTest, HmacMatchesRfc4231) {
  EXPECT_EQ(to_hex(hmac_sha256(std::string(20, '\x0b'), "Hi There")),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
}

TEST(HandshakeTest, EveryFieldChangesTheProofs) {
  std::set<std::string> proofs;
  const auto add = [&](const Transcript& t) { proofs.insert(client_proof("k", t)); };
  Transcript t = sample();
  add(t);
  const auto changed = [&](auto change) {
    Transcript other = sample();
    change(other);
    add(other);
  };
  changed([](Transcript& o) { o.client.node_name = "ctl@b"; });
  changed([](Transcript& o) { o.client.role = "node"; });
  changed([](Transcript& o) { o.client.node_id = std::string(16, 'n'); });
  changed([](Transcript& o) { o.client.version_max = 2; });
  changed([](Transcript& o) { o.client.wall_clock_ms = 5; });
  changed([](Transcript& o) { o.server.node_name = "rabbit@c"; });
  changed([](Transcript& o) { o.server.cluster_id = "x"; });
  changed([](Transcript& o) { o.client_nonce[0] = 'x'; });
  changed([](Transcript& o) { o.server_nonce[31] = 'x'; });
  changed([](Transcript& o) { o.session_id[3] = 'x'; });
  changed([](Transcript& o) { o.version = 2; });
  changed([](Transcript& o) { o.channel_binding = "tls"; });
  changed([](Transcript& o) { std::swap(o.client, o.server); });
  EXPECT_EQ(proofs.size(), 14u);
  EXPECT_NE(client_proof("k", t), client_proof("j", t));
}

TEST(HandshakeTest, ProofsAndKeysAreNotInterchangeable) {
  const Transcript t = sample();
  const std::string client = client_proof("k", t);
  std::set<std::string> all{client, server_proof("k", t, client), session_key("k", t),
                            call_proof(session_key("k", t), t.session_id, 1, "m", "{}")};
  EXPECT_EQ(all.size(), 4u);
}

TEST(HandshakeTest, FieldsCannotFlowIntoOneAnother) {
  Transcript a = sample();
  Transcript b = sample();
  a.client.node_name = "ab";
  a.client.node_id = "";
  b.client.node_name = "a";
  b.client.node_id = "b";
  EXPECT_NE(a.encode(), b.encode());
}

TEST(HandshakeTest, CallProofBindsAllOfTheCall) {
  const std::string base = call_proof("key", "sid", 1, "m", "{}");
  EXPECT_NE(base, call_proof("key", "sid", 2, "m", "{}"));
  EXPECT_NE(base, call_proof("key", "sie", 1, "m", "{}"));
  EXPECT_NE(base, call_proof("key", "sid", 1, "n", "{}"));
  EXPECT_NE(base, call_proof("key", "sid", 1, "m", "{ }"));
  EXPECT_NE(base, call_proof("kez", "sid", 1, "m", "{}"));
}

TEST(HandshakeTest, VersionIsTheHighestCommonOne) {
  PeerIdentity mine = identity("a");
  PeerIdentity theirs = identity("b");
  mine.version_min = 1, mine.version_max = 4, theirs.version_min = 2, theirs.version_max = 3;
  EXPECT_EQ(*agree_version(mine, theirs), 3u);
  theirs.version_min = 5, theirs.version_max = 9;
  const auto none = agree_version(mine, theirs);
  ASSERT_FALSE(none);
  EXPECT_NE(none.error().text.find("a speaks 1 to 4, b speaks 5 to 9"), std::string::npos);
}

TEST(HandshakeTest, NodesOfTwoClustersAreKeptApart) {
  PeerIdentity mine = identity("rabbit@a");
  PeerIdentity theirs = identity("rabbit@b");
  mine.cluster_id = "one";
  EXPECT_TRUE(check_cluster(mine, theirs));
  theirs.cluster_id = "two";
  const auto wrong = check_cluster(mine, theirs);
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().text.find("one"), std::string::npos);
  EXPECT_NE(wrong.error().text.find("two"), std::string::npos);
  theirs.role = "ctl";
  EXPECT_TRUE(check_cluster(mine, theirs));
}

TEST(HandshakeTest, MalformedIdentitiesAreRefused) {
  EXPECT_TRUE(check_identity(identity("rabbit@a")));
  EXPECT_FALSE(check_identity(identity("")));
  EXPECT_FALSE(check_identity(identity(std::string(256, 'a'))));
  EXPECT_FALSE(check_identity(identity("a\nb")));
  EXPECT_FALSE(check_identity(identity("a", "king")));
  PeerIdentity odd = identity("a");
  odd.node_id = "short";
  EXPECT_FALSE(check_identity(odd));
  odd = identity("a");
  odd.version_min = 3;
  odd.version_max = 2;
  EXPECT_FALSE(check_identity(odd));
}

TEST(CounterWindowTest, EachCounterOnceAndNotTooLate) {
  CounterWindow window;
  EXPECT_FALSE(window.accept(0));
  EXPECT_TRUE(window.accept(1));
  EXPECT_FALSE(window.accept(1));
  EXPECT_TRUE(window.accept(5));
  EXPECT_TRUE(window.accept(3));
  EXPECT_FALSE(window.accept(3));
  EXPECT_TRUE(window.accept(100));
  EXPECT_TRUE(window.accept(37));
  EXPECT_FALSE(window.accept(36));
  EXPECT_FALSE(window.accept(5));
  EXPECT_TRUE(window.accept(UINT64_MAX));
}

TEST(ClockWarning, any_number_is_a_date) {
  constexpr std::int64_t kNow = 1'700'000'000'000;
  EXPECT_FALSE(clock_warning("a", kNow, "b", kNow + 1));
  for (const std::int64_t other : {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1},
                                   std::numeric_limits<std::int64_t>::max()}) {
    const auto text = clock_warning("a", kNow, "b", other);
    ASSERT_TRUE(text);
    EXPECT_NE(text->find(other < 0 ? "1970-01-01T00:00:00Z" : "9999-12-31T23:59:59Z"), std::string::npos) << *text;
  }
}

}  // namespace
}  // namespace warren::transport
