#pragma once
// The replicated catalogue: one pure, deterministic state machine. Commands go in (in log order,
// the same on every node), results and effects come out. Holds no clock, thread or randomness.

#include "base/result.h"
#include "cluster/metadata/types.h"

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace warren::metadata {

// ---- commands -------------------------------------------------------------------------------

struct PutVhost { VhostDef def; };                     ///< create or replace metadata; creates amq.*
struct DeleteVhost { std::string name; };              ///< with everything in it
struct PutUser { UserDef def; bool must_be_new{false}; };
struct DeleteUser { std::string name; };               ///< with its permissions
struct PutPermission { PermissionDef def; };
struct DeletePermission { std::string user, vhost; };
struct PutTopicPermission { TopicPermissionDef def; };
struct DeleteTopicPermission { std::string user, vhost, exchange; };  ///< exchange "" = all
/// Declare: ok with no effect when an equal object exists; Errc::conflict when it differs.
struct DeclareExchange { ExchangeDef def; };
struct DeleteExchange { std::string vhost, name; bool if_unused{false}; };
/// The uid in `def` is chosen by `apply` when 0.
struct DeclareQueue { QueueDef def; };
/// With its bindings; auto-delete exchanges that lose their last binding go too.
struct DeleteQueue { std::string vhost, name; QueueUid uid{0}; /* 0 = whichever */ };
/// Several at once: the exclusive queues of a connection that went, or all transient ones of a node.
struct DeleteQueues { std::vector<QueueUid> uids; };
struct Bind { BindingDef def; };
struct Unbind { BindingDef def; };
struct PutPolicy { PolicyDef def; };
struct DeletePolicy { std::string vhost, name; bool is_operator{false}; };
struct PutParameter { ParameterDef def; };
struct DeleteParameter { std::string vhost, component, name; };

using Command =
    std::variant<PutVhost, DeleteVhost, PutUser, DeleteUser, PutPermission, DeletePermission,
                 PutTopicPermission, DeleteTopicPermission, DeclareExchange, DeleteExchange,
                 DeclareQueue, DeleteQueue, DeleteQueues, Bind, Unbind, PutPolicy, DeletePolicy,
                 PutParameter, DeleteParameter>;

// ---- effects: what the node must do after an apply, in order; idempotent ----------------------

struct VhostPut { std::string name; };
struct VhostDeleted { std::string name; };
struct ExchangePut { ExchangeDef def; };
struct ExchangeDeleted { std::string vhost, name; };
struct QueuePut { QueueDef def; };
struct QueueDeleted { QueueDef def; };
struct BindingPut { BindingDef def; };
struct BindingDeleted { BindingDef def; };
struct PoliciesChanged { std::string vhost; };
struct UserChanged { std::string name; };        ///< also deleted, permissions, limits
struct ParametersChanged { std::string vhost, component, name; };

using Effect = std::variant<VhostPut, VhostDeleted, ExchangePut, ExchangeDeleted, QueuePut,
                            QueueDeleted, BindingPut, BindingDeleted, PoliciesChanged, UserChanged,
                            ParametersChanged>;

/// A durable row that changed: key in storage Keyspace::meta, and its new bytes (nothing = erase).
/// Transient objects produce none.
struct RowChange {
  std::string key;
  std::optional<std::string> value;
};

struct Applied {
  bool changed{false};
  std::vector<Effect> effects;
  std::vector<RowChange> rows;
};

// ---- the machine ------------------------------------------------------------------------------

/// Key of a binding inside its vhost; two bindings are one when these are equal.
struct BindingKey {
  std::string source, destination;
  bool to_queue{true};
  std::string routing_key;
  std::string arguments;  ///< encoded
  auto operator<=>(const BindingKey&) const = default;
};

struct Vhost {
  VhostDef def;
  std::map<std::string, ExchangeDef, std::less<>> exchanges;
  std::map<std::string, QueueDef, std::less<>> queues;
  std::map<BindingKey, BindingDef> bindings;
  std::map<std::string, PolicyDef, std::less<>> policies;
  std::map<std::string, PolicyDef, std::less<>> operator_policies;
};

/// Owner: one thread (the node's metadata owner). Readers on that thread may look at everything.
class Catalogue {
 public:
  /// Applies one command: all of it or, with an error, none of it.
  /// Errors: not_found, already_exists, conflict (also: in use), invalid_argument, exhausted
  ///         (vhost limit), permission_denied (protected vhost). Texts name the object.
  Result<Applied> apply(const Command& command);

  const std::map<std::string, Vhost, std::less<>>& vhosts() const { return vhosts_; }
  const std::map<std::string, UserDef, std::less<>>& users() const { return users_; }
  const Vhost* find_vhost(std::string_view name) const;
  const ExchangeDef* find_exchange(std::string_view vhost, std::string_view name) const;
  const QueueDef* find_queue(std::string_view vhost, std::string_view name) const;
  const QueueDef* find_queue(QueueUid uid) const;
  const UserDef* find_user(std::string_view name) const;
  const PermissionDef* find_permission(std::string_view user, std::string_view vhost) const;
  const TopicPermissionDef* find_topic_permission(std::string_view user, std::string_view vhost,
                                                  std::string_view exchange) const;
  std::vector<PermissionDef> permissions() const;
  std::vector<TopicPermissionDef> topic_permissions() const;
  std::vector<ParameterDef> parameters() const;        ///< also the global ones
  /// Bindings of a destination queue or exchange / of a source exchange.
  std::vector<BindingDef> bindings_to(std::string_view vhost, std::string_view destination,
                                      bool to_queue) const;
  std::vector<BindingDef> bindings_from(std::string_view vhost, std::string_view source) const;

  /// Puts one stored row back at start-up (order does not matter); call `restored()` behind the last.
  Result<void> restore_row(std::string_view key, std::string_view value);
  /// Checks references between the rows, and gives the effects that build everything up.
  std::vector<Effect> restored();
  /// All durable rows, for a snapshot; feeding them to restore_row gives an equal catalogue.
  std::vector<RowChange> rows() const;

 private:
  std::map<std::string, Vhost, std::less<>> vhosts_;
  std::map<std::string, UserDef, std::less<>> users_;
  std::map<std::pair<std::string, std::string>, PermissionDef> permissions_;  // (vhost, user)
  std::map<std::string, std::vector<TopicPermissionDef>, std::less<>> topic_permissions_;  // by user
  std::map<std::pair<std::string, std::string>, std::map<std::string, ParameterDef>> parameters_;
  QueueUid next_uid_{1};
};

}  // namespace warren::metadata
