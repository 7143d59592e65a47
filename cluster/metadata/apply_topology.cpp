// Exchanges, queues and bindings.

#include "base/assert.h"
#include "cluster/metadata/applier.h"
#include "cluster/metadata/equivalence.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::metadata {

namespace {

constexpr std::size_t kShortTextBytes = 255;  // AMQP shortstr
constexpr int kTableNesting = 64;             // what FieldTable::decode reads back
constexpr QueueUid kUidMax = QueueUid{1} << 62;

bool fits(const FieldTable& table, int depth);

bool fits(const FieldValue& value, int depth) {
  if (depth > kTableNesting) return false;
  if (const auto* table = value.as_table()) return fits(*table, depth + 1);
  if (const auto* array = value.as_array())
    return std::all_of(array->begin(), array->end(),
                       [&](const FieldValue& item) { return fits(item, depth + 1); });
  return true;
}

bool fits(const FieldTable& table, int depth) {
  return std::all_of(table.begin(), table.end(), [&](const auto& entry) {
    return entry.first.size() <= kShortTextBytes && fits(entry.second, depth);
  });
}

Error no_exchange(std::string_view name, std::string_view vhost) {
  return make_error(Errc::not_found, fmt::format("no exchange '{}' in vhost '{}'", name, vhost));
}

Error no_queue(std::string_view name, std::string_view vhost) {
  return make_error(Errc::not_found, fmt::format("no queue '{}' in vhost '{}'", name, vhost));
}

Error default_exchange() {
  return make_error(Errc::permission_denied, "operation not permitted on the default exchange");
}

/// The order of arguments is no part of a binding's identity.
BindingDef normalised(BindingDef def) {
  std::stable_sort(def.arguments.entries().begin(), def.arguments.entries().end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  return def;
}

}  // namespace

Result<void> check_short_text(const char* what, std::string_view text) {
  if (text.size() <= kShortTextBytes) return {};
  return make_error(Errc::invalid_argument, fmt::format("{} '{}...' is longer than {} bytes", what,
                                                        text.substr(0, 32), kShortTextBytes));
}

Result<void> check_table(const char* what, std::string_view name, const FieldTable& table) {
  if (table.empty() || fits(table, 0)) return {};
  return make_error(Errc::invalid_argument,
                    fmt::format("arguments of {} '{}': a name longer than {} bytes or tables nested "
                                "deeper than {}",
                                what, name, kShortTextBytes, kTableNesting));
}

void Applier::index_binding(Vhost& vhost, BindingKey key, BindingDef def) {
  vhost.by_destination.insert(
      {key.destination, key.to_queue, key.source, key.routing_key, key.arguments});
  vhost.bindings.emplace(std::move(key), std::move(def));
}

QueueUid Applier::take_uid(QueueUid wanted) {
  const QueueUid uid = wanted != 0 ? wanted : c_.next_uid_;
  c_.next_uid_ = std::max(c_.next_uid_, uid + 1);
  if (uid >= c_.reserved_uid_) {
    c_.reserved_uid_ = (uid / kUidReservation + 1) * kUidReservation;
    put_row(UidReservation{c_.reserved_uid_});
  }
  return uid;
}

Applier::Bindings::iterator Applier::erase_binding(Vhost& vhost, Bindings::iterator at) {
  const BindingKey& key = at->first;
  erase_row(at->second);
  vhost.by_destination.erase(
      {key.destination, key.to_queue, key.source, key.routing_key, key.arguments});
  effect(BindingDeleted{std::move(at->second)});
  return vhost.bindings.erase(at);
}

void Applier::erase_bindings_to(Vhost& vhost, const std::string& destination, bool to_queue,
                                std::deque<std::string>& sources) {
  for (;;) {
    const auto at = vhost.by_destination.lower_bound({destination, to_queue, "", "", ""});
    if (at == vhost.by_destination.end() || at->destination != destination ||
        at->to_queue != to_queue)
      return;
    if (sources.empty() || sources.back() != at->source) sources.push_back(at->source);
    const auto binding = vhost.bindings.find(
        {at->source, at->destination, at->to_queue, at->routing_key, at->arguments});
    WARREN_ASSERT(binding != vhost.bindings.end());
    erase_binding(vhost, binding);
  }
}

void Applier::erase_queue(Vhost& vhost, const std::string& name,
                          std::deque<std::string>& sources) {
  erase_bindings_to(vhost, name, true, sources);
  const auto at = vhost.queues.find(name);
  erase_row(at->second);
  c_.queues_by_uid_.erase(at->second.uid);
  effect(QueueDeleted{std::move(at->second)});
  vhost.queues.erase(at);
}

void Applier::erase_exchange(Vhost& vhost, const std::string& name,
                             std::deque<std::string>& sources) {
  for (auto at = vhost.bindings.lower_bound({name, "", false, "", ""});
       at != vhost.bindings.end() && at->first.source == name;)
    at = erase_binding(vhost, at);
  erase_bindings_to(vhost, name, false, sources);
  const auto at = vhost.exchanges.find(name);
  erase_row(at->second);
  effect(ExchangeDeleted{vhost.def.name, name});
  vhost.exchanges.erase(at);
}

void Applier::sweep_auto_delete(Vhost& vhost, std::deque<std::string> sources) {
  while (!sources.empty()) {
    const std::string name = std::move(sources.front());
    sources.pop_front();
    const auto at = vhost.exchanges.find(name);
    if (at == vhost.exchanges.end() || !at->second.auto_delete) continue;
    if (c_.has_bindings_from(vhost.def.name, name)) continue;
    erase_exchange(vhost, name, sources);
  }
}

Result<void> Applier::operator()(const DeclareExchange& command) {
  const ExchangeDef& def = command.def;
  auto vhost = require_vhost(def.vhost);
  if (!vhost) return vhost.error();
  if (const auto at = (*vhost)->exchanges.find(def.name); at != (*vhost)->exchanges.end()) {
    if (auto text = find_inequivalence(at->second, def))
      return make_error(Errc::conflict, std::move(*text));
    return {};
  }
  if (auto ok = check_short_text("exchange name", def.name); !ok) return ok;
  if (auto ok = check_table("exchange", def.name, def.arguments); !ok) return ok;
  (*vhost)->exchanges.emplace(def.name, def);
  put_row(def);
  effect(ExchangePut{def});
  return {};
}

Result<void> Applier::operator()(const DeleteExchange& command) {
  auto vhost = require_vhost(command.vhost);
  if (!vhost) return vhost.error();
  if (command.name.empty()) return default_exchange();
  if ((*vhost)->exchanges.find(command.name) == (*vhost)->exchanges.end())
    return no_exchange(command.name, command.vhost);
  if (command.name.starts_with("amq."))
    return make_error(Errc::permission_denied,
                      fmt::format("deletion of system exchange '{}' in vhost '{}' not allowed",
                                  command.name, command.vhost));
  if (command.if_unused && c_.has_bindings_from(command.vhost, command.name))
    return make_error(Errc::conflict, fmt::format("exchange '{}' in vhost '{}' in use",
                                                  command.name, command.vhost));
  std::deque<std::string> sources;
  erase_exchange(**vhost, command.name, sources);
  sweep_auto_delete(**vhost, std::move(sources));
  return {};
}

Result<void> Applier::operator()(const DeclareQueue& command) {
  auto vhost = require_vhost(command.def.vhost);
  if (!vhost) return vhost.error();
  auto& queues = (*vhost)->queues;
  if (const auto at = queues.find(command.def.name); at != queues.end()) {
    if (is_locked(at->second, command.def))
      return make_error(Errc::already_exists, locked_text(at->second));
    if (auto text = find_inequivalence(at->second, command.def))
      return make_error(Errc::conflict, std::move(*text));
    return {};
  }
  QueueDef def = command.def;
  if (def.name.empty()) return make_error(Errc::invalid_argument, "a queue needs a name");
  if (auto ok = check_short_text("queue name", def.name); !ok) return ok;
  if (auto ok = check_table("queue", def.name, def.arguments); !ok) return ok;
  if (def.uid >= kUidMax || c_.queues_by_uid_.contains(def.uid))
    return make_error(Errc::invalid_argument, fmt::format("queue '{}' in vhost '{}': uid {} is {}",
                                                          def.name, def.vhost, def.uid,
                                                          def.uid >= kUidMax ? "out of range"
                                                                             : "in use"));
  if (def.home != 0 && !c_.members_.empty() && !c_.members_.contains(def.home))
    return make_error(Errc::unavailable, fmt::format("queue '{}' in vhost '{}': its node has left the cluster",
                                                     def.name, def.vhost));
  const auto& limits = (*vhost)->def.limits;
  if (const auto limit = limits.find("max-queues");
      limit != limits.end() && limit->second >= 0 &&
      queues.size() >= static_cast<std::uint64_t>(limit->second))
    return make_error(
        Errc::exhausted,
        fmt::format("cannot declare queue '{}': queue limit in vhost '{}' ({}) is reached",
                    def.name, def.vhost, limit->second));
  def.uid = take_uid(def.uid);
  if (!def.exclusive) def.owner_connection = 0;
  c_.queues_by_uid_.emplace(def.uid, std::pair(def.vhost, def.name));
  put_row(def);
  effect(QueuePut{def});
  std::string name = def.name;
  queues.emplace(std::move(name), std::move(def));
  return {};
}

Result<void> Applier::operator()(const DeleteQueue& command) {
  auto vhost = require_vhost(command.vhost);
  if (!vhost) return vhost.error();
  const auto at = (*vhost)->queues.find(command.name);
  if (at == (*vhost)->queues.end() || (command.uid != 0 && at->second.uid != command.uid))
    return no_queue(command.name, command.vhost);
  std::deque<std::string> sources;
  erase_queue(**vhost, command.name, sources);
  sweep_auto_delete(**vhost, std::move(sources));
  return {};
}

Result<void> Applier::operator()(const DeleteQueues& command) {
  for (const QueueUid uid : command.uids) {
    const auto at = c_.queues_by_uid_.find(uid);
    if (at == c_.queues_by_uid_.end()) continue;  // gone already: that is what was asked for
    const auto [vhost_name, name] = at->second;
    Vhost& vhost = *find_vhost(vhost_name);
    std::deque<std::string> sources;
    erase_queue(vhost, name, sources);
    sweep_auto_delete(vhost, std::move(sources));
  }
  return {};
}

Result<void> Applier::operator()(const Bind& command) {
  auto vhost = require_vhost(command.def.vhost);
  if (!vhost) return vhost.error();
  const BindingDef& asked = command.def;
  if (asked.source.empty() || (!asked.to_queue && asked.destination.empty()))
    return default_exchange();
  if (!(*vhost)->exchanges.contains(asked.source)) return no_exchange(asked.source, asked.vhost);
  if (asked.to_queue) {
    if (!(*vhost)->queues.contains(asked.destination))
      return no_queue(asked.destination, asked.vhost);
  } else if (!(*vhost)->exchanges.contains(asked.destination)) {
    return no_exchange(asked.destination, asked.vhost);
  }
  if (auto ok = check_short_text("routing key", asked.routing_key); !ok) return ok;
  if (auto ok = check_table("the binding to", asked.destination, asked.arguments); !ok) return ok;
  BindingDef def = normalised(asked);
  BindingKey key = binding_key(def);
  if ((*vhost)->bindings.contains(key)) return {};
  put_row(def);
  effect(BindingPut{def});
  index_binding(**vhost, std::move(key), std::move(def));
  return {};
}

Result<void> Applier::operator()(const Unbind& command) {
  auto vhost = require_vhost(command.def.vhost);
  if (!vhost) return vhost.error();
  if (command.def.source.empty() || (!command.def.to_queue && command.def.destination.empty()))
    return default_exchange();
  const auto at = (*vhost)->bindings.find(binding_key(normalised(command.def)));
  if (at == (*vhost)->bindings.end()) return {};
  std::string source = at->first.source;
  erase_binding(**vhost, at);
  sweep_auto_delete(**vhost, {std::move(source)});
  return {};
}

}  // namespace warren::metadata
