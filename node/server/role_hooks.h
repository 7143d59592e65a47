#pragma once
// Commands that an operator has run when this node becomes the leader of the cluster's metadata, and when it
// ceases to be (CLU-29). Owner: the node's loop, which never waits for them.

#include "base/clock.h"
#include "base/log.h"
#include "node/server/loop.h"

#include <boost/asio/steady_timer.hpp>

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>

namespace warren::server {

/// Which command is due. Pure: one runs at a time, and a change that is taken back before its command could
/// begin is left out together with what took it back; so at most one waits.
class RoleTurns {
 public:
  /// The role now; repeats cost nothing.
  void role(bool leads) { wanted_ = leads; }
  /// The command to begin now: true = elected, false = lost. Nothing while one runs, or nothing changed.
  std::optional<bool> begin();
  void ended() { running_ = false; }
  bool running() const { return running_; }

 private:
  bool told_{false};  // what the last command begun said
  bool wanted_{false};
  bool running_{false};
};

struct RoleHookOptions {
  std::string elected, lost;  ///< lines for `sh -c`; "" = nothing is run
  Millis longest_ms{30'000};  ///< then it is killed, with what it started
};

class RoleHooks {
 public:
  RoleHooks(Loop& loop, Logger& log, RoleHookOptions options);
  ~RoleHooks() { timer_.cancel(); }

  /// Called again and again, and when the app stops (false). `environment`: added to this process' own.
  void role(bool leads, const std::map<std::string, std::string>& environment);

 private:
  void begin(const std::map<std::string, std::string>& environment);
  void look();
  void over(const std::string& how);

  Loop& loop_;
  Logger& log_;
  const RoleHookOptions options_;
  RoleTurns turns_;
  boost::asio::steady_timer timer_;
  std::map<std::string, std::string> environment_;
  std::string what_;  ///< the option whose command runs
  pid_t child_{0};
  Millis until_{0};
};

}  // namespace warren::server
