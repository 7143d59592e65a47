#pragma once
// The event loop of a shard: one thread, one io_context. Work is done in turns: whatever the ready
// sockets brought, then one pass over queues, outputs and the journal.

#include "base/clock.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <functional>
#include <utility>

namespace warren::server {

/// Owner: the thread that calls run(); `post` may be called from any thread, all else only there.
class Loop final : public Clock {
 public:
  using Executor = boost::asio::io_context::executor_type;

  Loop() : io_(1) { refresh(); }

  /// Runs until stop().
  void run() { io_.run(); }
  void stop() { io_.stop(); }
  boost::asio::io_context& io() { return io_; }

  /// Runs `work` on the loop's thread, soon.
  template <class F>
  void post(F&& work) {
    boost::asio::post(io_, std::forward<F>(work));
  }

  /// What one turn's end does; set once before run().
  void on_turn(std::function<void()> turn) { turn_ = std::move(turn); }
  /// Asks for a turn's end behind the handlers that are ready now; repeated calls cost nothing.
  void want_turn() {
    if (turn_wanted_) return;
    turn_wanted_ = true;
    boost::asio::post(io_, [this] {
      turn_wanted_ = false;
      if (turn_) turn_();  // a peer may speak before the first app has said what a turn does
    });
  }

  /// Reads the clocks; each handler that may have waited calls it first.
  void refresh();
  Millis steady_ms() const override { return steady_; }
  Millis wall_ms() const override { return wall_; }

 private:
  boost::asio::io_context io_;
  std::function<void()> turn_;
  bool turn_wanted_{false};
  Millis steady_{0};
  Millis wall_{0};
};

}  // namespace warren::server
