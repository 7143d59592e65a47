// Where new queues go (broker/placement.h), and proposals on their way to the group.

#include "node/broker/placement.h"
#include "node/server/app.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace warren::server {

/// A durable queue lives where there is a disc, an exclusive one with its client; for others, whoever declares
/// them may say, or the policy, or the setting.
void App::place(metadata::QueueDef& def) const {
  if (def.home == 0) def.home = identity_.self.value;
  if (def.exclusive || def.home != identity_.self.value) return;
  std::string locator = broker::queue_locator(def, broker_->policies_for(def));
  if (locator.empty()) locator = settings_.queues.leader_locator;
  const bool spread = !locator.empty() && locator != "client-local";
  if (!spread && !(identity_.ram && def.durable)) return;
  std::vector<std::uint64_t> fit;
  for (const auto& [id, member] : broker_->catalogue().members()) {
    const bool self = id == identity_.self.value;
    if (member.ram && def.durable) continue;
    if (!self && (group_->suspected(raft::NodeId(id)) || (identity_.in_maintenance && identity_.in_maintenance(id))))
      continue;
    if (self && spread && draining()) continue;
    fit.push_back(id);
  }
  const auto queues = spread ? broker::queues_by_home(broker_->catalogue(), placing_) : std::map<std::uint64_t, std::size_t>();
  def.home = broker::place_queue(locator, identity_.self.value, fit, queues, std::hash<std::string>{}(def.name));
}

void App::propose(std::vector<metadata::Command> commands,
                  std::function<void(std::vector<Result<void>>)> done) {
  // Queues on their way count like those that are there, or a burst of declares would all go to one node.
  std::map<std::uint64_t, std::size_t> placed;
  for (auto& command : commands) {
    auto* declare = std::get_if<metadata::DeclareQueue>(&command);
    if (declare == nullptr) continue;
    place(declare->def);
    ++placed[declare->def.home];
    ++placing_[declare->def.home];
  }
  if (placed.empty()) return group_->propose(commands, std::move(done));
  group_->propose(commands, [this, placed = std::move(placed), done = std::move(done)](std::vector<Result<void>> results) {
    for (const auto& [home, count] : placed) {
      const auto found = placing_.find(home);
      if (found != placing_.end() && (found->second -= std::min(found->second, count)) == 0) placing_.erase(found);
    }
    if (done) done(std::move(results));
  });
}

}  // namespace warren::server
