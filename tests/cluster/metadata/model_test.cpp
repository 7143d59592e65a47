// Random commands against a model that is too simple to be wrong: flat lists, linear scans, and
// auto-delete found by comparing before and after. Beside it: rows, restart, log and snapshot.

#include "base/prng.h"
#include "tests/cluster/metadata/support.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <set>
#include <tuple>

namespace warren::metadata {
namespace {

struct Model {
  std::set<std::string> vhosts;
  std::vector<ExchangeDef> exchanges;
  std::vector<QueueDef> queues;
  std::vector<BindingDef> bindings;
  QueueUid next_uid{1};

  template <class List>
  static auto find(List& list, const std::string& vhost, const std::string& name) {
    return std::find_if(list.begin(), list.end(),
                        [&](const auto& o) { return o.vhost == vhost && o.name == name; });
  }
  bool has_source(const ExchangeDef& x) const {
    return std::any_of(bindings.begin(), bindings.end(), [&](const auto& b) {
      return b.vhost == x.vhost && b.source == x.name;
    });
  }
  bool stands(const BindingDef& b) {
    if (find(exchanges, b.vhost, b.source) == exchanges.end()) return false;
    if (b.to_queue) return find(queues, b.vhost, b.destination) != queues.end();
    return find(exchanges, b.vhost, b.destination) != exchanges.end();
  }
  /// Runs one removal, then lets fall what falls with it.
  void remove(std::function<void()> removal) {
    for (;;) {
      std::vector<std::pair<std::string, std::string>> sources, dead;
      for (const auto& x : exchanges)
        if (x.auto_delete && has_source(x)) sources.emplace_back(x.vhost, x.name);
      removal();
      std::erase_if(bindings, [&](const auto& b) { return !stands(b); });
      for (const auto& [vhost, name] : sources) {
        const auto at = find(exchanges, vhost, name);
        if (at != exchanges.end() && !has_source(*at)) dead.emplace_back(vhost, name);
      }
      if (dead.empty()) return;
      removal = [this, dead] {
        for (const auto& [vhost, name] : dead)
          exchanges.erase(find(exchanges, vhost, name));
      };
    }
  }

  void apply(const Command& command) {
    if (const auto* c = std::get_if<PutVhost>(&command)) {
      if (!vhosts.insert(c->def.name).second) return;
      for (const auto& [name, type] : std::vector<std::pair<std::string, std::string>>{
               {"", "direct"}, {"amq.direct", "direct"}, {"amq.fanout", "fanout"},
               {"amq.headers", "headers"}, {"amq.match", "headers"},
               {"amq.rabbitmq.trace", "topic"}, {"amq.topic", "topic"}}) {
        ExchangeDef x;
        x.vhost = c->def.name, x.name = name, x.type = type;
        x.internal = name == "amq.rabbitmq.trace";
        exchanges.push_back(x);
      }
    } else if (const auto* c = std::get_if<DeleteVhost>(&command)) {
      vhosts.erase(c->name);
      const auto inside = [&](const auto& o) { return o.vhost == c->name; };
      std::erase_if(exchanges, inside);
      std::erase_if(queues, inside);
      std::erase_if(bindings, inside);
    } else if (const auto* c = std::get_if<DeclareExchange>(&command)) {
      if (vhosts.contains(c->def.vhost) &&
          find(exchanges, c->def.vhost, c->def.name) == exchanges.end())
        exchanges.push_back(c->def);
    } else if (const auto* c = std::get_if<DeclareQueue>(&command)) {
      if (vhosts.contains(c->def.vhost) && find(queues, c->def.vhost, c->def.name) == queues.end()) {
        queues.push_back(c->def);
        queues.back().uid = next_uid++;
      }
    } else if (const auto* c = std::get_if<DeleteExchange>(&command)) {
      const auto at = find(exchanges, c->vhost, c->name);
      if (at == exchanges.end() || c->name.empty() || c->name.starts_with("amq.")) return;
      if (c->if_unused && has_source(*at)) return;
      remove([&] {
        const auto x = find(exchanges, c->vhost, c->name);
        if (x != exchanges.end()) exchanges.erase(x);
      });
    } else if (const auto* c = std::get_if<DeleteQueue>(&command)) {
      const auto at = find(queues, c->vhost, c->name);
      if (at == queues.end() || (c->uid != 0 && at->uid != c->uid)) return;
      remove([&] {
        const auto q = find(queues, c->vhost, c->name);
        if (q != queues.end()) queues.erase(q);
      });
    } else if (const auto* c = std::get_if<DeleteQueues>(&command)) {
      for (const QueueUid uid : c->uids)
        remove([&] { std::erase_if(queues, [&](const auto& q) { return q.uid == uid; }); });
    } else if (const auto* c = std::get_if<Bind>(&command)) {
      if (!vhosts.contains(c->def.vhost) || c->def.source.empty() || c->def.destination.empty() ||
          !stands(c->def))
        return;
      if (std::find(bindings.begin(), bindings.end(), c->def) == bindings.end())
        bindings.push_back(c->def);
    } else if (const auto* c = std::get_if<Unbind>(&command)) {
      if (std::find(bindings.begin(), bindings.end(), c->def) != bindings.end())
        remove([&] { std::erase(bindings, c->def); });
    }
  }
};

std::vector<BindingKey> keys(const std::vector<BindingDef>& list) {
  std::vector<BindingKey> out;
  for (const auto& b : list) out.push_back(binding_key(b));
  std::sort(out.begin(), out.end());
  return out;
}

void compare(Model& model, const Catalogue& catalogue) {
  ASSERT_EQ(catalogue.vhosts().size(), model.vhosts.size());
  std::size_t exchanges = 0, queues = 0;
  for (const auto& name : model.vhosts) {
    const Vhost* vhost = catalogue.find_vhost(name);
    ASSERT_NE(vhost, nullptr);
    exchanges += vhost->exchanges.size();
    queues += vhost->queues.size();
    std::vector<BindingDef> expected, actual;
    for (const auto& b : model.bindings)
      if (b.vhost == name) expected.push_back(b);
    for (const auto& [key, def] : vhost->bindings) actual.push_back(def);
    ASSERT_EQ(keys(actual), keys(expected));
  }
  ASSERT_EQ(exchanges, model.exchanges.size());
  ASSERT_EQ(queues, model.queues.size());
  for (const auto& x : model.exchanges) {
    const auto* found = catalogue.find_exchange(x.vhost, x.name);
    ASSERT_NE(found, nullptr) << x.name;
    ASSERT_EQ(*found, x);
  }
  for (const auto& q : model.queues) {
    const auto* found = catalogue.find_queue(q.vhost, q.name);
    ASSERT_NE(found, nullptr) << q.name;
    ASSERT_EQ(*found, q);
    ASSERT_EQ(catalogue.find_queue(q.uid), found);
    std::vector<BindingDef> expected;
    for (const auto& b : model.bindings)
      if (b.vhost == q.vhost && b.to_queue && b.destination == q.name) expected.push_back(b);
    ASSERT_EQ(keys(catalogue.bindings_to(q.vhost, q.name, true)), keys(expected));
  }
}

/// Few names, so that objects meet; all kinds of commands, so that some fail.
struct Generator {
  Prng& random;

