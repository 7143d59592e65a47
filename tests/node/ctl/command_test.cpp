// Commands, exit codes, what is refused before any node is asked, and what happens when none
// answers.
#include <set>

#include "node/ctl/format.h"
#include "node/ctl/help.h"
#include "node/ctl/parse.h"
#include "node/ctl/suggest.h"
#include "tests/node/ctl/harness.h"

namespace warren::ctl {
namespace {

using CommandTest = CtlTest;

void expect_has(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << "'" << part << "' is not in:\n" << text;
}

TEST_F(CommandTest, ThePageOfNotesAsTyped) {
  node_.on("add_user");
  node_.on("set_permissions");
  node_.on("set_user_tags");
  Printed printed = run({"add_user", "kevin", "kevin"});
  EXPECT_EQ(printed.exit, 0);
  expect_has(printed.out,
             "Adding user \"kevin\" ...\nDone. Don't forget to grant the user permissions");
  EXPECT_EQ(node_.args_of("add_user").at("password"), "kevin");
  printed = run({"set_permissions", "-p", "/", "kevin", ".*", ".*", ".*"});
  EXPECT_EQ(printed.exit, 0);
  EXPECT_EQ(printed.out, "Setting permissions for user \"kevin\" in vhost \"/\" ...\n");
  EXPECT_EQ(node_.args_of("set_permissions").at("configure"), ".*");
  printed = run({"set_user_tags", "kevin", "administrator"});
  EXPECT_EQ(printed.out, "Setting tags for user \"kevin\" to [administrator] ...\n");
  EXPECT_EQ(node_.args_of("set_user_tags").at("tags"), json::array{"administrator"});
  printed = run({"list_exchages"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_EQ(printed.err,
            "\nCommand 'list_exchages' not found. \nDid you mean 'list_exchanges'? \n\n");
  printed = run({"-detached"});
  EXPECT_EQ(printed.exit, 64);
  expect_has(printed.err, "rabbitmq-server -detached");
}

TEST_F(CommandTest, ClusterCommandsOfTheNotes) {
  for (const char* method : {"stop_app", "start_app", "join_cluster", "reset", "stop"})
    node_.on(method);
  EXPECT_EQ(run({"stop_app"}).out, "Stopping rabbit application on node rabbit@localhost ...\n");
  EXPECT_EQ(run({"start_app"}).out, "Starting node rabbit@localhost ...\n");
  EXPECT_EQ(run({"join_cluster", "--ram", "rabbit@centos7"}).out,
            "Clustering node rabbit@localhost with rabbit@centos7\n");
  EXPECT_EQ(node_.args_of("join_cluster").at("node"), "rabbit@centos7");
  EXPECT_EQ(node_.args_of("join_cluster").at("node_type"), "ram");
  EXPECT_EQ(run({"stop"}).out, "Stopping and halting node rabbit@localhost ...\n");
  EXPECT_EQ(run({"stop_app", "--legacy-output"}).out, "Stopping node rabbit@localhost ...\n");
}

struct ErrorCase {
  std::vector<std::string> args;
  Errc code;
  std::string text;
  int exit;
};

TEST_F(CommandTest, ExitCodes) {
  const std::vector<ErrorCase> cases{
      {{"add_user", "u", "p"}, Errc::already_exists, "User \"u\" already exists", 70},
      {{"delete_user", "u"}, Errc::not_found, "User \"u\" does not exist", 67},
      {{"authenticate_user", "u", "p"},
       Errc::unauthenticated,
       "failed to authenticate user \"u\"",
       65},
      {{"delete_vhost", "v"}, Errc::not_found, "Virtual host 'v' does not exist", 65},
      {{"set_permissions", "-p", "v", "u", "a", "b", "c"},
       Errc::not_found,
       "Virtual host 'v' does not exist",
       69},
      {{"set_permissions", "u", "a", "b", "c"}, Errc::not_found, "User \"u\" does not exist", 67},
      {{"delete_queue", "q"}, Errc::not_found, "Queue not found", 64},
      {{"delete_queue", "q"}, Errc::conflict, "Queue is in use", 64},
      {{"purge_queue", "q"}, Errc::not_found, "not_found", 69},
      {{"set_policy", "p", "^a", "{}"}, Errc::invalid_argument, "Validation failed", 69},
      {{"join_cluster", "rabbit@b"},
       Errc::conflict,
       "already_member: the node is already a member",
       69},
      {{"join_cluster", "rabbit@a"},
       Errc::conflict,
       "cannot_cluster_node_with_itself: rabbit@a",
       70},
      {{"list_queues"}, Errc::timeout, "timed out", 75},
      {{"start_app"}, Errc::unavailable, "cannot", 69},
      {{"start_app"}, Errc::internal, "broken", 70},
      {{"reset"}, Errc::unsupported, "not yet", 64},
      {{"change_cluster_node_type", "ram"}, Errc::conflict, "not_clustered: alone", 69},
  };
  for (const ErrorCase& one : cases) {
    Canned canned;
    canned.error = make_error(one.code, one.text);
    node_.on(one.args[0], canned);
    const Printed printed = run(one.args);
    EXPECT_EQ(printed.exit, one.exit) << one.args[0] << ": " << one.text;
    expect_has(printed.err, "Error:\n" + one.text + "\n");
  }
}

TEST_F(CommandTest, UsageErrorsAskNobody) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
      {{"add_vhost"},
       "Error (argument validation): not enough arguments.\nArguments given:\n\tadd_vhost"},
      {{"add_vhost", "a", "b", "c"}, "too many arguments."},
      {{"list_queues", "--frob"}, "Invalid options for this command:\n--frob : "},
      {{"list_queues", "-t", "soon"}, "-t : soon"},
      {{"list_queues", "--formatter", "xml"}, "--formatter : xml"},
      {{"set_policy", "a", "b", "{}", "--priority", "high"}, "--priority : high"},
      {{"set_vm_memory_high_watermark", "2"}, "between 0.0 and 1.0"},
      {{"set_vm_memory_high_watermark", "absolute"}, "absolute needs a size"},
      {{"await_online_nodes", "many"}, "must be a whole number"},
      {{"status", "--unit", "furlong"}, "unit 'furlong' is not supported"},
      {{"list_queues", "--node"}, "a value is missing"},
  };
  for (const auto& [args, text] : cases) {
    const Printed printed = run(args);
    EXPECT_EQ(printed.exit, 64) << args[0];
    expect_has(printed.err, text);
    expect_has(printed.err, "rabbitmqctl [--node <node>]");
    EXPECT_EQ(printed.out, "");
  }
  EXPECT_EQ(run({}).exit, 64);
  // Alone among usage errors: RabbitMQ 3.10.8 ends with 65 here.
  const Printed type = run({"change_cluster_node_type", "tape"});
  EXPECT_EQ(type.exit, 65);
  expect_has(type.err, "must be either disc or ram");
  EXPECT_EQ(node_.call_count(), 0u);
}

TEST_F(CommandTest, JsonArgumentsAreCheckedHere) {
  const Printed printed = run({"set_policy", "p", "^a", "not json"});
  EXPECT_EQ(printed.exit, 69);
  EXPECT_EQ(printed.out,
            "Setting policy \"p\" for pattern \"^a\" to \"not json\" with priority \"\" for vhost "
            "\"/\" ...\n");
  expect_has(printed.err, "JSON decoding error");
  node_.on("set_policy");
  EXPECT_EQ(run({"set_policy", "p1", "^h", "{\"max-length\":5}", "--priority", "3"}).out,
            "Setting policy \"p1\" for pattern \"^h\" to \"{\"max-length\":5}\" with priority "
            "\"3\" for vhost \"/\" ...\n");
  const json::object args = node_.args_of("set_policy");
  EXPECT_EQ(args.at("definition"), (json::object{{"max-length", 5}}));
  EXPECT_EQ(args.at("priority"), 3);
  EXPECT_EQ(args.at("apply_to"), "all");
  EXPECT_FALSE(args.contains("definition_text"));
}

TEST_F(CommandTest, AStoppedAppIsToldAsUsersKnowIt) {
  Canned canned;
  canned.error = make_error(Errc::unavailable, "app_not_running: the broker is stopped");
  node_.on("list_queues", canned);
  Printed printed = run({"list_queues"});
  EXPECT_EQ(printed.exit, 64);
  EXPECT_EQ(printed.out, "");
  expect_has(printed.err,
             "Error: this command requires the 'rabbit' app to be running on the target node. "
             "Start it with "
             "'rabbitmqctl start_app'.\nArguments given:\n\tlist_queues");
  canned.error = make_error(Errc::conflict, "app_running: stop it");
  node_.on("join_cluster", canned);
  printed = run({"join_cluster", "rabbit@b"});
  EXPECT_EQ(printed.exit, 64);
  expect_has(printed.err,
             "requires the 'rabbit' app to be stopped on the target node. Stop it with "
             "'rabbitmqctl stop_app'.");
}

TEST_F(CommandTest, PasswordsComeFromTheInputWhenNotGiven) {
  node_.on("add_user");
  input_ = "s3cret\n";
  EXPECT_EQ(run({"add_user", "u"}).exit, 0);
  EXPECT_EQ(node_.args_of("add_user").at("password"), "s3cret");
  input_ = "";
  const Printed printed = run({"add_user", "u"});
  EXPECT_EQ(printed.exit, 65);
  expect_has(printed.err, "Password is not provided via argument or stdin");
  input_ = "hash==\n";
  EXPECT_EQ(run({"add_user", "u", "--pre-hashed-password"}).exit, 0);
  EXPECT_EQ(node_.args_of("add_user").at("password_hash"), "hash==");
  EXPECT_FALSE(node_.args_of("add_user").contains("password"));
}

TEST_F(CommandTest, OptionsStandAnywhere) {
  node_.on("delete_queue");
  for (const std::vector<std::string>& args :
       std::vector<std::vector<std::string>>{{"-p", "v", "--if-empty", "delete_queue", "q"},
                                             {"delete_queue", "--if_empty", "q", "--vhost=v"},
                                             {"delete_queue", "q", "-e", "-p", "v", "-q"},
                                             {"-qp", "v", "delete_queue", "q", "--if-empty"},
                                             {"delete_queue", "-pv", "-e", "--", "q"}}) {
    const Printed printed = run(args);
    EXPECT_EQ(printed.exit, 0) << printed.err;
    EXPECT_EQ(node_.args_of("delete_queue").at("vhost"), "v");
    EXPECT_EQ(node_.args_of("delete_queue").at("if_empty"), true);
    EXPECT_EQ(node_.args_of("delete_queue").at("name"), "q");
  }
  EXPECT_EQ(run({"delete_queue", "q", "--if-unused"}).out,
            "Deleting queue 'q' on vhost '/' if queue is unused ...\n");
}

TEST_F(CommandTest, DryRunDoesNothing) {
  EXPECT_EQ(run({"add_user", "u", "p", "--dry-run"}).exit, 0);
  EXPECT_EQ(run({"add_user", "--dry-run"}).exit, 64);
  EXPECT_EQ(node_.call_count(), 0u);
}

TEST_F(CommandTest, ErlangIsRefusedButTheUsualQuestionIsAnswered) {
  Printed printed = run({"eval", "rabbit:stop()."});
  EXPECT_EQ(printed.exit, 64);
  expect_has(printed.err, "not supported by this server");
  EXPECT_EQ(run({"remote_shell"}, kDiagnostics).exit, 64);
  Canned canned;
  canned.result = json::object{{"running_nodes", {"rabbit@localhost", "rabbit@node-1"}}};
  node_.on("cluster_status", canned);
  EXPECT_EQ(run({"eval", "rabbit_nodes:all_running()."}).out,
            "[rabbit@localhost,'rabbit@node-1']\n");
}

TEST_F(CommandTest, MessagesAndWarningsOfTheNodeArePrinted) {
  Canned canned;
  canned.result = json::object{{"message", "The node is already a member"},
                               {"warnings", {"two disc nodes survive no loss"}}};
  node_.on("join_cluster", canned);
  const Printed printed = run({"join_cluster", "rabbit@b"});
  expect_has(printed.out, "The node is already a member\n");
  EXPECT_EQ(printed.err, "Warning: two disc nodes survive no loss\n");
}

TEST_F(CommandTest, HealthChecks) {
  Canned yes;
  yes.result = json::object{{"result", true}};
  Canned no;
  no.result = json::object{{"result", false}};
  node_.on("is_running", yes);
  EXPECT_EQ(run({"check_running"}, kDiagnostics).out,
            "Checking if RabbitMQ is running on node rabbit@localhost ...\n"
            "RabbitMQ on node rabbit@localhost is fully booted and running\n");
  node_.on("is_running", no);
  Printed printed = run({"check_running"}, kDiagnostics);
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err, "is not running or has not fully booted yet");
  node_.on("ping");
  expect_has(run({"ping"}, kDiagnostics).out, "Ping succeeded\n");
  Canned alarms;
  alarms.result = json::object{
      {"alarms", json::array{json::object{{"resource", "memory"}, {"node", "rabbit@b"}}}},
      {"local", json::array{}}};
  node_.on("alarms", alarms);
  EXPECT_EQ(run({"check_local_alarms"}, kDiagnostics).exit, 0);
  printed = run({"check_alarms"}, kDiagnostics);
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err, "Memory alarm on node rabbit@b");
}

