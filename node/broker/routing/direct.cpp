#include "node/broker/routing/direct.h"

namespace warren::broker::routing {

bool DirectMatcher::add(const BindingRef& b) { return by_key_[b.key].add(b.dest, b.args); }

bool DirectMatcher::remove(const BindingRef& b) {
  TargetList* targets = by_key_.find(b.key);
  if (targets == nullptr || !targets->remove(b.dest, b.args)) return false;
  if (targets->empty()) by_key_.erase(b.key);
  return true;
}

void DirectMatcher::route(const RouteInput& input, Matches& out) {
  input.each_key([&](std::string_view key) {
    if (const TargetList* targets = by_key_.find(key)) targets->give(out);
  });
}

void DirectMatcher::each(const UseBinding& use) const {
  by_key_.each_value([&](const TargetList& targets) { targets.each(use); });
}

}  // namespace warren::broker::routing
