// What clients of a node do to the catalogue: few names, so that they meet each other.
#include "tests/simulation/metadata_node.h"

#include <array>

namespace warren::simulation {

using namespace metadata;

namespace {

std::string pick(Prng& prng, const char* stem, std::uint64_t of) { return stem + std::to_string(prng.below(of)); }
std::string any_vhost(Prng& prng) { return prng.chance(5, 6) ? "/" : "v"; }

std::string any_exchange(Prng& prng) {
  return prng.chance(1, 5) ? "amq.fanout" : pick(prng, "e", 4);
}

BindingDef any_binding(Prng& prng) {
  BindingDef def;
  def.vhost = any_vhost(prng);
  def.source = any_exchange(prng);
  def.to_queue = prng.chance(3, 4);
  def.destination = def.to_queue ? pick(prng, "q", 6) : pick(prng, "e", 4);
  if (prng.chance(1, 2)) def.routing_key = "k";
  if (prng.chance(1, 8)) def.arguments.set("x-match", FieldValue("any"));
  return def;
}

}  // namespace

void MetadataNode::act() {
  if (!serves_) return;
  Prng& prng = group_.world.prng;
  if (connections_.size() < 3 && prng.chance(1, 4)) connections_.insert(self_.value << 40 | incarnation_ << 20 | next_connection_++);
  if (!connections_.empty() && prng.chance(1, 24)) {
    return end_connection(*std::next(connections_.begin(), static_cast<std::ptrdiff_t>(prng.below(connections_.size()))));
  }
  Commands commands{random_command()};
  while (prng.chance(1, 8)) commands.push_back(random_command());
  change(commands, [](const Results&) {});
}

Command MetadataNode::random_command() {
  return group_.world.prng.chance(4, 5) ? random_topology() : random_other();
}

Command MetadataNode::random_topology() {
  Prng& prng = group_.world.prng;
  const std::uint64_t dice = prng.below(20);
  if (dice < 6) {
    QueueDef def;
    def.vhost = any_vhost(prng);
    def.name = pick(prng, "q", 6);
    def.durable = prng.chance(3, 4);
    def.auto_delete = prng.chance(1, 8);
    def.home = self_.value;
    if (!connections_.empty() && prng.chance(1, 3)) {
      def.exclusive = true;
      def.owner_connection = *connections_.begin();
    }
    return DeclareQueue{def};
  }
  if (dice < 9) {
    ExchangeDef def;
    def.vhost = any_vhost(prng);
    def.name = pick(prng, "e", 4);
    def.type = prng.chance(1, 2) ? "fanout" : "direct";
    def.durable = prng.chance(3, 4);
    def.auto_delete = prng.chance(1, 3);
    return DeclareExchange{def};
  }
  if (dice < 14) return Bind{any_binding(prng)};
  if (dice < 16) return Unbind{any_binding(prng)};
  if (dice < 18) {
    DeleteQueue command{any_vhost(prng), pick(prng, "q", 6), 0};
    const QueueDef* known = keeper_.catalogue().find_queue(command.vhost, command.name);
    if (known && prng.chance(1, 2)) command.uid = known->uid;
    return command;
  }
  return DeleteExchange{any_vhost(prng), any_exchange(prng), prng.chance(1, 2)};
}

Command MetadataNode::random_other() {
  Prng& prng = group_.world.prng;
  const std::string user = pick(prng, "u", 3);
  const std::string vhost = any_vhost(prng);
  switch (prng.below(15)) {
    case 0:
    case 1:
    case 2: {
      VhostDef def;
      def.name = vhost;
      if (prng.chance(1, 3)) def.limits["max-queues"] = prng.between(2, 6);
      return PutVhost{def};
    }
    case 3: return prng.chance(1, 3) ? Command(DeleteVhost{vhost}) : Command(DeleteUser{user});
    case 4:
    case 5: return PutUser{UserDef{user, pick(prng, "hash", 9), "", {}, {}}, prng.chance(1, 2)};
    case 6: return PutPermission{PermissionDef{user, vhost, ".*", pick(prng, "w", 9), ".*"}};
    case 7: return DeletePermission{user, vhost};
    case 8: return PutTopicPermission{TopicPermissionDef{user, vhost, any_exchange(prng), ".*", ".*"}};
    case 9: return DeleteTopicPermission{user, vhost, prng.chance(1, 2) ? "" : any_exchange(prng)};
    case 10: return PutPolicy{PolicyDef{vhost, pick(prng, "p", 2), "^q", "queues", "{}",
                                        prng.between(0, 9), prng.chance(1, 3)}};
    case 11: return DeletePolicy{vhost, pick(prng, "p", 2), prng.chance(1, 3)};
    case 12: return PutParameter{ParameterDef{prng.chance(1, 2) ? vhost : "", "c", pick(prng, "x", 2),
                                              std::to_string(prng.below(9))}};
    case 13: return group_.real_members ? Command(DeleteUser{user}) : random_operation();
    default: return DeleteParameter{vhost, "c", pick(prng, "x", 2)};
  }
}

/// Of the operator: members come and go in the catalogue, as join, forget and rename have it.
Command MetadataNode::random_operation() {
  Prng& prng = group_.world.prng;
  const auto& members = keeper_.catalogue().members();
  if (members.empty() || prng.chance(1, 4)) {
    ClusterDef def{prng.chance(7, 8) ? std::string(16, 'c') : std::string(16, 'd'), pick(prng, "cluster", 3)};
    return PutCluster{def};
  }
  const MemberDef& member = std::next(members.begin(), static_cast<std::ptrdiff_t>(prng.below(members.size())))->second;
  if (prng.chance(1, 4)) return RemoveMember{member.id};
  if (prng.chance(1, 4)) return DropTransient{member.id, prng.chance(1, 2)};
  MemberDef renamed = member;
  renamed.name += prng.chance(1, 2) ? "x" : "";
  if (renamed.name.size() > 20) renamed.name = "rabbit@x";
  renamed.ram = prng.chance(1, 3);
  return PutMember{renamed, prng.chance(1, 3) ? members.begin()->first : 0};
}

}  // namespace warren::simulation
