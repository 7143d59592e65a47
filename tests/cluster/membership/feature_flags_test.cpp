// Feature flags: who may be a member of what, what may be switched on, and no way back (CLU-25, CLU-26).

#include "cluster/membership/feature_flags.h"

#include "cluster/membership/node_view.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

namespace warren::membership {
namespace {

using enum Stability;
using Names = std::vector<std::string>;

constexpr FeatureFlag kOldFlags[] = {{"base", required, "always"}};
constexpr FeatureFlag kNewFlags[] = {{"base", required, "always"}, {"fresh", stable, "new form"}, {"trial", experimental, ""}};
constexpr FeatureFlag kNewestFlags[] = {{"base", required, ""}, {"fresh", required, ""}};
constexpr Release kOld{"1.0.0", 1, 1, kOldFlags}, kNew{"1.1.0", 1, 2, kNewFlags}, kNewest{"1.2.0", 2, 3, kNewestFlags};

FlagView old_node(const std::string& name, Names enabled = {}) { return flag_view(kOld, name, enabled); }
FlagView new_node(const std::string& name, Names enabled = {}) { return flag_view(kNew, name, enabled); }

bool says(const Error& error, std::initializer_list<const char*> words) {
  for (const char* word : words)
    if (error.text.find(word) == std::string::npos) return false;
  return true;
}

TEST(FeatureFlagsTest, CLU_25_ANewClusterBeginsWithTheStableOnes) {
  EXPECT_EQ(founding_flags(kOld), Names{});
  EXPECT_EQ(founding_flags(kNew), Names{"fresh"});
}

TEST(FeatureFlagsTest, CLU_25_ANewNodeJoinsAnOldClusterAndAnOldOneAnOld) {
  EXPECT_TRUE(flags_fit(new_node("n2"), old_node("n1")));
  EXPECT_TRUE(flags_fit(old_node("n2"), old_node("n1")));
  EXPECT_TRUE(flags_fit(old_node("n2"), new_node("n1"))) << "nothing new is on there yet";
}

TEST(FeatureFlagsTest, CLU_25_AnOldNodeCannotJoinWhereSomethingNewIsOn) {
  const auto fit = flags_fit(old_node("n2"), new_node("n1", {"fresh"}));
  ASSERT_FALSE(fit);
  EXPECT_EQ(fit.error().code, Errc::conflict);
  EXPECT_TRUE(says(fit.error(), {"incompatible_feature_flags: ", "n2", "1.0.0", "n1", "1.1.0", "fresh"})) << fit.error().text;
}

TEST(FeatureFlagsTest, CLU_25_ANodeThatNeedsWhatIsNotOnCannotJoin) {
  const auto fit = flags_fit(flag_view(kNewest, "n2", {}), new_node("n1"));
  ASSERT_FALSE(fit);
  EXPECT_TRUE(says(fit.error(), {"incompatible_feature_flags: ", "needs", "fresh", "-n n1 enable_feature_flag all"}));
  EXPECT_TRUE(flags_fit(flag_view(kNewest, "n2", {}), new_node("n1", {"fresh"})));
}

TEST(FeatureFlagsTest, CLU_25_States) {
  const auto state = [](const std::vector<FlagRow>& rows, const std::string& name) {
    for (const auto& row : rows)
      if (row.name == name) return std::string(flag_state_name(row.state));
    return std::string("absent");
  };
  const auto mixed = flag_rows(kNew, new_node("n1"), {old_node("n2"), new_node("n3")});
  EXPECT_EQ(state(mixed, "base"), "enabled");
  EXPECT_EQ(state(mixed, "fresh"), "unavailable");
  const auto all_new = flag_rows(kNew, new_node("n1", {"fresh"}), {new_node("n2", {"fresh"})});
  EXPECT_EQ(state(all_new, "fresh"), "enabled");
  EXPECT_EQ(state(all_new, "trial"), "disabled");
  const auto seen_by_old = flag_rows(kOld, old_node("n2"), {new_node("n1")});
  EXPECT_EQ(state(seen_by_old, "fresh"), "unavailable");
}

TEST(FeatureFlagsTest, CLU_25_EnableNeedsThatAllMembersKnowIt) {
  const auto self = new_node("n1");
  EXPECT_EQ(*flags_to_enable(kNew, "all", false, self, {new_node("n2")}, {}), Names{"fresh"});
  EXPECT_EQ(*flags_to_enable(kNew, "fresh", false, self, {}, {}), Names{"fresh"});
  const auto unknown = flags_to_enable(kNew, "fresh", false, self, {old_node("n2")}, {});
  EXPECT_EQ(unknown.error().code, Errc::unsupported);
  EXPECT_TRUE(says(unknown.error(), {"'fresh'", "n2", "1.0.0"})) << unknown.error().text;
  const auto silent = flags_to_enable(kNew, "all", false, self, {}, {"n3"});
  EXPECT_EQ(silent.error().code, Errc::unavailable);
  EXPECT_TRUE(says(silent.error(), {"n3"}));
  EXPECT_EQ(flags_to_enable(kNew, "nonsense", false, self, {}, {}).error().code, Errc::unsupported);
}

TEST(FeatureFlagsTest, CLU_25_WhatIsOnNeedsNobody) {
  EXPECT_EQ(*flags_to_enable(kNew, "fresh", false, new_node("n1", {"fresh"}), {}, {"n2"}), Names{});
  EXPECT_EQ(*flags_to_enable(kNew, "base", false, new_node("n1"), {}, {"n2"}), Names{});
  EXPECT_EQ(*flags_to_enable(kOld, "all", false, old_node("n1"), {}, {"n2"}), Names{});
}

TEST(FeatureFlagsTest, CLU_25_ExperimentalOnesAreAskedForByNameAndOnPurpose) {
  const auto self = new_node("n1", {"fresh"});
  EXPECT_EQ(*flags_to_enable(kNew, "all", true, self, {}, {}), Names{});
  EXPECT_EQ(flags_to_enable(kNew, "trial", false, self, {}, {}).error().code, Errc::invalid_argument);
  EXPECT_EQ(*flags_to_enable(kNew, "trial", true, self, {}, {}), Names{"trial"});
}

TEST(FeatureFlagsTest, CLU_26_NoWayBack) {
  EXPECT_TRUE(may_use_data(kNew, {"fresh"}, "1.1.0"));
  EXPECT_TRUE(may_use_data(kOld, {}, "1.1.0")) << "nothing new was switched on: back is possible";
  const auto back = may_use_data(kOld, {"fresh"}, "1.1.0");
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().code, Errc::unsupported);
  EXPECT_TRUE(says(back.error(), {"1.1.0", "fresh", "1.0.0"})) << back.error().text;
}

TEST(FeatureFlagsTest, CLU_25_AsJson) {
  const auto view = new_node("n1", {"fresh"});
  EXPECT_EQ(*flag_view_from_json("n1", to_json(view)), view);
  for (const char* text : {"1", "{}", R"({"known":[],"required":[],"enabled":3})", R"({"known":[1],"required":[],"enabled":[]})"})
    EXPECT_FALSE(flag_view_from_json("n1", boost::json::parse(text))) << text;
}

/// This release's own table is sorted and its names are used once.
TEST(FeatureFlagsTest, CLU_25_OurOwn) {
  for (std::size_t i = 1; i < release().flags.size(); ++i)
    EXPECT_LT(release().flags[i - 1].name, release().flags[i].name);
  EXPECT_LE(release().protocol_min, release().protocol_max);
}

}  // namespace
}  // namespace warren::membership
