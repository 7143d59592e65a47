// cluster_status, status and Erlang terms, compared with the shapes of RabbitMQ 3.x.
#include "node/ctl/show.h"

#include "node/ctl/terms.h"
#include "tests/node/ctl/harness.h"

namespace warren::ctl {
namespace {

/// Two hosts: one disc node, one RAM node, as on the page of notes.
json::object two_hosts() {
  return json::parse(R"({
    "cluster_name": "rabbit@centos7", "disk_nodes": ["rabbit@centos7"], "ram_nodes": ["rabbit@centos72"],
    "running_nodes": ["rabbit@centos7", "rabbit@centos72"],
    "versions": {"rabbit@centos7": {"rabbitmq_name": "RabbitMQ", "rabbitmq_version": "3.10.8", "erlang_version": "25.2.3"}},
    "maintenance_status": {"rabbit@centos7": "not under maintenance", "rabbit@centos72": "not under maintenance"},
    "alarms": [], "partitions": {},
    "listeners": {"rabbit@centos7": [{"node": "rabbit@centos7", "interface": "[::]", "port": 25672, "protocol": "clustering",
                                      "purpose": "inter-node and CLI tool communication"}]},
    "feature_flags": [{"name": "quorum_queue", "state": "enabled", "desc": "d", "doc_url": "", "stability": "stable", "provided_by": "rabbit"}],
    "can_lose": {"metadata": 0, "queues": 0, "text": "no disc node may be lost; join two more disc nodes"},
    "app_running": true, "asked_node": "rabbit@centos72"})")
      .as_object();
}

using ShowTest = CtlTest;

TEST_F(ShowTest, ClusterStatusForPeople) {
  Canned canned;
  canned.result = two_hosts();
  node_.on("cluster_status", canned);
  const Printed printed = run({"cluster_status"});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_EQ(
      printed.out,
      "Cluster status of node rabbit@localhost ...\n"
      "Basics\n\n"
      "Cluster name: rabbit@centos7\n"
      "Fault tolerance: no disc node may be lost; join two more disc nodes\n\n"
      "Disk Nodes\n\nrabbit@centos7\n\n"
      "RAM Nodes\n\nrabbit@centos72\n\n"
      "Running Nodes\n\nrabbit@centos7\nrabbit@centos72\n\n"
      "Versions\n\nrabbit@centos7: RabbitMQ 3.10.8 on Erlang 25.2.3\n\n"
      "Maintenance status\n\nNode: rabbit@centos7, status: not under maintenance\n"
      "Node: rabbit@centos72, status: not under maintenance\n\n"
      "Alarms\n\n(none)\n\n"
      "Network Partitions\n\n(none)\n\n"
      "Listeners\n\nNode: rabbit@centos7, interface: [::], port: 25672, protocol: clustering, "
      "purpose: inter-node and CLI tool communication\n\n"
      "Feature flags\n\nFlag: quorum_queue, state: enabled\n");
}

TEST_F(ShowTest, ClusterStatusAsOnThePageOfNotes) {
  Canned canned;
  canned.result = two_hosts();
  node_.on("cluster_status", canned);
  const std::string page =
      "[{nodes,[{disc,[rabbit@centos7]},{ram,[rabbit@centos72]}]},\n"
      " {running_nodes,[rabbit@centos7,rabbit@centos72]},\n"
      " {cluster_name,<<\"rabbit@centos7\">>},\n"
      " {partitions,[]},\n"
      " {alarms,[{rabbit@centos7,[]},{rabbit@centos72,[]}]}";
  EXPECT_EQ(run({"cluster_status", "--legacy-output"}).out,
            "Cluster status of node rabbit@localhost ...\n" + page + "]\n");
  const std::string full = run({"cluster_status", "--formatter", "erlang", "-q"}).out;
  EXPECT_TRUE(full.starts_with(page + ",\n {listeners,")) << full;
  EXPECT_EQ(json::parse(run({"cluster_status", "--formatter", "json"}).out),
            json::value(two_hosts()));
}

TEST_F(ShowTest, AlarmsPartitionsAndAStoppedApp) {
  json::object status = two_hosts();
  status["alarms"] = json::array{
      json::object{{"type", "resource_limit"}, {"resource", "memory"}, {"node", "rabbit@centos7"}}};
  status["partitions"] = json::object{{"rabbit@centos7", {"rabbit@node-1"}}};
  EXPECT_EQ(pretty(cluster_status_term(status, false)),
            "[{nodes,[{disc,[rabbit@centos7]},{ram,[rabbit@centos72]}]},\n"
            " {running_nodes,[rabbit@centos7,rabbit@centos72]},\n"
            " {cluster_name,<<\"rabbit@centos7\">>},\n"
            " {partitions,[{rabbit@centos7,['rabbit@node-1']}]},\n"
            " {alarms,[{rabbit@centos7,[{resource_limit,memory,rabbit@centos7}]},\n"
            "          {rabbit@centos72,[]}]}]");
  const std::string text = cluster_status_text(status, false);
  EXPECT_NE(text.find("Memory alarm on node rabbit@centos7\n"), std::string::npos);
  EXPECT_NE(text.find("Node rabbit@centos7 cannot communicate with rabbit@node-1\n"),
            std::string::npos);
  const json::value stopped =
      json::parse(R"({"disk_nodes":["rabbit@a"],"ram_nodes":[],"running_nodes":[],"alarms":[],
      "cluster_name":"c","app_running":false,"asked_node":"rabbit@a"})");
  EXPECT_EQ(pretty(cluster_status_term(stopped, true)),
            "[{nodes,[{disc,[rabbit@a]}]},{alarms,[]}]");
  EXPECT_EQ(cluster_status_text(stopped, false).find("Versions"), std::string::npos);
}

