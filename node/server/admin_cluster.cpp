// The cluster: what members tell each other, joining and leaving, and what all of them say together.

#include "node/server/admin.h"
#include "node/server/admin_values.h"
#include "node/server/version.h"

#include "cluster/membership/node_view.h"

#include <boost/asio/steady_timer.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <set>

namespace warren::server {

namespace json = boost::json;

/// What a node says of itself for cluster_status.
json::object node_brief_of(Node& node) {
  json::array unreachable;
  for (const auto& peer : node.cluster().net().states())
    if (!peer.up) unreachable.push_back(json::value(peer.peer.node_name));
  const bool running = node.app() != nullptr;
  return {{"node_id", membership::to_hex(node.local_state().node_id)},
          {"running", running},
          {"version", json::object{{"rabbitmq_name", "RabbitMQ"}, {"rabbitmq_version", kCompatible},
                                   {"erlang_version", kRuntime}, {"warren_version", kVersion}}},
          {"cpu_cores", static_cast<std::uint64_t>(sysconf(_SC_NPROCESSORS_ONLN))},
          {"maintenance", running && node.app()->draining() ? "marked for maintenance" : "not under maintenance"},
          {"alarms", alarms_json(node)},
          {"listeners", listeners_json(node)},
          {"flags", membership::to_json(node.cluster().flags())},
          {"unreachable", running ? unreachable : json::array()}};
}

namespace {

using Sink = std::shared_ptr<transport::CallSink>;

/// The answer of an operation: nothing, or a text for the operator.
membership::Done to(const Sink& sink) {
  return [sink](Result<std::string> result) {
    if (!result) return sink->fail(result.error().code, result.error().text);
    json::object out;
    if (!result->empty()) out["message"] = *result;
    sink->done(out);
  };
}

/// Only members and nodes that want to become one may ask for changes of the list.
bool from_node(AdminCall& call) {
  if (call.sink->peer().role == "node") return true;
  call.sink->fail(Errc::permission_denied, "only nodes ask each other this");
  return false;
}

// ---- between nodes ---------------------------------------------------------------------------------------

void cluster_probe(AdminCall& call) { call.sink->done(membership::to_json(call.node.cluster().view())); }

void member_join(AdminCall& call) {
  if (!from_node(call)) return;
  auto request = membership::join_request_from_json(call.args);
  if (!request) return call.sink->fail(request.error().code, request.error().text);
  call.node.cluster().admit(*request, [sink = call.sink](Result<membership::Admission> admission) {
    if (!admission) return sink->fail(admission.error().code, admission.error().text);
    sink->done(membership::to_json(*admission));
  });
}

void member_leave(AdminCall& call) {
  if (!from_node(call)) return;
  const auto id = membership::from_hex(call.text("node_id"));
  if (!id || id->size() != membership::kIdBytes)
    return call.sink->fail(Errc::invalid_argument, "'node_id' is no id of 16 bytes");
  call.node.cluster().dismiss(*id, [sink = call.sink](const Result<void>& left) {
    if (!left) return sink->fail(left.error().code, left.error().text);
    sink->done(json::object{});
  });
}

/// A member says something new of itself before it is asked.
void node_changed(AdminCall& call) {
  if (!from_node(call)) return;
  if (const json::value* brief = call.args.if_contains("brief"))
    call.node.cluster().remember_brief(call.sink->peer().node_name, *brief);
  call.sink->done(json::object{});
}

void node_brief(AdminCall& call) { call.sink->done(node_brief_of(call.node)); }

// ---- cluster_status --------------------------------------------------------------------------------------

/// Gathers the members' answers; those that gave none are shown as not running (D9).
class StatusReport {
 public:
  StatusReport(Node& node) : node_(node), members_(node.cluster().members()) {
    const std::string& self = node.settings().node_name;
    if (members_.empty()) members_.push_back({1, {}, self, node.settings().cluster.ram_node});
    std::sort(members_.begin(), members_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  }

  void add(const std::string& name, const json::value& answer) {
    const json::object* from = answer.if_object();
    if (from == nullptr || !from->contains("running") || !from->at("running").is_bool()) return;
    if (!from->at("running").get_bool()) return;
    // Another node under the name of a member is not that member (a wiped one, CLU-11).
    const auto* id = from->if_contains("node_id");
    const auto member = std::find_if(members_.begin(), members_.end(), [&](const auto& m) { return m.name == name; });
    if (member == members_.end() || id == nullptr || !id->is_string() ||
        (!member->node_id.empty() && membership::to_hex(member->node_id) != std::string_view(id->get_string())))
      return missed(name, "another node runs under this name");
    running_.insert(name);
    const auto take = [&](const char* key, json::object& into) {
      if (const auto* value = from->if_contains(key)) into[name] = *value;
    };
    take("version", versions_);
    take("cpu_cores", cores_);
    take("maintenance", maintenance_);
    take("listeners", listeners_);
    if (const auto* flags = from->if_contains("flags"); flags != nullptr && name != node_.settings().node_name)
      if (auto view = membership::flag_view_from_json(name, *flags)) flags_.push_back(std::move(*view));
    if (const auto* alarms = from->if_contains("alarms"); alarms != nullptr && alarms->is_array())
      for (const auto& alarm : alarms->get_array())
        if (alarm.is_object() && alarm.get_object().contains("node") &&
            alarm.get_object().at("node") == json::value(name))
          alarms_.push_back(alarm);
    if (const auto* list = from->if_contains("unreachable"); list != nullptr && list->is_array())
      unreachable_[name] = *list;
  }
  void missed(const std::string& name, const std::string& why) { stale_[name] = why; }

  json::object result() {
    const std::string& self = node_.settings().node_name;
    json::array disc, ram, running;
    std::size_t discs = 0, discs_running = 0;
    for (const auto& member : members_) {
      (member.ram ? ram : disc).push_back(json::value(member.name));
      discs += member.ram ? 0 : 1;
      discs_running += !member.ram && running_.contains(member.name) ? 1 : 0;
      if (running_.contains(member.name) && member.name != self) running.push_back(json::value(member.name));
    }
    if (running_.contains(self)) running.push_back(json::value(self));
    const auto& settings = node_.settings().cluster;
    json::object tags;
    for (const auto& [key, value] : settings.cluster_tags) tags[key] = value;
    const auto can_lose = membership::can_lose(discs, discs_running);
    json::object out{{"cluster_name", name()},
                     {"cluster_id", membership::to_hex(node_.local_state().cluster_id)},
                     {"cluster_tags", tags},
                     {"disk_nodes", disc},
                     {"ram_nodes", ram},
                     {"running_nodes", running},
                     {"alarms", alarms_},
                     {"partitions", partitions()},
                     {"app_running", node_.app() != nullptr},
                     {"asked_node", self},
                     {"stale_since", stale_}};
    if (const std::string& doing = node_.cluster().operations().doing(); !doing.empty()) out["doing"] = doing;
    if (node_.app() == nullptr) return out;
    out["versions"] = versions_;
    out["cpu_cores"] = cores_;
    out["maintenance_status"] = maintenance_;
    out["listeners"] = listeners_;
    out["feature_flags"] = feature_flags(node_, flags_);
    out["can_lose"] = json::object{
        {"metadata", can_lose.nodes}, {"queues", 0}, {"text", can_lose.text}};
    return out;
  }

 private:
  std::string name() const {
    const App* app = node_.app();
    if (app != nullptr) return app->broker().options().cluster_name;
    const auto& known = node_.local_state().cluster_name;
    return known.empty() ? node_.settings().node_name : known;
  }
  /// Running nodes that cannot reach each other, as each of them sees it.
  json::object partitions() const {
    json::object out;
    for (const auto& [name, list] : unreachable_) {
      json::array cut;
      for (const auto& other : list.as_array())
        if (other.is_string() && running_.contains(std::string(other.get_string()))) cut.push_back(other);
      if (!cut.empty()) out[name] = std::move(cut);
    }
    return out;
  }

  Node& node_;
  std::vector<metadata::MemberDef> members_;
  std::set<std::string> running_;
  json::object versions_, cores_, maintenance_, listeners_, stale_;
  json::array alarms_;
  std::vector<membership::FlagView> flags_;  // of the others
  std::map<std::string, json::value> unreachable_;
};

void cluster_status(AdminCall& call) {
  auto report = std::make_shared<StatusReport>(call.node);
  report->add(call.node.settings().node_name, node_brief_of(call.node));
  const auto others = call.node.cluster().other_names();
  if (others.empty()) return call.sink->done(report->result());
  const Millis deadline = call.within(call.node.settings().cluster.status_timeout_ms);
  call.node.cluster().ask_members(
      others, "node_brief", {}, deadline,
      [&node = call.node, report, sink = call.sink](std::vector<transport::NodeAnswer> answers) {
        for (auto& one : answers) {
          if (one.answer) {
            report->add(one.node_name, one.answer->result);
            node.cluster().remember_brief(one.node_name, std::move(one.answer->result));
            continue;
          }
          if (const auto* before = node.cluster().recent_brief(one.node_name)) report->add(one.node_name, *before);
          report->missed(one.node_name, one.answer.error().text);
        }
        sink->done(report->result());
      });
}

// ---- operators ---------------------------------------------------------------------------------------------

void join_cluster(AdminCall& call) {
  call.node.cluster().operations().join(call.text("node"), call.text("node_type", "disc") == "ram", to(call.sink));
}

void reset(AdminCall& call) { call.node.cluster().operations().reset(false, to(call.sink)); }
void force_reset(AdminCall& call) { call.node.cluster().operations().reset(true, to(call.sink)); }

void change_type(AdminCall& call) {
  call.node.cluster().operations().change_type(call.text("node_type") == "ram", to(call.sink));
}

void update_nodes(AdminCall& call) { call.node.cluster().operations().update_nodes(call.text("node"), to(call.sink)); }

/// The names in this node's own list; the cluster's list follows when the renamed nodes start.
void rename_nodes(AdminCall& call) {
  const json::value* pairs = call.args.if_contains("pairs");
  membership::LocalState state = call.node.local_state();
  if (pairs == nullptr || !pairs->is_array())
    return call.sink->fail(Errc::invalid_argument, "'pairs' is no list of [old, new]");
  for (const auto& pair : pairs->get_array()) {
    const json::array* names = pair.if_array();
    if (names == nullptr || names->size() != 2 || !(*names)[0].is_string() || !(*names)[1].is_string())
      return call.sink->fail(Errc::invalid_argument, "'pairs' is no list of [old, new]");
    const std::string from((*names)[0].get_string());
    const auto found = std::find_if(state.members.begin(), state.members.end(),
                                    [&](const auto& member) { return member.name == from; });
    if (found == state.members.end())
      return call.sink->fail(Errc::not_found, "not_a_cluster_node: " + from + " is not a member of this cluster");
    found->name = std::string((*names)[1].get_string());
  }
  auto put = call.node.cluster().put_state(std::move(state));
  if (!put) return call.sink->fail(put.error().code, put.error().text);
  call.sink->done(json::object{});
}

void discover_peers(AdminCall& call) {
  call.node.cluster().discover([sink = call.sink](Result<std::vector<std::string>> names) {
    if (!names) return sink->fail(names.error().code, names.error().text);
    std::sort(names->begin(), names->end());
    if (names->empty()) return sink->done(json::object{{"message", "No peers discovered"}});
    sink->done(json::object{{"lines", strings_json(*names)}});
  });
}

/// For the next start; nothing changes now (cluster/membership/recovery.h).
void force_boot(AdminCall& call) {
  membership::LocalState state = call.node.local_state();
  if (auto may = membership::may_force_boot(state); !may) return call.sink->fail(may.error().code, may.error().text);
  if (state.alone()) return call.sink->done(json::object{});
  state.force_boot = true;
  auto put = call.node.cluster().put_state(std::move(state));
  if (!put) return call.sink->fail(put.error().code, put.error().text);
  call.node.cluster().warn("force_boot: the next start goes on without the other members unless a majority answers");
  call.sink->done(json::object{});
}

void set_cluster_name(AdminCall& call) {
  // Also a global parameter, as exported definitions have it.
  const std::string name = call.text("name");
  call.broker().apply_all({metadata::PutCluster{{"", name}},
                           metadata::PutParameter{{"", "", "cluster_name", json::serialize(json::value(name))}}},
                          [sink = call.sink](const Result<void>& result) {
                            if (!result) return sink->fail(result.error().code, result.error().text);
                            sink->done(json::object{});
                          });
}

void forget(AdminCall& call) {
  const std::string name = call.text("node");
  auto& cluster = call.node.cluster();
  if (call.flag("offline") && call.app != nullptr)
    return call.sink->fail(Errc::conflict, "online_node_offline_flag: You set the --offline flag, which is used to "
                                           "remove remote nodes from offline nodes, but this node is online.");
  const auto members = cluster.members();
  auto first = membership::may_forget(members, cluster.self_name(), name, false);
  if (!first) return call.sink->fail(first.error().code, first.error().text);
  if (call.app == nullptr) {
    if (!call.flag("offline"))
      return call.sink->fail(Errc::conflict, "offline_node_no_offline_flag: You are trying to remove a node from an "
                                             "offline node. That is dangerous, but can be done with the --offline "
                                             "flag. Please consult the manual for rabbitmqctl for more information.");
    membership::LocalState state = call.node.local_state();
    auto may = membership::may_forget_offline(state, cluster.self_name(), name);
    if (!may) return call.sink->fail(may.error().code, may.error().text);
    if (std::find(state.forget.begin(), state.forget.end(), name) == state.forget.end()) state.forget.push_back(name);
    auto put = cluster.put_state(std::move(state));
    if (!put) return call.sink->fail(put.error().code, put.error().text);
    return call.sink->done(json::object{});
  }
  const Millis probe = call.within(call.node.settings().cluster.status_timeout_ms);
  cluster.ask(name, "cluster_probe", {}, probe,
              [&node = call.node, sink = call.sink, name, members](Result<json::value> answer) {
                const auto view = answer ? membership::view_from_json(*answer) : Result<membership::NodeView>(answer.error());
                const bool running = view && view->app_running;
                auto member = membership::may_forget(members, node.cluster().self_name(), name, running);
                if (!member) return sink->fail(member.error().code, member.error().text);
                if (node.app() == nullptr) return sink->fail(Errc::unavailable, "the broker on this node stops");
                if (auto agreed = node.cluster().majority_runs(); !agreed)
                  return sink->fail(agreed.error().code, agreed.error().text);
                node.cluster().dismiss(member->node_id, [&node, sink](const Result<void>& removed) {
                  if (!removed && removed.error().code == Errc::timeout)
                    return sink->fail(Errc::timeout, removed.error().text + "; " +
                                                         membership::way_out(node.cluster().self_name()));
                  if (!removed) return sink->fail(removed.error().code, removed.error().text);
                  sink->done(json::object{});
                });
              });
}

/// Asks again and again until enough members run, or the caller's time is over.
class AwaitNodes : public std::enable_shared_from_this<AwaitNodes> {
 public:
  AwaitNodes(Node& node, Sink sink, std::int64_t wanted)
      : node_(node), sink_(std::move(sink)), wanted_(wanted), timer_(node.loop().io()),
        until_(node.loop().steady_ms() + (sink_->deadline_ms() > 0 ? sink_->deadline_ms() : kLongest)) {}

