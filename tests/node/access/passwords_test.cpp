#include "node/access/passwords.h"

#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::access {
namespace {

struct Known {
  const char* algorithm;
  const char* hash;  // of "secret" with salt 01 02 03 04
};
const Known kKnown[] = {
    {"rabbit_password_hashing_sha256", "AQIDBDB9kM21iEUzN1lZ+6VReCsdNqS0sERdAQTcY6Xs3PMz"},
    {"rabbit_password_hashing_sha512",
     "AQIDBPhTH2L5HGYB1LWOrn+YpvuQmVOXKGqgsuiJRIZTILRoEvblSJo/WAsym3IZTfuaIaK5KR2o5KwFfTv6KsxfMIE="},
    {"rabbit_password_hashing_md5", "AQIDBDgk9ci8Lfh6CKE9Y0AUfmU="},
    {"", "AQIDBDgk9ci8Lfh6CKE9Y0AUfmU="},
};

void salt_1234(std::span<std::uint8_t> salt) {
  for (std::size_t i = 0; i < salt.size(); ++i) salt[i] = static_cast<std::uint8_t>(i + 1);
}

TEST(Passwords, ACC09_hashes_as_rabbitmq_stores_them) {
  for (const Known& known : kKnown) {
    EXPECT_EQ(*hash_password(known.algorithm, "secret", salt_1234), known.hash);
    EXPECT_TRUE(verify_password(known.algorithm, known.hash, "secret"));
    EXPECT_FALSE(verify_password(known.algorithm, known.hash, "Secret"));
    EXPECT_FALSE(verify_password(known.algorithm, known.hash, ""));
    EXPECT_TRUE(check_password_hash(known.algorithm, known.hash));
  }
}

TEST(Passwords, ACC09_hashes_made_by_a_real_broker_verify) {
  EXPECT_TRUE(verify_password(kDefaultHashing, "cXcN1uVD4hdsZ1rbasUOfL/b4Fq1nX28V/FILeUuIUopo06U",
                              "guest"));
  EXPECT_TRUE(
      verify_password(kDefaultHashing, "UFIs54aJEIuQ4etOLe988twUeLoJeCQFopXb52a0VZeFZL3S", "p"));
}

TEST(Passwords, salts_differ) {
  Prng random(1);
  const auto source = [&](std::span<std::uint8_t> salt) {
    for (auto& byte : salt) byte = static_cast<std::uint8_t>(random.next());
  };
  EXPECT_NE(*hash_password(kDefaultHashing, "x", source),
            *hash_password(kDefaultHashing, "x", source));
}

TEST(Passwords, malformed_hashes_verify_nothing) {
  for (const char* bad : {"", "AQIDBA==", "AQID", "not base64!", "AAAA=AAA", "====", "A"}) {
    EXPECT_FALSE(verify_password(kDefaultHashing, bad, "")) << bad;
    EXPECT_FALSE(verify_password(kDefaultHashing, bad, "x")) << bad;
  }
  EXPECT_FALSE(verify_password("bcrypt", kKnown[0].hash, "secret"));
  EXPECT_EQ(hash_password("bcrypt", "x", salt_1234).error().code, Errc::unsupported);
  EXPECT_FALSE(check_password_hash("bcrypt", kKnown[0].hash));
  EXPECT_FALSE(check_password_hash(kDefaultHashing, kKnown[2].hash));
  EXPECT_FALSE(check_password_hash(kDefaultHashing, "%%%%"));
  EXPECT_TRUE(check_password_hash(kDefaultHashing, ""));
}

TEST(Passwords, ACC10_rules_for_new_passwords) {
  CredentialRule rule;
  EXPECT_TRUE(validate_credentials(rule, "u", ""));
  rule.kind = CredentialRule::Kind::min_password_length;
  rule.min_length = 4;
  EXPECT_TRUE(validate_credentials(rule, "u", "1234"));
  EXPECT_FALSE(validate_credentials(rule, "u", "123"));
  rule.kind = CredentialRule::Kind::regexp;
  rule.pattern = "^[0-9]+$";
  EXPECT_TRUE(validate_credentials(rule, "u", "123"));
  EXPECT_FALSE(validate_credentials(rule, "u", "12a"));
  rule.pattern = "(";
  EXPECT_FALSE(validate_credentials(rule, "u", "12"));
}

}  // namespace
}  // namespace warren::access
