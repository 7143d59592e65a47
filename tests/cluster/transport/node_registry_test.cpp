#include "cluster/transport/node_registry.h"

#include <unistd.h>

#include "tests/cluster/transport/support.h"

namespace warren::transport {
namespace {

NodeEntry entry(const std::string& name, std::uint16_t port) {
  NodeEntry e;
  e.name = name;
  e.port = port;
  e.pid = ::getpid();
  e.cookie_file = "/x/.erlang.cookie";
  return e;
}

TEST(NodeRegistryTest, AnEntryIsFoundWhileItsNodeLives) {
  const TempDir dir;
  const std::vector<std::string> where{dir.path("run")};
  EXPECT_FALSE(find_node("rabbit@a", where));
  {
    auto held = NodeRegistration::publish(entry("rabbit@a", 25672), where);
    ASSERT_TRUE(held) << held.error().text;
    auto other = NodeRegistration::publish(entry("hare@a", 25673), where);
    ASSERT_TRUE(other);
    const auto found = find_node("rabbit@a", where);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->port, 25672);
    EXPECT_EQ(found->cookie_file, "/x/.erlang.cookie");
    ASSERT_EQ(list_nodes(where).size(), 2u);
    EXPECT_EQ(list_nodes(where)[0].name, "hare@a");
  }
  EXPECT_FALSE(find_node("rabbit@a", where));
}

TEST(NodeRegistryTest, ANameIsHeldOnce) {
  const TempDir dir;
  const std::vector<std::string> where{dir.path("run")};
  auto held = NodeRegistration::publish(entry("rabbit@a", 25672), where);
  ASSERT_TRUE(held);
  const auto second = NodeRegistration::publish(entry("rabbit@a", 25673), where);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Errc::already_exists);
  EXPECT_NE(second.error().text.find(std::to_string(::getpid())), std::string::npos);
}

TEST(NodeRegistryTest, FilesOfDeadNodesAndGarbageAreNotEntries) {
  const TempDir dir;
  const std::vector<std::string> where{dir.path("run")};
  {
    auto held = NodeRegistration::publish(entry("rabbit@dead", 25672), where);
    std::filesystem::copy_file(held->file(), held->file() + ".keep");
  }
  std::filesystem::rename(dir.path("run/rabbit@dead.node.keep"), dir.path("run/rabbit@dead.node"));
  dir.write("run/rabbit@odd.node", "{{{{");
  EXPECT_FALSE(find_node("rabbit@dead", where));
  EXPECT_TRUE(list_nodes(where).empty());
  EXPECT_TRUE(NodeRegistration::publish(entry("rabbit@dead", 25672), where))
      << "a stale file is taken over";
}

TEST(NodeRegistryTest, StrangeNamesStayInTheDirectory) {
  const TempDir dir;
  const std::vector<std::string> where{dir.path("run")};
  auto held = NodeRegistration::publish(entry("../../evil@a", 25672), where);
  ASSERT_TRUE(held);
  EXPECT_EQ(std::filesystem::path(held->file()).parent_path(), dir.path("run"));
  EXPECT_TRUE(find_node("../../evil@a", where));
}

TEST(NodeRegistryTest, DirectoriesAnyoneMayWriteAreNotTrusted) {
  const TempDir dir;
  std::filesystem::create_directory(dir.path("run"));
  ::chmod(dir.path("run").c_str(), 0777);
  const auto held = NodeRegistration::publish(entry("rabbit@a", 1), {dir.path("run")});
  ASSERT_FALSE(held);
  EXPECT_EQ(held.error().code, Errc::io);
  auto fallback =
      NodeRegistration::publish(entry("rabbit@a", 1), {dir.path("run"), dir.path("second")});
  ASSERT_TRUE(fallback);
  EXPECT_TRUE(fallback->file().starts_with(dir.path("second")));
}

}  // namespace
}  // namespace warren::transport
