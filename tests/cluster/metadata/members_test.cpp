// The cluster's nodes in the catalogue: who may come and go, and what goes with them.

#include "tests/cluster/metadata/support.h"

namespace warren::metadata {
namespace {

MemberDef member(std::uint64_t id, std::string name, bool ram = false) {
  MemberDef def;
  def.id = id;
  def.node_id = std::string(16, static_cast<char>('a' + id % 20));
  def.name = std::move(name);
  def.ram = ram;
  return def;
}

Command declare_at(std::string name, std::uint64_t home, bool durable, bool exclusive = false) {
  QueueDef def = queue(std::move(name), durable);
  def.home = home;
  def.exclusive = exclusive;
  def.owner_connection = exclusive ? 7 : 0;
  return DeclareQueue{std::move(def)};
}

TEST(MembersTest, AClusterKeepsItsIdAndMayChangeItsName) {
  Node node;
  node.must(PutCluster{{std::string(16, 'x'), "rabbit@n1"}});
  node.must(PutCluster{{"", "east"}});
  EXPECT_EQ(node.catalogue.cluster(), (ClusterDef{std::string(16, 'x'), "east"}));
  EXPECT_EQ(node.fails(PutCluster{{std::string(16, 'y'), "west"}}), Errc::conflict);
  EXPECT_EQ(node.fails(PutCluster{{"", ""}}), Errc::invalid_argument);
}

TEST(MembersTest, CLU_25_FeatureFlagsAreAddedAndStayOn) {
  Node node;
  EXPECT_EQ(node.fails(PutCluster{{"", "", {"b"}}}), Errc::invalid_argument);  // not founded
  node.must(PutCluster{{std::string(16, 'x'), "rabbit@n1", {"b"}}});
  node.must(PutCluster{{"", "", {"c", "a"}}});
  node.must(PutCluster{{"", "east"}});
  EXPECT_EQ(node.catalogue.cluster(), (ClusterDef{std::string(16, 'x'), "east", {"a", "b", "c"}}));
  EXPECT_EQ(node.catalogue.check_invariants(), std::nullopt);
}

TEST(MembersTest, CLU_07_TheLastDiscNodeStays) {
  Node node;
  EXPECT_EQ(node.fails(PutMember{member(1, "rabbit@n1", true)}), Errc::conflict);
  node.must(PutMember{member(1, "rabbit@n1")});
  node.must(PutMember{member(2, "rabbit@n2", true)});
  EXPECT_EQ(node.fails(RemoveMember{1}), Errc::conflict);
  EXPECT_EQ(node.fails(PutMember{member(1, "rabbit@n1", true)}), Errc::conflict);
  EXPECT_EQ(node.fails(PutMember{member(3, "rabbit@n3", true), 1}), Errc::conflict);
  node.must(PutMember{member(2, "rabbit@n2")});
  node.must(RemoveMember{1});
  EXPECT_EQ(node.catalogue.members().size(), 1U);
  EXPECT_EQ(node.catalogue.check_invariants(), std::nullopt);
}

TEST(MembersTest, CLU_09_ANodeThatLostItsStateIsAnotherMember) {
  Node node;
  node.must(PutMember{member(1, "rabbit@n1")});
  node.must(PutMember{member(2, "rabbit@n2")});
  EXPECT_EQ(node.fails(PutMember{member(3, "rabbit@n2")}), Errc::already_exists);
  node.must(PutMember{member(3, "rabbit@n2"), 2});
  EXPECT_EQ(node.catalogue.find_member(std::uint64_t{2}), nullptr);
  ASSERT_NE(node.catalogue.find_member("rabbit@n2"), nullptr);
  EXPECT_EQ(node.catalogue.find_member("rabbit@n2")->id, 3U);
}

TEST(MembersTest, CLU_10_WhoLeavesTakesTheQueuesThatLiveThere) {
  Node node;
  node.must(put_vhost("/"));
  node.must(PutMember{member(1, "rabbit@n1")});
  node.must(PutMember{member(2, "rabbit@n2")});
  node.must(declare_at("one", 1, true));
  node.must(declare_at("two", 2, true));
  node.must(declare_at("fleeting", 2, false));
  node.must(Bind{binding("amq.direct", "two", "k")});
  EXPECT_EQ(node.fails(RemoveMember{9}), Errc::not_found);
  node.must(RemoveMember{2});
  EXPECT_NE(node.catalogue.find_queue("/", "one"), nullptr);
  EXPECT_EQ(node.catalogue.find_queue("/", "two"), nullptr);
  EXPECT_EQ(node.catalogue.find_queue("/", "fleeting"), nullptr);
  EXPECT_EQ(node.catalogue.check_invariants(), std::nullopt);
}

TEST(MembersTest, ARestartEndsWhatIsTransientThere) {
  Node node;
  node.must(put_vhost("/"));
  node.must(declare_at("kept", 2, true));
  node.must(declare_at("fleeting", 2, false));
  node.must(declare_at("mine", 2, true, true));
  node.must(declare_at("elsewhere", 1, false));
  const auto applied = node.must(DropTransient{2});
  EXPECT_EQ(applied.effects.size(), 2U);
  EXPECT_NE(node.catalogue.find_queue("/", "kept"), nullptr);
  EXPECT_NE(node.catalogue.find_queue("/", "elsewhere"), nullptr);
  EXPECT_EQ(node.catalogue.find_queue("/", "fleeting"), nullptr);
  EXPECT_EQ(node.catalogue.find_queue("/", "mine"), nullptr);
  EXPECT_EQ(node.fails(DropTransient{0}), Errc::invalid_argument);
}

TEST(MembersTest, RowsAndCommandsSurviveTheDisc) {
  Node node;
  node.must(PutCluster{{std::string(16, 'x'), "rabbit@n1"}});
  node.must(PutMember{member(1, "rabbit@n1")});
  node.must(PutMember{member(2, "rabbit@n2", true)});
  Catalogue again;
  for (const auto& [key, value] : node.rows) ASSERT_TRUE(again.restore_row(key, value));
  again.restored();
  EXPECT_EQ(again, node.catalogue);
  for (const Command& command :
       {Command(PutMember{member(2, "rabbit@n2", true), 5}), Command(RemoveMember{~0ULL}),
        Command(DropTransient{3}), Command(PutCluster{{"", "east"}})}) {
    const std::string bytes = encode_command(command);
    auto back = decode_command(bytes);
    ASSERT_TRUE(back);
    EXPECT_EQ(encode_command(*back), bytes);
    EXPECT_EQ(back->index(), command.index());
  }
}

}  // namespace
}  // namespace warren::metadata
