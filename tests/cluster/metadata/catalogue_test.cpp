// One test per rule of the catalogue; row ids are those of the acceptance list.

#include "tests/cluster/metadata/support.h"

#include <gmock/gmock.h>

namespace warren::metadata {
namespace {

using testing::ElementsAre;

template <class T>
int count(const Applied& applied) {
  int n = 0;
  for (const auto& effect : applied.effects) n += std::holds_alternative<T>(effect) ? 1 : 0;
  return n;
}

std::vector<std::string> exchange_names(const Catalogue& catalogue) {
  std::vector<std::string> out;
  for (const auto& [name, def] : catalogue.find_vhost("/")->exchanges) out.push_back(name);
  return out;
}

const std::vector<std::string> kPredeclared = {
    "", "amq.direct", "amq.fanout", "amq.headers", "amq.match", "amq.rabbitmq.trace", "amq.topic"};

TEST(Catalogue, EXC01_vhost_has_its_predeclared_exchanges) {
  Node node;
  const Applied applied = node.must(put_vhost("/"));
  EXPECT_EQ(exchange_names(node.catalogue), kPredeclared);
  EXPECT_EQ(count<ExchangePut>(applied), 7);
  EXPECT_EQ(node.catalogue.find_exchange("/", "")->type, "direct");
  EXPECT_EQ(node.catalogue.find_exchange("/", "amq.match")->type, "headers");
  const auto* trace = node.catalogue.find_exchange("/", "amq.rabbitmq.trace");
  EXPECT_EQ(trace->type, "topic");
  EXPECT_TRUE(trace->internal);
  for (const auto& [name, def] : node.catalogue.find_vhost("/")->exchanges)
    EXPECT_TRUE(def.durable) << name;
  EXPECT_FALSE(node.must(put_vhost("/")).changed);
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
}

TEST(Catalogue, put_vhost_again_changes_metadata_and_keeps_what_is_in_it) {
  Node node = node_with_vhost();
  node.must(DeclareQueue{queue("q")});
  PutVhost put;
  put.def.name = "/";
  put.def.description = "the first";
  put.def.limits["max-queues"] = 5;
  EXPECT_TRUE(node.must(put).changed);
  EXPECT_NE(node.catalogue.find_queue("/", "q"), nullptr);
  EXPECT_EQ(node.restarted().catalogue.find_vhost("/")->def, put.def);
}

TEST(Catalogue, EXC03_redeclare_equal_is_ok_and_changes_nothing) {
  Node node = node_with_vhost();
  node.must(DeclareExchange{exchange("x")});
  const Applied again = node.must(DeclareExchange{exchange("x")});
  EXPECT_FALSE(again.changed);
  EXPECT_TRUE(again.rows.empty());
  EXPECT_EQ(node.fails(DeclareExchange{exchange("x", false)}), Errc::conflict);
}

TEST(Catalogue, EXC04_system_exchanges_stay) {
  Node node = node_with_vhost();
  EXPECT_EQ(node.fails(DeleteExchange{"/", "amq.topic"}), Errc::permission_denied);
  EXPECT_EQ(node.fails(DeleteExchange{"/", ""}), Errc::permission_denied);
  node.must(DeclareQueue{queue("q")});
  EXPECT_EQ(node.fails(Bind{binding("", "q", "q")}), Errc::permission_denied);
  EXPECT_EQ(node.fails(Unbind{binding("", "q", "q")}), Errc::permission_denied);
}

TEST(Catalogue, EXC06_delete_if_unused_looks_at_bindings_from_it_only) {
  Node node = node_with_vhost();
  node.must(DeclareExchange{exchange("x")});
  node.must(DeclareQueue{queue("q")});
  node.must(Bind{binding("amq.direct", "x", "k", false)});
  node.must(Bind{binding("x", "q", "k")});
  EXPECT_EQ(node.fails(DeleteExchange{"/", "x", true}), Errc::conflict);
  node.must(Unbind{binding("x", "q", "k")});
  const Applied gone = node.must(DeleteExchange{"/", "x", true});
  EXPECT_EQ(count<BindingDeleted>(gone), 1);
  EXPECT_EQ(count<ExchangeDeleted>(gone), 1);
  EXPECT_TRUE(node.catalogue.bindings_from("/", "amq.direct").empty());
  EXPECT_EQ(node.fails(DeleteExchange{"/", "x"}), Errc::not_found);
}

TEST(Catalogue, EXC07_auto_delete_exchange_goes_with_its_last_binding_not_before) {
  Node node = node_with_vhost();
  node.must(DeclareExchange{exchange("x", true, true)});
  node.must(DeclareQueue{queue("q")});
  node.must(Unbind{binding("x", "q", "never")});
  EXPECT_NE(node.catalogue.find_exchange("/", "x"), nullptr);
  node.must(Bind{binding("x", "q", "a")});
  node.must(Bind{binding("x", "q", "b")});
  node.must(Unbind{binding("x", "q", "a")});
  EXPECT_NE(node.catalogue.find_exchange("/", "x"), nullptr);
  EXPECT_EQ(count<ExchangeDeleted>(node.must(Unbind{binding("x", "q", "b")})), 1);
  EXPECT_EQ(node.catalogue.find_exchange("/", "x"), nullptr);
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
}

TEST(Catalogue, EXC07_auto_delete_runs_up_a_chain_and_around_a_cycle) {
  Node node = node_with_vhost();
  for (const char* name : {"a", "b", "c", "loop1", "loop2"})
    node.must(DeclareExchange{exchange(name, true, true)});
  node.must(DeclareQueue{queue("q")});
  node.must(Bind{binding("a", "b", "", false)});
  node.must(Bind{binding("b", "c", "", false)});
  node.must(Bind{binding("c", "q")});
  node.must(Bind{binding("loop1", "loop2", "", false)});
  node.must(Bind{binding("loop2", "loop1", "", false)});
  node.must(Bind{binding("loop2", "q")});
  const Applied applied = node.must(DeleteQueue{"/", "q"});
  EXPECT_EQ(count<ExchangeDeleted>(applied), 3);  // a loop keeps itself
  EXPECT_EQ(count<BindingDeleted>(applied), 4);
  EXPECT_EQ(count<QueueDeleted>(applied), 1);
  node.must(DeleteExchange{"/", "loop1"});
  EXPECT_EQ(exchange_names(node.catalogue), kPredeclared);
  EXPECT_EQ(node.catalogue.check_invariants(), std::nullopt);
}

TEST(Catalogue, EXC20_binding_identity_is_source_destination_key_and_arguments) {
  Node node = node_with_vhost();
  node.must(DeclareQueue{queue("q")});
  BindingDef one = binding("amq.headers", "q", "k");
  one.arguments.set("a", std::int32_t{1});
  one.arguments.set("b", "x");
  BindingDef other_order = binding("amq.headers", "q", "k");
  other_order.arguments.set("b", "x");
  other_order.arguments.set("a", std::int32_t{1});
  BindingDef other_type = one;
  other_type.arguments.set("a", std::int64_t{1});
  EXPECT_TRUE(node.must(Bind{one}).changed);
  EXPECT_FALSE(node.must(Bind{one}).changed);
  EXPECT_FALSE(node.must(Bind{other_order}).changed);
  EXPECT_TRUE(node.must(Bind{other_type}).changed);
  EXPECT_TRUE(node.must(Bind{binding("amq.headers", "q", "k")}).changed);
  EXPECT_EQ(node.catalogue.bindings_to("/", "q", true).size(), 3u);
  EXPECT_TRUE(node.must(Unbind{other_order}).changed);
  EXPECT_FALSE(node.must(Unbind{one}).changed);
  EXPECT_EQ(node.catalogue.bindings_from("/", "amq.headers").size(), 2u);
}

TEST(Catalogue, EXC20_bind_to_missing_objects_names_the_exchange_first) {
  Node node = node_with_vhost();
  auto both = node.apply(Bind{binding("nox", "noq")});
  ASSERT_FALSE(both);
  EXPECT_EQ(both.error().text, "no exchange 'nox' in vhost '/'");
  auto queue_only = node.apply(Bind{binding("amq.direct", "noq")});
  ASSERT_FALSE(queue_only);
  EXPECT_EQ(queue_only.error().text, "no queue 'noq' in vhost '/'");
  EXPECT_FALSE(node.must(Unbind{binding("nox", "noq")}).changed);
}

TEST(Catalogue, queue_and_exchange_of_one_name_have_their_own_bindings) {
  Node node = node_with_vhost();
  node.must(DeclareQueue{queue("n")});
  node.must(DeclareExchange{exchange("n")});
  node.must(Bind{binding("amq.direct", "n", "k", true)});
  node.must(Bind{binding("amq.direct", "n", "k", false)});
  node.must(DeleteQueue{"/", "n"});
  EXPECT_EQ(node.catalogue.bindings_to("/", "n", true).size(), 0u);
  EXPECT_EQ(node.catalogue.bindings_to("/", "n", false).size(), 1u);
  EXPECT_EQ(node.catalogue.bindings_from("/", "amq.direct").size(), 1u);
}

TEST(Catalogue, what_ends_with_its_node_ends_by_a_command) {
  Node node = node_with_vhost();
  QueueDef exclusive = queue("exclusive");
  exclusive.exclusive = true;
  exclusive.owner_connection = 7;
  exclusive.home = 5;
  QueueDef transient = queue("transient", false), elsewhere = queue("elsewhere", false);
  transient.home = 5;
  elsewhere.home = 6;
  QueueDef durable = queue("durable");
  durable.home = 5;
  for (const QueueDef& def : {exclusive, transient, elsewhere, durable}) {
    node.must(DeclareQueue{def});
    node.must(Bind{binding("amq.direct", def.name, "k")});
  }
  node.must(DeclareExchange{exchange("x", false)});
  EXPECT_EQ(node.restarted().catalogue, node.catalogue) << "members that join must know them";
  node.must(DropTransient{5, false});
  EXPECT_EQ(node.catalogue.find_vhost("/")->queues.size(), 2u);
  EXPECT_NE(node.catalogue.find_queue("/", "elsewhere"), nullptr);
  EXPECT_EQ(node.catalogue.bindings_from("/", "amq.direct").size(), 2u);
  EXPECT_NE(node.catalogue.find_exchange("/", "x"), nullptr);
  node.must(DropTransient{5, true});
  EXPECT_EQ(node.catalogue.find_exchange("/", "x"), nullptr);
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
}

TEST(Catalogue, a_queue_of_a_node_that_left_is_refused) {
  Node node = node_with_vhost();
  node.must(PutMember{{5, std::string(16, 'a'), "rabbit@a", false}});
  QueueDef def = queue("q");
  def.home = 6;
  EXPECT_EQ(node.fails(DeclareQueue{def}), Errc::unavailable);
  def.home = 5;
  node.must(DeclareQueue{def});
}

TEST(Catalogue, difference_leads_from_one_to_the_other) {
  Node before = node_with_vhost();
  before.must(put_vhost("gone"));
  before.must(put_user("u"));
  before.must(DeclareQueue{queue("kept")});
  before.must(DeclareQueue{queue("anew")});
  before.must(Bind{binding("amq.direct", "kept", "k")});
  before.must(Bind{binding("amq.direct", "anew", "k")});
  Node after = before;
  EXPECT_TRUE(after.catalogue.difference(before.catalogue).empty());
  after.must(DeleteVhost{"gone"});
  after.must(DeleteQueue{"/", "anew", 0});
  after.must(DeclareQueue{queue("anew")});
  after.must(Bind{binding("amq.direct", "anew", "k")});
  after.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, false}});
  Applied found;
  found.effects = after.catalogue.difference(before.catalogue);
  EXPECT_EQ(count<VhostDeleted>(found), 1);
  EXPECT_EQ(count<ExchangeDeleted>(found), 7);
  EXPECT_EQ(count<QueueDeleted>(found), 1);
  EXPECT_EQ(count<QueuePut>(found), 1);
  EXPECT_EQ(count<BindingDeleted>(found), 1) << "bindings of another incarnation are others";
  EXPECT_EQ(count<BindingPut>(found), 1);
  EXPECT_EQ(count<PoliciesChanged>(found), 1);
  EXPECT_EQ(count<UserChanged>(found), 0);
  EXPECT_TRUE(std::holds_alternative<BindingDeleted>(found.effects.at(0)));
}

