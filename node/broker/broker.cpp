#include "node/broker/broker.h"

#include "base/bytes.h"
#include "node/amqp/properties.h"
#include "node/broker/channel.h"
#include "node/broker/session.h"

#include <algorithm>
#include <array>

namespace warren::broker {

namespace {

constexpr Millis kDeleteAgainMs = 1'000;
constexpr Millis kEndWaitMs = 1'000;  // without a majority nobody waits for more

}  // namespace

Broker::Broker(BrokerEnv& env, BrokerOptions options)
    : env_(env), options_(std::move(options)), access_(catalogue_, options_.access), budget_(options_.queues_memory) {}

Broker::~Broker() = default;

// ---- metadata -----------------------------------------------------------------------------------

namespace {

/// Of one kind of object that a node's settings limit.
struct Counted {
  std::optional<std::uint64_t> limit;
  std::uint64_t now{0};
  bool full(std::uint64_t more) {
    now += more;
    return limit && now > *limit;
  }
};

}  // namespace

/// QUE-33, EXC-23: what is new must have room; what exists may always be declared again.
Result<void> Broker::check_limits(std::span<const metadata::Command> commands) const {
  Counted queues{options_.queues_max}, exchanges{options_.exchanges_max}, vhosts{options_.vhosts_max};
  if (!queues.limit && !exchanges.limit && !vhosts.limit) return {};
  vhosts.now = catalogue_.vhosts().size();
  for (const auto& [name, vhost] : catalogue_.vhosts()) {
    queues.now += vhost.queues.size();
    exchanges.now += vhost.exchanges.size();
  }
  const auto refused = [](const std::string& what, const char* kind, const Counted& counted) {
    return make_error(Errc::exhausted,
                      fmt::format("cannot declare {}: {} limit in cluster ({}) is reached", what, kind, *counted.limit));
  };
  for (const auto& command : commands) {
    if (const auto* queue = std::get_if<metadata::DeclareQueue>(&command)) {
      const auto& def = queue->def;
      if (catalogue_.find_queue(def.vhost, def.name) == nullptr && queues.full(1))
        return refused(fmt::format("queue '{}' in vhost '{}'", def.name, def.vhost), "queue", queues);
    } else if (const auto* exchange = std::get_if<metadata::DeclareExchange>(&command)) {
      const auto& def = exchange->def;
      if (catalogue_.find_exchange(def.vhost, def.name) == nullptr && exchanges.full(1))
        return refused(fmt::format("exchange '{}' in vhost '{}'", def.name, def.vhost), "exchange", exchanges);
    } else if (const auto* vhost = std::get_if<metadata::PutVhost>(&command)) {
      if (catalogue_.find_vhost(vhost->def.name) == nullptr && vhosts.full(1))
        return refused(fmt::format("vhost '{}'", vhost->def.name), "vhost", vhosts);
    }
  }
  return {};
}

void Broker::apply(const metadata::Command& command, std::function<void(Result<void>)> done) {
  if (auto room = check_limits({&command, 1}); !room) return done(std::move(room));
  env_.propose({command}, [done = std::move(done)](std::vector<Result<void>> results) {
    done(std::move(results.front()));
  });
}

void Broker::apply_all(std::vector<metadata::Command> commands, std::function<void(Result<void>)> done) {
  // A long list goes in pieces: one entry of the log must not hold everybody up.
  constexpr std::ptrdiff_t kPiece = 1'000;
  if (commands.empty()) return done({});
  if (auto room = check_limits(commands); !room) return done(std::move(room));
  std::vector<metadata::Command> rest;
  if (std::ssize(commands) > kPiece) {
    rest.assign(std::make_move_iterator(commands.begin() + kPiece), std::make_move_iterator(commands.end()));
    commands.erase(commands.begin() + kPiece, commands.end());
  }
  env_.propose(std::move(commands), [this, rest = std::move(rest), done = std::move(done)](
                                        std::vector<Result<void>> results) mutable {
    for (auto& result : results)
      if (!result) return done(std::move(result));
    apply_all(std::move(rest), std::move(done));
  });
}

// ---- look-up ------------------------------------------------------------------------------------

VhostRuntime* Broker::vhost(std::string_view name) {
  auto found = vhosts_.find(name);
  return found == vhosts_.end() ? nullptr : found->second.get();
}

std::shared_ptr<Queue> Broker::queue(metadata::QueueUid uid) const {
  auto found = queues_.find(uid);
  return found == queues_.end() ? nullptr : found->second;
}

std::shared_ptr<Queue> Broker::queue(std::string_view vhost, std::string_view name) const {
  const auto* def = catalogue_.find_queue(vhost, name);
  return def == nullptr ? nullptr : queue(def->uid);
}

std::shared_ptr<QueueEndpoint> Broker::endpoint(metadata::QueueUid uid) const {
  if (auto here = queue(uid)) return here;
  const auto found = remotes_.find(uid);
  return found == remotes_.end() ? nullptr : found->second;
}

std::shared_ptr<QueueEndpoint> Broker::endpoint(std::string_view vhost, std::string_view name) const {
  const auto* def = catalogue_.find_queue(vhost, name);
  return def == nullptr ? nullptr : endpoint(def->uid);
}

// ---- messages -----------------------------------------------------------------------------------

std::size_t Broker::publish_internal(VhostRuntime& vhost, std::string_view exchange,
                                     std::span<const std::string> keys, std::string_view props,
                                     std::string_view body, std::shared_ptr<Publisher> publisher) {
  if (keys.empty()) return 0;
  amqp::PropertiesScan scan;
  if (!amqp::scan_properties(props, scan)) return 0;
  std::vector<std::string_view> extra(keys.begin() + 1, keys.end());
  std::vector<metadata::QueueUid> uids;
  vhost.router.route(exchange, keys[0], extra, scan.headers, uids, props);
  if (uids.empty()) return 0;
  PublishBatchRef batch(new PublishBatch(std::move(publisher)));
  const std::string_view key = keys[0];
  batch->block = Block::make(record_bytes(exchange.size(), key.size(), props.size(), body.size()));
  RecordHeader header{};
  header.body_size = static_cast<std::uint32_t>(body.size());
  header.priority = scan.priority;
  header.flags = static_cast<std::uint8_t>((scan.persistent() ? kPersistent : 0) |
                                           (scan.has_headers ? kHasHeaders : 0));
  header.timestamp_ms = static_cast<std::uint64_t>(wall_ms());
  header.expiration_ms = kNoExpiration;
  if (scan.has(amqp::kFlagExpiration))
    if (auto expiration = amqp::parse_expiration(scan.expiration)) header.expiration_ms = *expiration;
  char* at = append_record(*batch->block, header, exchange, key, props);
  if (!body.empty()) std::memcpy(at, body.data(), body.size());  // events have none
  batch->count = 1;
  const RecordRef record{0, 0};
  batch->expect();
  for (const auto uid : uids)
    if (auto target = endpoint(uid)) target->publish(*batch, {&record, 1});
  batch->answered();
  return uids.size();
}

std::string Broker::random_name(std::string_view prefix) {
  // 16 random bytes in url-safe base64 without padding: 22 characters.
  std::array<char, 18> raw{};
  env_.random({raw.data(), 16});
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string name(prefix);
  for (std::size_t i = 0; i < 16; i += 3) {
    const auto byte = [&](std::size_t at) { return static_cast<std::uint8_t>(raw[at]); };
    const std::uint32_t v = (std::uint32_t{byte(i)} << 16) | (std::uint32_t{byte(i + 1)} << 8) | byte(i + 2);
    for (int shift = 18; shift >= (i == 15 ? 12 : 0); shift -= 6) name += kAlphabet[(v >> shift) & 63];
  }
  return name;
}

std::uint64_t Broker::random_below(std::uint64_t bound) {
  std::array<char, 8> raw{};
  env_.random(raw);
  return bound == 0 ? 0 : load_be<std::uint64_t>(raw.data()) % bound;
}

// ---- sessions -----------------------------------------------------------------------------------

std::uint64_t Broker::add_session(Session& session) {
  const std::uint64_t id = next_session_++;
  sessions_.emplace(id, &session);
  ++totals.connections_created;
  return id;
}

void Broker::remove_session(Session& session) {
  sessions_.erase(session.id());
  ++totals.connections_closed;
}

void Broker::connection_opened(Session& session) { events_.connection(session, true); }

void Broker::connection_closed(Session& session) { events_.connection(session, false); }

std::optional<std::string> Broker::connection_refused(const VhostRuntime& vhost,
                                                      const std::string& user) {
  if (options_.max_connections != 0 && sessions_.size() > options_.max_connections)
    return "connection refused: node connection limit (" + std::to_string(options_.max_connections) +
           ") is reached";
  if (auto ok = access_.check_vhost_connections(user, vhost.name, vhost.connections); !ok)
    return ok.error().text;
  const auto* limited = catalogue_.find_user(user);
  if (limited == nullptr || limited->limits.empty()) return std::nullopt;  // nothing to count for
  const auto open = std::count_if(sessions_.begin(), sessions_.end(), [&](const auto& s) {
    return s.second->user() == user &&
           s.second->connection().state() == amqp::ConnectionState::running;
  });
  if (auto ok = access_.check_user_connections(user, static_cast<std::uint64_t>(open)); !ok)
    return ok.error().text;
  return std::nullopt;
}

std::optional<std::string> Broker::channel_refused(const Session& session) {
  if (options_.channel_max_per_node != 0 && channel_count_ >= options_.channel_max_per_node)
    return "number of channels opened on node '" + options_.node_name +
           "' has reached the maximum allowed limit of (" +
           std::to_string(options_.channel_max_per_node) + ")";
  const auto* user = catalogue_.find_user(session.user());
  if (user == nullptr || user->limits.empty()) return std::nullopt;
  std::uint64_t open = 0;
  for (const auto& [id, other] : sessions_)
    if (other->user() == session.user()) open += other->connection().channel_count();
  if (auto ok = access_.check_user_channels(session.user(), open); !ok) return ok.error().text;
  return std::nullopt;
}

bool Broker::delete_exclusive_queues(std::uint64_t connection, std::function<void()> done) {
  auto owned = exclusive_.extract(connection);
  if (owned.empty() || owned.mapped().empty()) return false;
  delete_queues({owned.mapped().begin(), owned.mapped().end()}, std::move(done));
  return true;
}

void Broker::when_gone(metadata::QueueUid uid, std::function<void()> done) {
  if (!doomed_.contains(uid) || delete_again_) return done();
  if (end_waiters_.empty()) {
    timers_.set(0, env_.steady_ms() + kEndWaitMs);
    env_.want_turn();
  }
  end_waiters_.emplace(uid, std::move(done));
}

/// Also when their deletion failed for now, or takes longer than on_time() lets anybody wait.
void Broker::tell_end_waiters(metadata::QueueUid uid) {
  auto [from, to] = end_waiters_.equal_range(uid);
  std::vector<std::function<void()>> told;
  for (auto at = from; at != to; ++at) told.push_back(std::move(at->second));
  end_waiters_.erase(from, to);
  for (const auto& done : told) done();
}

void Broker::delete_queues(std::vector<metadata::QueueUid> uids, std::function<void()> done) {
  doomed_.insert(uids.begin(), uids.end());
  env_.propose({metadata::DeleteQueues{uids}},
               [this, uids, done = std::move(done)](const std::vector<Result<void>>& results) {
                 // A minority cannot delete: their end comes when it can.
                 if (!results.front() && !std::exchange(delete_again_, true)) {
                   timers_.set(0, env_.steady_ms() + kDeleteAgainMs);
                   env_.want_turn();
                 }
                 for (const auto uid : uids) tell_end_waiters(uid);
                 if (done) done();
               });
}

void Broker::touch(Session& session) {
  if (session.touched) return;
  session.touched = true;
  touched_.push_back(session.id());
  env_.want_turn();
}

void Broker::alarms_changed() {
  std::vector<Session*> all;
  for (auto& [id, session] : sessions_) all.push_back(session);
  for (Session* session : all) session->alarm_changed();
  tell_alarms();
}

void Broker::check_flow() {
  const std::uint64_t waiting = env_.log_bytes_in_flight() + (remotes_.empty() ? 0 : pipes_.unanswered_bytes());
  if (!flow_closed_) {
    flow_closed_ = waiting > options_.flow_bytes;
    return;
  }
  if (waiting > options_.flow_bytes / 2) return;
  flow_closed_ = false;
  std::vector<Session*> held;
  for (auto& [id, session] : sessions_)
    if (session->connection().gate() == amqp::PublishGate::flow) held.push_back(session);
  for (Session* session : held) session->gate_changed();
}

// ---- the loop -----------------------------------------------------------------------------------

void Broker::want_pump(QueueEndpoint& queue) {
  auto found = queues_.find(queue.def().uid);
  if (found == queues_.end()) return;
  if (pump_.empty()) env_.want_turn();
  pump_.push_back(found->second);
}

void Broker::want_timer(QueueEndpoint& queue, Millis at) {
  timers_.set(queue.def().uid, at);
  env_.want_turn();
}

void Broker::want_delete(QueueEndpoint& queue, std::string_view) {
  if (!doomed_.contains(queue.def().uid)) delete_queues({queue.def().uid});
}

void Broker::end_turn() {
  std::vector<std::shared_ptr<Queue>> queues;
  std::vector<std::uint64_t> sessions;
  // A backlog and a fast consumer could keep this going: others get their turn in between.
  constexpr int kRounds = 16;
  if (pipes_due_) pipes_.pump();
  answer_dead_letters();
  for (int round = 0; !pump_.empty() || !touched_.empty(); ++round) {
    if (round == kRounds) {
      env_.want_turn();
      break;
    }
    queues.swap(pump_);
    for (auto& queue : queues) queue->pump();
    queues.clear();
    if (!pump_.empty()) continue;
    sessions.swap(touched_);
    for (const std::uint64_t id : sessions) {
      auto found = sessions_.find(id);
      if (found == sessions_.end()) continue;
      found->second->touched = false;
      found->second->flush();
    }
    sessions.clear();
  }
  if (std::exchange(pipes_due_, false)) pipes_.flush();
  if (!flow_closed_) check_flow();
}

void Broker::relieve_memory() {
  if (!budget_.over()) return;
  for (const auto& [uid, queue] : queues_) queue->trim();
}

Millis Broker::on_time(Millis now) {
  for (const std::uint64_t uid : timers_.take_due(now)) {
    if (uid == 0)
      for (auto& [queue, done] : std::exchange(end_waiters_, {})) done();
    if (uid == 0 && std::exchange(delete_again_, false) && !doomed_.empty())
      delete_queues({doomed_.begin(), doomed_.end()});
    if (auto queue = this->queue(uid)) queue->on_timer();
  }
  return timers_.next();
}

}  // namespace warren::broker
