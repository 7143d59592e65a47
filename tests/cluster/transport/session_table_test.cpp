#include "cluster/transport/session_table.h"

#include "tests/cluster/transport/support.h"

namespace warren::transport {
namespace {

class SessionTableTest : public ::testing::Test {
 protected:
  SessionTable make(SessionLimits limits = {}) {
    return SessionTable({cookie_of("RIGHTRIGHTRIGHTRIGHT")}, identity("rabbit@s"), clock_, log_,
                        limits);
  }

  struct Held {
    Transcript transcript;
    std::string cookie;
    std::string proof() const { return client_proof(cookie, transcript); }
  };

  Result<Held> greet(SessionTable& table, const std::string& cookie = "RIGHTRIGHTRIGHTRIGHT",
                     const std::string& address = "10.0.0.1") {
    Held held;
    held.cookie = cookie;
    held.transcript.client = identity("rabbit@c");
    held.transcript.client_nonce = std::string(kNonceBytes, static_cast<char>('a' + count_++ % 26));
    const auto answer =
        table.hello(address, held.transcript.client, held.transcript.client_nonce, "0badf00d");
    if (!answer) return answer.error();
    held.transcript.server = answer->server;
    held.transcript.server_nonce = answer->nonce;
    held.transcript.session_id = answer->session_id;
    held.transcript.version = answer->version;
    return held;
  }