  void look() {
    if (sink_->closed()) return;
    node_.cluster().caller().call_all(
        node_.cluster().other_names(), "cluster_probe", {}, kEach,
        [self = shared_from_this()](std::vector<transport::NodeAnswer> answers) {
          std::int64_t running = self->node_.app() != nullptr ? 1 : 0;
          for (const auto& one : answers) {
            auto view = one.answer ? membership::view_from_json(one.answer->result)
                                   : Result<membership::NodeView>(one.answer.error());
            running += view && view->app_running ? 1 : 0;
          }
          if (running >= self->wanted_) return self->sink_->done(json::object{});
          if (self->node_.loop().steady_ms() >= self->until_)
            return self->sink_->fail(Errc::timeout, fmt::format("{} of {} nodes run", running, self->wanted_));
          self->timer_.expires_after(std::chrono::milliseconds(200));
          self->timer_.async_wait([self](boost::system::error_code ec) {
            self->node_.loop().refresh();
            if (!ec) self->look();
          });
        });
  }

 private:
  static constexpr Millis kLongest = 300'000;
  static constexpr Millis kEach = 1'000;
  Node& node_;
  Sink sink_;
  std::int64_t wanted_;
  boost::asio::steady_timer timer_;
  Millis until_;
};

void await_online_nodes(AdminCall& call) {
  std::make_shared<AwaitNodes>(call.node, call.sink, call.number("count", 1))->look();
}

}  // namespace

void add_cluster_methods(AdminTable& table) {
  table["cluster_probe"] = {Needs::nothing, cluster_probe};
  table["member_join"] = {Needs::app, member_join};
  table["member_leave"] = {Needs::app, member_leave};
  table["node_brief"] = {Needs::nothing, node_brief};
  table["cluster_status"] = {Needs::nothing, cluster_status};
  table["node_changed"] = {Needs::nothing, node_changed};
  table["discover_peers"] = {Needs::nothing, discover_peers};
  table["join_cluster"] = {Needs::stopped_app, join_cluster};
  table["reset"] = {Needs::stopped_app, reset};
  table["force_reset"] = {Needs::stopped_app, force_reset};
  table["change_cluster_node_type"] = {Needs::stopped_app, change_type};
  table["update_cluster_nodes"] = {Needs::stopped_app, update_nodes};
  table["rename_cluster_node"] = {Needs::stopped_app, rename_nodes};
  table["force_boot"] = {Needs::stopped_app, force_boot};
  table["set_cluster_name"] = {Needs::app, set_cluster_name};
  table["forget_cluster_node"] = {Needs::nothing, forget};
  table["await_online_nodes"] = {Needs::nothing, await_online_nodes};
}

}  // namespace warren::server
