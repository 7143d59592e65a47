#include "node/broker/routing/vhost_router.h"

#include "base/assert.h"
#include "node/broker/routing/key_table.h"
#include "node/broker/routing/matcher.h"

#include <map>
#include <utility>

namespace warren::broker::routing {

namespace {

using NameTable = KeyTable<DestId>;

/// The default exchange: a queue's name is its routing key (PUB-17).
class DefaultMatcher final : public Matcher {
 public:
  explicit DefaultMatcher(const NameTable& queues) : queues_(queues) {}
  bool add(const BindingRef&) override { return false; }
  bool remove(const BindingRef&) override { return false; }
  void each(const UseBinding&) const override {}
  void route(const RouteInput& input, Matches& out) override {
    input.each_key([&](std::string_view key) {
      if (const DestId* queue = queues_.find(key)) out.add(*queue);
    });
  }

 private:
  const NameTable& queues_;
};

struct Exchange {
  metadata::ExchangeDef def;
  std::optional<std::string> alternate;
  std::unique_ptr<Matcher> matcher;
  std::map<DestId, std::uint32_t> to_exchanges;  // bindings to other exchanges, counted
  std::size_t bindings{0};
  std::uint64_t beyond_key_at{0};  // version for which beyond_key was computed
  bool beyond_key{false};
};

}  // namespace

struct VhostRouter::Tables {
  explicit Tables(RouterHooks with) : hooks(std::move(with)) {
    Exchange& x = place_exchange("");
    x.matcher = std::make_unique<DefaultMatcher>(queue_names);
  }

  // ---- destinations: a number for each name that is bound to, or is an object ----

  DestId acquire(NameTable& names, std::string_view name) {
    if (const DestId* known = names.find(name)) {
      ++destinations[*known].refs;
      return *known;
    }
    DestId id;
    if (free_destinations.empty()) {
      id = static_cast<DestId>(destinations.size());
      destinations.emplace_back();
      destination_names.emplace_back();
    } else {
      id = free_destinations.back();
      free_destinations.pop_back();
      destinations[id] = {};
    }
    destinations[id].refs = 1;
    destination_names[id] = {&names, std::string(name)};
    names[name] = id;
    return id;
  }
  void release(DestId id) {
    if (--destinations[id].refs > 0) return;
    auto& [names, name] = destination_names[id];
    names->erase(name);
    name.clear();
    free_destinations.push_back(id);
  }

  // ---- encoded binding arguments, numbered; 0 = none ----

  struct Arguments {
    std::uint32_t id{0};
    std::uint32_t refs{0};
  };
  std::uint32_t acquire_arguments(const FieldTable& table) {
    if (table.empty()) return 0;
    std::string encoded = table.encode();
    Arguments& entry = arguments[encoded];
    if (entry.refs++ == 0) {
      entry.id = ++last_arguments;
      argument_texts.emplace(entry.id, std::move(encoded));
    }
    return entry.id;
  }
  void release_arguments(std::uint32_t id) {
    if (id == 0) return;
    const auto text = argument_texts.find(id);
    WARREN_ASSERT(text != argument_texts.end());
    const auto entry = arguments.find(text->second);
    if (--entry->second.refs > 0) return;
    arguments.erase(entry);
    argument_texts.erase(text);
  }

  // ---- exchanges ----

  Exchange* find_exchange(std::string_view name) {
    const DestId* id = exchange_names.find(name);
    if (id == nullptr || destinations[*id].exchange == 0) return nullptr;
    return exchanges[destinations[*id].exchange - 1].get();
  }
  Exchange& place_exchange(std::string_view name) {
    std::uint32_t number;
    if (free_exchanges.empty()) {
      exchanges.emplace_back();
      number = static_cast<std::uint32_t>(exchanges.size());
    } else {
      number = free_exchanges.back();
      free_exchanges.pop_back();
    }
    exchanges[number - 1] = std::make_unique<Exchange>();
    destinations[acquire(exchange_names, name)].exchange = number;
    return *exchanges[number - 1];
  }
  void forget_bindings(Exchange& x) {
    x.matcher->each([&](DestId dest, std::uint32_t args) {
      release(dest);
      release_arguments(args);
    });
    bindings -= x.bindings;
    x.bindings = 0;
    x.to_exchanges.clear();
  }

  bool beyond_key(Exchange& start) {
    if (start.beyond_key_at == version) return start.beyond_key;
    ++stamp;
    std::vector<Exchange*> work{&start};
    const auto reach = [&](DestId id) {
      if (destinations[id].exchange == 0 || destinations[id].mark == stamp) return;
      destinations[id].mark = stamp;
      work.push_back(exchanges[destinations[id].exchange - 1].get());
    };
    bool found = false;
    for (std::size_t i = 0; i < work.size() && !found; ++i) {
      found = work[i]->matcher->beyond_key();
      for (const auto& [dest, count] : work[i]->to_exchanges) reach(dest);
      if (work[i]->alternate)
        if (const DestId* id = exchange_names.find(*work[i]->alternate)) reach(*id);
    }
    start.beyond_key_at = version;
    return start.beyond_key = found;
  }

