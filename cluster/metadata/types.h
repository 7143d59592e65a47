#pragma once
// The objects of the replicated catalogue: what a cluster knows apart from its messages.
// Plain values, ordered containers only; the same on every node.

#include "base/field_table.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::metadata {

/// Names one incarnation of a queue, for ever: a queue declared anew under an old name gets a new
/// one. Also the uid of its log in the store. 0 is none.
using QueueUid = std::uint64_t;

struct VhostDef {
  std::string name;
  std::string description;
  std::vector<std::string> tags;
  std::string default_queue_type;  ///< "" = the node's default
  bool tracing{false};
  bool protected_from_deletion{false};
  std::map<std::string, std::int64_t> limits;  ///< max-connections, max-queues; negative = none
  bool operator==(const VhostDef&) const = default;
};

struct UserDef {
  std::string name;
  std::string password_hash;      ///< base64(salt4 . hash); "" = no password logs in
  std::string hashing_algorithm;  ///< rabbit_password_hashing_sha256, ..._sha512, ..._md5
  std::vector<std::string> tags;
  std::map<std::string, std::int64_t> limits;  ///< max-connections, max-channels
  bool operator==(const UserDef&) const = default;
};

struct PermissionDef {
  std::string user, vhost;
  std::string configure, write, read;
  bool operator==(const PermissionDef&) const = default;
};

struct TopicPermissionDef {
  std::string user, vhost, exchange;
  std::string write, read;
  bool operator==(const TopicPermissionDef&) const = default;
};

struct ExchangeDef {
  std::string vhost, name;
  std::string type;  ///< direct, fanout, topic, headers, x-...
  bool durable{true};
  bool auto_delete{false};
  bool internal{false};
  FieldTable arguments;
  std::string user;  ///< who declared it
  bool operator==(const ExchangeDef&) const = default;
};

enum class QueueType : std::uint8_t { classic = 0, quorum = 1, stream = 2 };
const char* queue_type_name(QueueType type);
/// classic, quorum or stream; nothing for other words.
std::optional<QueueType> parse_queue_type(std::string_view name);

struct QueueDef {
  std::string vhost, name;
  QueueUid uid{0};
  QueueType type{QueueType::classic};
  bool durable{true};
  bool exclusive{false};
  bool auto_delete{false};
  FieldTable arguments;
  std::uint64_t owner_connection{0};  ///< of an exclusive queue, else 0
  std::string user;
  std::uint64_t home{0};  ///< member on which its only copy lives; 0 = the only node there is
  bool operator==(const QueueDef&) const = default;
};

struct BindingDef {
  std::string vhost;
  std::string source;       ///< exchange; "" for the implicit ones, which are not stored
  std::string destination;
  bool to_queue{true};      ///< false: destination is an exchange
  std::string routing_key;
  FieldTable arguments;
  bool operator==(const BindingDef&) const = default;
};

struct PolicyDef {
  std::string vhost, name;
  std::string pattern;      ///< regular expression on the object's name
  std::string apply_to;     ///< queues, classic_queues, quorum_queues, streams, exchanges, all
  std::string definition;   ///< JSON object
  std::int64_t priority{0};
  bool is_operator{false};
  bool operator==(const PolicyDef&) const = default;
};

/// A node of the cluster. Its name is an attribute; its identity ends with its data.
struct MemberDef {
  std::uint64_t id{0};  ///< first 8 bytes of `node_id`, as in raft::NodeId; 0 is none
  std::string node_id;  ///< 16 bytes
  std::string name;     ///< rabbit@host
  bool ram{false};      ///< a learner that keeps everything in memory
  bool operator==(const MemberDef&) const = default;
};

/// What the cluster itself is called, and what all its members know.
struct ClusterDef {
  std::string id;    ///< 16 bytes, chosen once by the founder; "" = not founded
  std::string name;  ///< shown; may be changed
  std::vector<std::string> flags;  ///< feature flags that are on, sorted; never switched off again
  bool operator==(const ClusterDef&) const = default;
};

/// Runtime parameter; global when vhost and component are "".
struct ParameterDef {
  std::string vhost, component, name;
  std::string value;  ///< JSON
  bool operator==(const ParameterDef&) const = default;
};

}  // namespace warren::metadata
