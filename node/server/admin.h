#pragma once
// The control methods (docs/control-methods.md) as this node answers them. One file per area; each
// registers its methods in a table.

#include "cluster/transport/control_api.h"
#include "node/server/node.h"

#include <boost/json.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace warren::server {

/// One call on the loop's thread.
struct AdminCall {
  Node& node;
  App* app;                 ///< null while the app is stopped
  const boost::json::object& args;
  std::shared_ptr<transport::CallSink> sink;

  std::string text(std::string_view key, std::string fallback = {}) const;
  bool flag(std::string_view key) const;
  std::int64_t number(std::string_view key, std::int64_t fallback) const;
  /// Time left for work on other nodes: what the caller waits, within `longest`.
  Millis within(Millis longest) const;
  std::string vhost() const { return text("vhost", "/"); }
  broker::Broker& broker() const { return app->broker(); }
};

enum class Needs : std::uint8_t { nothing, app, app_and_vhost, stopped_app };

struct AdminMethod {
  Needs needs{Needs::nothing};
  std::function<void(AdminCall&)> run;
};
using AdminTable = std::map<std::string, AdminMethod, std::less<>>;

void handle_admin_call(Node& node, const std::string& method, const boost::json::object& args,
                       const std::shared_ptr<transport::CallSink>& sink);

// One per area.
void add_flag_methods(AdminTable& table);
void add_lifecycle_methods(AdminTable& table);
void add_list_methods(AdminTable& table);
void add_access_methods(AdminTable& table);
void add_policy_methods(AdminTable& table);
void add_status_methods(AdminTable& table);
void add_cluster_methods(AdminTable& table);
void add_maintenance_methods(AdminTable& table);
void add_node_methods(AdminTable& table);

/// The row of list_nodes for a member that does not answer, or whose app is stopped.
boost::json::object absent_node_row(const metadata::MemberDef& member);

}  // namespace warren::server
