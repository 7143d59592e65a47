// Maintenance (CLU-23): the node sends its clients away, takes no new ones and leads nothing.

#include "node/server/app.h"

#include "node/server/socket_session.h"

#include <algorithm>

namespace warren::server {

namespace {

constexpr Millis kFirstGap = 2'000;
constexpr Millis kLastGap = 120'000;
constexpr const char* kWhy = "broker forced connection closure with reason 'Node was put into maintenance mode'";

}  // namespace

void App::drain(Millis spread_ms) {
  if (drain_) return;
  log_.warning(LogArea::general, "this node is put into maintenance: it serves no clients and leads nothing");
  suspend_listeners();
  drain_ = Drain{loop_.steady_ms(), spread_ms, sockets_->sessions.size()};
  tick_drain();
}

Result<void> App::revive() {
  if (!drain_) return {};
  if (auto open = resume_listeners(); !open) return open;
  drain_.reset();
  log_.warning(LogArea::general, "this node is back from maintenance");
  return {};
}

/// Twice a second: so many clients go that the last is gone when the spread is over.
void App::tick_drain() {
  if (!drain_ || stopping_) return;
  const Millis now = loop_.steady_ms();
  // Elected again, or handed back by another that is drained: more and more patiently, for each time changes stop.
  if (group_->leads() && now >= drain_->hand_over_at) {
    group_->replica().drain_leaderships();
    drain_->gap_ms = std::clamp<Millis>(drain_->gap_ms * 2, kFirstGap, kLastGap);
    drain_->hand_over_at = now + drain_->gap_ms;
  }
  const Millis passed = now - drain_->since;
  std::size_t may_stay = 0;
  if (passed < drain_->spread_ms)
    may_stay = drain_->clients * static_cast<std::size_t>(drain_->spread_ms - passed) /
               static_cast<std::size_t>(drain_->spread_ms);
  std::vector<std::shared_ptr<SocketSession>> open;
  for (auto& [key, socket] : sockets_->sessions)
    if (socket->session() == nullptr || socket->session()->connection().state() < amqp::ConnectionState::closing)
      open.push_back(socket);
  for (std::size_t i = 0; i + may_stay < open.size(); ++i) {
    if (auto* session = open[i]->session())
      session->close(amqp::ReplyCode::connection_forced, kWhy);
    else
      open[i]->drop("maintenance");
  }
  loop_.want_turn();
}

}  // namespace warren::server