TEST_F(ShowTest, Status) {
  Canned canned;
  canned.result = json::parse(
      R"({"active_plugins": ["rabbitmq_management"], "alarms": [], "config_files": ["/etc/rabbitmq/rabbitmq.conf"],
    "crypto_lib_version": "OpenSSL 3.0", "data_directory": "/d", "raft_data_directory": "/d/q", "disk_free": 84453158912, "disk_free_limit": 50000000,
    "enabled_plugin_file": "/etc/rabbitmq/enabled_plugins", "erlang_version": "Warren 0.1.0", "is_under_maintenance": false,
    "file_descriptors": {"sockets_limit": 17910, "sockets_used": 1, "total_limit": 19903, "total_used": 3},
    "listeners": [{"interface": "[::]", "node": "n", "port": 5672, "protocol": "amqp", "purpose": "AMQP 0-9-1"}],
    "log_files": ["/l"], "memory": {"queue_procs": 64256000, "other": 32128000, "strategy": "rss", "total": {"rss": 128512000, "allocated": 1, "erlang": 1}},
    "net_ticktime": 60, "os": "Linux", "pid": 10991, "processes": {"limit": 1048576, "used": 284}, "rabbitmq_version": "3.10.8", "run_queue": 1,
    "totals": {"virtual_host_count": 1, "connection_count": 2, "queue_count": 3}, "uptime": 76, "vm_memory_calculation_strategy": "rss",
    "vm_memory_high_watermark_limit": 10110600806, "vm_memory_high_watermark_setting": {"relative": 0.4},
    "node": "rabbit@localhost", "release_series_support_status": "supported"})");
  node_.on("status", canned);
  EXPECT_EQ(
      run({"status"}).out,
      "Status of node rabbit@localhost ...\n"
      "Runtime\n\nOS PID: 10991\nOS: Linux\nUptime (seconds): 76\nIs under maintenance?: "
      "false\nRabbitMQ version: 3.10.8\n"
      "RabbitMQ release series support status: supported\nNode name: rabbit@localhost\nErlang "
      "configuration: Warren 0.1.0\n"
      "Crypto library: OpenSSL 3.0\nErlang processes: 284 used, 1048576 limit\nScheduler run "
      "queue: 1\n"
      "Cluster heartbeat timeout (net_ticktime): 60\n\n"
      "Plugins\n\nEnabled plugin file: /etc/rabbitmq/enabled_plugins\nEnabled plugins:\n\n * "
      "rabbitmq_management\n\n"
      "Data directory\n\nNode data directory: /d\nRaft data directory: /d/q\n\n"
      "Config files\n\n * /etc/rabbitmq/rabbitmq.conf\n\nLog file(s)\n\n * "
      "/l\n\nAlarms\n\n(none)\n\n"
      "Memory\n\nTotal memory used: 0.1285 gb\nCalculation strategy: rss\n"
      "Memory high watermark setting: 0.4 of available memory, computed to: 10.1106 gb\n\n"
      "queue_procs: 0.0643 gb (50.0 %)\nother: 0.0321 gb (25.0 %)\n\n"
      "File Descriptors\n\nTotal: 3, limit: 19903\nSockets: 1, limit: 17910\n\n"
      "Free Disk Space\n\nLow free disk space watermark: 0.05 gb\nFree disk space: 84.4532 gb\n\n"
      "Totals\n\nConnection count: 2\nQueue count: 3\nVirtual host count: 1\n\n"
      "Listeners\n\nInterface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1\n");
  const std::string mb = run({"status", "--unit", "MB", "-q"}).out;
  EXPECT_NE(mb.find("Low free disk space watermark: 50.0 mb\n"), std::string::npos);
}

