#pragma once
// The exchanges that spread messages over their destinations by a hash: x-consistent-hash (EXC-13)
// and x-modulus-hash (EXC-14). Both depend on the names of the destinations and on nothing else, so
// every node, also after a restart, sends a key to the same place.

#include "node/broker/routing/matcher.h"

#include <map>
#include <optional>
#include <string>
#include <tuple>

namespace warren::broker::routing {

/// log2 of 2^64 / (hash + 1), in units of 2^-32; in integers, so that all builds agree.
std::uint64_t hash_distance(std::uint64_t hash);

/// Weighted rendezvous hashing: each destination draws a distance from (key, its name), divided by
/// its weight; the nearest gets the message. A destination that comes or goes moves only the keys
/// it gains or loses. A destination bound more than once counts with its largest weight.
/// Cost: one hash per destination.
class ConsistentHashMatcher final : public Matcher {
 public:
  explicit ConsistentHashMatcher(const metadata::ExchangeDef& def);
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;
  bool beyond_key() const override { return !header_.empty() || !property_.empty(); }

 private:
  struct Choice {
    DestId dest;
    std::uint64_t name_hash;
    std::uint64_t weight;
  };
  void rebuild(DestId dest, std::uint64_t name_hash);
  std::uint64_t input_hash(const RouteInput& input) const;

  std::string header_;    // hash-header
  std::string property_;  // hash-property
  std::map<std::tuple<DestId, std::string, std::uint32_t>, std::uint64_t> weights_;
  std::vector<Choice> choices_;  // ascending by dest; weight > 0
};

/// Hash of the key, modulo the number of destinations, in the order of their names.
class ModulusHashMatcher final : public Matcher {
 public:
  bool add(const BindingRef& binding) override;
  bool remove(const BindingRef& binding) override;
  void route(const RouteInput& input, Matches& out) override;
  void each(const UseBinding& use) const override;

 private:
  using Keys = std::map<std::string, TargetList, std::less<>>;
  std::map<std::pair<std::string, DestId>, Keys> bindings_;  // by name first: the order that counts
  std::vector<DestId> order_;
};

/// The weight of a binding key: digits only; nothing when it is none.
std::optional<std::uint64_t> hash_weight(std::string_view key);

}  // namespace warren::broker::routing
