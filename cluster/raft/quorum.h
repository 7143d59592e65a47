#pragma once
// Majority arithmetic over a membership. `Get` is asked only about voters.

#include "cluster/raft/config.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>

namespace warren::raft {

/// The largest value that a majority of `voters` has reached; no voters: every value.
template <class Value, class Get>
Value majority_value(const std::vector<NodeId>& voters, Get&& get) {
  if (voters.empty()) return std::numeric_limits<Value>::max();
  std::array<Value, kMaxMembers> values{};
  std::size_t count = std::min(voters.size(), kMaxMembers);
  for (std::size_t i = 0; i < count; ++i) values[i] = get(voters[i]);
  auto at = values.begin() + static_cast<std::ptrdiff_t>(count / 2);
  auto end = values.begin() + static_cast<std::ptrdiff_t>(count);
  std::nth_element(values.begin(), at, end, std::greater<>());
  return *at;
}

/// The largest value reached by a majority of each half of the membership. 0 without voters.
template <class Value, class Get>
Value quorum_value(const Config& config, Get&& get) {
  if (config.voters.empty()) return Value{};
  return std::min(majority_value<Value>(config.voters, get),
                  majority_value<Value>(config.outgoing, get));
}

/// True when a majority of each half satisfies `test`.
template <class Test>
bool has_quorum(const Config& config, Test&& test) {
  return quorum_value<int>(config, [&](NodeId node) { return test(node) ? 1 : 0; }) == 1;
}

enum class Tally { pending, won, lost };

/// Counts ballots. `Ballot` answers optional<bool>: granted, refused, or not heard of.
template <class Ballot>
Tally tally(const Config& config, Ballot&& ballot) {
  if (has_quorum(config, [&](NodeId n) { return ballot(n).value_or(false); })) return Tally::won;
  if (!has_quorum(config, [&](NodeId n) { return ballot(n).value_or(true); })) return Tally::lost;
  return Tally::pending;
}

}  // namespace warren::raft
