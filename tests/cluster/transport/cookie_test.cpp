#include "tests/cluster/transport/support.h"

namespace warren::transport {
namespace {

CookieSearch files(std::vector<std::string> paths, bool create = false) {
  CookieSearch search;
  search.files = std::move(paths);
  search.create = create;
  return search;
}

TEST(CookieTest, ReadsTheFileAndTrimsTrailingWhitespace) {
  const TempDir dir;
  const auto cookie = find_cookie(files({dir.write("c", "SECRETSECRETSECRET \r\n\t\n", 0400)}));
  ASSERT_TRUE(cookie) << cookie.error().text;
  EXPECT_EQ(cookie->secret, "SECRETSECRETSECRET");
  EXPECT_EQ(cookie->mode, 0400u);
  EXPECT_EQ(cookie->source, "file");
  EXPECT_TRUE(cookie->warning.empty());
}

TEST(CookieTest, RefusesEveryBitOfGroupAndOthers) {
  const TempDir dir;
  for (const unsigned bit : {0040u, 0020u, 0010u, 0004u, 0002u, 0001u}) {
    const std::string path = dir.write("c", "SECRETSECRETSECRET", 0600 | bit);
    const auto cookie = find_cookie(files({path}));
    ASSERT_FALSE(cookie) << std::oct << bit;
    EXPECT_EQ(cookie.error().code, Errc::permission_denied);
    EXPECT_NE(cookie.error().text.find(path), std::string::npos);
    EXPECT_NE(cookie.error().text.find("chmod 400"), std::string::npos);
    EXPECT_NE(cookie.error().text.find(user_name(::geteuid())), std::string::npos);
    EXPECT_EQ(cookie.error().text.find("SECRETSECRETSECRET"), std::string::npos);
  }
}

TEST(CookieTest, AWideFirstFileIsNotPassedOver) {
  const TempDir dir;
  const auto cookie = find_cookie(files({dir.write("a", "AAAAAAAAAAAAAAAAAAAA", 0644),
                                         dir.write("b", "BBBBBBBBBBBBBBBBBBBB", 0400)}));
  ASSERT_FALSE(cookie);
  EXPECT_EQ(cookie.error().code, Errc::permission_denied);
}

TEST(CookieTest, LooksInTheOrderOptionEnvironmentFiles) {
  const TempDir dir;
  CookieSearch search = files({dir.path("none"), dir.write("b", "FROMTHEFILEFROMTHE", 0400)});
  EXPECT_EQ(find_cookie(search)->secret, "FROMTHEFILEFROMTHE");
  search.environment = "FROMENVIRONMENTFROM";
  EXPECT_EQ(find_cookie(search)->secret, "FROMENVIRONMENTFROM");
  search.option = "FROMOPTIONFROMOPTION";
  EXPECT_EQ(find_cookie(search)->secret, "FROMOPTIONFROMOPTION");
}

TEST(CookieTest, Allows255CharactersAndNoMore) {
  const TempDir dir;
  EXPECT_TRUE(find_cookie(files({dir.write("a", std::string(255, 'x') + "\n", 0400)})));
  const auto longer = find_cookie(files({dir.write("b", std::string(256, 'x'), 0400)}));
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, Errc::invalid_argument);
  EXPECT_FALSE(find_cookie(files({dir.write("c", " \n", 0400)})));
  EXPECT_FALSE(find_cookie(files({dir.path()})));
}

TEST(CookieTest, ShortOneIsTakenWithAWarning) {
  const TempDir dir;
  const auto cookie = find_cookie(files({dir.write("a", "short", 0400)}));
  ASSERT_TRUE(cookie);
  EXPECT_NE(cookie->warning.find("5 characters"), std::string::npos);
}

TEST(CookieTest, CreatedOnlyWhenAskedWithMode400) {
  const TempDir dir;
  const auto missing = find_cookie(files({dir.path("c")}));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::not_found);
  const auto made = find_cookie(files({dir.path("c")}, true));
  ASSERT_TRUE(made) << made.error().text;
  EXPECT_TRUE(made->created);
  EXPECT_EQ(made->mode, 0400u);
  EXPECT_GE(made->secret.size(), 20u);
  const auto again = find_cookie(files({dir.path("c")}, true));
  ASSERT_TRUE(again);
  EXPECT_FALSE(again->created);
  EXPECT_EQ(again->secret, made->secret);
  int left = 0;
  for (const auto& item : std::filesystem::directory_iterator(dir.path()))
    left += item.is_regular_file();
  EXPECT_EQ(left, 1) << "the temporary file must be gone";
}

TEST(CookieTest, FingerprintTellsApartAndHidesTheSecret) {
  EXPECT_NE(cookie_of("A").fingerprint(), cookie_of("B").fingerprint());
  EXPECT_EQ(cookie_of("A").fingerprint(), cookie_of("A").fingerprint());
  EXPECT_EQ(cookie_of("A").fingerprint().size(), 8u);
  EXPECT_EQ(cookie_of("SECRETSECRET").describe().find("SECRETSECRET"), std::string::npos);
  // The value RabbitMQ's tools print for this cookie.
  EXPECT_EQ(cookie_of("monster").erlang_hash(), "i/Tmrd1yqcTEcUcI0pQVKA==");
}

}  // namespace
}  // namespace warren::transport
