#pragma once
// The runtime of a node (architecture §3): identity, cookie, logs, control service, signals, and the
// app inside it, which stop_app and start_app end and begin while the runtime goes on.

#include "cluster/membership/local_state.h"
#include "cluster/transport/control_server.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/node_registry.h"
#include "node/config/config.h"
#include "node/config/log_sink.h"
#include "node/server/app.h"
#include "node/server/cluster_service.h"

#include <boost/asio/signal_set.hpp>

#include <map>
#include <memory>
#include <string>

namespace warren::server {

struct AdminCall;

/// What of the app is started: all of it, or only the member of the cluster, without clients.
enum class StartMode : std::uint8_t { serve, member_only };

/// Owner: the main thread, which runs the loop.
class Node final : public transport::Handler {
 public:
  explicit Node(config::Config config);
  ~Node() override;

  /// Runs until stopped. Returns the process' exit code; failures are printed.
  int run();

  // ---- transport::Handler: called on a gRPC thread ----
  void call(std::string method, boost::json::object args,
            std::shared_ptr<transport::CallSink> sink) override;

  // ---- for the control methods (admin*.cpp), on the loop's thread ----
  const config::Config& config() const { return config_; }
  config::Config& config() { return config_; }
  const config::Settings& settings() const { return settings_; }
  config::LogSink& log() { return *log_; }
  Loop& loop() { return loop_; }
  const transport::Cookie& cookie() const { return cookie_; }
  /// Identity, incarnation and cluster, as in the state file.
  const membership::LocalState& local_state() const { return state_; }
  /// Writes the state file; this node is from now on what it says.
  Result<void> put_local_state(membership::LocalState state);
  ClusterService& cluster() { return *cluster_; }
  const ClusterService& cluster() const { return *cluster_; }
  /// Null while the app is stopped, or serves no clients (yet).
  App* app() { return app_running_ ? app_.get() : nullptr; }
  const App* app() const { return app_running_ ? app_.get() : nullptr; }
  /// The app as a member of the cluster: also while it starts and stops.
  App* member_app() { return app_.get(); }
  const App* member_app() const { return app_.get(); }
  bool booting() const { return booting_; }
  Millis started_wall_ms() const { return started_wall_ms_; }
  std::uint16_t control_port() const { return control_ ? control_->port() : 0; }
  /// `done` comes once, perhaps at once; it may take long while a cluster has no majority.
  void start_app(StartMode mode, std::function<void(Result<void>)> done);
  /// Reads the enabled_plugins file again and acts on it.
  Result<void> plugins_changed();
  /// What starts and stops services of plugins: told the enabled ones, and none while the app stops.
  /// Set once before run().
  void on_plugins(std::function<Result<void>(const std::vector<std::string>&)> hook) {
    plugins_hook_ = std::move(hook);
  }
  /// The plugins that this server has something for and that are on, with what they bring along.
  const std::vector<std::string>& running_plugins() const { return running_plugins_; }
  struct PluginListener {
    std::string protocol, interface;
    int port{0};
    std::string purpose;
  };
  std::vector<PluginListener> plugin_listeners;  ///< kept by the hook; for listings
  void stop_app(std::function<void()> done);
  /// Ends the process in good order.
  void shut_down(const std::string& why);

 private:
  Result<void> prepare();
  Result<void> load_identity();
  void launch(StartMode mode);
  void app_started(const Result<void>& result);
  void drop_app(const App* which);
  void write_pid_file();
  /// Names in the enabled_plugins file, or in the variable that stands for it.
  std::vector<std::string> enabled_plugins() const;
  void print_banner();
  void await_signals();
  void fail(const Error& error);

  config::Config config_;
  config::Settings settings_;
  std::unique_ptr<config::LogSink> log_;
  Loop loop_;
  transport::Cookie cookie_;
  membership::StateLock state_lock_;
  membership::LocalState state_;
  transport::PeerIdentity identity_;
  std::unique_ptr<transport::ControlServer> control_;
  transport::NodeRegistration registration_;
  std::unique_ptr<ClusterService> cluster_;
  std::unique_ptr<App> app_;
  std::function<Result<void>(const std::vector<std::string>&)> plugins_hook_;
  std::vector<std::string> running_plugins_;
  boost::asio::signal_set signals_;
  bool app_running_{false};
  bool started_before_{false};
  std::vector<std::function<void(Result<void>)>> start_waiters_;  ///< of the start under way
  bool booting_{false};
  bool stopping_{false};
  int exit_code_{0};
  Millis started_wall_ms_{0};
};

}  // namespace warren::server
