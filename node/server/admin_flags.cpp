// Feature flags: listing them, and switching them on when every member knows them (CLU-25).

#include "node/server/admin.h"
#include "node/server/admin_values.h"

#include "cluster/membership/node_view.h"

namespace warren::server {

namespace json = boost::json;

namespace {

using Told = std::function<void(std::vector<membership::FlagView> others, std::vector<std::string> silent)>;

/// What every other member knows; `silent`: who did not say.
void ask_others(AdminCall& call, Told told) {
  auto& cluster = call.node.cluster();
  cluster.ask_members(cluster.other_names(), "cluster_probe", {},
                      call.within(call.node.settings().cluster.status_timeout_ms),
                      [told = std::move(told)](const std::vector<transport::NodeAnswer>& answers) {
                        std::vector<membership::FlagView> others;
                        std::vector<std::string> silent;
                        for (const auto& one : answers) {
                          auto view = one.answer ? membership::view_from_json(one.answer->result)
                                                 : Result<membership::NodeView>(one.answer.error());
                          if (view && view->app_running) others.push_back(std::move(view->flags));
                          else silent.push_back(one.node_name);
                        }
                        told(std::move(others), std::move(silent));
                      });
}

void list_feature_flags(AdminCall& call) {
  ask_others(call, [&node = call.node, sink = call.sink](const auto& others, const auto&) {
    for (const auto& flag : feature_flags(node, others)) sink->row(flag.as_object());
    sink->done(json::object{});
  });
}

void enable_feature_flag(AdminCall& call) {
  const bool opt_in = call.flag("opt_in") || call.flag("experimental");
  ask_others(call, [&node = call.node, sink = call.sink, name = call.text("name"), opt_in](const auto& others,
                                                                                          const auto& silent) {
    auto flags = membership::flags_to_enable(release(), name, opt_in, node.cluster().flags(), others, silent);
    if (!flags) return sink->fail(flags.error().code, flags.error().text);
    if (flags->empty()) return sink->done(json::object{});
    if (node.app() == nullptr) return sink->fail(Errc::unavailable, "the broker on this node stops");
    node.app()->broker().apply(metadata::PutCluster{{"", "", std::move(*flags)}}, [sink](const Result<void>& enabled) {
      if (!enabled) return sink->fail(enabled.error().code, enabled.error().text);
      sink->done(json::object{});
    });
  });
}

}  // namespace

void add_flag_methods(AdminTable& table) {
  table["list_feature_flags"] = {Needs::app, list_feature_flags};
  table["enable_feature_flag"] = {Needs::app, enable_feature_flag};
}

}  // namespace warren::server
