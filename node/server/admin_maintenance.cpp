// Control methods around planned stops: maintenance, and whether this node may go.

#include "node/server/admin.h"
#include "node/server/admin_values.h"
#include "node/server/app.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace warren::server {

namespace {

namespace json = boost::json;
using Sink = std::shared_ptr<transport::CallSink>;

/// Answers when the others know that this node takes no leaders, or takes them again. Who does not answer learns it
/// when it asks next.
void tell_others(AdminCall& call) {
  auto& cluster = call.node.cluster();
  cluster.ask_members(cluster.other_names(), "node_changed", {{"brief", node_brief_of(call.node)}},
                      call.within(call.node.settings().cluster.status_timeout_ms),
                      [sink = call.sink](const auto&) { sink->done(json::object{}); });
}

void drain(AdminCall& call) {
  const std::int64_t spread = call.number("spread", call.node.settings().cluster.drain_spread_s);
  if (spread < 0 || spread > 3600)
    return call.sink->fail(Errc::invalid_argument, "--spread must be between 0 and 3600 seconds");
  call.app->drain(spread * 1000);
  tell_others(call);
}

void revive(AdminCall& call) {
  if (auto back = call.app->revive(); !back) return call.sink->fail(back.error().code, back.error().text);
  tell_others(call);
}

/// Empty when the metadata's majority outlives this node's stop; else why not. Queues with several copies add
/// theirs when there are such.
std::string critical(const Node& node, const App& app) {
  const MetadataGroup& group = *app.group();
  const auto voters = group.config().voters;
  const auto is_self = [&](raft::NodeId id) { return id == group.self(); };
  if (voters.size() < 2 || std::none_of(voters.begin(), voters.end(), is_self)) return "";
  const auto up = static_cast<std::size_t>(std::count_if(voters.begin(), voters.end(), [&](raft::NodeId id) {
    return is_self(id) || !group.suspected(id);
  }));
  if (up - 1 >= voters.size() / 2 + 1) return "";
  return fmt::format("{} of {} disc nodes are up: the cluster's metadata would lose its majority if node {} is stopped",
                     up, voters.size(), node.settings().node_name);
}

/// What makes the question moot; empty = it stands.
std::string moot(const Node& node, const App& app) {
  const std::string& name = node.settings().node_name;
  if (app.draining())
    return fmt::format("Node {} seems to be in maintenance mode, the check does not apply", name);
  if (app.group()->config().members().size() < 2)
    return fmt::format("Node {} seems to be the only one in a single node cluster, the check does not apply", name);
  return "";
}

void quorum_critical(AdminCall& call) {
  const std::string& name = call.node.settings().node_name;
  if (std::string text = moot(call.node, *call.app); !text.empty())
    return call.sink->done(json::object{{"message", std::move(text)}});
  if (std::string why = critical(call.node, *call.app); !why.empty())
    return call.sink->fail(Errc::unavailable, std::move(why));
  call.sink->done(json::object{
      {"message", fmt::format("Node {} reported no quorum queues with minimum quorum", name)}});
}

/// Looks again until this node may go, or nobody waits any more.
class AwaitQuorum : public std::enable_shared_from_this<AwaitQuorum> {
 public:
  AwaitQuorum(AdminCall& call)
      : node_(call.node),
        sink_(call.sink),
        timer_(call.node.loop().io()),
        until_(call.node.loop().steady_ms() + call.within(kLongest) - kToAnswer) {}

  void look() {
    if (sink_->closed()) return;
    const App* app = node_.app();
    if (app == nullptr) return sink_->fail(Errc::unavailable, "the broker on this node has stopped");
    if (!moot(node_, *app).empty()) return sink_->done(json::object{});
    const std::string why = critical(node_, *app);
    if (why.empty()) return sink_->done(json::object{});
    if (node_.loop().steady_ms() >= until_)
      return sink_->fail(Errc::unavailable, "time is up, and the cluster could not lose one more node: " + why);
    timer_.expires_after(std::chrono::milliseconds(200));
    timer_.async_wait([self = shared_from_this()](boost::system::error_code ec) {
      self->node_.loop().refresh();
      if (!ec) self->look();
    });
  }

 private:
  static constexpr Millis kLongest = 3'600'000;
  static constexpr Millis kToAnswer = 500;
  Node& node_;
  Sink sink_;
  boost::asio::steady_timer timer_;
  Millis until_;
};

void await_quorum_plus_one(AdminCall& call) { std::make_shared<AwaitQuorum>(call)->look(); }

/// Single copies have nothing to wait for, and mirrors do not exist here.
void nothing_to_do(AdminCall& call) { call.sink->done(json::object{}); }

}  // namespace

void add_maintenance_methods(AdminTable& table) {
  table["drain"] = {Needs::app, drain};
  table["revive"] = {Needs::app, revive};
  table["check_if_node_is_quorum_critical"] = {Needs::app, quorum_critical};
  table["await_online_quorum_plus_one"] = {Needs::app, await_quorum_plus_one};
  table["await_online_synchronized_mirror"] = {Needs::app, nothing_to_do};
  table["post_upgrade"] = {Needs::app, nothing_to_do};
}

}  // namespace warren::server
