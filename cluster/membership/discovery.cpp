#include "cluster/membership/discovery.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

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

std::vector<std::string> peers_on_hosts(const std::vector<std::string>& hosts, const std::string& self) {
  const std::size_t at = self.find('@');
  const std::string prefix = self.substr(0, at == std::string::npos ? self.size() : at) + "@";
  const bool long_names = at != std::string::npos && self.find('.', at) != std::string::npos;
  std::set<std::string> names;
  for (std::string host : hosts) {
    if (!host.empty() && host.back() == '.') host.pop_back();
    if (!long_names) host = host.substr(0, host.find('.'));
    if (!host.empty()) names.insert(prefix + host);
  }
  return {names.begin(), names.end()};
}

bool complete(const std::vector<std::string>& found, const std::string& self, std::size_t size_hint) {
  return found.size() >= size_hint && std::find(found.begin(), found.end(), self) != found.end();
}

DiscoveryStep next_discovery_step(const std::vector<std::string>& configured, const std::string& self,
                                  bool ram, const std::vector<PeerAnswer>& answers, bool may_found) {
  const std::string founder = founder_of(configured, self);
  const PeerAnswer* best = nullptr;
  for (const auto& answer : answers) {
    if (!answer.view || answer.view->cluster_id.empty() || !answer.view->app_running) continue;
    if (best == nullptr || answer.name == founder || (best->name != founder && answer.name < best->name))
      best = &answer;
  }
  if (best != nullptr) return {DiscoveryStep::Kind::join, best->name, "joins the cluster of " + best->name};
  if (self == founder && !ram && may_found) return {DiscoveryStep::Kind::found, {}, "founds the cluster"};
  std::string waiting = may_found ? fmt::format("waits for a cluster among its peers (to be founded by {})", founder)
                                  : fmt::format("waits until it and all others are found; so far {}",
                                                configured.empty() ? "nobody" : fmt::format("{}", fmt::join(configured, ", ")));
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
