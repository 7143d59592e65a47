#include "node/http/rows.h"

#include <gtest/gtest.h>

namespace warren::http {
namespace {

namespace json = boost::json;

json::value parsed(const char* text) { return json::parse(text); }
json::array rows_of(const char* text) { return json::parse(text).as_array(); }

TEST(Rows, AConnectionsNameSaysWhoItIs) {
  EXPECT_EQ(connection_details("10.0.0.7:40001 -> 10.0.0.1:5672"),
            parsed(R"({"name":"10.0.0.7:40001 -> 10.0.0.1:5672","peer_host":"10.0.0.7","peer_port":40001})"));
  EXPECT_EQ(connection_details("[::1]:40001 -> [::1]:5672").at("peer_host"), "::1");
  EXPECT_EQ(connection_details("::1:40001 -> ::1:5672").at("peer_host"), "::1");
}

TEST(Rows, ANameOfAnotherShapeIsOnlyAName) {
  for (const char* name : {"", "here", "here:", "here:there -> x", "a:99999 -> b:1", ":-> :"})
    EXPECT_EQ(connection_details(name), json::value({{"name", name}})) << name;
}

TEST(Rows, AChannelsNameHasItsConnections) {
  EXPECT_EQ(connection_of("a:1 -> b:2 (3)"), "a:1 -> b:2");
  EXPECT_EQ(connection_of("a:1 -> b:2"), "a:1 -> b:2");
}

TEST(Rows, QueuesShowPlainArgumentsAndNoPids) {
  const auto row = queue_json(parsed(R"({"name":"q","arguments":[["x-max-length","long",5]],"policy":"",
      "pid":"<x.1.2.0>","effective_policy_definition":null,"state":"running"})").as_object());
  const auto wanted = parsed(R"({"name":"q","arguments":{"x-max-length":5},"policy":null,
      "effective_policy_definition":{},"state":"running"})");
  EXPECT_EQ(row, wanted);
}

TEST(Rows, AConsumerIsWhereItsClientIs) {
  const auto row = consumer_json(parsed(R"json({"queue_name":"q","vhost":"/","channel_name":"h:1 -> b:2 (3)",
      "user":"kevin","node":"rabbit@n2","consumer_tag":"c","ack_required":true,"exclusive":false,"prefetch_count":7,
      "active":true,"activity_status":"up","arguments":[]})json").as_object());
  const auto wanted = parsed(R"json({"queue":{"name":"q","vhost":"/"},"channel_details":{"name":"h:1 -> b:2 (3)",
      "connection_name":"h:1 -> b:2","peer_host":"h","peer_port":1,"node":"rabbit@n2","user":"kevin"},
      "consumer_tag":"c","ack_required":true,"exclusive":false,"prefetch_count":7,"active":true,
      "activity_status":"up","arguments":{}})json");
  EXPECT_EQ(row, wanted);
}

TEST(Rows, ColumnsThatAreMissingOrOfAnotherTypeDoNoHarm) {
  const json::object strange = parsed(R"({"name":7,"vhost":null,"arguments":"x","node":[],"policy":3})").as_object();
  EXPECT_EQ(queue_json(strange).at("arguments"), json::object{});
  EXPECT_EQ(connection_json(strange).at("user_who_performed_action"), nullptr);
  EXPECT_EQ(channel_json({}).at("connection_details"), parsed(R"({"name":""})"));
  EXPECT_EQ(consumer_json(strange).at("queue"), parsed(R"({"name":"","vhost":""})"));
  EXPECT_EQ(text_at(strange, "name"), "");
  EXPECT_EQ(number_at(parsed(R"({"n":-3})").as_object(), "n"), 0);
  EXPECT_EQ(number_at(parsed(R"({"n":1.5})").as_object(), "n"), 0);
}

TEST(Rows, AreInOrderOfVhostAndNameWhoeverAnsweredFirst) {
  auto rows = rows_of(R"([{"vhost":"b","name":"a"},{"vhost":"a","name":"z"},{"vhost":"a","name":"c"},7])");
  sort_rows(rows);
  EXPECT_EQ(rows, rows_of(R"([7,{"vhost":"a","name":"c"},{"vhost":"a","name":"z"},{"vhost":"b","name":"a"}])"));
}

TEST(Rows, DeadNodesAreNoPartitionsAndSumsStayInside) {
  const auto rows = nodes_json(rows_of(R"([
      {"name":"n2","running":true,"partitions":["n1","n3",5],"totals":{},"listeners":[]},
      {"name":"n3","running":false,"type":"disc"}, "no row",
      {"name":"n1","running":true,"partitions":[]}])"));
  const auto wanted = rows_of(R"([{"name":"n1","running":true,"partitions":[]},
      {"name":"n2","running":true,"partitions":["n1"]}, {"name":"n3","running":false,"type":"disc"}])");
  EXPECT_EQ(rows, wanted);
}

TEST(Rows, SumsAreOfTheVhostsThatCount) {
  const auto rows = rows_of(R"([
      {"name":"n1","listeners":[{"port":1}],"contexts":[1],"totals":{"message_stats":{"publish":2,"ack":1},
       "churn_rates":{"queue_created":1},"vhosts":{
         "/":{"messages_ready":3,"messages_unacknowledged":1,"consumers":2,"connections":1,"channels":4},
         "x":{"messages_ready":100}}}},
      {"name":"n2","listeners":[{"port":2}],"totals":{"message_stats":{"publish":5,"odd":"text"},
       "vhosts":{"/":{"messages_ready":4},"y":[]}}},
      {"name":"n3","running":false}])");
  const auto sums = sum_nodes(rows, [](std::string_view vhost) { return vhost != "x"; });
  EXPECT_EQ(sums.ready, 7);
  EXPECT_EQ(sums.unacked, 1);
  EXPECT_EQ(sums.consumers, 2);
  EXPECT_EQ(sums.connections, 1);
  EXPECT_EQ(sums.channels, 4);
  EXPECT_EQ(sums.message_stats, parsed(R"({"publish":7,"ack":1})"));
  EXPECT_EQ(sums.churn_rates, parsed(R"({"queue_created":1})"));
  EXPECT_EQ(sums.listeners.size(), 2);
  EXPECT_EQ(sum_nodes(rows, [](std::string_view) { return true; }).ready, 107);
}

}  // namespace
}  // namespace warren::http
