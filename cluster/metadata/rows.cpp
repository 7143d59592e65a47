// Rows: how one object lies in keyspace `meta`.

#include "cluster/metadata/records.h"

namespace warren::metadata {

namespace {

/// Builds a key of parts; 00 inside a part becomes 00 ff, and 00 01 ends it.
class KeyBuilder {
 public:
  explicit KeyBuilder(char kind) { key_.push_back(kind); }

  KeyBuilder& part(std::string_view text) {
    for (const char c : text) {
      key_.push_back(c);
      if (c == '\0') key_.push_back('\xff');
    }
    key_.append("\0\1", 2);
    return *this;
  }
  std::string take() { return std::move(key_); }

 private:
  std::string key_;
};

struct KeyOf {
  std::string operator()(const VhostDef& o) const { return KeyBuilder('v').part(o.name).take(); }
  std::string operator()(const UserDef& o) const { return KeyBuilder('u').part(o.name).take(); }
  std::string operator()(const PermissionDef& o) const {
    return KeyBuilder('r').part(o.vhost).part(o.user).take();
  }
  std::string operator()(const TopicPermissionDef& o) const {
    return KeyBuilder('t').part(o.user).part(o.vhost).part(o.exchange).take();
  }
  std::string operator()(const ExchangeDef& o) const {
    return KeyBuilder('x').part(o.vhost).part(o.name).take();
  }
  std::string operator()(const QueueDef& o) const {
    return KeyBuilder('q').part(o.vhost).part(o.name).take();
  }
  std::string operator()(const BindingDef& o) const {
    return KeyBuilder('b')
        .part(o.vhost)
        .part(o.source)
        .part(o.to_queue ? "q" : "x")
        .part(o.destination)
        .part(o.routing_key)
        .part(o.arguments.encode())
        .take();
  }
  std::string operator()(const PolicyDef& o) const {
    return KeyBuilder(o.is_operator ? 'o' : 'p').part(o.vhost).part(o.name).take();
  }
  std::string operator()(const ParameterDef& o) const {
    return KeyBuilder('a').part(o.vhost).part(o.component).part(o.name).take();
  }
  std::string operator()(const UidReservation&) const { return "n"; }
  std::string operator()(const ClusterDef&) const { return "c"; }
  std::string operator()(const MemberDef& o) const {
    return KeyBuilder('m').part(std::to_string(o.id)).take();
  }
};

struct FillRow {
  pb::Row& row;

  void operator()(const VhostDef& o) { write(o, *row.mutable_vhost()); }
  void operator()(const UserDef& o) { write(o, *row.mutable_user()); }
  void operator()(const PermissionDef& o) { write(o, *row.mutable_permission()); }
  void operator()(const TopicPermissionDef& o) { write(o, *row.mutable_topic_permission()); }
  void operator()(const ExchangeDef& o) { write(o, *row.mutable_exchange()); }
  void operator()(const QueueDef& o) { write(o, *row.mutable_queue()); }
  void operator()(const BindingDef& o) { write(o, *row.mutable_binding()); }
  void operator()(const PolicyDef& o) { write(o, *row.mutable_policy()); }
  void operator()(const ParameterDef& o) { write(o, *row.mutable_parameter()); }
  void operator()(const ClusterDef& o) { write(o, *row.mutable_cluster()); }
  void operator()(const MemberDef& o) { write(o, *row.mutable_member()); }
  void operator()(const UidReservation& o) { row.mutable_uids()->set_ceiling(o.ceiling); }
};

template <class Def, class Message>
Result<RowObject> read_object(const Message& from) {
  Def def;
  if (!read(from, def)) return make_error(Errc::corruption, "metadata row: bad value");
  return RowObject(std::move(def));
}

}  // namespace

std::string row_key(const RowObject& object) { return std::visit(KeyOf{}, object); }

std::string row_value(const RowObject& object) {
  pb::Row row;
  row.set_version(kRecordVersion);
  std::visit(FillRow{row}, object);
  return row.SerializeAsString();
}

Result<RowObject> decode_row(std::string_view value) {
  pb::Row row;
  if (value.size() > INT32_MAX || !row.ParseFromArray(value.data(), static_cast<int>(value.size())))
    return make_error(Errc::corruption, "metadata row: not decodable");
  if (row.version() > kRecordVersion)
    return make_error(Errc::unsupported,
                      "metadata row of version " + std::to_string(row.version()) +
                          ": written by a newer release");
  if (row.version() == 0) return make_error(Errc::corruption, "metadata row: no version");
  switch (row.object_case()) {
    case pb::Row::kVhost: return read_object<VhostDef>(row.vhost());
    case pb::Row::kUser: return read_object<UserDef>(row.user());
    case pb::Row::kPermission: return read_object<PermissionDef>(row.permission());
    case pb::Row::kTopicPermission: return read_object<TopicPermissionDef>(row.topic_permission());
    case pb::Row::kExchange: return read_object<ExchangeDef>(row.exchange());
    case pb::Row::kQueue: return read_object<QueueDef>(row.queue());
    case pb::Row::kBinding: return read_object<BindingDef>(row.binding());
    case pb::Row::kPolicy: return read_object<PolicyDef>(row.policy());
    case pb::Row::kParameter: return read_object<ParameterDef>(row.parameter());
    case pb::Row::kCluster: return read_object<ClusterDef>(row.cluster());
    case pb::Row::kMember: return read_object<MemberDef>(row.member());
    case pb::Row::kUids: return RowObject(UidReservation{row.uids().ceiling()});
    case pb::Row::OBJECT_NOT_SET: break;
  }
  return make_error(Errc::corruption, "metadata row: of no known kind");
}

}  // namespace warren::metadata
