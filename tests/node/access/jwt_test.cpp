// Tokens taken apart and proven: every algorithm, and every way to pass one off as another.

#include "node/access/jwt.h"

#include "tests/node/access/token_fixture.h"

#include <gtest/gtest.h>

namespace warren::access {
namespace {

using namespace testing_keys;

SigningKey public_half(const Key& key) { return *SigningKey::from_pem(public_pem(key)); }

TEST(Base64UrlTest, BytesAndBack) {
  for (const std::string& bytes : {std::string(), std::string("\0", 1), std::string("ab"), std::string("\xff\xfe\xfd"),
                                   std::string("\xfb\xef\xbe\xff")}) {
    const auto back = from_base64url(base64url(bytes));
    ASSERT_TRUE(back);
    EXPECT_EQ(*back, bytes);
  }
  for (const char* bad : {"A", "AB", "AAB", "AA==", "a+b/", "AA A", "=", "AAAAA", "A\n"})
    EXPECT_FALSE(from_base64url(bad)) << bad;  // "AB": bits that no byte has
}

TEST(SplitTokenTest, ThreePartsOfTheRightKind) {
  const std::string good = unsigned_token("RS256", "{\"sub\":\"me\"}", ",\"kid\":\"one\"") + ".c2ln";
  auto parts = split_token(good);
  ASSERT_TRUE(parts) << parts.error().text;
  EXPECT_EQ(parts->algorithm, "RS256");
  EXPECT_EQ(parts->key_id, "one");
  EXPECT_EQ(parts->signature, "sig");
  EXPECT_EQ(parts->claims.at("sub").as_string(), "me");
  EXPECT_EQ(std::string(parts->signed_text) + ".c2ln", good);
  const std::string head = base64url("{\"alg\":\"RS256\"}"), body = base64url("{}");
  for (const std::string& bad :
       {std::string(), std::string("."), std::string(".."), head + "." + body, good + ".x", head + ".." + body,
        head + "." + base64url("[1]") + ".c2ln", base64url("{}") + "." + body + ".c2ln",
        base64url("{\"alg\":1}") + "." + body + ".c2ln", base64url("{\"alg\":\"RS256\",\"kid\":7}") + "." + body + ".c2ln",
        head + "." + body + ".c2l!", head + "=." + body + ".c2ln", std::string(kTokenBytesMax + 1, 'A')})
    EXPECT_FALSE(split_token(bad)) << bad.substr(0, 80);
  EXPECT_EQ(split_token(unsigned_token("RS256", "{}", ",\"crit\":[\"b64\"]") + ".c2ln").error().code, Errc::unsupported);
}

TEST(SigningKeyTest, ACC12_every_algorithm_proves_its_own_and_nothing_else) {
  const Key rsa = rsa_key(), p256 = ec_key("P-256"), p384 = ec_key("P-384"), p521 = ec_key("P-521"), ed = ed_key();
  struct Case {
    const char* name;
    Key key;
    const EVP_MD* digest;
    bool pss;
    std::size_t number_bytes;
  };
  const std::vector<Case> cases{
      {"RS256", rsa, EVP_sha256(), false, 0}, {"RS384", rsa, EVP_sha384(), false, 0}, {"RS512", rsa, EVP_sha512(), false, 0},
      {"PS256", rsa, EVP_sha256(), true, 0},  {"PS384", rsa, EVP_sha384(), true, 0},  {"PS512", rsa, EVP_sha512(), true, 0},
      {"ES256", p256, EVP_sha256(), false, 32}, {"ES384", p384, EVP_sha384(), false, 48},
      {"ES512", p521, EVP_sha512(), false, 66}, {"EdDSA", ed, nullptr, false, 0}};
  for (const auto& made : cases) {
    const std::string signature = sign(made.key, made.digest, "text", made.pss, made.number_bytes);
    for (const auto& asked : cases) {
      const bool same = std::string_view(made.name) == asked.name;
      EXPECT_EQ(public_half(made.key).verifies(asked.name, "text", signature), same) << made.name << asked.name;
    }
    for (const char* never : {"none", "None", "HS256", "HS512", "", "rs256"})
      EXPECT_FALSE(public_half(made.key).verifies(never, "text", signature)) << never;
    EXPECT_FALSE(public_half(made.key).verifies(made.name, "texT", signature)) << made.name;
    EXPECT_FALSE(public_half(made.key).verifies(made.name, "text", "")) << made.name;
    EXPECT_FALSE(public_half(made.key).verifies(made.name, "text", signature.substr(1))) << made.name;
    std::string bent = signature;
    bent[bent.size() / 2] ^= 1;
    EXPECT_FALSE(public_half(made.key).verifies(made.name, "text", bent)) << made.name;
  }
  // The right algorithm with another key of the same kind.
  EXPECT_FALSE(public_half(rsa_key()).verifies("RS256", "text", sign(rsa, EVP_sha256(), "text")));
  EXPECT_FALSE(public_half(p384).verifies("ES256", "text", sign(p256, EVP_sha256(), "text", false, 32)));
  EXPECT_FALSE(public_half(p256).verifies("ES256", "text", std::string(64, '\0')));
}

/// A public key is no secret: signing with it as an HMAC key must prove nothing.
TEST(SigningKeyTest, ACC12_a_public_key_is_no_shared_secret) {
  const Key rsa = rsa_key();
  const std::string pem = public_pem(rsa);
  const Key secret(EVP_PKEY_new_raw_private_key(EVP_PKEY_HMAC, nullptr,
                                                reinterpret_cast<const unsigned char*>(pem.data()), pem.size()),
                   EVP_PKEY_free);
  EXPECT_FALSE(public_half(rsa).verifies("HS256", "text", sign(secret, EVP_sha256(), "text")));
}

TEST(SigningKeyTest, PemTexts) {
  EXPECT_TRUE(SigningKey::from_pem(public_pem(rsa_key())));
  EXPECT_FALSE(SigningKey::from_pem(""));
  EXPECT_FALSE(SigningKey::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
  EXPECT_NE(SigningKey::from_pem(public_pem(rsa_key(1024))).error().text.find("too weak"), std::string::npos);
  EXPECT_NE(SigningKey::from_pem(public_pem(ec_key("secp256k1"))).error().text.find("of this kind"), std::string::npos);
}

}  // namespace
}  // namespace warren::access
