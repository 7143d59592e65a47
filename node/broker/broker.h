#pragma once
// The broker of one node without sockets, threads or discs: catalogue, routing tables, queues and
// the sessions that use them, wired together.

#include "base/log.h"
#include "cluster/metadata/owner.h"
#include "node/access/access.h"
#include "node/broker/policy.h"
#include "node/broker/alarms.h"
#include "node/broker/events.h"
#include "node/broker/pipe/pipes.h"
#include "node/broker/queue/queue.h"
#include "node/broker/queue_api.h"
#include "node/broker/reply_registry.h"
#include "node/broker/routing/vhost_router.h"
#include "node/broker/timers.h"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace warren::broker {

class Session;
class Channel;

/// What the broker needs from the node it runs in. Owner: the shard's thread.
class BrokerEnv {
 public:
  virtual ~BrokerEnv() = default;
  virtual Millis wall_ms() const = 0;
  virtual Millis steady_ms() const = 0;
  virtual void random(std::span<char> into) = 0;
  /// Brings commands before all nodes, as one: they are carried out in order until the first that
  /// fails. When they are committed, Broker::commit is called for each, in the order that all nodes
  /// have; then `done` gets a result per command, or the error that kept them from it.
  virtual void propose(std::vector<metadata::Command> commands,
                       std::function<void(std::vector<Result<void>>)> done) = 0;
  /// True when another node may know of changes that are not carried out here yet; catch_up() calls `done`,
  /// never at once, when they are, or when that cannot be had now.
  virtual bool may_be_behind() const { return false; }
  virtual void catch_up(std::function<void()> done) { done(); }
  /// `done` when everything given to logs is durable; at once when nothing is under way. A failure
  /// never comes back: it stops the node.
  virtual void when_durable(std::function<void()> done) = 0;
  /// The log of a durable queue; then the queue that answers are for, which is brought up from what
  /// the log holds; and its end. `retire`: the queue is deleted, its rows are dead.
  virtual QueueLog* open_log(metadata::QueueUid uid) = 0;
  virtual void attach_queue(metadata::QueueUid uid, std::shared_ptr<Queue> queue) = 0;
  virtual void close_log(metadata::QueueUid uid, bool retire) = 0;
  /// Bytes handed to logs and not yet durable.
  virtual std::uint64_t log_bytes_in_flight() const = 0;
  /// Where bodies that are not logged may go; null = they stay in memory. Outlives the broker.
  virtual QueuePages* pages() { return nullptr; }
  /// The name of a member of the cluster, for texts; "" when it is not known.
  virtual std::string member_name(std::uint64_t) const { return {}; }
  /// Calls Broker::end_turn soon.
  virtual void want_turn() = 0;
  virtual Logger& log() = 0;
};

struct BrokerOptions {
  std::uint64_t self{0};             ///< this member's id (raft::NodeId); 0 = alone, every queue is here
  std::string node_name{"rabbit@localhost"};
  std::string cluster_name{"rabbit@localhost"};
  std::string product{"RabbitMQ"};   ///< what clients that look for a product name expect
  std::string version{"3.10.8"};     ///< the RabbitMQ version whose behaviour is the default
  std::vector<std::string> mechanisms;  ///< of SASL, only these; empty = all that this server can
  std::string anonymous_user;        ///< "" = no ANONYMOUS
  std::uint64_t max_message_size{134'217'728};
  std::uint64_t channel_max_per_node{0};          ///< 0 = none
  std::uint64_t max_connections{0};               ///< 0 = none
  std::uint64_t consumers_max_per_channel{0};     ///< 0 = none
  // Of the whole cluster; looked at before something new is asked for. Nothing = no limit.
  std::optional<std::uint64_t> queues_max, exchanges_max, vhosts_max;
  std::uint32_t default_prefetch{0};
  /// message_interceptors (PUB-16): set = stamp messages, true = also those that are stamped already.
  std::optional<bool> stamp_time, stamp_node;
  Millis consumer_timeout_ms{1'800'000};          ///< 0 = never
  std::string default_queue_type{"classic"};
  std::uint64_t flow_bytes{64ULL << 20};          ///< in flight to the journal before publishers wait
  access::AccessOptions access;
  QueueOptions queue;
  std::size_t queues_memory{64ULL << 20};         ///< bodies of all queues kept in memory
};