TEST_F(CommandTest, ListenersAndTheirPortsAreChecked) {
  const int open = server_->port();
  Canned canned;
  canned.result = json::object{{"listeners", json::array{json::object{{"node", "rabbit@localhost"},
                                                                      {"interface", "127.0.0.1"},
                                                                      {"port", open},
                                                                      {"protocol", "clustering"},
                                                                      {"purpose", "x"}}}}};
  node_.on("listeners", canned);
  Printed printed = run({"check_port_connectivity"}, kDiagnostics);
  EXPECT_EQ(printed.exit, 0) << printed.err;
  expect_has(printed.out, "Successfully connected to ports " + std::to_string(open) + " on node");
  EXPECT_EQ(run({"check_port_listener", std::to_string(open)}, kDiagnostics).exit, 0);
  printed = run({"check_port_listener", "9"}, kDiagnostics);
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err,
             "No listener for port 9 is active on node rabbit@localhost. Found listeners that use "
             "the following ports: " +
                 std::to_string(open));
  EXPECT_EQ(run({"check_protocol_listener", "clustering"}, kDiagnostics).exit, 0);
  EXPECT_EQ(run({"check_protocol_listener", "mqtt"}, kDiagnostics).exit, 69);
}

TEST_F(CommandTest, AWrongCookieIsExplained) {
  const Printed printed = run({"list_queues", "--erlang-cookie", "ANOTHERCOOKIEENTIRELY"});
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err, "Error: unable to perform an operation on node 'rabbit@localhost'.");
  expect_has(printed.err, "DIAGNOSTICS\n===========\n\nattempted to contact: [rabbit@localhost]");
  expect_has(printed.err, transport::cookie_of("ANOTHERCOOKIEENTIRELY").fingerprint());
  expect_has(printed.err, transport::cookie_of("COOKIECOOKIECOOKIE12").fingerprint());
  expect_has(printed.err, "suggestion: put the same cookie in both files (mode 400)");
  EXPECT_EQ(printed.err.find("ANOTHERCOOKIEENTIRELY"), std::string::npos);
  EXPECT_EQ(node_.call_count(), 0u);
}