TEST_F(ShowTest, EnvironmentNamesTheSourceOfEachSetting) {
  Canned canned;
  canned.result = json::object{
      {"settings",
       json::array{json::object{{"key", "tcp_port"}, {"value", 5672}, {"source", "default"}}}}};
  node_.on("environment", canned);
  EXPECT_EQ(run({"environment", "-q"}).out, "tcp_port = 5672   # default\n");
}

TEST(TermTest, AtomsBinariesAndLayout) {
  EXPECT_EQ(flat(Term::atom("rabbit@n1")), "rabbit@n1");
  EXPECT_EQ(flat(Term::atom("rabbit@node-1")), "'rabbit@node-1'");
  EXPECT_EQ(flat(Term::atom("rabbit@n1.example")), "'rabbit@n1.example'");
  EXPECT_EQ(flat(Term::atom("end")), "'end'");
  EXPECT_EQ(flat(Term::binary("a\"b\\c")), "<<\"a\\\"b\\\\c\">>");
  EXPECT_EQ(flat(Term::binary("\xff\x01")), "<<255,1>>");
  EXPECT_EQ(flat(Term::map({Term::atom("a"), Term::number("1"), Term::atom("b"), Term::list()})),
            "#{a => 1,b => []}");
}

TEST(TermTest, LaysOutAsErlangDoes) {
  const auto listener = [](const char* protocol, const char* port) {
    return Term::tuple(
        {Term::atom("listener"), Term::atom("ctloracle@localhost"), Term::atom(protocol),
         Term::string("vm"),
         Term::tuple({Term::number("0"), Term::number("0"), Term::number("0"), Term::number("0"),
                      Term::number("0"), Term::number("0"), Term::number("0"), Term::number("0")}),
         Term::number(port), Term::list()});
  };
  const Term status = Term::list(
      {Term::pair("partitions", Term::list()),
       Term::pair("listeners", Term::list({Term::pair("ctloracle@localhost",
                                                      Term::list({listener("clustering", "35872"),
                                                                  listener("amqp", "15872")}))})),
       Term::pair("versions",
                  Term::list({Term::pair(
                      "ctloracle@localhost",
                      Term::map({Term::atom("erlang_version"), Term::binary("25.2.3"),
                                 Term::atom("rabbitmq_name"), Term::binary("RabbitMQ"),
                                 Term::atom("rabbitmq_version"), Term::binary("3.10.8")}))})),
       Term::pair("maintenance_status",
                  Term::list({Term::pair("ctloracle@localhost",
                                         Term::binary("not under maintenance"))}))});
  EXPECT_EQ(pretty(status),
            "[{partitions,[]},\n"
            " {listeners,\n"
            "     [{ctloracle@localhost,\n"
            "          [{listener,ctloracle@localhost,clustering,\"vm\",\n"
            "               {0,0,0,0,0,0,0,0},\n"
            "               35872,[]},\n"
            "           {listener,ctloracle@localhost,amqp,\"vm\",\n"
            "               {0,0,0,0,0,0,0,0},\n"
            "               15872,[]}]}]},\n"
            " {versions,\n"
            "     [{ctloracle@localhost,\n"
            "          #{erlang_version => <<\"25.2.3\">>,rabbitmq_name => <<\"RabbitMQ\">>,\n"
            "            rabbitmq_version => <<\"3.10.8\">>}}]},\n"
            " {maintenance_status,[{ctloracle@localhost,<<\"not under maintenance\">>}]}]");
}

}  // namespace
}  // namespace warren::ctl
