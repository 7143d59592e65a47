// The cluster service without a majority: what a forced start leaves behind, what is forgotten later, and
// when a change of the members cannot be agreed on.

#include "node/server/cluster_service.h"
#include "node/server/node.h"

#include <fmt/format.h>

#include <utility>

namespace warren::server {

namespace json = boost::json;

namespace {

constexpr Millis kAgainMs = 3'000;

}  // namespace

/// This node took the group over: the others go off the list, and with them the queues that lived there.
void ClusterService::leave_behind() {
  if (!state().taking_over) return;
  auto& broker = node_.member_app()->broker();
  std::vector<metadata::Command> commands;
  for (const auto& member : members()) {
    if (member.node_id == state().node_id) continue;
    std::size_t queues = 0;
    for (const auto& [name, vhost] : broker.catalogue().vhosts())
      for (const auto& [queue_name, queue] : vhost.queues) queues += queue.home == member.id ? 1 : 0;
    warn(fmt::format("node {} is no member any more; {} queues that lived on it are deleted", member.name, queues));
    commands.push_back(metadata::RemoveMember{member.id});
  }
  std::weak_ptr<char> alive = alive_;
  const auto finish = [this, alive](const Result<void>& removed) {
    if (alive.expired() || node_.member_app() == nullptr) return;
    membership::LocalState state = this->state();
    state.taking_over = false;
    const Result<void> put = removed ? put_state(std::move(state)) : removed;
    if (put) return members_changed();
    // At a later start it would put out whoever joined by then. So it is tried until it is written, and nobody joins.
    node_.log().error(LogArea::cluster, "going on alone is not finished: {}. It is tried again every {} s; until then no "
                      "node can join", put.error().text, kAgainMs / 1000);
    after(kAgainMs, [this, alive] {
      if (!alive.expired() && node_.member_app() != nullptr) leave_behind();
    });
  };
  if (commands.empty()) return finish({});
  broker.apply_all(std::move(commands), finish);
}

/// Those that forget_cluster_node --offline named while this node was stopped, now that a majority runs.
void ClusterService::forget_asked() {
  if (state().forget.empty() || state().taking_over) return;
  // Each is struck off when it is decided; what is not, is tried again at the next start.
  const auto decided = [this](const std::string& name) {
    membership::LocalState state = this->state();
    std::erase(state.forget, name);
    if (auto put = put_state(std::move(state)); !put) warn(put.error().text);
  };
  for (const auto& name : std::vector<std::string>(state().forget)) {
    const auto known = members();
    auto member = membership::may_forget(known, self_name(), name, false);
    if (!member) {
      warn("forget_cluster_node --offline " + name + ": " + member.error().text);
      decided(name);
      continue;
    }
    ask(name, "cluster_probe", {}, node_.settings().cluster.status_timeout_ms,
        [this, name, decided, id = member->node_id, alive = std::weak_ptr<char>(alive_)](Result<json::value> answer) {
          if (alive.expired() || node_.app() == nullptr) return;
          const auto view = answer ? membership::view_from_json(*answer) : Result<membership::NodeView>(answer.error());
          if (view && view->app_running && view->node_id == id) {
            decided(name);
            return warn("forget_cluster_node --offline " + name + ": it runs, and stays a member");
          }
          dismiss(id, [this, name, decided](const Result<void>& removed) {
            if (removed) decided(name);
            warn("forget_cluster_node --offline " + name + ": " + (removed ? "done" : removed.error().text));
          });
        });
  }
}

Result<void> ClusterService::majority_runs() const {
  std::size_t discs = 0, up = 0;
  std::string missing;
  for (const auto& member : members()) {
    if (member.ram) continue;
    ++discs;
    const bool there = member.node_id == state().node_id || net_->up(raft::NodeId(member.id));
    up += there ? 1 : 0;
    if (!there) missing += (missing.empty() ? "" : ", ") + member.name;
  }
  if (up >= discs / 2 + 1) return {};
  return make_error(Errc::unavailable,
                    fmt::format("no_majority: {} of {} disc nodes run, {} are needed to change the list of members; "
                                "missing: {}. Start them, or {}", up, discs, discs / 2 + 1, missing,
                                membership::way_out(self_name())));
}

}  // namespace warren::server
