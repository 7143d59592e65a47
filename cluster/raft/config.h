#pragma once
// Membership of a group as a value, its encoding, and which step leads from one to another.

#include "base/result.h"
#include "cluster/raft/types.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace warren::raft {

inline constexpr std::size_t kMaxMembers = 64;

/// Who votes and who listens. Invariants: each list ascending and without repeats; no learner
/// votes; `outgoing` (the old voters while two memberships overlap) is empty unless joint.
struct Config {
  std::vector<NodeId> voters;
  std::vector<NodeId> outgoing;
  std::vector<NodeId> learners;

  bool joint() const { return !outgoing.empty(); }
  /// True in either half of a joint membership.
  bool is_voter(NodeId node) const {
    return contains(voters, node) || contains(outgoing, node);
  }
  bool is_member(NodeId node) const { return is_voter(node) || contains(learners, node); }
  /// All members once, ascending.
  std::vector<NodeId> members() const;

  bool operator==(const Config&) const = default;

  static bool contains(const std::vector<NodeId>& in, NodeId node) {
    return std::binary_search(in.begin(), in.end(), node);
  }
};

/// A membership of `voters` and `learners` in any order, with repeats removed.
Config make_config(std::vector<NodeId> voters, std::vector<NodeId> learners = {});
/// Errors: invalid_argument naming the broken invariant.
Result<void> check_config(const Config& config);

std::string encode_config(const Config& config);
/// Errors: corruption, unsupported (foreign version).
Result<Config> decode_config(std::string_view bytes);

/// The configuration to append now in order to reach `target`: itself when at most one voter
/// differs, else the joint one. Source: Raft thesis 4.1 and 4.3.
/// Errors: invalid_argument (invalid, empty or joint target), conflict (a change is under way).
Result<Config> next_config(const Config& current, const Config& target);
/// The configuration that ends a joint one.
Config leave_joint(const Config& joint);

/// The place a log starts from: everything up to `index` is in the state machine's checkpoint.
struct LogBase {
  Index index{0};
  Term term{0};
  Config config;          ///< in force at `index`
  Index config_index{0};  ///< of the entry that brought it

  bool operator==(const LogBase&) const = default;
};

}  // namespace warren::raft
