#pragma once
// Fanout exchange: every destination, whatever the key (EXC-12).

#include "node/broker/routing/matcher.h"

#include <map>
#include <string>

namespace warren::broker::routing {

class FanoutMatcher final : public Matcher {
 public:
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;

  /// Each destination with its number of bindings, ascending.
  const std::vector<std::pair<DestId, std::uint32_t>>& destinations() const { return all_; }

 private:
  std::map<std::string, TargetList, std::less<>> by_key_;  // identities only
  std::vector<std::pair<DestId, std::uint32_t>> all_;       // ascending; bindings per destination
};

}  // namespace warren::broker::routing
