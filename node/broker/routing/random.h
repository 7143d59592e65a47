#pragma once
// x-random and x-local-random (EXC-15): one of the bound destinations, by the router's
// random source.

#include "node/broker/routing/fanout.h"

namespace warren::broker::routing {

/// Keeps its bindings as a fanout exchange does, and picks one destination that exists.
class RandomMatcher final : public Matcher {
 public:
  explicit RandomMatcher(bool local_only) : local_only_(local_only) {}
  bool add(const BindingRef& binding) override { return bindings_.add(binding); }
  bool remove(const BindingRef& binding) override { return bindings_.remove(binding); }
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override { bindings_.each(use); }
  bool beyond_key() const override { return true; }

 private:
  bool local_only_;
  FanoutMatcher bindings_;
  std::vector<DestId> candidates_;  // scratch of route()
};

}  // namespace warren::broker::routing
