// What the catalogue's changes do to the queues and routers of this node.

#include "node/broker/broker.h"

#include "node/broker/policy.h"
#include "node/broker/session.h"

namespace warren::broker {

namespace {

/// Exclusive queues end with their connection, hence with the node: what they logged, nobody would
/// ever read, and after a crash nobody would own.
bool is_logged(const metadata::QueueDef& def) { return def.durable && !def.exclusive; }

}  // namespace

Result<metadata::Applied> Broker::commit(const metadata::Command& command, bool ours) {
  const bool tell = ours && !booting_;  // in a cluster, one node tells of it
  auto told = tell ? events_.of_command(command) : decltype(events_.of_command(command)){};
  auto applied = catalogue_.apply(command);
  if (!applied || booting_) return applied;
  carry_out(applied->effects, tell);
  if (applied->changed)
    for (auto& [key, data] : told) events_.emit(key, std::move(data));
  return applied;
}

void Broker::replace(metadata::Catalogue next) {
  std::swap(catalogue_, next);
  if (!booting_) carry_out(catalogue_.difference(next), false);
}

void Broker::bring_up() {
  booting_ = false;
  carry_out(catalogue_.everything(), false);  // what stood before is no event
}

void Broker::carry_out(const std::vector<metadata::Effect>& effects, bool tell) {
  for (const auto& effect : effects) {
    std::visit([this](const auto& e) { on(e); }, effect);
    if (tell) events_.of_effect(effect, true);
  }
}

void Broker::on(const metadata::VhostPut& effect) {
  auto& runtime = vhosts_[effect.name];
  if (!runtime) {
    routing::RouterHooks hooks;
    hooks.random = [this](std::uint64_t bound) { return random_below(bound); };
    runtime = std::make_unique<VhostRuntime>(std::move(hooks));
    runtime->name = effect.name;
  }
  if (const auto* vhost = catalogue_.find_vhost(effect.name)) runtime->tracing = vhost->def.tracing;
}

void Broker::on(const metadata::VhostDeleted& effect) {
  std::vector<Session*> users;
  for (auto& [id, session] : sessions_)
    if (session->vhost_name() == effect.name) users.push_back(session);
  for (Session* session : users)
    session->close(amqp::ReplyCode::connection_forced, "vhost '" + effect.name + "' is deleted");
  vhosts_.erase(effect.name);
}

void Broker::on(const metadata::ExchangePut& effect) {
  if (VhostRuntime* vhost = this->vhost(effect.def.vhost))
    vhost->router.put_exchange(effect.def, alternate_for(effect.def));
}

void Broker::on(const metadata::ExchangeDeleted& effect) {
  if (VhostRuntime* vhost = this->vhost(effect.vhost)) vhost->router.drop_exchange(effect.name);
}

void Broker::on(const metadata::QueuePut& effect) {
  const auto& def = effect.def;
  if (queues_.contains(def.uid) || remotes_.contains(def.uid)) return;
  ++totals.queues_declared;
  if (VhostRuntime* vhost = this->vhost(def.vhost)) vhost->router.put_queue(def.name, def.uid);
  if (!is_home(def)) {  // another member has it
    remotes_.emplace(def.uid, pipes_.remote(def));
    return;
  }
  if (def.exclusive) {
    const auto owner = sessions_.find(def.owner_connection);
    if (owner != sessions_.end() && !owner->second->over())
      exclusive_[def.owner_connection].insert(def.uid);
    else
      delete_queues({def.uid});  // its connection went while the declare was under way
  }
  QueueLog* log = is_logged(def) ? env_.open_log(def.uid) : nullptr;
  auto queue = std::make_shared<Queue>(def, settings_for(def), *this, log, budget_, options_.queue);
  queues_.emplace(def.uid, queue);
  if (log != nullptr) env_.attach_queue(def.uid, queue);
  want_pump(*queue);  // what its constructor asked for could not be noted yet
  pipes_.queue_appeared(def.uid);
}

void Broker::on(const metadata::QueueDeleted& effect) {
  const auto& def = effect.def;
  if (VhostRuntime* vhost = this->vhost(def.vhost)) vhost->router.drop_queue(def.name);
  ++totals.queues_deleted;
  if (auto remote = remotes_.find(def.uid); remote != remotes_.end()) {
    auto queue = std::move(remote->second);
    remotes_.erase(remote);
    queue->on_deleted();
  }
  auto found = queues_.find(def.uid);
  if (found == queues_.end()) return;
  auto queue = std::move(found->second);
  queues_.erase(found);
  doomed_.erase(def.uid);
  if (auto owner = exclusive_.find(def.owner_connection); def.exclusive && owner != exclusive_.end())
    owner->second.erase(def.uid);
  timers_.set(def.uid, 0);
  queue->on_deleted();
  forget_dead_letters(def.uid);
  if (is_logged(def)) env_.close_log(def.uid, true);
}

void Broker::on(const metadata::BindingPut& effect) {
  if (VhostRuntime* vhost = this->vhost(effect.def.vhost)) vhost->router.bind(effect.def);
}

void Broker::on(const metadata::BindingDeleted& effect) {
  if (VhostRuntime* vhost = this->vhost(effect.def.vhost)) vhost->router.unbind(effect.def);
}

void Broker::on(const metadata::PoliciesChanged& effect) {
  ++policy_epoch_;
  const auto* vhost = catalogue_.find_vhost(effect.vhost);
  VhostRuntime* runtime = this->vhost(effect.vhost);
  if (vhost == nullptr || runtime == nullptr) return;
  for (const auto& [name, def] : vhost->queues)
    if (auto queue = this->queue(def.uid)) queue->apply_settings(settings_for(def));
  for (const auto& [name, def] : vhost->exchanges) runtime->router.set_alternate(name, alternate_for(def));
}

void Broker::on(const metadata::UserChanged&) { ++epoch_; }

void Broker::on(const metadata::ParametersChanged&) {}

void Broker::on(const metadata::MembersChanged&) {
  if (!catalogue_.cluster().name.empty()) options_.cluster_name = catalogue_.cluster().name;
  if (members_hook_) members_hook_();
}

AppliedPolicies Broker::policies_for(const metadata::QueueDef& def) const {
  const auto* vhost = catalogue_.find_vhost(def.vhost);
  return vhost == nullptr ? AppliedPolicies{} : choose_policies(*vhost, def, patterns_);
}

AppliedPolicies Broker::policies_for(const metadata::ExchangeDef& def) const {
  const auto* vhost = catalogue_.find_vhost(def.vhost);
  return vhost == nullptr ? AppliedPolicies{} : choose_policies(*vhost, def, patterns_);
}

QueueSettings Broker::settings_for(const metadata::QueueDef& def) const {
  return effective_settings(def, policies_for(def));
}

Millis Broker::consumer_timeout(const metadata::QueueDef& def) const {
  return settings_for(def).consumer_timeout_ms.value_or(options_.consumer_timeout_ms);
}

std::optional<std::string> Broker::alternate_for(const metadata::ExchangeDef& def) const {
  return effective_alternate_exchange(def, policies_for(def));
}

}  // namespace warren::broker