TEST_F(CommandTest, ACookieFileWithAWideModeIsRefused) {
  ::chmod(cookie_file_.c_str(), 0640);
  const Printed printed = run({"list_queues"});
  EXPECT_EQ(printed.exit, 78);
  expect_has(printed.err, "chmod 400 " + cookie_file_);
  EXPECT_EQ(run({"erlang_cookie_sources"}, kDiagnostics).exit, 78);
}

TEST_F(CommandTest, AnUnreachableNodeGetsTheDiagnosticsBlock) {
  env_["RABBITMQ_NODENAME"] = "hare@localhost";
  env_["RABBITMQ_DIST_PORT"] = "1";
  Printed printed = run({"status"});
  EXPECT_EQ(printed.exit, 69);
  EXPECT_EQ(printed.out, "");
  expect_has(printed.err,
             "attempted to contact: [hare@localhost]\n\nhare@localhost:\n  * host name localhost "
             "resolves to ");
  expect_has(printed.err, "port 1 on 127.0.0.1: closed (connection refused)");
  expect_has(printed.err, "other nodes on this host: rabbit@localhost");
  expect_has(printed.err, "suggestion: start the node");
  expect_has(printed.err, "Erlang cookie hash: ");
  printed = run({"status", "-n", "rabbit@no-such-host.invalid"});
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err, "host name no-such-host.invalid cannot be resolved on ");
  expect_has(printed.err, "/etc/hosts");
}

