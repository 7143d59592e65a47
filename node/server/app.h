#pragma once
// The app of a node (architecture §3): store, journal, broker and listeners, started and stopped as
// one. The runtime around it (node.h) lives on while it is stopped.

#include "cluster/transport/lane_codec.h"
#include "node/broker/broker.h"
#include "node/config/config.h"
#include "node/config/settings.h"
#include "node/server/journal.h"
#include "node/server/listener.h"
#include "node/server/metadata_group.h"
#include "node/server/page_area.h"
#include "node/server/resource_monitor.h"
#include "node/server/socket_session.h"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace warren::server {

/// Who this node is, and how it finds the others.
struct AppIdentity {
  raft::NodeId self{1};
  std::uint64_t cluster{1};
  std::uint64_t incarnation{1};  ///< another one for each start of an app
  bool joins{false};             ///< a cluster's members will send the catalogue: nothing is founded
  bool synced{false};            ///< the store held the group once: without it, it was lost
  bool taking_over{false};       ///< of a cluster without a majority: the group is this node's alone
  bool ram{false};               ///< keeps everything in memory, and only listens in the group
  bool serves{true};             ///< false: a member without listeners, to vote on its own leaving
  replica::Transport* consensus{nullptr};  ///< null = alone
  replica::Transport* metadata{nullptr};
  replica::Transport* queues{nullptr};
  std::function<bool(std::uint64_t member)> in_maintenance;  ///< another one; may be empty
};

/// Owner: the loop's thread.
/// Order: start() opens the store and waits until this node knows everything that is committed; then it
/// brings the queues up, and then the listeners. stop() goes the other way round.
class App final : public broker::BrokerEnv {
 public:
  App(Loop& loop, const config::Settings& settings, AppIdentity identity, Logger& log,
      std::function<void(const Error&)> on_failure);
  ~App() override;

  /// `done` comes once, perhaps at once. Errors: what the store, the definitions or a listener says; the
  /// app is then stopped, apart from `unavailable`: stop() came first.
  void start(std::function<void(Result<void>)> done);
  /// Tells clients (320), writes checkpoints, closes the store. `done` comes when all is closed.
  void stop(std::function<void()> done);

  /// Null until the store is open.
  MetadataGroup* group() { return group_.get(); }
  const MetadataGroup* group() const { return group_.get(); }

  // ---- from other members
  void on_frame(raft::NodeId peer, transport::Lane lane, std::shared_ptr<const std::string> frame);
  void on_peer_up(raft::NodeId peer, std::uint64_t incarnation);
  void on_peer_down(raft::NodeId peer);
  /// The peer is held for dead: its consumers here go, what it held returns.
  void on_node_down(raft::NodeId peer);
  /// Every 50 ms or so while there are other members.
  void tick_pipes();

  broker::Broker& broker() { return *broker_; }
  const broker::Broker& broker() const { return *broker_; }
  const config::Settings& settings() const { return settings_; }
  const std::vector<std::unique_ptr<Listener>>& listeners() const { return listeners_; }
  /// Plugins that this server has something for: rabbitmq_event_exchange makes its exchange.
  void apply_plugins(const std::vector<std::string>& enabled);
  /// A line for the log exchange, while `log.exchange` is on. From the loop's thread.
  void publish_log_line(LogLevel level, std::string line);
  void suspend_listeners();
  Result<void> resume_listeners();
  /// Maintenance, until revive() or the app stops: no listeners, no leaderships, and every client is closed
  /// (320), evenly over `spread_ms`. Repeat: does nothing.
  void drain(Millis spread_ms);
  Result<void> revive();
  bool draining() const { return drain_.has_value(); }
  ResourceMonitor& monitor() { return monitor_; }
  /// Reads what is due and raises or clears the alarms.
  void check_resources();
  storage::Store& store() { return *store_; }

  // ---- broker::BrokerEnv ----
  Millis wall_ms() const override { return loop_.wall_ms(); }
  Millis steady_ms() const override { return loop_.steady_ms(); }
  void random(std::span<char> into) override;
  void propose(std::vector<metadata::Command> commands,
               std::function<void(std::vector<Result<void>>)> done) override;
  bool may_be_behind() const override { return group_->may_be_behind(); }
  void catch_up(std::function<void()> done) override { group_->catch_up(std::move(done)); }
  void when_durable(std::function<void()> done) override { journal_->when_durable(std::move(done)); }
  broker::QueueLog* open_log(metadata::QueueUid uid) override;
  void attach_queue(metadata::QueueUid uid, std::shared_ptr<broker::Queue> queue) override;
  void close_log(metadata::QueueUid uid, bool retire) override;
  std::uint64_t log_bytes_in_flight() const override { return journal_->bytes_in_flight(); }
  std::string member_name(std::uint64_t member) const override;
  broker::QueuePages* pages() override { return pages_.get(); }
  void want_turn() override { loop_.want_turn(); }
  Logger& log() override { return log_; }

 private:
  Result<void> open_store();
  Result<void> open_group();
  void place(metadata::QueueDef& def) const;
  Result<void> bring_up();
  void seed();
  Result<std::vector<metadata::Command>> default_objects();
  void load_definitions(std::size_t next);
  /// The end of start().
  void started(Result<void> result);
  Result<void> open_listeners();
  broker::BrokerOptions broker_options() const;
  Result<std::shared_ptr<const access::TokenVerifier>> token_verifier() const;
  amqp::ConnectionLimits connection_limits() const;
  CertLogin cert_login() const;
  void turn();
  void tick();
  void arm_timer();
  void tick_drain();
  void finish_stop();
  void close_store();
  void write_checkpoints();

  std::map<std::uint64_t, std::size_t> placing_;  ///< queues on their way, by their future home
  struct Drain {
    Millis since, spread_ms;
    std::size_t clients;
    Millis hand_over_at{0}, gap_ms{0};
  };

  Loop& loop_;
  const config::Settings& settings_;
  const AppIdentity identity_;
  Logger& log_;
  std::function<void(const Error&)> on_failure_;
  std::unique_ptr<storage::Store> store_;
  std::unique_ptr<storage::Committer> committer_;
  std::unique_ptr<Journal> journal_;
  std::shared_ptr<PageArea> pages_;  // null on a RAM node; queues give their pages back when the broker goes
  std::unique_ptr<broker::Broker> broker_;
  std::unique_ptr<MetadataGroup> group_;
  std::unique_ptr<SocketShared> sockets_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  ResourceMonitor monitor_;
  boost::asio::steady_timer ticker_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer lazy_timer_;
  Millis timer_at_{0};
  bool lazy_armed_{false};
  bool restoring_{false};
  bool fresh_{false};  // nothing was in the catalogue
  bool stopping_{false};
  bool down_{false};  // the committer has stopped: nothing may be written any more
  int stop_ticks_{0};
  std::optional<Drain> drain_;
  std::optional<Error> restore_error_;
  std::function<void(Result<void>)> start_done_;
  std::function<void()> stopped_;
};

}  // namespace warren::server
