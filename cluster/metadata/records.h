#pragma once
// Between the catalogue's objects and their stored form (proto/metadata.proto). Private to this room:
// protobuf types stop here.

#include "base/result.h"
#include "cluster/metadata/catalogue.h"
#include "proto/metadata.pb.h"

#include <string>
#include <string_view>
#include <variant>

namespace warren::metadata {

namespace pb = warren::metadata::v1;

/// The version of rows and commands that this build writes; it reads all up to it.
inline constexpr std::uint32_t kRecordVersion = 1;

struct UidReservation {
  QueueUid ceiling{0};
};

using RowObject =
    std::variant<VhostDef, UserDef, PermissionDef, TopicPermissionDef, ExchangeDef, QueueDef,
                 BindingDef, PolicyDef, ParameterDef, UidReservation, ClusterDef, MemberDef>;

/// Keys: a letter for the kind, then each part of the identity, escaped so that parts cannot run
/// into one another and order is kept.
std::string row_key(const RowObject& object);
std::string row_value(const RowObject& object);
/// Errors: corruption, unsupported. Safe on any bytes.
Result<RowObject> decode_row(std::string_view value);

// Field by field; `read` gives false on values that no version wrote.
void write(const VhostDef& from, pb::Vhost& to);
void write(const UserDef& from, pb::User& to);
void write(const PermissionDef& from, pb::Permission& to);
void write(const TopicPermissionDef& from, pb::TopicPermission& to);
void write(const ExchangeDef& from, pb::Exchange& to);
void write(const QueueDef& from, pb::Queue& to);
void write(const BindingDef& from, pb::Binding& to);
void write(const PolicyDef& from, pb::Policy& to);
void write(const ParameterDef& from, pb::Parameter& to);
void write(const ClusterDef& from, pb::Cluster& to);
void write(const MemberDef& from, pb::Member& to);
[[nodiscard]] bool read(const pb::Vhost& from, VhostDef& to);
[[nodiscard]] bool read(const pb::User& from, UserDef& to);
[[nodiscard]] bool read(const pb::Permission& from, PermissionDef& to);
[[nodiscard]] bool read(const pb::TopicPermission& from, TopicPermissionDef& to);
[[nodiscard]] bool read(const pb::Exchange& from, ExchangeDef& to);
[[nodiscard]] bool read(const pb::Queue& from, QueueDef& to);
[[nodiscard]] bool read(const pb::Binding& from, BindingDef& to);
[[nodiscard]] bool read(const pb::Policy& from, PolicyDef& to);
[[nodiscard]] bool read(const pb::Parameter& from, ParameterDef& to);
[[nodiscard]] bool read(const pb::Cluster& from, ClusterDef& to);
[[nodiscard]] bool read(const pb::Member& from, MemberDef& to);

}  // namespace warren::metadata