TEST_F(CommandTest, ANodeIsFoundByNameAloneAndNamesAreCompleted) {
  start_node("hare@localhost", "COOKIECOOKIECOOKIE12");
  node_.on("start_app");
  EXPECT_EQ(run({"-n", "hare", "start_app"}).out, "Starting node hare@localhost ...\n");
  EXPECT_EQ(run({"-n", "hare@localhost", "start_app"}).exit, 0);
}

TEST_F(CommandTest, AnotherNodeOnThePortIsNotMistakenForTheOneMeant) {
  env_["RABBITMQ_NODENAME"] = "hare@localhost";
  env_["RABBITMQ_DIST_PORT"] = std::to_string(server_->port());
  const Printed printed = run({"stop"});
  EXPECT_EQ(printed.exit, 69);
  expect_has(printed.err, "is node rabbit@localhost; no node hare@localhost runs on that host");
  EXPECT_EQ(node_.args_of("stop").size(), 0u);
}

/// A tool on another host knows only the host: the node at the usual port tells where the other one
/// is.
TEST_F(CommandTest, ANodeIsFoundThroughItsNeighbour) {
  FakeNode hare;
  hare.on("start_app");
  transport::ControlServer second(hare, clock_, log_);
  transport::ControlServerOptions options;
  options.address = "127.0.0.1";
  options.cookies = {transport::cookie_of("COOKIECOOKIECOOKIE12")};
  options.identity = transport::identity("hare@localhost");
  const auto port = second.start(options);
  ASSERT_TRUE(port);
  transport::NodeEntry entry;
  entry.name = "hare@localhost";
  entry.port = *port;
  const auto registered = transport::NodeRegistration::publish(entry, {dir_.path("run")});
  ASSERT_TRUE(registered);
  tool_registry_ = {dir_.path("empty")};
  env_["RABBITMQ_NODENAME"] = "hare@localhost";
  env_["RABBITMQ_NODE_PORT"] = std::to_string(server_->port() - 20000);
  const Printed printed = run({"start_app"});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_EQ(hare.call_count(), 1u);
}

