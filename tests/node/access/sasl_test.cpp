#include "node/access/sasl.h"

#include "base/field_table.h"
#include "base/prng.h"

#include <gtest/gtest.h>

namespace warren::access {
namespace {

using namespace std::string_literals;

TEST(Sasl, CON05_plain) {
  const auto claim = parse_sasl("PLAIN", "\0guest\0pass"s, {});
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->user, "guest");
  EXPECT_EQ(claim->password, "pass");
  EXPECT_EQ(parse_sasl("PLAIN", "\0\0"s, {})->user, "");
  for (const std::string& bad :
       {""s, "\0"s, "guest"s, "guest\0pass"s, "\0guest"s, "x\0guest\0pass"s, "\0guest\0pass\0"s})
    EXPECT_EQ(parse_sasl("PLAIN", bad, {}).error().code, Errc::invalid_argument);
}

TEST(Sasl, CON05_amqplain) {
  FieldTable table;
  table.set("LOGIN", "guest");
  table.set("PASSWORD", "pass");
  const auto claim = parse_sasl("AMQPLAIN", table.encode(), {});
  ASSERT_TRUE(claim);
  EXPECT_EQ(claim->user, "guest");
  EXPECT_EQ(claim->password, "pass");
  table.set("PASSWORD", std::int32_t{5});
  EXPECT_EQ(parse_sasl("AMQPLAIN", table.encode(), {}).error().code, Errc::invalid_argument);
  table.erase("PASSWORD");
  EXPECT_EQ(parse_sasl("AMQPLAIN", table.encode(), {}).error().code, Errc::invalid_argument);
  EXPECT_EQ(parse_sasl("AMQPLAIN", "\5LOGIN", {}).error().code, Errc::invalid_argument);
}

TEST(Sasl, CON05_external_and_anonymous_only_where_offered) {
  SaslContext context;
  EXPECT_EQ(sasl_mechanisms(context), "PLAIN AMQPLAIN");
  EXPECT_EQ(parse_sasl("EXTERNAL", "", context).error().code, Errc::unauthenticated);
  EXPECT_EQ(parse_sasl("ANONYMOUS", "", context).error().code, Errc::unsupported);
  context.certificate_user = "CN=client";
  context.anonymous_user = "guest";
  EXPECT_EQ(sasl_mechanisms(context), "PLAIN AMQPLAIN EXTERNAL ANONYMOUS");
  EXPECT_EQ(parse_sasl("EXTERNAL", "somebody", context)->user, "CN=client");
  EXPECT_EQ(parse_sasl("ANONYMOUS", "trace", context)->user, "guest");
  EXPECT_FALSE(parse_sasl("ANONYMOUS", "trace", context)->password);
}

TEST(Sasl, CON05_only_what_the_settings_name) {
  SaslContext context;
  context.certificate_user = "CN=client";
  context.anonymous_user = "guest";
  context.only = {"EXTERNAL", "AMQPLAIN"};
  EXPECT_EQ(sasl_mechanisms(context), "AMQPLAIN EXTERNAL");
  EXPECT_EQ(parse_sasl("PLAIN", "\0a\0b"s, context).error().code, Errc::unsupported);
  EXPECT_EQ(parse_sasl("ANONYMOUS", "", context).error().code, Errc::unsupported);
  EXPECT_TRUE(parse_sasl("EXTERNAL", "", context));
  context.only = {"PLAIN"};
  EXPECT_EQ(sasl_mechanisms(context), "PLAIN");
  EXPECT_EQ(parse_sasl("EXTERNAL", "", context).error().code, Errc::unsupported);
  EXPECT_TRUE(parse_sasl("PLAIN", "\0a\0b"s, context));
}

TEST(Sasl, CON06_unknown_mechanism) {
  EXPECT_EQ(parse_sasl("FOO", "", {}).error().code, Errc::unsupported);
  EXPECT_EQ(parse_sasl("plain", "\0a\0b"s, {}).error().code, Errc::unsupported);
}

TEST(Sasl, takes_any_bytes) {
  Prng random(99);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes(random.below(40), '\0');
    for (char& c : bytes)
      c = random.chance(1, 3) ? '\0' : static_cast<char>("\5LOGIN\10PASSWORDS"[random.below(16)]);
    (void)parse_sasl("PLAIN", bytes, {});
    (void)parse_sasl("AMQPLAIN", bytes, {});
  }
}

}  // namespace
}  // namespace warren::access
