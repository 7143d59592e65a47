// Listings in every format, compared with what RabbitMQ 3.10.8 printed for the same objects.
#include "tests/node/ctl/harness.h"

namespace warren::ctl {
namespace {

Canned queues() {
  json::array arguments{json::array{"x-max-length", "signedint", 1000},
                        json::array{"x-message-ttl", "signedint", 60000}};
  return {{{{"name", "work \"q\"\ttab"},
            {"messages", 0},
            {"messages_ready", 0},
            {"arguments", json::array{}},
            {"policy", nullptr},
            {"durable", false},
            {"pid", "<rabbit@localhost.1795352482.693.0>"},
            {"consumers", 0}},
           {{"name", "hello"},
            {"messages", 2},
            {"messages_ready", 1},
            {"arguments", arguments},
            {"policy", "p1"},
            {"durable", true},
            {"pid", "<rabbit@localhost.1795352482.688.0>"},
            {"consumers", 1}}}};
}

class ListingTest : public CtlTest {
 protected:
  void SetUp() override {
    CtlTest::SetUp();
    node_.on("list_queues", queues());
  }
};

TEST_F(ListingTest, TableWithBannerAndDefaultColumns) {
  const Printed printed = run({"list_queues"});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_EQ(printed.out,
            "Timeout: 60.0 seconds ...\n"
            "Listing queues for vhost / ...\n"
            "name\tmessages\n"
            "work \"q\"\ttab\t0\n"
            "hello\t2\n");
  EXPECT_EQ(printed.err, "");
  const json::object args = node_.args_of("list_queues");
  EXPECT_EQ(args.at("vhost"), "/");
  EXPECT_EQ(args.at("timeout_ms"), 60000);
  EXPECT_EQ(args.at("columns"), (json::array{"name", "messages"}));
}

TEST_F(ListingTest, QuietKeepsTheHeaderSilentDropsItToo) {
  const std::vector<std::string> columns{"name", "messages_ready", "arguments", "policy", "durable",
                                         "pid",  "consumers"};
  std::vector<std::string> args{"-q", "list_queues"};
  args.insert(args.end(), columns.begin(), columns.end());
  EXPECT_EQ(run(args).out,
            "name\tmessages_ready\targuments\tpolicy\tdurable\tpid\tconsumers\n"
            "work \"q\"\ttab\t0\t[]\t\tfalse\t<rabbit@localhost.1795352482.693.0>\t0\n"
            "hello\t1\t[{\"x-max-length\",1000},{\"x-message-ttl\",60000}]\tp1\ttrue\t"
            "<rabbit@localhost.1795352482.688.0>\t1\n");
  EXPECT_EQ(run({"list_queues", "-s", "name"}).out, "work \"q\"\ttab\nhello\n");
  EXPECT_EQ(run({"list_queues", "name", "-q", "--no-table-headers"}).out,
            "work \"q\"\ttab\nhello\n");
}

TEST_F(ListingTest, Json) {
  EXPECT_EQ(
      run({"list_queues", "name", "messages", "arguments", "--formatter", "json"}).out,
      "[\n"
      "{\"name\":\"work \\\"q\\\"\\ttab\",\"messages\":0,\"arguments\":[]}\n"
      ",{\"name\":\"hello\",\"messages\":2,\"arguments\":[[\"x-max-length\",\"signedint\",1000],"
      "[\"x-message-ttl\",\"signedint\",60000]]}\n"
      "]\n");
  node_.on("list_queues", {});
  EXPECT_EQ(run({"list_queues", "--formatter=json"}).out, "[\n]\n");
}

TEST_F(ListingTest, JsonStreamIsOneObjectALine) {
  EXPECT_EQ(run({"list_queues", "name", "policy", "--formatter", "json_stream"}).out,
            "{\"name\":\"work "
            "\\\"q\\\"\\ttab\",\"policy\":\"\"}\n{\"name\":\"hello\",\"policy\":\"p1\"}\n");
}

TEST_F(ListingTest, Csv) {
  EXPECT_EQ(run({"list_queues", "name", "messages", "arguments", "--formatter", "csv"}).out,
            "\"name\",\"messages\",\"arguments\"\n"
            "\"work \"\"q\"\"\ttab\",\"0\",\"[]\"\n"
            "\"hello\",\"2\",\"[{\"\"x-max-length\"\",1000},{\"\"x-message-ttl\"\",60000}]\"\n");
}

TEST_F(ListingTest, Erlang) {
  EXPECT_EQ(run({"list_queues", "name", "messages", "arguments", "durable", "--formatter", "erlang",
                 "-q"})
                .out,
            "[[{name,<<\"work \\\"q\\\"\\ttab\">>},{messages,0},{arguments,[]},{durable,false}],\n"
            " [{name,<<\"hello\">>},\n"
            "  {messages,2},\n"
            "  {arguments,[{<<\"x-max-length\">>,signedint,1000},\n"
            "              {<<\"x-message-ttl\">>,signedint,60000}]},\n"
            "  {durable,true}]]\n");
}

TEST_F(ListingTest, StringAndPrettyTable) {
  EXPECT_EQ(run({"list_queues", "name", "messages", "--formatter", "string", "-q"}).out,
            "[name: \"work \\\"q\\\"\\ttab\", messages: 0]\n[name: \"hello\", messages: 2]\n");
  EXPECT_EQ(run({"list_queues", "messages", "policy", "--formatter", "pretty_table", "-q"}).out,
            "┌──────────┬────────┐\n"
            "│ messages │ policy │\n"
            "├──────────┼────────┤\n"
            "│ 0        │        │\n"
            "├──────────┼────────┤\n"
            "│ 2        │ p1     │\n"
            "└──────────┴────────┘\n");
}

TEST_F(ListingTest, ANotesPageColumnGetsASuggestion) {
  const Printed printed = run({"list_queues", "name", "message_ready", "message_unacknowledged"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_EQ(printed.out, "");
  EXPECT_NE(printed.err.find("Info key(s) message_ready,message_unacknowledged are not supported"),
            std::string::npos);
  EXPECT_NE(printed.err.find("Did you mean 'messages_ready' instead of 'message_ready'?"),
            std::string::npos);
  EXPECT_NE(printed.err.find(
                "Did you mean 'messages_unacknowledged' instead of 'message_unacknowledged'?"),
            std::string::npos);
  EXPECT_EQ(node_.call_count(), 0u);
}

TEST_F(ListingTest, OtherListings) {
  node_.on("list_users", {{{{"user", "guest"}, {"tags", {"administrator"}}},
                           {{"user", "kevin"}, {"tags", json::array{}}},
                           {{"user", "eve"}, {"tags", {"a", "b"}}}}});
  EXPECT_EQ(run({"list_users"}).out,
            "Listing users ...\nuser\ttags\nguest\t[administrator]\nkevin\t[]\neve\t[a, b]\n");
  node_.on("list_policies", {{{{"vhost", "/"},
                               {"name", "p1"},
                               {"pattern", "^h"},
                               {"apply-to", "all"},
                               {"definition", json::object{{"max-length", 5}}},
                               {"priority", 3}}}});
  EXPECT_EQ(
      run({"list_policies"}).out,
      "Listing policies for vhost \"/\" ...\nvhost\tname\tpattern\tapply-to\tdefinition\tpriority\n"
      "/\tp1\t^h\tall\t{\"max-length\":5}\t3\n");
  node_.on("list_bindings", {{{{"source_name", ""},
                               {"source_kind", "exchange"},
                               {"destination_name", "hello"},
                               {"destination_kind", "queue"},
                               {"routing_key", "hello"},
                               {"arguments", json::array{}}}}});
  EXPECT_EQ(run({"list_bindings"}).out,
            "Listing bindings for vhost /...\n"
            "source_name\tsource_kind\tdestination_name\tdestination_kind\trouting_key\targuments\n"
            "\texchange\thello\tqueue\thello\t[]\n");
}

TEST_F(ListingTest, LimitsOfOneAndOfAll) {
  node_.on("list_user_limits",
           {{{{"user", "kevin"}, {"limits", json::object{{"max-connections", 1}}}}}});
  EXPECT_EQ(run({"list_user_limits", "--user", "kevin"}).out,
            "Listing limits for user \"kevin\" ...\n{\"max-connections\":1}\n");
  EXPECT_EQ(node_.args_of("list_user_limits").at("username"), "kevin");
  EXPECT_EQ(run({"list_user_limits", "--global", "-s"}).out, "kevin\t{\"max-connections\":1}\n");
}

TEST_F(ListingTest, LegacyOutputHasTheOldBannerAndNoHeader) {
  EXPECT_EQ(run({"list_queues", "--legacy-output"}).out,
            "Listing queues ...\nwork \"q\"\ttab\t0\nhello\t2\n");
  env_["WARREN_LEGACY_OUTPUT"] = "1";
  EXPECT_EQ(run({"list_queues"}).out, "Listing queues ...\nwork \"q\"\ttab\t0\nhello\t2\n");
}

TEST_F(ListingTest, VhostAndFlagsReachTheNode) {
  run({"list_queues", "-p", "v1", "--online", "-t", "5", "name,consumers"});
  const json::object args = node_.args_of("list_queues");
  EXPECT_EQ(args.at("vhost"), "v1");
  EXPECT_EQ(args.at("online"), true);
  EXPECT_EQ(args.at("timeout_ms"), 5000);
  EXPECT_EQ(args.at("columns"), (json::array{"name", "consumers"}));
}

}  // namespace
}  // namespace warren::ctl
