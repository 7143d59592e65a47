#include "tests/simulation/metadata_keeper.h"

namespace warren::simulation {

using namespace metadata;

std::optional<std::string> EffectMirror::bind(const BindingDef& def) {
  const bool reaches = def.to_queue ? queues_.contains({def.vhost, def.destination})
                                    : exchanges_.contains({def.vhost, def.destination});
  if (!reaches || !exchanges_.contains({def.vhost, def.source})) {
    return fmt::format("a binding of '{}' to '{}' before its ends", def.source, def.destination);
  }
  bindings_.insert_or_assign({def.vhost, binding_key(def)}, def);
  return std::nullopt;
}

/// A router forgets what led to and from an object with the object.
void EffectMirror::drop_bindings(const std::string& vhost, const std::string& name, bool queue) {
  std::erase_if(bindings_, [&](const auto& entry) {
    const BindingDef& def = entry.second;
    return def.vhost == vhost && ((def.to_queue == queue && def.destination == name) || (!queue && def.source == name));
  });
}

void EffectMirror::drop_vhost(const std::string& name) {
  vhosts_.erase(name);
  std::erase_if(exchanges_, [&](const auto& entry) { return entry.first.first == name; });
  std::erase_if(queues_, [&](const auto& entry) { return entry.first.first == name; });
  std::erase_if(bindings_, [&](const auto& entry) { return entry.first.first == name; });
}

std::optional<std::string> EffectMirror::apply(const Effect& effect) {
  if (const auto* put = std::get_if<VhostPut>(&effect)) {
    vhosts_.insert(put->name);
  } else if (const auto* gone = std::get_if<VhostDeleted>(&effect)) {
    drop_vhost(gone->name);
  } else if (const auto* exchange = std::get_if<ExchangePut>(&effect)) {
    exchanges_.insert_or_assign({exchange->def.vhost, exchange->def.name}, exchange->def);
  } else if (const auto* no_exchange = std::get_if<ExchangeDeleted>(&effect)) {
    exchanges_.erase({no_exchange->vhost, no_exchange->name});
    drop_bindings(no_exchange->vhost, no_exchange->name, false);
  } else if (const auto* queue = std::get_if<QueuePut>(&effect)) {
    auto [at, fresh] = queues_.try_emplace({queue->def.vhost, queue->def.name}, queue->def);
    if (!fresh && at->second.uid != queue->def.uid) {
      return fmt::format("queue '{}' comes as {} while it is there as {}", queue->def.name, queue->def.uid,
                         at->second.uid);
    }
    at->second = queue->def;
  } else if (const auto* no_queue = std::get_if<QueueDeleted>(&effect)) {
    queues_.erase({no_queue->def.vhost, no_queue->def.name});
    drop_bindings(no_queue->def.vhost, no_queue->def.name, true);
  } else if (const auto* binding = std::get_if<BindingPut>(&effect)) {
    return bind(binding->def);
  } else if (const auto* no_binding = std::get_if<BindingDeleted>(&effect)) {
    bindings_.erase({no_binding->def.vhost, binding_key(no_binding->def)});
  }
  return std::nullopt;
}

std::optional<std::string> EffectMirror::difference_to(const Catalogue& catalogue) const {
  std::size_t exchanges = 0, queues = 0, bindings = 0;
  for (const auto& [name, vhost] : catalogue.vhosts()) {
    if (!vhosts_.contains(name)) return "vhost '" + name + "' is missing";
    for (const auto& [key, def] : vhost.exchanges) {
      const auto at = exchanges_.find({name, key});
      if (at == exchanges_.end() || at->second != def) return "exchange '" + key + "' differs";
    }
    for (const auto& [key, def] : vhost.queues) {
      const auto at = queues_.find({name, key});
      if (at == queues_.end() || at->second != def) return "queue '" + key + "' differs";
    }
    for (const auto& [key, def] : vhost.bindings) {
      if (!bindings_.contains({name, key})) return "a binding of '" + key.source + "' is missing";
    }
    exchanges += vhost.exchanges.size();
    queues += vhost.queues.size();
    bindings += vhost.bindings.size();
  }
  if (vhosts_.size() != catalogue.vhosts().size()) return "a vhost too many";
  if (exchanges_.size() != exchanges) return "an exchange too many";
  if (queues_.size() != queues) return "a queue too many";
  if (bindings_.size() != bindings) return "a binding too many";
  return std::nullopt;
}

void Keeper::carry_out(const std::vector<Effect>& effects) {
  for (const Effect& effect : effects) {
    if (auto wrong = effects_.apply(effect)) {
      checker_.fail("effects", fmt::format("n{}: {}", node_.value, *wrong));
    }
    hook_(effect);
  }
}

Result<Applied> Keeper::commit(const Command& command, bool) {
  auto applied = catalogue_.apply(command);
  if (!applied) return applied;
  rows_.apply(applied->rows);
  carry_out(applied->effects);
  if (++commits_ % 32 == 0) check_all();
  return applied;
}

void Keeper::replace(Catalogue next) {
  const auto effects = next.difference(catalogue_);
  catalogue_ = std::move(next);
  rows_ = {};
  rows_.apply(catalogue_.rows());
  carry_out(effects);
  check_all();
}

void Keeper::check_all() {
  if (auto wrong = catalogue_.check_invariants()) {
    checker_.fail("catalogue-invariants", fmt::format("n{}: {}", node_.value, *wrong));
  }
  if (auto wrong = effects_.difference_to(catalogue_)) {
    checker_.fail("effects", fmt::format("n{}: by effects {}", node_.value, *wrong));
  }
  RowMirror all;
  all.apply(catalogue_.rows());
  if (all.rows() != rows_.rows()) {
    checker_.fail("rows", fmt::format("n{}: rows by commands are not the rows of the catalogue", node_.value));
  }
}

}  // namespace warren::simulation