  RouterHooks hooks;
  std::uint64_t version{1};
  std::uint64_t stamp{0};  // of the walk in progress, against Destination::mark
  NameTable queue_names, exchange_names;
  std::vector<Matches::Destination> destinations;
  std::vector<std::pair<NameTable*, std::string>> destination_names;
  std::vector<DestId> free_destinations;
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::vector<std::uint32_t> free_exchanges;
  std::map<std::string, Arguments> arguments;
  std::map<std::uint32_t, std::string> argument_texts;
  std::uint32_t last_arguments{0};
  std::size_t bindings{0};
  std::vector<std::uint32_t> work;  // scratch of route()
};

VhostRouter::VhostRouter(RouterHooks hooks) : t_(std::make_unique<Tables>(std::move(hooks))) {}
VhostRouter::~VhostRouter() = default;
VhostRouter::VhostRouter(VhostRouter&&) noexcept = default;
VhostRouter& VhostRouter::operator=(VhostRouter&&) noexcept = default;

void VhostRouter::put_exchange(const metadata::ExchangeDef& def,
                               std::optional<std::string> alternate) {
  if (def.name.empty()) return;
  ++t_->version;
  Exchange* x = t_->find_exchange(def.name);
  if (x == nullptr) {
    x = &t_->place_exchange(def.name);
    x->matcher = make_matcher(def);
  } else if (!same_routing(x->def, def)) {
    t_->forget_bindings(*x);
    x->matcher = make_matcher(def);
  }
  x->def = def;
  x->alternate = std::move(alternate);
}

void VhostRouter::drop_exchange(std::string_view name) {
  Exchange* x = t_->find_exchange(name);
  if (x == nullptr || name.empty()) return;
  ++t_->version;
  t_->forget_bindings(*x);
  const DestId id = *t_->exchange_names.find(name);
  const std::uint32_t number = std::exchange(t_->destinations[id].exchange, 0);
  t_->exchanges[number - 1].reset();
  t_->free_exchanges.push_back(number);
  t_->release(id);
}

void VhostRouter::set_alternate(std::string_view exchange, std::optional<std::string> alternate) {
  Exchange* x = t_->find_exchange(exchange);
  if (x == nullptr || exchange.empty() || x->alternate == alternate) return;
  ++t_->version;
  x->alternate = std::move(alternate);
}

void VhostRouter::put_queue(std::string_view name, QueueUid uid) {
  ++t_->version;
  const DestId* known = t_->queue_names.find(name);
  if (known != nullptr && t_->destinations[*known].uid != 0)
    t_->destinations[*known].uid = uid;
  else
    t_->destinations[t_->acquire(t_->queue_names, name)].uid = uid;
}

void VhostRouter::drop_queue(std::string_view name) {
  const DestId* known = t_->queue_names.find(name);
  if (known == nullptr || t_->destinations[*known].uid == 0) return;
  ++t_->version;
  t_->destinations[*known].uid = 0;
  t_->release(*known);
}

void VhostRouter::bind(const metadata::BindingDef& def) {
  Exchange* x = t_->find_exchange(def.source);
  if (x == nullptr || def.source.empty()) return;
  const DestId dest = t_->acquire(def.to_queue ? t_->queue_names : t_->exchange_names,
                                  def.destination);
  const std::uint32_t args = t_->acquire_arguments(def.arguments);
  if (!x->matcher->add({dest, def.destination, def.routing_key, args, def.arguments})) {
    t_->release(dest);
    t_->release_arguments(args);
    return;
  }
  ++t_->version;
  ++t_->bindings;
  ++x->bindings;
  if (!def.to_queue) ++x->to_exchanges[dest];
}

void VhostRouter::unbind(const metadata::BindingDef& def) {
  Exchange* x = t_->find_exchange(def.source);
  const DestId* known =
      (def.to_queue ? t_->queue_names : t_->exchange_names).find(def.destination);
  if (x == nullptr || known == nullptr) return;
  const DestId dest = *known;
  const std::uint32_t args = t_->acquire_arguments(def.arguments);
  if (x->matcher->remove({dest, def.destination, def.routing_key, args, def.arguments})) {
    ++t_->version;
    --t_->bindings;
    --x->bindings;
    if (!def.to_queue && --x->to_exchanges[dest] == 0) x->to_exchanges.erase(dest);
    t_->release_arguments(args);
    t_->release(dest);
  }
  t_->release_arguments(args);
}

std::uint64_t VhostRouter::version() const { return t_->version; }

Routed VhostRouter::route(std::string_view exchange, std::string_view routing_key,
                          std::span<const std::string_view> extra_keys, std::string_view headers,
                          std::vector<QueueUid>& out, std::string_view properties) {
  Tables& t = *t_;
  const DestId* start = t.exchange_names.find(exchange);
  if (start == nullptr || t.destinations[*start].exchange == 0) return Routed::no_exchange;
  ++t.stamp;
  t.work.clear();
  Matches matches(t.destinations, out, t.work, t.stamp, t.hooks);
  matches.add(*start);
  matches.take_hit();
  const bool internal = t.exchanges[t.destinations[*start].exchange - 1]->def.internal;
  const RouteInput input{routing_key, extra_keys, headers, properties};
  for (std::size_t i = 0; i < t.work.size(); ++i) {
    const Exchange& x = *t.exchanges[t.work[i] - 1];
    x.matcher->route(input, matches);
    if (matches.take_hit() || !x.alternate) continue;
    if (const DestId* id = t.exchange_names.find(*x.alternate)) matches.add(*id);
    matches.take_hit();
  }
  return internal ? Routed::internal : Routed::ok;
}

bool VhostRouter::depends_on_headers(std::string_view exchange) {
  Exchange* x = t_->find_exchange(exchange);
  return x != nullptr && t_->beyond_key(*x);
}

bool VhostRouter::has_exchange(std::string_view name) const {
  return t_->find_exchange(name) != nullptr;
}

std::size_t VhostRouter::binding_count() const { return t_->bindings; }

}  // namespace warren::broker::routing