/// Names and routing of one virtual host at run time.
struct VhostRuntime {
  explicit VhostRuntime(routing::RouterHooks hooks) : router(std::move(hooks)) {}
  std::string name;
  routing::VhostRouter router;
  bool tracing{false};
  std::uint64_t connections{0};
};

/// Owner: one thread. Sessions and queues call in; nothing here blocks.
/// Invariants: 1. queues_ holds exactly the catalogue's queues that live on this node;
///             2. every effect of a command has been carried out before its `done` is called;
///             3. the catalogue changes in commit() and replace() only.
class Broker final : public QueueHost, public metadata::CatalogueOwner, private pipe::PipeHost {
 public:
  Broker(BrokerEnv& env, BrokerOptions options);
  ~Broker() override;

  // ---- metadata ----
  const metadata::Catalogue& catalogue() const override { return catalogue_; }
  access::Access& access() { return access_; }
  const BrokerOptions& options() const { return options_; }
  BrokerOptions& mutable_options() { return options_; }
  /// Proposes a command; `done` when it is committed and carried out here, or with the error.
  void apply(const metadata::Command& command, std::function<void(Result<void>)> done);
  /// Proposes several; one answer, as `apply`. Stops at the first error; what was before it stays.
  void apply_all(std::vector<metadata::Command> commands, std::function<void(Result<void>)> done);
  /// `done` when everything given to logs so far is durable.
  void when_durable(std::function<void()> done) { env_.when_durable(std::move(done)); }
  /// `done` when the queue is gone if its end is on its way (auto-delete), else at once.
  void when_gone(metadata::QueueUid uid, std::function<void()> done);
  /// Told when the cluster's nodes or its name changed.
  void on_members(std::function<void()> hook) { members_hook_ = std::move(hook); }
  /// Start-up: until bring_up(), commands and catalogues are taken without effects.
  void begin_boot() { booting_ = true; }
  /// Makes everything that the catalogue holds; the env recovers the logs of queues.
  void bring_up();

  // ---- metadata::CatalogueOwner
  Result<metadata::Applied> commit(const metadata::Command& command, bool ours) override;
  void replace(metadata::Catalogue next) override;

  // ---- look-up ----
  VhostRuntime* vhost(std::string_view name);
  std::shared_ptr<Queue> queue(metadata::QueueUid uid) const;
  std::shared_ptr<Queue> queue(std::string_view vhost, std::string_view name) const;
  /// The queues that live here.
  const std::map<metadata::QueueUid, std::shared_ptr<Queue>>& queues() const { return queues_; }
  /// The way to a queue, wherever it lives; null when there is none of that uid or name.
  std::shared_ptr<QueueEndpoint> endpoint(metadata::QueueUid uid) const;
  std::shared_ptr<QueueEndpoint> endpoint(std::string_view vhost, std::string_view name) const;
  /// "home node 'n' of durable queue 'q' in vhost 'v' is down or inaccessible" (QUE-04).
  std::string home_down_text(const metadata::QueueDef& def) const;
  /// Routes cached at one value stay right until it changes.
  std::uint64_t route_version(const VhostRuntime& vhost) const {
    return vhost.router.version() + (epoch_ << 40);
  }
  /// True when the only copy of this queue is kept by this node.
  bool is_home(const metadata::QueueDef& def) const { return def.home == 0 || def.home == options_.self; }
  /// The policies in force for a queue or exchange (names, merged definition: policy.h).
  AppliedPolicies policies_for(const metadata::QueueDef& def) const;
  AppliedPolicies policies_for(const metadata::ExchangeDef& def) const;
  /// How long a consumer of this queue may keep a delivery: what the queue or its policy says, else what the
  /// node does; 0 = for ever. Stays right until policy_epoch() changes.
  Millis consumer_timeout(const metadata::QueueDef& def) const;
  std::uint64_t policy_epoch() const { return policy_epoch_; }

