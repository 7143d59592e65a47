#include "cluster/membership/discovery.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace warren::membership {

namespace {

std::string founder_of(const std::vector<std::string>& configured, const std::string& self) {
  return configured.empty() ? self : *std::min_element(configured.begin(), configured.end());
}

}  // namespace

std::vector<std::string> peers_to_ask(const std::vector<std::string>& configured, const std::string& self) {
  std::set<std::string> names(configured.begin(), configured.end());
  names.erase(self);
  return {names.begin(), names.end()};
}

DiscoveryStep next_discovery_step(const std::vector<std::string>& configured, const std::string& self,
                                  bool ram, const std::vector<PeerAnswer>& answers) {
  const std::string founder = founder_of(configured, self);
  const PeerAnswer* best = nullptr;
  for (const auto& answer : answers) {
    if (!answer.view || answer.view->cluster_id.empty() || !answer.view->app_running) continue;
    if (best == nullptr || answer.name == founder || (best->name != founder && answer.name < best->name))
      best = &answer;
  }
  if (best != nullptr) return {DiscoveryStep::Kind::join, best->name, "joins the cluster of " + best->name};
  if (self == founder && !ram) return {DiscoveryStep::Kind::found, {}, "founds the cluster"};
  std::string waiting = fmt::format("waits for a cluster among its peers (to be founded by {})", founder);
  for (const auto& answer : answers)
    waiting += fmt::format("; {}: {}", answer.name,
                           !answer.view ? answer.failure
                           : answer.view->cluster_id.empty() ? "in no cluster yet"
                                                             : "its broker is stopped");
  return {DiscoveryStep::Kind::wait, {}, std::move(waiting)};
}

std::optional<std::string> split_clusters(const std::vector<PeerAnswer>& answers) {
  const PeerAnswer* first = nullptr;
  for (const auto& answer : answers) {
    if (!answer.view || answer.view->cluster_id.empty()) continue;
    if (first == nullptr) {
      first = &answer;
    } else if (answer.view->cluster_id != first->view->cluster_id) {
      return fmt::format("{} is in cluster {} and {} in cluster {}: they will not be merged; reset the "
                         "nodes of one of them", first->name, to_hex(first->view->cluster_id), answer.name,
                         to_hex(answer.view->cluster_id));
    }
  }
  return std::nullopt;
}

}  // namespace warren::membership
