#include "node/http/message.h"

#include <gtest/gtest.h>

namespace warren::http {
namespace {

TEST(PercentDecode, UndoesEscapesAndKeepsPlusInPaths) {
  EXPECT_EQ(percent_decode("a%2Fb%2f"), "a/b/");
  EXPECT_EQ(percent_decode("a+b"), "a+b");
  EXPECT_EQ(percent_decode("a+b", true), "a b");
  EXPECT_EQ(percent_decode("%C3%A4"), "\xC3\xA4");
}

TEST(PercentDecode, RefusesMalformedEscapes) {
  for (const char* bad : {"%", "%2", "%zz", "a%2", "%00", "%-1"}) EXPECT_FALSE(percent_decode(bad)) << bad;
}

TEST(ParseTarget, KeepsEscapedSlashesAsOneSegment) {
  Request request;
  ASSERT_TRUE(parse_target("/api/queues/%2F/a%2Fb?page=2&name=x%20y&use_regex&e=", request));
  EXPECT_EQ(request.path, (std::vector<std::string>{"api", "queues", "/", "a/b"}));
  EXPECT_EQ(request.parameter("page"), "2");
  EXPECT_EQ(request.parameter("name"), "x y");
  EXPECT_TRUE(request.flag("use_regex"));
  EXPECT_FALSE(request.flag("page"));
  EXPECT_EQ(request.parameter("e"), "");
}

TEST(ParseTarget, RefusesBadEscapesInPathAndQuery) {
  Request a, b;
  EXPECT_FALSE(parse_target("/api/%g0", a));
  EXPECT_FALSE(parse_target("/api?x=%", b));
}

TEST(ParseBasic, SplitsAtTheFirstColon) {
  const auto login = parse_basic("Basic " + base64_encode("user:pa:ss"));
  ASSERT_TRUE(login);
  EXPECT_EQ(login->first, "user");
  EXPECT_EQ(login->second, "pa:ss");
  EXPECT_TRUE(parse_basic("bAsIc " + base64_encode("u:p")));
}

TEST(ParseBasic, RefusesOtherThings) {
  for (const char* bad : {"", "Basic", "Basic ", "Basic !!!!", "Bearer abc", "Basic dXNlcg=="})
    EXPECT_FALSE(parse_basic(bad)) << bad;
}

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes.push_back(static_cast<char>(i * 37));
  }
  EXPECT_EQ(base64_encode("Man"), "TWFu");
  EXPECT_EQ(base64_encode("Ma"), "TWE=");
  EXPECT_FALSE(base64_decode("abc"));
}

TEST(Utf8, KnowsTextFromBytes) {
  EXPECT_TRUE(is_utf8("plain \xC3\xA4 \xE2\x82\xAC \xF0\x9F\x90\x87"));
  for (const char* bad : {"\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xFF", "\xC3", "\x80"})
    EXPECT_FALSE(is_utf8(bad));
}

TEST(QuotePlus, EscapesWhatPathsCannotHold) { EXPECT_EQ(quote_plus("a b~/\xC3"), "a+b%7E%2F%C3"); }

}  // namespace
}  // namespace warren::http
