#pragma once
// The node's part in its cluster: streams and calls to the other members, the operations of
// cluster/membership with this node's hands, and the list of members put into the group's membership
// while this node leads. Owner: the runtime; lives also while the app is stopped.

#include "cluster/membership/briefs.h"
#include "cluster/membership/duties.h"
#include "cluster/membership/operations.h"
#include "cluster/metadata/catalogue.h"
#include "cluster/transport/peer_caller.h"
#include "cluster/transport/peer_net.h"
#include "cluster/transport/resolver.h"

#include "node/server/role_hooks.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace warren::server {

class Node;

/// Owner: the loop's thread.
class ClusterService final : public membership::OperationsEnv {
 public:
  explicit ClusterService(Node& node);
  ~ClusterService() override;

  /// Streams and calls under this identity. Call once, before the control server starts.
  void open(const transport::PeerIdentity& self, const std::vector<transport::Cookie>& cookies);
  std::shared_ptr<transport::RpcModule> module() { return net_->module(); }
  /// The control server listens there; from now on peers are dialled.
  void serve(std::uint16_t own_port) { net_->start(own_port); }
  void stop();

  transport::PeerNet& net() { return *net_; }
  transport::PeerCaller& caller() { return *caller_; }
  membership::Operations& operations() { return operations_; }
  void cookies_changed(const std::vector<transport::Cookie>& cookies);
  void identity_changed(const transport::PeerIdentity& self);

  // ---- the app's life
  /// What must be so before the app starts: data of a cluster that was left are wiped, a first start has
  /// founded or joined, a forgotten node stops here (CLU-11); and the streams are being dialled.
  void before_app(std::function<void(Result<void>)> done);
  /// What the disc holds of the catalogue is read; the start waits for the others.
  void app_opened();
  /// The catalogue is there: it says who the members are.
  void app_started();
  void app_stopped();
  /// `done` when the group counts on this node (a disc node votes), or after a while: only then does the
  /// cluster survive what the operator was told it survives.
  void await_vote(std::function<void()> done);
  /// The catalogue's members or the cluster's name changed.
  void members_changed();
  /// A peer refuses our stream for good, in its words; "" while none does.
  const std::string& refusal() const { return refusal_; }

  // ---- what other nodes ask (admin_cluster.cpp)
  membership::NodeView view() const;
  /// What this release knows, and what is on in the cluster.
  membership::FlagView flags() const;
  void admit(const membership::JoinRequest& request, std::function<void(Result<membership::Admission>)> done);
  /// Takes a member off the list; `done` when the group has followed, so that it may go.
  void dismiss(const std::string& node_id, std::function<void(Result<void>)> done);

  /// The nodes that peer discovery finds now, whether or not this node needed it.
  void discover(const membership::PeerSource::Found& found);

  /// Enough disc nodes are connected for a change to be agreed on. Errors: unavailable, with the way out.
  Result<void> majority_runs() const;

  /// What a member said of itself for cluster_status.
  void remember_brief(const std::string& name, boost::json::value brief);
  /// As it said last: it takes no new leaders.
  bool in_maintenance(std::uint64_t member) const;
  /// The last such answer, of a member that stands in connection and gives signs of life: late is not dead.
  /// Null otherwise, or when it is old.
  const boost::json::value* recent_brief(const std::string& name) const;

  /// As the catalogue says, or the state file while the app is stopped.
  std::vector<metadata::MemberDef> members() const;
  std::vector<std::string> other_names() const;
  /// Asks these members at once (control calls); `done` comes within `limit` with an answer or error for each.
  /// The one way to ask many: who hangs costs the caller no more than that, who is known to be away hardly anything.
  void ask_members(const std::vector<std::string>& names, const std::string& method,
                   const boost::json::object& args, Millis limit, transport::PeerCaller::AllDone done);

  // ---- membership::OperationsEnv
  const std::string& self_name() const override;
  const membership::LocalState& state() const override;
  Result<void> put_state(membership::LocalState state) override;
  Result<void> wipe_data() override;
  std::string new_id() override;
  void ask(const std::string& node, std::string method, boost::json::object args, Millis deadline,
           Answer answer) override;
  void after(Millis delay, std::function<void()> then) override;
  void start_quietly(std::function<void(Result<void>)> done) override;
  void stop_quietly(std::function<void()> done) override;
  std::vector<std::string> queues_with_messages() const override;
  void say(const std::string& text) override;
  void warn(const std::string& text) override;

 private:
  membership::PeerSource dns_peers();
  void set_peers(const std::vector<metadata::MemberDef>& members);
  void check_then_dial(std::function<void(Result<void>)> done);
  void remember_members();
  membership::Counted counted() const;
  void introduce();
  void leave_behind();
  void forget_asked();
  void reconcile();
  void watch_peers();
  void ask_briefs();
  void tell_role(bool leads);
  void arm();
  void await_removed(raft::NodeId node, Millis until, std::function<void(Result<void>)> done);

  Node& node_;
  membership::Operations operations_;
  std::unique_ptr<transport::PeerNet> net_;
  std::unique_ptr<transport::PeerCaller> caller_;
  transport::Workers workers_;  ///< for names of a first start
  boost::asio::steady_timer timer_;
  RoleHooks hooks_;
  bool ticking_{false};
  bool lingering_{false};  ///< streams stand to who is off the list and still counted
  struct Absence {
    Millis since{0};
    bool given_up{false};      // told to the pipes
    bool drop_proposed{false};  // of what ends with it
  };
  membership::Briefs briefs_;                // of members, since their streams stand
  std::map<std::uint64_t, Absence> absent_;  // members whose streams do not stand
  std::string refusal_;
  std::shared_ptr<char> alive_{std::make_shared<char>()};
};

}  // namespace warren::server