TEST(Catalogue, uids_are_not_reused_by_a_queue_of_the_old_name_nor_after_a_restart) {
  Node node = node_with_vhost();
  node.must(DeclareQueue{queue("q")});
  const QueueUid first = node.catalogue.find_queue("/", "q")->uid;
  node.must(DeleteQueue{"/", "q", first});
  node.must(DeclareQueue{queue("q", false)});
  const QueueUid second = node.catalogue.find_queue("/", "q")->uid;
  EXPECT_GT(second, first);
  EXPECT_EQ(node.fails(DeleteQueue{"/", "q", first}), Errc::not_found);
  EXPECT_EQ(node.catalogue.find_queue(second)->name, "q");
  EXPECT_EQ(node.catalogue.find_queue(first), nullptr);

  Node back = node.restarted();
  back.must(DeclareQueue{queue("other", false)});
  EXPECT_GT(back.catalogue.find_queue("/", "other")->uid, second);
}

TEST(Catalogue, uids_are_reserved_in_steps) {
  Node node = node_with_vhost();
  int rows = 0;
  for (std::uint64_t i = 0; i < 2 * kUidReservation; ++i)
    rows += static_cast<int>(
        node.must(DeclareQueue{queue("q" + std::to_string(i), false)}).rows.size() - 1);
  EXPECT_EQ(rows, 3);  // uids 1.., 4096.., 8192
}

