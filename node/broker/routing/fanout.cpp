#include "node/broker/routing/fanout.h"

#include "base/assert.h"

namespace warren::broker::routing {

namespace {

auto position(std::vector<std::pair<DestId, std::uint32_t>>& all, DestId dest) {
  return std::lower_bound(all.begin(), all.end(), dest,
                          [](const auto& entry, DestId id) { return entry.first < id; });
}

}  // namespace

bool FanoutMatcher::add(const BindingRef& b) {
  if (!by_key_[std::string(b.key)].add(b.dest, b.args)) return false;
  const auto at = position(all_, b.dest);
  if (at != all_.end() && at->first == b.dest)
    ++at->second;
  else
    all_.insert(at, {b.dest, 1});
  return true;
}

bool FanoutMatcher::remove(const BindingRef& b) {
  const auto key = by_key_.find(b.key);
  if (key == by_key_.end() || !key->second.remove(b.dest, b.args)) return false;
  if (key->second.empty()) by_key_.erase(key);
  const auto at = position(all_, b.dest);
  WARREN_ASSERT(at != all_.end() && at->first == b.dest);
  if (--at->second == 0) all_.erase(at);
  return true;
}

void FanoutMatcher::route(const RouteInput&, Matches& out) {
  for (const auto& [dest, bindings] : all_) out.add(dest);
}

void FanoutMatcher::each(const UseBinding& use) const {
  for (const auto& [key, targets] : by_key_) targets.each(use);
}

}  // namespace warren::broker::routing
