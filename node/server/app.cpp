#include "node/server/app.h"

#include "base/bytes.h"
#include "cluster/membership/recovery.h"
#include "cluster/replica/takeover.h"
#include "node/amqp/properties.h"
#include "node/broker/session.h"
#include "node/server/definitions_path.h"

#include <sys/random.h>

#include <algorithm>
#include <chrono>

namespace warren::server {

namespace {

constexpr std::chrono::milliseconds kTick{500};
constexpr std::chrono::milliseconds kLazyDelay{20};
constexpr Millis kTimerMax = 24 * 3600 * 1000;
constexpr int kStopTicks = 10;  // half seconds that clients get to answer connection.close

}  // namespace

App::App(Loop& loop, const config::Settings& settings, AppIdentity identity, Logger& log,
         std::function<void(const Error&)> on_failure)
    : loop_(loop),
      settings_(settings),
      identity_(identity),
      log_(log),
      on_failure_(std::move(on_failure)),
      monitor_(settings.alarms, settings.data_dir),
      ticker_(loop.io()),
      timer_(loop.io()),
      lazy_timer_(loop.io()) {}

App::~App() = default;

// ---- start --------------------------------------------------------------------------------------

void App::start(std::function<void(Result<void>)> done) {
  start_done_ = std::move(done);
  loop_.refresh();
  auto tokens = token_verifier();
  if (!tokens) return started(tokens.error());
  if (auto opened = open_store(); !opened) return started(opened);
  journal_ = std::make_unique<Journal>(loop_, *store_, *committer_, on_failure_);
  journal_->on_progress([this] { broker_->check_flow(); });
  // Asked just before log rows reach a file: what is dead by then is never written there.
  store_->on_floors_wanted([this] { loop_.post([this] { write_checkpoints(); }); });
  broker::BrokerOptions options = broker_options();
  options.access.tokens = std::move(*tokens);
  broker_ = std::make_unique<broker::Broker>(*this, std::move(options));
  broker_->begin_boot();
  sockets_ = std::unique_ptr<SocketShared>(new SocketShared{loop_, *broker_, connection_limits()});
  sockets_->unauthenticated_max = static_cast<std::size_t>(settings_.connections.unauthenticated_connections);
  sockets_->proxy_protocol = settings_.connections.proxy_protocol;
  sockets_->tls_handshake_ms = settings_.connections.tls_handshake_timeout_ms;
  sockets_->cert_login = cert_login();
  if (identity_.queues != nullptr) broker_->pipes().start(identity_.incarnation, *identity_.queues);
  loop_.on_turn([this] { turn(); });
  if (auto opened = open_group(); !opened) return started(opened);
  group_->boot(
      [this](const Result<void>& result) {
        // Inside the group's turn, which must not see the app change under it.
        loop_.post([this, result] {
          if (!start_done_) return;
          // Before the queues come up, which takes a while: what others change meanwhile waits for this node.
          if (result && identity_.serves) group_->serve();
          Result<void> up = result ? bring_up() : result;
          if (!up) return started(up);
          if (!identity_.serves) return started({});
          fresh_ = broker_->catalogue().users().empty() && broker_->catalogue().vhosts().empty();
          load_definitions(0);
        });
      },
      [this](const std::string& why) {
        log_.info(LogArea::cluster, "waiting for the cluster's metadata: {}; {}", why,
                  membership::way_out(settings_.node_name));
      });
}

void App::started(Result<void> result) {
  auto done = std::exchange(start_done_, nullptr);
  if (!done) return;
  if (result && identity_.serves) result = open_listeners();
  if (result) {
    tick();
    return done(std::move(result));
  }
  listeners_.clear();
  down_ = true;
  if (group_) group_->stop();
  if (committer_) committer_->stop();
  if (store_) {
    store_->on_floors_wanted(nullptr);
    store_->close();
  }
  done(std::move(result));
}

Result<void> App::open_group() {
  GroupOptions options;
  options.self = identity_.self;
  options.cluster = identity_.cluster;
  options.incarnation = identity_.incarnation;
  options.ram = identity_.ram;
  options.timeout_ms = settings_.cluster.metadata_timeout_ms;
  options.cluster_settings = settings_.cluster;
  options.storage_settings = settings_.storage;
  random({reinterpret_cast<char*>(&options.seed), sizeof options.seed});
  group_ = std::make_unique<MetadataGroup>(
      std::move(options), MetadataGroup::Links{loop_, *store_, *committer_, *broker_, identity_.consensus,
                                               identity_.metadata, log_, on_failure_});
  group_->names([this](raft::NodeId id) {
    const auto* member = broker_->catalogue().find_member(id.value);
    return member == nullptr ? std::string() : member->name;
  });
  if (identity_.taking_over)
    if (auto taken = replica::take_over(*store_, kMetadataGroup, identity_.self); !taken) return taken;
  if (auto opened = group_->open(); !opened) return opened;
  if (group_->has_group()) return {};
  if (identity_.synced)
    return make_error(Errc::corruption,
                      "this node's store in " + settings_.data_dir + "/store is gone or empty, but the node belongs "
                      "to a cluster and may have voted there: it must not come back under its old identity. Bring "
                      "the store back, or give the node up: 'rabbitmqctl force_reset' here, 'rabbitmqctl "
                      "forget_cluster_node' on another member, then join again");
  return identity_.joins ? group_->join() : group_->found();
}

/// First start: the default virtual host and user (ACC-01), or the definitions instead.
void App::seed() {
  if (!fresh_ || !broker_->catalogue().users().empty()) return started({});
  auto commands = default_objects();
  if (!commands) return started(commands.error());
  broker_->apply_all(std::move(*commands), [this](const Result<void>& result) {
    loop_.post([this, result] { started(result); });
  });
}

/// Each file or folder behind the one before it, as later ones may refer to earlier ones.
void App::load_definitions(std::size_t next) {
  if (!start_done_) return;
  if (next == settings_.definitions.size()) return seed();
  const std::string& path = settings_.definitions[next];
  broker::ImportOptions options;
  options.random = [this](std::span<std::uint8_t> into) {
    random({reinterpret_cast<char*>(into.data()), into.size()});
  };
  options.password_hashing = settings_.access.password_hashing;
  options.default_queue_type = broker_->options().default_queue_type;
  auto commands = read_definitions_path(path, broker_->catalogue(), options);
  if (!commands) return started(commands.error());
  broker_->apply_all(std::move(*commands), [this, next, &path](const Result<void>& result) {
    loop_.post([this, next, &path, result] {
      if (!result)
        return started(make_error(result.error().code, "definitions " + path + ": " + result.error().text));
      log_.info(LogArea::general, "definitions of {} loaded", path);
      load_definitions(next + 1);
    });
  });
}

Result<void> App::open_listeners() {
  std::shared_ptr<TlsContext> tls;
  for (const auto& wanted : settings_.listeners) {
    if (wanted.tls && !tls) {
      auto made = TlsContext::make(settings_.tls);
      if (!made) return made.error();
      tls = *made;
    }
  }
  for (const auto& wanted : settings_.listeners) {
    auto listener = std::make_unique<Listener>(*sockets_, settings_.sockets, wanted.tls ? tls : nullptr);
    if (auto opened = listener->open(wanted.address, wanted.port); !opened) return opened;
    log_.info(LogArea::general, "started {} listener on {}:{}", wanted.tls ? "TLS" : "TCP",
              listener->interface(), listener->port());
    listeners_.push_back(std::move(listener));
  }
  return {};
}

void App::publish_log_line(LogLevel level, std::string line) {
  broker::VhostRuntime* vhost = broker_ ? broker_->vhost("/") : nullptr;
  if (vhost == nullptr || stopping_) return;
  const std::string key = log_level_name(level);
  amqp::BasicProperties properties;
  properties.content_type = "text/plain";
  properties.timestamp = static_cast<std::uint64_t>(wall_ms()) / 1000;
  broker_->publish_internal(*vhost, "amq.rabbitmq.log", {&key, 1}, amqp::encode_properties(properties), line);
}

void App::suspend_listeners() {
  for (auto& listener : listeners_) listener->close();
  listeners_.clear();
}

Result<void> App::resume_listeners() {
  if (!listeners_.empty()) return {};
  auto opened = open_listeners();
  if (!opened) listeners_.clear();  // all or none
  return opened;
}

// ---- running ------------------------------------------------------------------------------------

void App::turn() {
  if (down_) return;
  broker_->end_turn();
  group_->turn();
  journal_->flush();
  if (journal_->lazy_waiting() && !lazy_armed_) {
    lazy_armed_ = true;
    lazy_timer_.expires_after(kLazyDelay);
    lazy_timer_.async_wait([this](boost::system::error_code ec) {
      if (ec) return;  // cancelled, perhaps by the end of the app
      lazy_armed_ = false;
      if (!down_) journal_->flush_lazy();
    });
  }
  arm_timer();
}

void App::arm_timer() {
  const Millis next = broker_->next_timer();
  if (next == timer_at_ || next == 0) return;
  timer_at_ = next;
  // A policy may name any number; the timer's nanoseconds must not overflow.
  const Millis wait = std::clamp<Millis>(next - loop_.steady_ms() + 4, 1, kTimerMax);
  timer_.expires_after(std::chrono::milliseconds(wait));
  timer_.async_wait([this](boost::system::error_code ec) {
    if (ec || down_) return;
    timer_at_ = 0;
    loop_.refresh();
    broker_->on_time(loop_.steady_ms());
    loop_.want_turn();
  });
}

void App::tick() {
  ticker_.expires_after(kTick);
  ticker_.async_wait([this](boost::system::error_code ec) {
    if (ec || down_) return;
    loop_.refresh();
    std::vector<std::shared_ptr<SocketSession>> all;
    for (auto& [key, session] : sockets_->sessions) all.push_back(session);
    for (auto& session : all) session->tick();
    check_resources();
    broker_->relieve_memory();
    tick_drain();
    journal_->flush_lazy();
    if (stopping_ && (sockets_->sessions.empty() || ++stop_ticks_ >= kStopTicks)) return finish_stop();
    tick();
  });
}

void App::check_resources() {
  monitor_.check(loop_.steady_ms());
  const auto report = [this](const char* resource, bool active) {
    if (!broker_->alarms().set(settings_.node_name, resource, active)) return false;
    broker_->events().alarm(settings_.node_name, resource, active);
    if (active)
      log_.warning(LogArea::general,
                   "{} resource limit alarm set on node {}. Publishers are blocked until it clears.",
                   resource, settings_.node_name);
    else
      log_.warning(LogArea::general, "{} resource limit alarm cleared on node {}", resource,
                   settings_.node_name);
    return true;
  };
  const bool memory = report("memory", monitor_.memory_alarm());
  const bool disk = report("disk", monitor_.disk_alarm());
  if (memory || disk) broker_->alarms_changed();
}

// ---- from other members --------------------------------------------------------------------------

void App::on_frame(raft::NodeId peer, transport::Lane lane, std::shared_ptr<const std::string> frame) {
  if (!group_ || down_) return;
  if (lane == transport::Lane::consensus) group_->on_frame_consensus(peer, std::move(frame));
  else if (lane == transport::Lane::metadata) group_->on_frame_metadata(peer, *frame);
  else broker_->pipes().on_frame(peer.value, *frame);
}

void App::on_peer_up(raft::NodeId peer, std::uint64_t) {
  if (!group_ || down_) return;
  group_->on_peer_up(peer);
  broker_->pipes().on_peer_up(peer.value);
}

void App::on_peer_down(raft::NodeId peer) {
  if (!group_ || down_) return;
  group_->on_peer_down(peer);
  broker_->pipes().on_peer_down(peer.value);
}

void App::on_node_down(raft::NodeId peer) {
  if (!broker_ || down_) return;
  broker_->pipes().on_node_down(peer.value);
  loop_.want_turn();
}

void App::tick_pipes() {
  if (!broker_ || down_) return;
  broker_->pipes().tick();
  loop_.want_turn();
}

// ---- stop ---------------------------------------------------------------------------------------

void App::stop(std::function<void()> done) {
  if (start_done_) started(make_error(Errc::unavailable, "the app was stopped while it started"));
  if (down_) return done();
  stopped_ = std::move(done);
  stopping_ = true;
  suspend_listeners();
  std::vector<std::shared_ptr<SocketSession>> all;
  for (auto& [key, session] : sockets_->sessions) all.push_back(session);
  for (auto& session : all) {
    if (auto* s = session->session())
      s->close(amqp::ReplyCode::connection_forced, "broker forced connection closure with reason 'shutdown'");
    else
      session->drop("shutdown");
  }
  loop_.want_turn();
  if (sockets_->sessions.empty()) loop_.post([this] { finish_stop(); });
}

void App::finish_stop() {
  if (!stopped_ || down_) return;  // asked for by the last session's end and by a tick at once
  ticker_.cancel();
  timer_.cancel();
  lazy_timer_.cancel();
  std::vector<std::shared_ptr<SocketSession>> all;
  for (auto& [key, session] : sockets_->sessions) all.push_back(session);
  for (auto& session : all) session->drop("shutdown");
  broker_->end_turn();
  group_->turn();
  for (const auto& [uid, queue] : broker_->queues())
    if (queue->def().durable) queue->checkpoint();
  journal_->flush_lazy();
  down_ = true;
  group_->stop();
  committer_->stop();
  // Completions of the last batches are on their way here; the app may go only behind them.
  if (!journal_->waiting()) return close_store();
  journal_->on_progress([this] {
    if (!journal_->waiting()) close_store();
  });
}

// ---- broker::BrokerEnv --------------------------------------------------------------------------

void App::random(std::span<char> into) {
  std::size_t got = 0;
  while (got < into.size()) {
    const ssize_t n = getrandom(into.data() + got, into.size() - got, 0);
    if (n > 0) got += static_cast<std::size_t>(n);
  }
}

std::string App::member_name(std::uint64_t member) const {
  const auto* found = broker_->catalogue().find_member(member);
  return found == nullptr ? std::string() : found->name;
}

}  // namespace warren::server
