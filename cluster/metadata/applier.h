#pragma once
// One command on its way into the catalogue. Each function first checks everything, then changes:
// an error leaves the catalogue as it was. Private to this room.

#include "cluster/metadata/catalogue.h"
#include "cluster/metadata/records.h"

#include <deque>
#include <string>
#include <string_view>

namespace warren::metadata {

class Applier {
 public:
  explicit Applier(Catalogue& catalogue) : c_(catalogue) {}

  // apply_vhosts.cpp
  Result<void> operator()(const PutVhost& command);
  Result<void> operator()(const DeleteVhost& command);
  Result<void> operator()(const PutPolicy& command);
  Result<void> operator()(const DeletePolicy& command);
  Result<void> operator()(const PutParameter& command);
  Result<void> operator()(const DeleteParameter& command);
  // apply_users.cpp
  Result<void> operator()(const PutUser& command);
  Result<void> operator()(const DeleteUser& command);
  Result<void> operator()(const PutPermission& command);
  Result<void> operator()(const DeletePermission& command);
  Result<void> operator()(const PutTopicPermission& command);
  Result<void> operator()(const DeleteTopicPermission& command);
  // apply_topology.cpp
  Result<void> operator()(const DeclareExchange& command);
  Result<void> operator()(const DeleteExchange& command);
  Result<void> operator()(const DeclareQueue& command);
  Result<void> operator()(const DeleteQueue& command);
  Result<void> operator()(const DeleteQueues& command);
  Result<void> operator()(const Bind& command);
  Result<void> operator()(const Unbind& command);

  // apply_members.cpp
  Result<void> operator()(const PutCluster& command);
  Result<void> operator()(const PutMember& command);
  Result<void> operator()(const RemoveMember& command);
  Result<void> operator()(const DropTransient& command);

  Applied take() { return std::move(out_); }

  /// False for what ends with its node or connection.
  static bool is_durable(const QueueDef& queue) { return queue.durable && !queue.exclusive; }
  /// Puts a binding into the vhost's two indexes. Owner: the caller has checked it is new.
  static void index_binding(Vhost& vhost, BindingKey key, BindingDef def);

 private:
  using Bindings = std::map<BindingKey, BindingDef>;

  template <class T>
  void effect(T&& e) {
    out_.changed = true;
    out_.effects.emplace_back(std::forward<T>(e));
  }
  void put_row(RowObject object);
  void erase_row(const RowObject& object);
  Vhost* find_vhost(std::string_view name);
  Result<Vhost*> require_vhost(std::string_view name);
  Result<void> require_user(std::string_view name);

  void add_predeclared_exchanges(Vhost& vhost);
  QueueUid take_uid(QueueUid wanted);
  Bindings::iterator erase_binding(Vhost& vhost, Bindings::iterator at);
  void erase_bindings_to(Vhost& vhost, const std::string& destination, bool to_queue,
                         std::deque<std::string>& sources);
  void erase_queue(Vhost& vhost, const std::string& name, std::deque<std::string>& sources);
  /// Deletes the queues that live on a node: all of them, or those that end with it.
  void erase_queues_of(std::uint64_t home, bool only_transient);
  void erase_exchange(Vhost& vhost, const std::string& name, std::deque<std::string>& sources);
  /// Deletes those of `sources` that are auto-delete and have no binding left, and what follows.
  void sweep_auto_delete(Vhost& vhost, std::deque<std::string> sources);

  Catalogue& c_;
  Applied out_;
};

/// Errors: invalid_argument, when the object could not be written back as it is.
Result<void> check_short_text(const char* what, std::string_view text);
Result<void> check_table(const char* what, std::string_view name, const FieldTable& table);

}  // namespace warren::metadata
