#include "node/http/routes.h"

#include "node/http/listing.h"

#include <gtest/gtest.h>

#include <set>

namespace warren::http {
namespace {

void nothing(const CallRef&) {}

const std::vector<Route> kTable{
    {"GET", "/queues", Tag::management, nothing},
    {"GET", "/queues/detailed", Tag::management, nothing},
    {"GET", "/queues/:vhost", Tag::management, nothing},
    {"PUT", "/queues/:vhost/:name", Tag::management, nothing},
    {"DELETE", "/queues/:vhost/:name", Tag::management, nothing},
};

TEST(Routes, LiteralsGoBeforeParameters) {
  EXPECT_EQ(match_route(kTable, "GET", {"queues", "detailed"}).route, &kTable[1]);
  const auto match = match_route(kTable, "GET", {"queues", "/"});
  EXPECT_EQ(match.route, &kTable[2]);
  EXPECT_EQ(match.parameters.at("vhost"), "/");
}

TEST(Routes, FindTheMethodOfAPath) {
  const auto match = match_route(kTable, "DELETE", {"queues", "v", "q"});
  EXPECT_EQ(match.route, &kTable[4]);
  EXPECT_EQ(match.parameters.at("name"), "q");
  const auto other = match_route(kTable, "GET", {"queues", "v", "q"});
  EXPECT_EQ(other.route, nullptr);
  EXPECT_EQ(other.methods, (std::vector<std::string>{"PUT", "DELETE"}));
}

TEST(Routes, UnknownPathsHaveNoMethods) {
  for (const auto& path : std::vector<std::vector<std::string>>{{}, {"queue"}, {"queues", "v", "q", "more"}})
    EXPECT_TRUE(match_route(kTable, "GET", path).methods.empty());
}

TEST(Routes, AllHaveAHandlerAndOnePlaceEach) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& route : all_routes()) {
    EXPECT_NE(route.run, nullptr) << route.pattern;
    EXPECT_TRUE(seen.insert({route.method, route.pattern}).second) << route.method << " " << route.pattern;
  }
}

TEST(Tags, AllowWhatTheyImply) {
  EXPECT_FALSE(tags_allow({}, Tag::management));
  EXPECT_FALSE(tags_allow({"custom", "impersonator"}, Tag::management));
  EXPECT_TRUE(tags_allow({"policymaker"}, Tag::management));
  EXPECT_FALSE(tags_allow({"policymaker"}, Tag::monitoring));
  EXPECT_FALSE(tags_allow({"monitoring"}, Tag::policymaker));
  EXPECT_FALSE(tags_allow({"monitoring", "policymaker"}, Tag::administrator));
  for (const Tag tag : {Tag::management, Tag::policymaker, Tag::monitoring, Tag::administrator})
    EXPECT_TRUE(tags_allow({"administrator"}, tag));
}

boost::json::array rows() {
  boost::json::array out;
  for (int i = 1; i <= 5; ++i)
    out.push_back({{"name", "q" + std::to_string(i)}, {"messages", 10 - i}, {"inner", {{"deep", i}, {"x", 0}}}});
  return out;
}

std::string shaped(std::map<std::string, std::string> query) {
  Request request;
  request.query = std::move(query);
  auto result = shape_rows(rows(), request);
  return result ? boost::json::serialize(*result) : "error: " + result.error().text;
}

TEST(Listing, ChoosesColumnsAlsoInnerOnes) {
  EXPECT_EQ(shaped({{"columns", "name,inner.deep"}, {"name", "q2"}}), R"([{"name":"q2","inner":{"deep":2}}])");
}

TEST(Listing, SortsNumbersAsNumbers) {
  EXPECT_EQ(shaped({{"sort", "messages"}, {"columns", "messages"}}),
            R"([{"messages":5},{"messages":6},{"messages":7},{"messages":8},{"messages":9}])");
}

TEST(Listing, PagesWithTotals) {
  EXPECT_EQ(shaped({{"page", "2"}, {"page_size", "2"}, {"name", "q[1-3]"}, {"use_regex", "true"}, {"columns", "name"}}),
            R"({"total_count":5,"item_count":1,"filtered_count":3,"page":2,"page_size":2,"page_count":2,)"
            R"("items":[{"name":"q3"}]})");
}

TEST(Listing, RefusesBadPagesAndPatterns) {
  for (const auto& query : std::vector<std::map<std::string, std::string>>{
           {{"page", "0"}}, {{"page", "x"}}, {{"page", "2"}}, {{"page", "1"}, {"page_size", "501"}},
           {{"name", "("}, {"use_regex", "true"}}})
    EXPECT_TRUE(shaped(query).starts_with("error: ")) << shaped(query);
}

TEST(Listing, TypedTablesBecomePlain) {
  const auto typed = boost::json::parse(R"([["a","longstr","x"],["t","table",[["n","signedint",1]]],
                                            ["l","array",[["bool",true],["longstr","y"]]]])");
  EXPECT_EQ(boost::json::serialize(plain_table(typed)), R"({"a":"x","t":{"n":1},"l":[true,"y"]})");
}

}  // namespace
}  // namespace warren::http