TEST(NodeNameTest, ShortAndLongNamesOfOneNode) {
  EXPECT_TRUE(same_node("rabbit@n1", "rabbit@n1"));
  EXPECT_TRUE(same_node("rabbit@n1", "rabbit@n1.example"));
  EXPECT_FALSE(same_node("rabbit@n1.example", "rabbit@n1.other"));
  EXPECT_FALSE(same_node("rabbit@n1", "rabbit@n2"));
  EXPECT_FALSE(same_node("hare@n1", "rabbit@n1"));
}

TEST_F(CommandTest, WaitFollowsThePidFile) {
  node_.on("await_startup");
  const std::string file = dir_.write("node.pid", std::to_string(::getpid()) + "\n");
  const Printed printed = run({"wait", file});
  EXPECT_EQ(printed.exit, 0) << printed.err;
  EXPECT_EQ(printed.out,
            "Waiting for pid file '" + file + "' to appear\npid is " + std::to_string(::getpid()) +
                "\nWaiting for erlang distribution on node 'rabbit@localhost' while OS process '" +
                std::to_string(::getpid()) +
                "' is running\nWaiting for applications 'rabbit_and_plugins' to start on node "
                "'rabbit@localhost'\n"
                "Applications 'rabbit_and_plugins' are running on node 'rabbit@localhost'\n");
  EXPECT_EQ(run({"wait", dir_.path("none"), "-t", "1"}).exit, 75);
  EXPECT_EQ(run({"wait", "--pid", "999999999"}).exit, 69);
  EXPECT_EQ(run({"wait"}).exit, 64);
}