TEST(Catalogue, proposer_may_choose_the_uid) {
  Node node = node_with_vhost();
  QueueDef def = queue("q");
  def.uid = 100000;
  node.must(DeclareQueue{def});
  EXPECT_EQ(node.catalogue.find_queue("/", "q")->uid, 100000u);
  EXPECT_GT(node.catalogue.next_uid(), 100000u);
  def.name = "other";
  def.home = 0x1234'5678'9abc'def0;
  EXPECT_EQ(node.fails(DeclareQueue{def}), Errc::invalid_argument);
  def.uid = ~QueueUid{0};
  EXPECT_EQ(node.fails(DeclareQueue{def}), Errc::invalid_argument);
  def.uid = 0;
  node.must(DeclareQueue{def});
  EXPECT_EQ(node.restarted().catalogue.find_queue("/", "other")->home, def.home);
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
}

TEST(Catalogue, QUE05_exclusive_queue_is_locked_to_its_connection) {
  Node node = node_with_vhost();
  QueueDef def = queue("q");
  def.exclusive = true;
  def.owner_connection = 7;
  node.must(DeclareQueue{def});
  EXPECT_FALSE(node.must(DeclareQueue{def}).changed);
  QueueDef elsewhere = def;
  elsewhere.owner_connection = 8;
  EXPECT_EQ(node.fails(DeclareQueue{elsewhere}), Errc::already_exists);
  EXPECT_EQ(node.fails(DeclareQueue{queue("q")}), Errc::already_exists);
  elsewhere = def;
  elsewhere.home = 2;  // a connection of the same number on another member
  EXPECT_EQ(node.fails(DeclareQueue{elsewhere}), Errc::already_exists);
}

