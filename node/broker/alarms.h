#pragma once
// Resource alarms of the nodes of a cluster. An alarm anywhere blocks publishers everywhere (ALM-04).

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace warren::broker {

/// Owner: the broker's thread.
class Alarms {
 public:
  /// Gives whether anything changed. `resource`: memory, disk.
  bool set(const std::string& node, const std::string& resource, bool active) {
    return active ? active_.emplace(node, resource).second : active_.erase({node, resource}) > 0;
  }
  bool any() const { return !active_.empty(); }
  /// (node, resource), sorted.
  std::vector<std::pair<std::string, std::string>> list() const {
    return {active_.begin(), active_.end()};
  }
  /// The text of connection.blocked: "low on memory", "low on disk" or "low on disk & memory" (asked RabbitMQ 3.10.8).
  std::string reason() const {
    bool memory = false, disk = false;
    for (const auto& [node, resource] : active_) (resource == "memory" ? memory : disk) = true;
    if (memory && disk) return "low on disk & memory";
    return memory ? "low on memory" : "low on disk";
  }

 private:
  std::set<std::pair<std::string, std::string>> active_;
};

}  // namespace warren::broker
