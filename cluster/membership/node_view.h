#pragma once
// What nodes tell each other about their membership in control calls, as JSON.

#include "cluster/membership/rules.h"

#include <boost/json/fwd.hpp>

namespace warren::membership {

/// The answer to `cluster_probe`.
boost::json::object to_json(const NodeView& view);
/// Errors: corruption, when a peer answered something else.
Result<NodeView> view_from_json(const boost::json::value& value);

boost::json::array members_to_json(const std::vector<metadata::MemberDef>& members);
Result<std::vector<metadata::MemberDef>> members_from_json(const boost::json::value& value);

/// The answer to `member_join`: where the newcomer now belongs.
struct Admission {
  std::string cluster_id, cluster_name;
  std::vector<metadata::MemberDef> members;
};
boost::json::object to_json(const Admission& admission);
Result<Admission> admission_from_json(const boost::json::value& value);

/// What a node knows and needs; `enabled` only where there is a cluster.
boost::json::object to_json(const FlagView& view);
/// Of the node of that name. Errors: corruption.
Result<FlagView> flag_view_from_json(const std::string& node, const boost::json::value& value);

/// The arguments of `member_join`.
struct JoinRequest {
  std::string name, node_id;
  bool ram{false};
  std::string replaces;  ///< the node id that this one follows, or ""
  FlagView flags;        ///< with the name again; `enabled` is not sent
};
boost::json::object to_json(const JoinRequest& request);
/// Errors: invalid_argument naming the field.
Result<JoinRequest> join_request_from_json(const boost::json::object& args);

}  // namespace warren::membership