  // ---- messages ----
  /// Publishes a message of the broker's own (dead letters, traces, events). Gives the number of
  /// queues it went to; when that is not 0, `publisher` hears when all of them have it, and is let
  /// go of then, or with the broker.
  std::size_t publish_internal(VhostRuntime& vhost, std::string_view exchange,
                               std::span<const std::string> keys, std::string_view props,
                               std::string_view body, std::shared_ptr<Publisher> publisher = {});
  /// Firehose copies (OBS-02) of a publish and of a delivery; only while the vhost is traced.
  void trace_publish(VhostRuntime& vhost, Session& session, std::uint16_t channel,
                     MessageView message, const std::vector<std::string>& queues);
  void trace_delivery(VhostRuntime& vhost, Session& session, std::uint16_t channel,
                      const metadata::QueueDef& queue, const Delivery& delivery);
  HolderId next_holder() { return next_holder_++; }
  ReplyRegistry& replies() { return replies_; }
  std::string random_name(std::string_view prefix);
  std::uint64_t random_below(std::uint64_t bound);

  // ---- sessions ----
  std::uint64_t add_session(Session& session);
  void remove_session(Session& session);
  const std::map<std::uint64_t, Session*>& sessions() const { return sessions_; }
  /// Hooks of a session's life, for events and limits.
  void connection_opened(Session& session);
  void connection_closed(Session& session);
  /// Why one more connection or channel is refused (CON-16, CON-18); nothing = it is not.
  std::optional<std::string> connection_refused(const VhostRuntime& vhost, const std::string& user);
  std::optional<std::string> channel_refused(const Session& session);
  /// False: nothing to do. Else `done` comes once, when they are gone (or cannot be deleted now; then
  /// that is tried again until they are).
  bool delete_exclusive_queues(std::uint64_t connection, std::function<void()> done);
  std::uint64_t channel_count() const { return channel_count_; }
  void count_channel(int by) { channel_count_ += static_cast<std::uint64_t>(by); }
  /// Wants a flush of its confirms and output at the end of the turn.
  void touch(Session& session);

  /// Queues and channels of other nodes; its inputs come from the owner.
  pipe::Pipes& pipes() { return pipes_; }
  Alarms& alarms() { return alarms_; }
  Events& events() { return events_; }
  /// To be called when alarms_ changed.
  void alarms_changed();
  /// What a channel remembers of who may publish where is over.
  void rights_changed() { ++epoch_; }
  bool flow_closed() const { return flow_closed_; }
  /// The session published to a queue of that member. It alone waits while too much of it is unanswered there: one
  /// slow cable must not hold who publishes elsewhere (CLU-28).
  void published_to(Session& session, pipe::MemberId member);
  /// Has the session something to wait for still?
  bool waits_for_member(const Session& session) const;

  // ---- the loop ----
  /// Pumps queues and flushes sessions until nothing is left to do. Once per loop turn.
  void end_turn();
  /// Lets every queue of this node page out, while they hold too much together. Now and then: queues do so
  /// themselves when something happens to them.
  void relieve_memory();
  /// Timers; `now` = steady_ms(). Gives when to call again, 0 = no timer.
  Millis on_time(Millis now);
  Millis next_timer() const { return timers_.next(); }
  /// Journal progress: publishers held back may go on.
  void check_flow();