  ManualClock clock_;
  MemoryLogger log_;
  int count_{0};
};

TEST_F(SessionTableTest, TheRightCookieOpensASessionAndTheServerProvesItself) {
  SessionTable table = make();
  const auto held = greet(table);
  ASSERT_TRUE(held);
  const auto proof = table.prove("10.0.0.1", held->transcript.session_id, held->proof());
  ASSERT_TRUE(proof) << proof.error().text;
  EXPECT_EQ(*proof, server_proof("RIGHTRIGHTRIGHTRIGHT", held->transcript, held->proof()));
  EXPECT_EQ(table.session_count(), 1u);
}

TEST_F(SessionTableTest, AWrongCookieIsRefusedLoggedAndShowsBothFingerprints) {
  SessionTable table = make();
  const auto held = greet(table, "WRONGWRONGWRONGWRONG");
  const auto proof = table.prove("10.0.0.1", held->transcript.session_id, held->proof());
  ASSERT_FALSE(proof);
  EXPECT_EQ(proof.error().code, Errc::unauthenticated);
  const std::string mine = cookie_of("RIGHTRIGHTRIGHTRIGHT").fingerprint();
  EXPECT_NE(proof.error().text.find(mine), std::string::npos);
  EXPECT_NE(proof.error().text.find("0badf00d"), std::string::npos);
  EXPECT_NE(log_.lines().find("connection attempt from disallowed node: peer=rabbit@c"),
            std::string::npos);
  EXPECT_NE(log_.lines().find(mine), std::string::npos);
  EXPECT_EQ(log_.lines().find("RIGHTRIGHT"), std::string::npos);
  EXPECT_EQ(table.session_count(), 0u);
}

TEST_F(SessionTableTest, AHandshakeProvesOnceOnly) {
  SessionTable table = make();
  const auto held = greet(table);
  ASSERT_TRUE(table.prove("10.0.0.1", held->transcript.session_id, held->proof()));
  EXPECT_EQ(table.prove("10.0.0.1", held->transcript.session_id, held->proof()).error().code,
            Errc::not_found);
  const auto second = greet(table);
  EXPECT_FALSE(table.prove("10.0.0.1", second->transcript.session_id, held->proof()))
      << "an old proof";
}

TEST_F(SessionTableTest, ALateProofIsRefused) {
  SessionTable table = make();
  const auto held = greet(table);
  clock_.advance(10'001);
  EXPECT_EQ(table.prove("10.0.0.1", held->transcript.session_id, held->proof()).error().code,
            Errc::not_found);
}

TEST_F(SessionTableTest, CallsNeedTheirProofAndAreTakenOnce) {
  SessionTable table = make();
  const auto held = greet(table);
  ASSERT_TRUE(table.prove("10.0.0.1", held->transcript.session_id, held->proof()));
  const std::string& id = held->transcript.session_id;
  const std::string key = session_key("RIGHTRIGHTRIGHTRIGHT", held->transcript);
  const auto call = [&](std::uint64_t counter, const std::string& args, const std::string& proof) {
    return static_cast<bool>(table.authorise(id, counter, proof, "list_queues", args));
  };
  EXPECT_TRUE(call(1, "{}", call_proof(key, id, 1, "list_queues", "{}")));
  EXPECT_FALSE(call(1, "{}", call_proof(key, id, 1, "list_queues", "{}"))) << "replay";
  EXPECT_FALSE(call(2, "{\"x\":1}", call_proof(key, id, 2, "list_queues", "{}")))
      << "other arguments";
  EXPECT_FALSE(call(2, "{}", call_proof(key, id, 2, "stop", "{}"))) << "other method";
  EXPECT_FALSE(call(2, "{}", ""));
  EXPECT_TRUE(call(2, "{}", call_proof(key, id, 2, "list_queues", "{}")))
      << "a failed try burns no counter";
  EXPECT_FALSE(table.authorise("unknown", 3, "x", "list_queues", "{}"));
  clock_.advance(900'001);
  EXPECT_FALSE(call(3, "{}", call_proof(key, id, 3, "list_queues", "{}"))) << "idle too long";
}

TEST_F(SessionTableTest, FailuresAreRateLimitedPerAddress) {
  SessionTable table = make();
  for (int i = 0; i < 10; ++i) {
    const auto held = greet(table, "WRONGWRONGWRONGWRONG");
    ASSERT_TRUE(held) << i;
    EXPECT_FALSE(table.prove("10.0.0.1", held->transcript.session_id, held->proof()));
  }
  EXPECT_EQ(greet(table).error().code, Errc::exhausted);
  EXPECT_TRUE(greet(table, "RIGHTRIGHTRIGHTRIGHT", "10.0.0.2")) << "others are not held back";
  clock_.advance(500);
  const auto held = greet(table, "WRONGWRONGWRONGWRONG");
  ASSERT_TRUE(held) << "one more try after a moment";
  EXPECT_FALSE(table.prove("10.0.0.1", held->transcript.session_id, held->proof()));
  EXPECT_EQ(greet(table).error().code, Errc::exhausted) << "and only one";
  clock_.advance(5'000);
  EXPECT_TRUE(greet(table));
}

TEST_F(SessionTableTest, EveryTableIsBounded) {
  SessionLimits limits;
  limits.pending_max = 4;
  limits.sessions_max = 3;
  SessionTable table = make(limits);
  const auto first = greet(table);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(greet(table));
  EXPECT_EQ(table.prove("10.0.0.1", first->transcript.session_id, first->proof()).error().code,
            Errc::not_found);
  for (int i = 0; i < 10; ++i) {
    const auto held = greet(table);
    ASSERT_TRUE(table.prove("10.0.0.1", held->transcript.session_id, held->proof()));
  }
  EXPECT_EQ(table.session_count(), 3u);
}

TEST_F(SessionTableTest, TwoCookiesAreAcceptedWhileRotating) {
  SessionTable table = make();
  table.set_cookies({cookie_of("NEWNEWNEWNEWNEWNEW"), cookie_of("RIGHTRIGHTRIGHTRIGHT")});
  for (const char* secret : {"NEWNEWNEWNEWNEWNEW", "RIGHTRIGHTRIGHTRIGHT"}) {
    const auto held = greet(table, secret);
    const auto proof = table.prove("10.0.0.1", held->transcript.session_id, held->proof());
    ASSERT_TRUE(proof);
    EXPECT_EQ(*proof, server_proof(secret, held->transcript, held->proof()));
  }
}

TEST_F(SessionTableTest, MalformedHellosAreRefused) {
  SessionTable table = make();
  EXPECT_EQ(table.hello("a", identity(""), std::string(32, 'n'), "").error().code,
            Errc::invalid_argument);
  EXPECT_EQ(table.hello("a", identity("x"), "short", "").error().code, Errc::invalid_argument);
  PeerIdentity future = identity("x");
  future.version_min = future.version_max = 99;
  EXPECT_EQ(table.hello("a", future, std::string(32, 'n'), "").error().code, Errc::unsupported);
  const auto odd = table.hello("b", identity("x"), std::string(32, 'n'), "line\nbreak \"quoted\"");
  ASSERT_TRUE(odd);
  EXPECT_FALSE(table.prove("b", odd->session_id, "nonsense"));
  EXPECT_NE(log_.lines().find("peer_fingerprint=unknown"), std::string::npos);
}

}  // namespace
}  // namespace warren::transport
