// The broker's side of the pipes: queues, replies and alarms of other nodes.

#include "node/broker/broker.h"
#include "node/broker/channel.h"

#include <algorithm>

namespace warren::broker {

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
