// The broker's side of the pipes: queues, replies and alarms of other nodes.

#include "node/broker/broker.h"
#include "node/broker/channel.h"

#include <algorithm>
#include <utility>

namespace warren::broker {

namespace {

/// Of what may be on its way to the disc: so much to one other member, before its publishers wait.
constexpr std::uint64_t kMemberShare = 8;

}  // namespace

std::string Broker::home_down_text(const metadata::QueueDef& def) const {
  std::string node = env_.member_name(def.home);
  if (node.empty()) node = "unknown";
  return "home node '" + node + "' of " + (def.durable ? "durable " : "") + "queue '" + def.name +
         "' in vhost '" + def.vhost + "' is down or inaccessible";
}

void Broker::want_pipe_turn() {
  if (pipes_due_) return;
  pipes_due_ = true;
  env_.want_turn();
}

void Broker::deliver_reply(std::string_view token, MessageView message, const BlockRef& block) {
  if (Channel* requester = replies_.find(token)) requester->deliver_reply(message, block);
}

void Broker::window_opened() {
  if (flow_closed_) check_flow();
  if (!std::exchange(members_waited_for_, false)) return;
  std::vector<Session*> held;
  for (auto& [id, session] : sessions_) {
    if (session->waits_for == 0) continue;
    if (waits_for_member(*session)) {
      members_waited_for_ = true;
      continue;
    }
    session->waits_for = 0;
    held.push_back(session);
  }
  for (Session* session : held) session->gate_changed();
}

void Broker::published_to(Session& session, pipe::MemberId member) {
  if (pipes_.unanswered_bytes(member) <= options_.flow_bytes / kMemberShare) return;
  session.waits_for = member;
  members_waited_for_ = true;
}

bool Broker::waits_for_member(const Session& session) const {
  return session.waits_for != 0 &&
         pipes_.unanswered_bytes(session.waits_for) > options_.flow_bytes / kMemberShare / 2;
}

std::string Broker::name_of(pipe::MemberId member) {
  std::string name = env_.member_name(member);
  return name.empty() ? std::to_string(member) : name;
}

void Broker::node_alarms(const std::string& node, const std::vector<std::string>& resources) {
  if (node == options_.node_name) return;
  bool changed = false;
  for (const auto& [of, resource] : alarms_.list())
    if (of == node && std::find(resources.begin(), resources.end(), resource) == resources.end())
      changed |= alarms_.set(node, resource, false);
  for (const auto& resource : resources)
    if (resource == "memory" || resource == "disk") changed |= alarms_.set(node, resource, true);
  if (changed) alarms_changed();
}

void Broker::tell_alarms() {
  std::vector<std::string> own;
  for (const auto& [node, resource] : alarms_.list())
    if (node == options_.node_name) own.push_back(resource);
  pipes_.set_alarms(options_.node_name, std::move(own));
}

}  // namespace warren::broker