TEST_F(CommandTest, DefinitionsTravelThroughFiles) {
  Canned canned;
  canned.result = json::object{{"users", json::array{}}};
  node_.on("export_definitions", canned);
  node_.on("import_definitions");
  EXPECT_EQ(run({"export_definitions", "-"}).out, "{\"users\":[]}\n");
  EXPECT_EQ(run({"export_definitions", dir_.path("d.json")}).exit, 0);
  struct stat info {};
  ASSERT_EQ(::stat(dir_.path("d.json").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u) << "hashes are in it";
  EXPECT_EQ(run({"import_definitions", dir_.path("d.json")}).exit, 0);
  EXPECT_EQ(node_.args_of("import_definitions").at("definitions"), canned.result);
  input_ = "{\"vhosts\":[]}";
  EXPECT_EQ(run({"import_definitions"}).exit, 0);
  EXPECT_TRUE(node_.args_of("import_definitions").at("definitions").as_object().contains("vhosts"));
  EXPECT_EQ(run({"import_definitions", dir_.write("bad", "{")}).exit, 65);
  EXPECT_EQ(run({"import_definitions", dir_.path("none")}).exit, 65);
}

TEST_F(CommandTest, HelpAndVersion) {
  const Printed help = run({"help"});
  EXPECT_EQ(help.exit, 0);
  expect_has(help.out, "Available commands:");
  expect_has(help.out, "   join_cluster ");
  EXPECT_EQ(help.out.find("  eval "), std::string::npos);
  EXPECT_EQ(help.out.find("check_running"), std::string::npos) << "belongs to rabbitmq-diagnostics";
  expect_has(run({"help"}, kDiagnostics).out, "check_running");
  const Printed one = run({"help", "list_queues"});
  expect_has(one.out,
             "rabbitmqctl [--node <node>] [--longnames] [--quiet] list_queues [--vhost <vhost>] "
             "[<column> ...] [--online]");
  EXPECT_EQ(run({"list_queues", "--help"}).out, one.out);
  EXPECT_EQ(run({"help", "list_queus"}).exit, 64);
  expect_has(run({"help", "list_queus"}).err, "Did you mean 'list_queues'?");
  EXPECT_EQ(run({"version"}).out, run({"--version"}).out);
  for (const Command* command : all_commands())
    EXPECT_EQ(run({"help", std::string(command->name)}, command->scopes & -command->scopes).exit, 0)
        << command->name;
}

TEST_F(CommandTest, Completion) {
  EXPECT_EQ(run({"autocomplete", "list_q"}).out, "list_queues\n");
  EXPECT_EQ(run({"autocomplete", "--", "list_queues", "name", "messages_una"}).out,
            "messages_unacknowledged\nmessages_unacknowledged_ram\n");
  EXPECT_EQ(run({"autocomplete", "--", "list_queues", "--onl"}).out, "--online\n");
  EXPECT_EQ(run({"autocomplete", "--", "list_queues", "--formatter", "js"}).out,
            "json\njson_stream\n");
  EXPECT_EQ(run({"autocomplete", "--", "help", "join"}).out, "join_cluster\n");
  EXPECT_EQ(run({"autocomplete", "--", "ena"}, kPlugins).out, "enable\n");
  expect_has(run({"autocomplete", "--bash"}).out, "complete -F _warren_ctl rabbitmqctl");
}

TEST(SuggestTest, NearWordsOnly) {
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ab", "ba"), 1u);
  EXPECT_EQ(nearest("staus", {"status", "stop"}), "status");
  EXPECT_EQ(nearest("frobnicate", {"status", "stop"}), std::nullopt);
  EXPECT_EQ(nearest("", {"a"}), std::nullopt);
}

TEST(TableTest, EveryRowOfTheCommandTableIsWellFormed) {
  std::set<std::pair<std::string_view, unsigned>> seen;
  for (const Command* command : all_commands()) {
    EXPECT_FALSE(command->summary.empty()) << command->name;
    for (unsigned scope = 1; scope <= kStreams; scope *= 2) {
      if ((command->scopes & scope) == 0) continue;
      EXPECT_TRUE(seen.emplace(command->name, scope).second) << command->name;
    }
    std::set<std::string> columns;
    for (const Column& column : columns_of(command->columns)) columns.insert(column.name);
    for (const Column& column : columns_of(command->default_columns)) {
      EXPECT_TRUE(columns.contains(column.name)) << command->name << " " << column.name;
    }
    EXPECT_EQ(command->has(kRows), !command->default_columns.empty()) << command->name;
    bool optional = false;
    for (const ArgumentSpec& argument : arguments_of(*command)) {
      EXPECT_FALSE(optional && !argument.optional)
          << command->name << ": a needed argument after one that is not";
      optional = optional || argument.optional;
    }
    for (const OptionSpec& option : options_of(*command)) {
      for (const GlobalOption& global : global_options())
        EXPECT_NE(option.name, global.name) << command->name;
    }
  }
}

}  // namespace
}  // namespace warren::ctl
