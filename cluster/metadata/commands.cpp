// Commands as entries of the replicated log.

#include "cluster/metadata/records.h"

namespace warren::metadata {

namespace {

struct FillCommand {
  pb::Command& to;

  void operator()(const PutVhost& c) { write(c.def, *to.mutable_put_vhost()); }
  void operator()(const DeleteVhost& c) { to.mutable_delete_vhost()->set_name(c.name); }
  void operator()(const PutUser& c) {
    write(c.def, *to.mutable_put_user()->mutable_user());
    to.mutable_put_user()->set_must_be_new(c.must_be_new);
  }
  void operator()(const DeleteUser& c) { to.mutable_delete_user()->set_name(c.name); }
  void operator()(const PutPermission& c) { write(c.def, *to.mutable_put_permission()); }
  void operator()(const DeletePermission& c) {
    to.mutable_delete_permission()->set_user(c.user);
    to.mutable_delete_permission()->set_vhost(c.vhost);
  }
  void operator()(const PutTopicPermission& c) { write(c.def, *to.mutable_put_topic_permission()); }
  void operator()(const DeleteTopicPermission& c) {
    auto& out = *to.mutable_delete_topic_permission();
    out.set_user(c.user);
    out.set_vhost(c.vhost);
    out.set_exchange(c.exchange);
  }
  void operator()(const DeclareExchange& c) { write(c.def, *to.mutable_declare_exchange()); }
  void operator()(const DeleteExchange& c) {
    auto& out = *to.mutable_delete_exchange();
    out.set_vhost(c.vhost);
    out.set_name(c.name);
    out.set_if_unused(c.if_unused);
  }
  void operator()(const DeclareQueue& c) { write(c.def, *to.mutable_declare_queue()); }
  void operator()(const DeleteQueue& c) {
    auto& out = *to.mutable_delete_queue();
    out.set_vhost(c.vhost);
    out.set_name(c.name);
    out.set_uid(c.uid);
  }
  void operator()(const DeleteQueues& c) {
    auto& out = *to.mutable_delete_queues();
    for (const QueueUid uid : c.uids) out.add_uids(uid);
  }
  void operator()(const Bind& c) { write(c.def, *to.mutable_bind()); }
  void operator()(const Unbind& c) { write(c.def, *to.mutable_unbind()); }
  void operator()(const PutPolicy& c) { write(c.def, *to.mutable_put_policy()); }
  void operator()(const DeletePolicy& c) {
    auto& out = c.is_operator ? *to.mutable_delete_operator_policy() : *to.mutable_delete_policy();
    out.set_vhost(c.vhost);
    out.set_name(c.name);
  }
  void operator()(const PutParameter& c) { write(c.def, *to.mutable_put_parameter()); }
  void operator()(const DeleteParameter& c) {
    auto& out = *to.mutable_delete_parameter();
    out.set_vhost(c.vhost);
    out.set_component(c.component);
    out.set_name(c.name);
  }
  void operator()(const PutCluster& c) { write(c.def, *to.mutable_put_cluster()); }
  void operator()(const PutMember& c) {
    write(c.def, *to.mutable_put_member()->mutable_member());
    to.mutable_put_member()->set_replaces(c.replaces);
  }
  void operator()(const RemoveMember& c) { to.mutable_remove_member()->set_id(c.id); }
  void operator()(const DropTransient& c) {
    to.mutable_drop_transient()->set_home(c.home);
    to.mutable_drop_transient()->set_alone(c.alone);
  }
};

template <class Put, class Message>
Result<Command> read_def(const Message& from) {
  Put put;
  if (!read(from, put.def)) return make_error(Errc::corruption, "metadata command: bad value");
  return Command(std::move(put));
}

Result<Command> read_put_user(const pb::PutUser& from) {
  PutUser put;
  if (!read(from.user(), put.def))
    return make_error(Errc::corruption, "metadata command: bad value");
  put.must_be_new = from.must_be_new();
  return Command(std::move(put));
}

}  // namespace

std::string encode_command(const Command& command) {
  pb::Command out;
  out.set_version(kRecordVersion);
  std::visit(FillCommand{out}, command);
  return out.SerializeAsString();
}

Result<Command> decode_command(std::string_view bytes) {
  pb::Command in;
  if (bytes.size() > INT32_MAX || !in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return make_error(Errc::corruption, "metadata command: not decodable");
  if (in.version() > kRecordVersion)
    return make_error(Errc::unsupported,
                      "metadata command of version " + std::to_string(in.version()) +
                          ": written by a newer release");
  if (in.version() == 0) return make_error(Errc::corruption, "metadata command: no version");
  switch (in.kind_case()) {
    case pb::Command::kPutVhost: return read_def<PutVhost>(in.put_vhost());
    case pb::Command::kDeleteVhost: return Command(DeleteVhost{in.delete_vhost().name()});
    case pb::Command::kPutUser: return read_put_user(in.put_user());
    case pb::Command::kDeleteUser: return Command(DeleteUser{in.delete_user().name()});
    case pb::Command::kPutPermission: return read_def<PutPermission>(in.put_permission());
    case pb::Command::kDeletePermission:
      return Command(
          DeletePermission{in.delete_permission().user(), in.delete_permission().vhost()});
    case pb::Command::kPutTopicPermission:
      return read_def<PutTopicPermission>(in.put_topic_permission());
    case pb::Command::kDeleteTopicPermission: {
      const auto& c = in.delete_topic_permission();
      return Command(DeleteTopicPermission{c.user(), c.vhost(), c.exchange()});
    }
    case pb::Command::kDeclareExchange: return read_def<DeclareExchange>(in.declare_exchange());
    case pb::Command::kDeleteExchange: {
      const auto& c = in.delete_exchange();
      return Command(DeleteExchange{c.vhost(), c.name(), c.if_unused()});
    }
    case pb::Command::kDeclareQueue: return read_def<DeclareQueue>(in.declare_queue());
    case pb::Command::kDeleteQueue: {
      const auto& c = in.delete_queue();
      return Command(DeleteQueue{c.vhost(), c.name(), c.uid()});
    }
    case pb::Command::kDeleteQueues: {
      const auto& uids = in.delete_queues().uids();
      return Command(DeleteQueues{{uids.begin(), uids.end()}});
    }
    case pb::Command::kBind: return read_def<Bind>(in.bind());
    case pb::Command::kUnbind: return read_def<Unbind>(in.unbind());
    case pb::Command::kPutPolicy: return read_def<PutPolicy>(in.put_policy());
    case pb::Command::kDeletePolicy:
      return Command(DeletePolicy{in.delete_policy().vhost(), in.delete_policy().name(), false});
    case pb::Command::kDeleteOperatorPolicy:
      return Command(DeletePolicy{in.delete_operator_policy().vhost(),
                                  in.delete_operator_policy().name(), true});
    case pb::Command::kPutParameter: return read_def<PutParameter>(in.put_parameter());
    case pb::Command::kDeleteParameter: {
      const auto& c = in.delete_parameter();
      return Command(DeleteParameter{c.vhost(), c.component(), c.name()});
    }
    case pb::Command::kPutCluster: return read_def<PutCluster>(in.put_cluster());
    case pb::Command::kPutMember: {
      PutMember put;
      if (!read(in.put_member().member(), put.def))
        return make_error(Errc::corruption, "metadata command: bad value");
      put.replaces = in.put_member().replaces();
      return Command(std::move(put));
    }
    case pb::Command::kRemoveMember: return Command(RemoveMember{in.remove_member().id()});
    case pb::Command::kDropTransient: 
      return Command(DropTransient{in.drop_transient().home(), in.drop_transient().alone()});
    case pb::Command::KIND_NOT_SET: break;
  }
  return make_error(Errc::corruption, "metadata command: of no known kind");
}

}  // namespace warren::metadata