  std::string vhost() { return random.chance(9, 10) ? "/" : "v"; }
  std::string name(const char* prefix) { return prefix + std::to_string(random.below(6)); }
  std::string source() { return random.chance(1, 6) ? "amq.topic" : name("x"); }

  ExchangeDef make_exchange() {
    ExchangeDef def;
    def.vhost = vhost(), def.name = name("x"), def.type = "topic";
    def.durable = random.chance(2, 3), def.auto_delete = random.chance(1, 2);
    return def;
  }
  QueueDef make_queue() {
    QueueDef def;
    def.vhost = vhost(), def.name = name("q");
    def.durable = random.chance(2, 3);
    if (random.chance(1, 5)) def.arguments.set("x-max-length", std::int32_t{3});
    return def;
  }
  BindingDef make_binding() {
    BindingDef def;
    def.vhost = vhost(), def.source = source(), def.to_queue = random.chance(2, 3);
    def.destination = def.to_queue ? name("q") : source();
    def.routing_key = std::to_string(random.below(2));
    if (random.chance(1, 5)) def.arguments.set("a", std::int64_t{1});
    return def;
  }
  Command next() {
    switch (random.below(21)) {
      case 0: return put_vhost(vhost());
      case 1:
        if (random.chance(1, 8)) return DeleteVhost{vhost()};
        return put_vhost(vhost());
      case 2: return put_user(name("u"));
      case 3: return DeleteUser{name("u")};
      case 4: return PutPermission{{name("u"), vhost(), "c", "w", name("r")}};
      case 5: return PutTopicPermission{{name("u"), vhost(), source(), "w", name("r")}};
      case 6:
        if (random.chance(1, 2)) return DeletePermission{name("u"), vhost()};
        return DeleteTopicPermission{name("u"), vhost(), source()};
      case 7: return PutPolicy{{vhost(), name("p"), ".*", "all", "{}", 1, random.chance(1, 2)}};
      case 8: return DeletePolicy{vhost(), name("p"), random.chance(1, 2)};
      case 9:
        if (random.chance(1, 3)) return PutParameter{{"", "", name("g"), "1"}};
        return PutParameter{{vhost(), "shovel", name("s"), "{}"}};
      case 10: return DeleteParameter{vhost(), "shovel", name("s")};
      case 11:
      case 12: return DeclareExchange{make_exchange()};
      case 13: return DeleteExchange{vhost(), source(), random.chance(1, 2)};
      case 14:
      case 15: return DeclareQueue{make_queue()};
      case 16:
        if (random.chance(1, 2)) return DeleteQueue{vhost(), name("q"), 0};
        return DeleteQueues{{random.below(60), random.below(60)}};
      case 17:
      case 18:
      case 19: return Bind{make_binding()};
      default: return Unbind{make_binding()};
    }
  }
};

std::map<std::string, std::string> as_map(const std::vector<RowChange>& rows) {
  std::map<std::string, std::string> out;
  for (const auto& row : rows) out[row.key] = row.value.value_or("");
  return out;
}

Catalogue from_rows(const std::vector<RowChange>& rows) {
  Catalogue out;
  for (const auto& row : rows) {
    auto ok = out.restore_row(row.key, *row.value);
    EXPECT_TRUE(ok) << ok.error().text;
  }
  out.restored();
  EXPECT_TRUE(out.restore_problems().empty());
  return out;
}

void run(std::uint64_t seed, int steps) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  Prng random(seed);
  Generator generate{random};
  Node node;
  Model model;
  Catalogue replayed;
  Catalogue joined;  // a member that came in by snapshot in the middle
  bool has_joined = false;
  for (int step = 0; step < steps; ++step) {
    Command command = generate.next();
    // As the leader does: members that restarted have a higher one reserved.
    if (auto* declare = std::get_if<DeclareQueue>(&command))
      declare->def.uid = node.catalogue.next_uid();
    const std::string bytes = encode_command(command);
    const auto decoded = decode_command(bytes);
    ASSERT_TRUE(decoded);
    ASSERT_EQ(encode_command(*decoded), bytes);
    const Catalogue before = step % 37 == 0 ? node.catalogue : Catalogue();
    const auto applied = node.apply(command);
    if (!applied && step % 37 == 0) {
      ASSERT_EQ(node.catalogue, before) << "a refused command changed something";
    }
    if (applied) {
      ASSERT_EQ(applied->changed, !applied->effects.empty());
      ASSERT_TRUE(applied->changed || applied->rows.empty());
      model.apply(command);
    }
    ASSERT_EQ(bool(replayed.apply(*decoded)), bool(applied));
    if (has_joined) {
      ASSERT_EQ(bool(joined.apply(*decoded)), bool(applied));
    }
    if (!has_joined && random.chance(1, 200)) {
      joined = from_rows(node.catalogue.rows());
      has_joined = true;
      ASSERT_EQ(joined, node.catalogue);
      ASSERT_GE(joined.next_uid(), node.catalogue.next_uid());
    }
    if (step % 10 == 0) {
      ASSERT_NO_FATAL_FAILURE(compare(model, node.catalogue)) << "step " << step;
      ASSERT_EQ(node.catalogue.check_invariants(), std::nullopt);
      ASSERT_EQ(node.rows, as_map(node.catalogue.rows()));
    }
    if (step % 100 == 0) {
      const Node back = node.restarted();
      ASSERT_EQ(back.catalogue.check_invariants(), std::nullopt);
      ASSERT_EQ(as_map(back.catalogue.rows()), node.rows);
      ASSERT_GE(back.catalogue.next_uid(), node.catalogue.next_uid());
    }
  }
  EXPECT_EQ(replayed, node.catalogue);
  EXPECT_EQ(replayed.next_uid(), node.catalogue.next_uid());
  if (has_joined) {
    EXPECT_EQ(joined, node.catalogue);
  }
}

TEST(CatalogueModel, random_commands) {
  const char* given = std::getenv("WARREN_SEED");
  if (given != nullptr) return run(std::strtoull(given, nullptr, 10), 3000);
  for (std::uint64_t seed = 1; seed <= 12; ++seed) run(seed, 1500);
}

TEST(CatalogueDecoders, take_any_bytes) {
  Prng random(4711);
  Generator generate{random};
  Node node;
  std::vector<std::string> samples;
  for (int i = 0; i < 300; ++i) {
    const Command command = generate.next();
    (void)node.apply(command);
    samples.push_back(encode_command(command));
  }
  for (const auto& [key, value] : node.rows) samples.push_back(value);
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = samples[random.below(samples.size())];
    for (std::uint64_t flips = random.below(4); flips > 0 && !bytes.empty(); --flips)
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    if (random.chance(1, 4)) bytes.resize(random.below(bytes.size() + 1));
    Catalogue catalogue = random.chance(1, 50) ? node.catalogue : Catalogue();
    if (const auto command = decode_command(bytes)) {
      ++accepted;
      (void)catalogue.apply(*command);
      ASSERT_EQ(catalogue.check_invariants(), std::nullopt);
    }
    Catalogue fresh;
    (void)fresh.restore_row("v/", bytes);
    fresh.restored();
  }
  EXPECT_GT(accepted, 100);
}

}  // namespace
}  // namespace warren::metadata
