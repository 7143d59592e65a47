#pragma once
// One wake-up time per object, kept in an ordered set; the loop asks for the earliest.

#include "base/clock.h"

#include <map>
#include <set>
#include <utility>
#include <vector>

namespace warren::broker {

/// Owner: the broker's thread. Ids are queue uids.
class Timers {
 public:
  /// The latest call counts; `at` 0 = no timer.
  void set(std::uint64_t id, Millis at) {
    auto found = at_.find(id);
    if (found != at_.end()) {
      if (found->second == at) return;
      order_.erase({found->second, id});
      at_.erase(found);
    }
    if (at == 0) return;
    at_.emplace(id, at);
    order_.emplace(at, id);
  }
  /// Removes and gives the ids that are due.
  std::vector<std::uint64_t> take_due(Millis now) {
    std::vector<std::uint64_t> due;
    while (!order_.empty() && order_.begin()->first <= now) {
      due.push_back(order_.begin()->second);
      at_.erase(order_.begin()->second);
      order_.erase(order_.begin());
    }
    return due;
  }
  Millis next() const { return order_.empty() ? 0 : order_.begin()->first; }

 private:
  std::map<std::uint64_t, Millis> at_;
  std::set<std::pair<Millis, std::uint64_t>> order_;
};

}  // namespace warren::broker