TEST(Catalogue, QUE33_vhost_queue_limit) {
  Node node;
  PutVhost put;
  put.def.name = "/";
  put.def.limits["max-queues"] = 2;
  node.must(put);
  node.must(DeclareQueue{queue("a")});
  node.must(DeclareQueue{queue("b", false)});
  auto refused = node.apply(DeclareQueue{queue("c")});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::exhausted);
  EXPECT_EQ(refused.error().text,
            "cannot declare queue 'c': queue limit in vhost '/' (2) is reached");
  EXPECT_FALSE(node.must(DeclareQueue{queue("a")}).changed);
  put.def.limits["max-queues"] = -1;
  node.must(put);
  node.must(DeclareQueue{queue("c")});
}

TEST(Catalogue, delete_queues_takes_many_and_skips_those_gone) {
  Node node = node_with_vhost();
  std::vector<QueueUid> uids;
  for (const char* name : {"a", "b", "c"}) {
    node.must(DeclareQueue{queue(name)});
    uids.push_back(node.catalogue.find_queue("/", name)->uid);
  }
  node.must(DeleteQueue{"/", "b"});
  uids.push_back(999);
  EXPECT_EQ(count<QueueDeleted>(node.must(DeleteQueues{uids})), 2);
  EXPECT_EQ(node.catalogue.queue_count(), 0u);
}

