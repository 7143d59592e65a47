#include "node/broker/routing/random.h"

namespace warren::broker::routing {

void RandomMatcher::route(const RouteInput&, Matches& out) {
  candidates_.clear();
  for (const auto& [dest, bindings] : bindings_.destinations())
    if (local_only_ ? out.local_queue(dest) : out.present(dest)) candidates_.push_back(dest);
  if (!candidates_.empty()) out.add(candidates_[out.random(candidates_.size())]);
}

}  // namespace warren::broker::routing
