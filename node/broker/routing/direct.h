#pragma once
// Direct exchange: byte-equal routing key (EXC-12).

#include "node/broker/routing/key_table.h"
#include "node/broker/routing/matcher.h"

namespace warren::broker::routing {

class DirectMatcher final : public Matcher {
 public:
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;

 private:
  KeyTable<TargetList> by_key_;
};

}  // namespace warren::broker::routing