  // ---- QueueHost ----
  Millis wall_ms() const override { return env_.wall_ms(); }
  Millis steady_ms() const override { return env_.steady_ms(); }
  void want_pump(QueueEndpoint& queue) override;
  void want_timer(QueueEndpoint& queue, Millis at) override;
  void dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason) override;
  void dead_letter_kept(QueueEndpoint& queue, const Delivery& message, DeathReason reason, bool again) override;
  void want_delete(QueueEndpoint& queue, std::string_view reason) override;
  QueuePages* pages() override { return env_.pages(); }

  Logger& log() { return env_.log(); }
  BrokerEnv& env() { return env_; }

  struct Totals {
    std::uint64_t connections_created{0}, connections_closed{0}, channels_created{0},
        channels_closed{0}, queues_declared{0}, queues_deleted{0}, published{0}, confirmed{0},
        unroutable_dropped{0}, unroutable_returned{0}, delivered{0}, acknowledged{0};
  };
  Totals totals;

 private:
  Result<void> check_limits(std::span<const metadata::Command> commands) const;
  // ---- pipe::PipeHost (broker_pipes.cpp) ----
  std::shared_ptr<Queue> local_queue(metadata::QueueUid uid) override { return queue(uid); }
  void want_pipe_turn() override;
  void deliver_reply(std::string_view token, MessageView message, const BlockRef& block) override;
  bool reply_known(std::string_view token) override { return replies_.find(token) != nullptr; }
  void node_alarms(const std::string& node, const std::vector<std::string>& resources) override;
  void reachable_changed() override { ++epoch_; }
  void window_opened() override;
  std::string name_of(pipe::MemberId member) override;
  Millis pipe_now() const override { return env_.steady_ms(); }
  Logger& pipe_log() override { return env_.log(); }
  void tell_alarms();

  void carry_out(const std::vector<metadata::Effect>& effects, bool tell);
  /// Queues whose life ended here: proposed until it is so.
  void delete_queues(std::vector<metadata::QueueUid> uids, std::function<void()> done = {});
  void tell_end_waiters(metadata::QueueUid uid);
  void on(const metadata::VhostPut& effect);
  void on(const metadata::VhostDeleted& effect);
  void on(const metadata::ExchangePut& effect);
  void on(const metadata::ExchangeDeleted& effect);
  void on(const metadata::QueuePut& effect);
  void on(const metadata::QueueDeleted& effect);
  void on(const metadata::BindingPut& effect);
  void on(const metadata::BindingDeleted& effect);
  void on(const metadata::PoliciesChanged& effect);
  void on(const metadata::UserChanged& effect);
  void on(const metadata::ParametersChanged& effect);
  void on(const metadata::MembersChanged& effect);
  QueueSettings settings_for(const metadata::QueueDef& def) const;
  std::optional<std::string> alternate_for(const metadata::ExchangeDef& def) const;

  BrokerEnv& env_;
  BrokerOptions options_;
  metadata::Catalogue catalogue_;
  access::Access access_;
  mutable access::Patterns patterns_;  // a cache: of policies' patterns
  std::map<std::string, std::unique_ptr<VhostRuntime>, std::less<>> vhosts_;
  // broker_dead_letters.cpp
  using DeadLetterKey = std::pair<metadata::QueueUid, Position>;  ///< the message that died
  struct DeadLetterRoute {
    BlockRef block;  ///< with one record
    std::vector<std::shared_ptr<QueueEndpoint>> targets;
  };
  struct KeptDeadLetter {
    std::size_t pending{0};
    bool failed{false};
    std::set<metadata::QueueUid> accepted;
  };
  struct DeadLetterAnswer {
    DeadLetterKey key;
    bool accepted;
  };
  DeadLetterRoute route_dead_letter(QueueEndpoint& queue, const Delivery& message, DeathReason reason, bool tell);
  void dead_letter_settled(const DeadLetterKey& key, metadata::QueueUid target, bool accepted);
  void answer_dead_letters();
  void forget_dead_letters(metadata::QueueUid queue);
  void tell_kept(const metadata::QueueDef& def, std::string_view why);
  std::map<DeadLetterKey, KeptDeadLetter> kept_dead_letters_;  // under way, or some of their queues have them
  std::vector<DeadLetterAnswer> dead_letter_answers_;
  std::map<metadata::QueueUid, Millis> kept_told_;
  MemoryBudget budget_;  // before the queues, which give back what they have when they go
  std::map<metadata::QueueUid, std::shared_ptr<Queue>> queues_;
  std::map<metadata::QueueUid, std::shared_ptr<pipe::RemoteQueue>> remotes_;  // of other members
  std::map<std::uint64_t, std::set<metadata::QueueUid>> exclusive_;  // by owner connection
  std::map<std::uint64_t, Session*> sessions_;
  std::function<void()> members_hook_;
  std::uint64_t next_session_{1};
  std::uint64_t channel_count_{0};
  HolderId next_holder_{1};
  std::uint64_t epoch_{1};
  std::uint64_t policy_epoch_{1};
  bool flow_closed_{false};
  bool members_waited_for_{false};  // by some session
  bool booting_{false};
  std::multimap<metadata::QueueUid, std::function<void()>> end_waiters_;  // told when a doomed queue is gone
  std::set<metadata::QueueUid> doomed_;  // their deletion is proposed, or will be again
  bool delete_again_{false};             // when the timer of uid 0 comes
  ReplyRegistry replies_;
  Alarms alarms_;
  bool pipes_due_{false};
  pipe::Pipes pipes_{*this, {}};
  Events events_{*this};
  Timers timers_;
  std::vector<std::shared_ptr<Queue>> pump_;
  std::vector<std::uint64_t> touched_;
};

}  // namespace warren::broker