TEST(Catalogue, ACC15_vhost_goes_with_all_it_holds_unless_protected) {
  Node node = node_with_vhost();
  const auto other_vhost_rows = [&] {
    Node other;
    other.must(put_vhost("/other"));
    return other.rows.size();
  }();
  node.must(put_vhost("/other"));
  node.must(put_user("u"));
  node.must(PutPermission{{"u", "/", ".*", ".*", ".*"}});
  node.must(PutPermission{{"u", "/other", ".*", ".*", ".*"}});
  node.must(PutTopicPermission{{"u", "/", "amq.topic", ".*", ".*"}});
  node.must(DeclareQueue{queue("q")});
  node.must(DeclareQueue{queue("t", false)});
  node.must(Bind{binding("amq.direct", "q", "k")});
  node.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, false}});
  node.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, true}});
  node.must(PutParameter{{"/", "shovel", "s", "{}"}});
  PutVhost protect;
  protect.def.name = "/";
  protect.def.protected_from_deletion = true;
  node.must(protect);
  EXPECT_EQ(node.fails(DeleteVhost{"/"}), Errc::permission_denied);
  node.must(put_vhost("/"));
  const Applied applied = node.must(DeleteVhost{"/"});
  EXPECT_EQ(count<QueueDeleted>(applied), 2);
  EXPECT_EQ(count<UserChanged>(applied), 1);
  EXPECT_TRUE(std::holds_alternative<VhostDeleted>(applied.effects.back()));
  EXPECT_EQ(node.catalogue.find_vhost("/"), nullptr);
  EXPECT_EQ(node.catalogue.find_permission("u", "/"), nullptr);
  EXPECT_NE(node.catalogue.find_permission("u", "/other"), nullptr);
  EXPECT_TRUE(node.catalogue.topic_permissions().empty());
  EXPECT_TRUE(node.catalogue.parameters().empty());
  EXPECT_EQ(node.rows.size(), other_vhost_rows + 3);  // the user, its permission, the uids
  EXPECT_EQ(node.catalogue.check_invariants(), std::nullopt);
  EXPECT_EQ(node.fails(DeleteVhost{"/"}), Errc::not_found);
}

TEST(Catalogue, users_and_permissions) {
  Node node = node_with_vhost();
  EXPECT_EQ(node.fails(PutPermission{{"u", "/", "", "", ""}}), Errc::not_found);
  PutUser put;
  put.def.name = "u";
  put.def.tags = {"management"};
  put.must_be_new = true;
  node.must(put);
  EXPECT_EQ(node.fails(put), Errc::already_exists);
  EXPECT_EQ(node.fails(PutPermission{{"u", "nope", "", "", ""}}), Errc::not_found);
  node.must(PutPermission{{"u", "/", "c", "w", "r"}});
  node.must(PutTopicPermission{{"u", "/", "b", "w", "r"}});
  node.must(PutTopicPermission{{"u", "/", "a", "w", "r"}});
  node.must(PutTopicPermission{{"u", "/", "a", "w2", "r"}});
  EXPECT_EQ(node.catalogue.find_topic_permission("u", "/", "a")->write, "w2");
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
  EXPECT_TRUE(node.must(DeleteTopicPermission{"u", "/", "a"}).changed);
  EXPECT_FALSE(node.must(DeleteTopicPermission{"u", "/", "a"}).changed);
  EXPECT_EQ(node.catalogue.topic_permissions().size(), 1u);
  node.must(DeleteTopicPermission{"u", "/", ""});
  EXPECT_TRUE(node.catalogue.topic_permissions().empty());
  node.must(DeletePermission{"u", "/"});
  EXPECT_FALSE(node.must(DeletePermission{"u", "/"}).changed);
  node.must(PutPermission{{"u", "/", "c", "w", "r"}});
  node.must(DeleteUser{"u"});
  EXPECT_TRUE(node.catalogue.permissions().empty());
  EXPECT_EQ(node.fails(DeleteUser{"u"}), Errc::not_found);
}

