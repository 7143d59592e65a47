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
/// Declare: ok with no effect when an equivalent object exists (see equivalence.h); conflict when it
/// differs; a queue that is exclusive to another connection gives already_exists (405 for clients).
struct DeclareExchange { ExchangeDef def; };
struct DeleteExchange { std::string vhost, name; bool if_unused{false}; };
/// The uid in `def` is chosen by `apply` when 0. A cluster's proposer sets it (from `next_uid`),
/// because members that restarted have a higher one reserved than those that did not.
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

/// Founds the cluster (once; another id later is a conflict), renames it (id "" = keep), or adds flags (name "" = keep).
struct PutCluster { ClusterDef def; };
/// A node comes, or changes name or kind. `replaces` is the id under which the same node was a member
/// before it lost its state: it goes in the same step, with the queues that lived there.
struct PutMember { MemberDef def; std::uint64_t replaces{0}; };
/// A node goes for good, with every queue that lives only there. The last disc node stays.
struct RemoveMember { std::uint64_t id{0}; };
/// A node was restarted or is held for dead: its exclusive and transient queues are gone. `alone`: it is
/// the only one of its cluster, so that transient exchanges are gone too.
struct DropTransient { std::uint64_t home{0}; bool alone{false}; };

using Command =
    std::variant<PutVhost, DeleteVhost, PutUser, DeleteUser, PutPermission, DeletePermission,
                 PutTopicPermission, DeleteTopicPermission, DeclareExchange, DeleteExchange,
                 DeclareQueue, DeleteQueue, DeleteQueues, Bind, Unbind, PutPolicy, DeletePolicy,
                 PutParameter, DeleteParameter, PutCluster, PutMember, RemoveMember,
                 DropTransient>;

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
struct MembersChanged {};                        ///< also the cluster's name

using Effect = std::variant<VhostPut, VhostDeleted, ExchangePut, ExchangeDeleted, QueuePut,
                            QueueDeleted, BindingPut, BindingDeleted, PoliciesChanged, UserChanged,
                            ParametersChanged, MembersChanged>;

/// A row that changed: its key, and its new bytes (nothing = erase). All objects have rows: what ends
/// with its node or connection ends by a command too, as all members must agree when.
struct RowChange {
  std::string key;
  std::optional<std::string> value;
  bool operator==(const RowChange&) const = default;
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
BindingKey binding_key(const BindingDef& def);

/// The same identity, led by the destination: finds what points at a queue or exchange.
struct BindingByDestination {
  std::string destination;
  bool to_queue{true};
  std::string source, routing_key, arguments;
  auto operator<=>(const BindingByDestination&) const = default;
};

struct Vhost {
  VhostDef def;
  std::map<std::string, ExchangeDef, std::less<>> exchanges;
  std::map<std::string, QueueDef, std::less<>> queues;
  std::map<BindingKey, BindingDef> bindings;
  std::set<BindingByDestination> by_destination;  ///< exactly the keys of `bindings`
  std::map<std::string, PolicyDef, std::less<>> policies;
  std::map<std::string, PolicyDef, std::less<>> operator_policies;

  bool operator==(const Vhost&) const = default;
};

/// Uids are reserved on disc in steps of this many, so that most declares need no row for it.
inline constexpr QueueUid kUidReservation = 4096;

class Applier;  // applier.h: how a command changes the catalogue

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
  std::size_t queue_count() const { return queues_by_uid_.size(); }
  /// Above every uid that was ever given out.
  QueueUid next_uid() const { return next_uid_; }
  const UserDef* find_user(std::string_view name) const;
  const PermissionDef* find_permission(std::string_view user, std::string_view vhost) const;
  const TopicPermissionDef* find_topic_permission(std::string_view user, std::string_view vhost,
                                                  std::string_view exchange) const;
  std::vector<PermissionDef> permissions() const;
  std::vector<TopicPermissionDef> topic_permissions() const;
  std::vector<ParameterDef> parameters() const;        ///< also the global ones
  const ClusterDef& cluster() const { return cluster_; }
  const std::map<std::uint64_t, MemberDef>& members() const { return members_; }
  const MemberDef* find_member(std::uint64_t id) const;
  const MemberDef* find_member(std::string_view name) const;
  /// Bindings of a destination queue or exchange / of a source exchange.
  std::vector<BindingDef> bindings_to(std::string_view vhost, std::string_view destination,
                                      bool to_queue) const;
  std::vector<BindingDef> bindings_from(std::string_view vhost, std::string_view source) const;
  bool has_bindings_from(std::string_view vhost, std::string_view source) const;

  /// Puts one stored row back at start-up (order does not matter); call `restored()` behind the last.
  /// Errors: corruption (undecodable, or key and value disagree), unsupported (a newer version).
  Result<void> restore_row(std::string_view key, std::string_view value);
  /// Checks references between the rows; gives everything().
  /// Objects whose vhost, queue or exchange is missing are left out and named in restore_problems():
  /// no sequence of commands leaves such rows, so a node that finds any has a damaged store.
  std::vector<Effect> restored();
  const std::vector<std::string>& restore_problems() const { return restore_problems_; }
  /// The effects that build up everything there is, in order.
  std::vector<Effect> everything() const;
  /// All rows; feeding them to restore_row gives an equal catalogue.
  std::vector<RowChange> rows() const;
  /// The effects that lead from `before` to this catalogue.
  std::vector<Effect> difference(const Catalogue& before) const;

  /// Equal objects; counters are not compared.
  bool operator==(const Catalogue& other) const;
  /// The first broken invariant (indexes, references), or nothing. For tests and the simulator.
  std::optional<std::string> check_invariants() const;

 private:
  friend class Applier;

  std::map<std::string, Vhost, std::less<>> vhosts_;
  std::map<std::string, UserDef, std::less<>> users_;
  std::map<std::pair<std::string, std::string>, PermissionDef> permissions_;  // (vhost, user)
  std::map<std::string, std::vector<TopicPermissionDef>, std::less<>> topic_permissions_;  // by user
  std::map<std::pair<std::string, std::string>, std::map<std::string, ParameterDef>> parameters_;
  std::map<QueueUid, std::pair<std::string, std::string>> queues_by_uid_;  // (vhost, name)
  ClusterDef cluster_;
  std::map<std::uint64_t, MemberDef> members_;
  QueueUid next_uid_{1};
  QueueUid reserved_uid_{1};  // the row says: every uid below may have been given out
  std::vector<std::string> restore_problems_;
};

// ---- the replicated log -------------------------------------------------------------------------

std::string encode_command(const Command& command);
/// Errors: corruption (not a command), unsupported (a newer version). Safe on any bytes.
Result<Command> decode_command(std::string_view bytes);

}  // namespace warren::metadata
