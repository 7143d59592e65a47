// The table itself: every default is valid, every key is found, nothing is said twice.

#include "node/config/option_table.h"

#include <gtest/gtest.h>

#include <set>

#include "node/config/config.h"

namespace warren::config {
namespace {

template <class Visit>
void for_each_option(Visit visit) {
  for (const auto& group : option_groups()) {
    for (const auto& spec : *group.options) visit(spec);
  }
}

TEST(OptionTableTest, KeysAndAliasesAreUnique) {
  std::set<std::string> seen;
  for_each_option([&](const OptionSpec& spec) {
    EXPECT_TRUE(seen.insert(spec.key).second) << spec.key;
    if (spec.alias[0] != '\0') {
      EXPECT_TRUE(seen.insert(spec.alias).second) << spec.alias;
    }
  });
  EXPECT_GT(seen.size(), 200u);
}

TEST(OptionTableTest, EveryOptionIsDocumentedAndBounded) {
  for_each_option([&](const OptionSpec& spec) {
    EXPECT_NE(std::string{spec.doc}, "") << spec.key;
    EXPECT_LE(spec.min, spec.max) << spec.key;
    if (spec.type == OptionType::duration) {
      EXPECT_TRUE(std::string{spec.unit} == "ms" || std::string{spec.unit} == "s") << spec.key;
    }
    if (spec.type == OptionType::choice) {
      EXPECT_NE(std::string{spec.choices}, "") << spec.key;
    }
    if (spec.wildcard()) {
      EXPECT_STREQ(spec.default_text, "") << spec.key;
    }
  });
}

TEST(OptionTableTest, EveryDefaultIsAllowed) {
  for_each_option([&](const OptionSpec& spec) {
    if (spec.default_text[0] == '\0') return;
    const auto value = parse_option(spec, spec.default_text);
    EXPECT_TRUE(value.has_value()) << spec.key << ": " << (value ? "" : value.error().text);
  });
}

TEST(OptionTableTest, EveryExampleIsAllowed) {
  for_each_option([&](const OptionSpec& spec) {
    const std::string example = spec.example;
    if (example.empty()) return;
    const std::size_t equals = example.find(" = ");
    ASSERT_NE(equals, std::string::npos) << example;
    const OptionSpec* found = find_option(example.substr(0, equals));
    ASSERT_EQ(found, &spec) << example;
    EXPECT_TRUE(parse_option(spec, example.substr(equals + 3)).has_value()) << example;
  });
}

TEST(OptionTableTest, BooleansAndChoicesReadByValueHaveDefaults) {
  for_each_option([&](const OptionSpec& spec) {
    if (spec.type != OptionType::boolean || spec.wildcard()) return;
    EXPECT_NE(std::string{spec.default_text}, "") << spec.key;
  });
}

TEST(OptionTableTest, PatternsMatchPartByPart) {
  ASSERT_NE(find_option("listeners.tcp.default"), nullptr);
  ASSERT_NE(find_option("listeners.tcp.1"), nullptr);
  EXPECT_EQ(find_option("listeners.tcp.1.x"), nullptr);
  EXPECT_EQ(find_option("listeners.tcp."), nullptr);
  ASSERT_NE(find_option("loopback_users.a\\.b"), nullptr);
  EXPECT_STREQ(find_option("loopback_users")->key, "loopback_users");
}

TEST(OptionTableTest, EnvironmentVariablesOfOptionsAreKnown) {
  std::set<std::string> known;
  for (const auto& spec : known_variables())
    EXPECT_TRUE(known.insert(spec.name).second) << spec.name;
  for_each_option([&](const OptionSpec& spec) {
    if (spec.env[0] != '\0') {
      EXPECT_TRUE(known.contains(spec.env)) << spec.env;
    }
  });
}

TEST(OptionTableTest, ForeignPrefixesDoNotHideOurKeys) {
  for_each_option([&](const OptionSpec& spec) {
    if (!spec.wildcard()) {
      EXPECT_EQ(find_option(spec.key), &spec);
    }
  });
}

}  // namespace
}  // namespace warren::config