TEST(Catalogue, policies_and_parameters) {
  Node node = node_with_vhost();
  EXPECT_EQ(node.fails(PutPolicy{{"nope", "p", ".*", "all", "{}", 0, false}}), Errc::not_found);
  node.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, false}});
  EXPECT_FALSE(node.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, false}}).changed);
  EXPECT_EQ(node.fails(DeletePolicy{"/", "p", true}), Errc::not_found);
  node.must(PutParameter{{"", "", "cluster_name", "\"c\""}});
  node.must(PutParameter{{"/", "shovel", "s", "{}"}});
  EXPECT_EQ(node.fails(PutParameter{{"/", "", "s", "{}"}}), Errc::invalid_argument);
  EXPECT_EQ(node.restarted().catalogue, node.catalogue);
  node.must(DeletePolicy{"/", "p", false});
  node.must(DeleteParameter{"", "", "cluster_name"});
  EXPECT_EQ(node.fails(DeleteParameter{"", "", "cluster_name"}), Errc::not_found);
  node.must(DeleteParameter{"/", "shovel", "s"});
  EXPECT_EQ(node.fails(DeleteParameter{"/", "shovel", "s"}), Errc::not_found);
  EXPECT_TRUE(node.catalogue.parameters().empty());
}

TEST(Catalogue, what_could_not_be_written_back_is_refused) {
  Node node = node_with_vhost();
  const std::string long_name(256, 'x');
  EXPECT_EQ(node.fails(DeclareQueue{queue(long_name)}), Errc::invalid_argument);
  EXPECT_EQ(node.fails(DeclareQueue{queue("")}), Errc::invalid_argument);
  EXPECT_EQ(node.fails(DeclareExchange{exchange(long_name)}), Errc::invalid_argument);
  node.must(DeclareQueue{queue("q")});
  EXPECT_EQ(node.fails(Bind{binding("amq.direct", "q", long_name)}), Errc::invalid_argument);
  FieldTable nested;
  for (int i = 0; i < 70; ++i) {
    FieldTable outer;
    outer.set("t", nested);
    nested = outer;
  }
  QueueDef deep = queue("deep");
  deep.arguments = nested;
  EXPECT_EQ(node.fails(DeclareQueue{deep}), Errc::invalid_argument);
}

TEST(Catalogue, damaged_rows_are_refused_or_reported) {
  Node node = node_with_vhost();
  node.must(DeclareQueue{queue("q")});
  node.must(DeclareExchange{exchange("x")});
  node.must(Bind{binding("x", "q", "k")});
  const std::string exchange_key = [&] {
    for (const auto& [key, value] : node.rows)
      if (key.starts_with("x") && key.find("x", 1) != key.npos && key.find("amq") == key.npos &&
          key.size() == 1 + 3 + 3)
        return key;
    return std::string();
  }();
  ASSERT_FALSE(exchange_key.empty());
  Catalogue damaged;
  EXPECT_EQ(damaged.restore_row(exchange_key, "\xff\xff").error().code, Errc::corruption);
  EXPECT_EQ(damaged.restore_row("wrong", node.rows[exchange_key]).error().code, Errc::corruption);
  EXPECT_EQ(damaged.restore_row(exchange_key, "").error().code, Errc::corruption);
  for (const auto& [key, value] : node.rows) {
    if (key == exchange_key) continue;
    ASSERT_TRUE(damaged.restore_row(key, value));
  }
  damaged.restored();
  ASSERT_EQ(damaged.restore_problems().size(), 1u);
  EXPECT_THAT(damaged.restore_problems().front(), testing::HasSubstr("the source is missing"));
  EXPECT_EQ(damaged.check_invariants(), std::nullopt);

  std::string newer = node.rows[exchange_key];
  ASSERT_EQ(newer[0], '\x08');  // field 1, the version
  newer[1] = 2;
  EXPECT_EQ(Catalogue().restore_row(exchange_key, newer).error().code, Errc::unsupported);
}

TEST(Catalogue, restored_gives_the_effects_that_build_everything) {
  Node node = node_with_vhost();
  node.must(put_user("u"));
  node.must(DeclareQueue{queue("q")});
  node.must(Bind{binding("amq.direct", "q", "k")});
  node.must(PutPolicy{{"/", "p", ".*", "all", "{}", 0, false}});
  Catalogue fresh;
  for (const auto& [key, value] : node.rows) ASSERT_TRUE(fresh.restore_row(key, value));
  Applied all;
  all.effects = fresh.restored();
  EXPECT_EQ(count<VhostPut>(all), 1);
  EXPECT_EQ(count<ExchangePut>(all), 7);
  EXPECT_EQ(count<QueuePut>(all), 1);
  EXPECT_EQ(count<BindingPut>(all), 1);
  EXPECT_EQ(count<UserChanged>(all), 1);
  EXPECT_EQ(count<PoliciesChanged>(all), 1);
}

}  // namespace
}  // namespace warren::metadata
