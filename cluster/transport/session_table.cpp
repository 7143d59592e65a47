#include "cluster/transport/session_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/transport/crypto.h"

namespace warren::transport {
namespace {

bool printable(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](unsigned char c) { return c > 0x20 && c < 0x7f; });
}

/// What a stranger claims, fit for a log line.
std::string shown(std::string_view fingerprint) {
  const bool plain = !fingerprint.empty() && fingerprint.size() <= 16 &&
                     std::all_of(fingerprint.begin(), fingerprint.end(), [](unsigned char c) {
                       return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
                     });
  return plain ? std::string(fingerprint) : "unknown";
}

}  // namespace

SessionTable::SessionTable(std::vector<Cookie> cookies, PeerIdentity self, const Clock& clock,
                           Logger& log, SessionLimits limits)
    : cookies_(std::move(cookies)),
      self_(std::move(self)),
      clock_(clock),
      log_(log),
      limits_(limits) {}

Result<HelloAnswer> SessionTable::hello(const std::string& address, const PeerIdentity& client,
                                        const std::string& nonce, const std::string& fingerprint) {
  const std::lock_guard guard(lock_);
  const Millis now = clock_.steady_ms();
  expire(now);
  if (const Millis wait = throttled(address, now); wait > 0) {
    return make_error(Errc::exhausted,
                      fmt::format("too many failed handshakes from {}; {} listens again in {} ms",
                                  address, self_.node_name, wait));
  }
  auto refuse = [&](Error error) {
    note_failure(address, now);
    const std::string name = check_identity(client) ? client.node_name : "malformed";
    if (const auto more = worth_a_line(address + " " + name, error.text, now)) {
      log_.warning(LogArea::cluster, "handshake refused: peer={} address={}{} reason=\"{}\"", name,
                   address, *more, error.text);
    }
    return error;
  };
  if (Result<> shape = check_identity(client); !shape) return refuse(shape.error());
  if (nonce.size() != kNonceBytes) {
    return refuse(make_error(Errc::invalid_argument, "malformed handshake: bad nonce"));
  }
  const Result<std::uint32_t> version = agree_version(self_, client);
  if (!version) return refuse(version.error());
  if (Result<> cluster = check_cluster(self_, client); !cluster) return refuse(cluster.error());

  Pending pending;
  pending.transcript.client = client;
  pending.transcript.server = self_;
  pending.transcript.server.wall_clock_ms = clock_.wall_ms();
  pending.transcript.client_nonce = nonce;
  pending.transcript.server_nonce = random_bytes(kNonceBytes);
  pending.transcript.session_id = random_bytes(kSessionIdBytes);
  pending.transcript.version = *version;
  pending.address = address;
  pending.fingerprint = shown(fingerprint);
  pending.since = now;
  note_clocks(client, address, pending.transcript.server.wall_clock_ms, now);
  HelloAnswer answer{pending.transcript.server, pending.transcript.server_nonce,
                     pending.transcript.session_id, *version, cookies_.front().fingerprint()};
  if (pending_.size() >= limits_.pending_max) {
    pending_.erase(pending_order_.front());
    pending_order_.pop_front();
  }
  pending_order_.push_back(answer.session_id);
  pending_.emplace(answer.session_id, std::move(pending));
  return answer;
}

Result<std::string> SessionTable::prove(const std::string& address, const std::string& session_id,
                                        const std::string& proof) {
  const std::lock_guard guard(lock_);
  const Millis now = clock_.steady_ms();
  expire(now);
  if (throttled(address, now) > 0) {
    return make_error(Errc::exhausted, fmt::format("too many failed handshakes from {}", address));
  }
  const auto found = pending_.find(session_id);
  if (found == pending_.end()) {
    note_failure(address, now);
    return make_error(Errc::not_found, "this handshake is unknown or took too long; begin again");
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  pending_order_.remove(session_id);
  for (const Cookie& cookie : cookies_) {
    if (!equal_secret(proof, client_proof(cookie.secret, pending.transcript))) continue;
    open_session(session_id, session_key(cookie.secret, pending.transcript),
                 pending.transcript.client, now);
    return server_proof(cookie.secret, pending.transcript, proof);
  }
  note_failure(address, now);
  Error error = cookie_mismatch(pending);
  const std::string& name = pending.transcript.client.node_name;
  if (const auto more = worth_a_line(address + " " + name, error.text, now)) {
    log_.error(LogArea::cluster,
               "connection attempt from disallowed node: peer={} address={}{} peer_fingerprint={} "
               "own=\"{}\" remedy=\"put the same cookie on both hosts (mode 400, owned by the "
               "user of the node) and restart the node whose cookie changed\"",
               name, address, *more, pending.fingerprint, cookies_.front().describe());
  }
  return error;
}

std::optional<std::string> SessionTable::worth_a_line(const std::string& subject,
                                                      const std::string& text, Millis now) {
  std::uint64_t left_out = 0;
  if (!told_.due(subject, text, now, left_out)) return std::nullopt;
  return left_out == 0 ? std::string() : fmt::format(" left_out={}", left_out);
}

void SessionTable::note_clocks(const PeerIdentity& client, const std::string& address,
                               Millis own_wall, Millis now) {
  const std::optional<std::string> warning = clock_warning(
      self_.node_name, own_wall, client.node_name, client.wall_clock_ms);
  if (client.role != "node" || !warning) return;
  // The times differ at each handshake; the subject says what is told.
  if (const auto more = worth_a_line("clock of " + client.node_name, "clocks differ", now)) {
    log_.warning(LogArea::cluster, "clocks differ: peer={} address={}{} reason=\"{}\"",
                 client.node_name, address, *more, *warning);
  }
}

void SessionTable::note_astray(const PeerIdentity& peer, const std::string& address,
                               const std::string& wanted) {
  const std::lock_guard guard(lock_);
  ++refused_;
  const std::string plain = wanted.substr(0, kNameMaxBytes);
  const auto more = worth_a_line("astray " + peer.node_name, plain, clock_.steady_ms());
  if (!more) return;
  log_.warning(LogArea::cluster,
               "peer went astray: peer={} address={}{} wanted={} reason=\"no such node runs on this "
               "host; on the host of {} that name leads here\" remedy=\"correct /etc/hosts or the "
               "DNS there, or start the node\"",
               peer.node_name, address, *more, printable(plain) ? plain : "malformed",
               peer.node_name);
}

Error SessionTable::cookie_mismatch(const Pending& pending) const {
  return make_error(
      Errc::unauthenticated,
      fmt::format("{} refused {}: the Erlang cookies differ (fingerprint {} at {}, {} at {})",
                  self_.node_name, pending.transcript.client.node_name,
                  cookies_.front().fingerprint(), self_.node_name, pending.fingerprint,
                  pending.transcript.client.node_name));
}

Result<PeerIdentity> SessionTable::authorise(const std::string& session_id, std::uint64_t counter,
                                             const std::string& proof, const std::string& method,
                                             const std::string& request) {
  const std::lock_guard guard(lock_);
  const Millis now = clock_.steady_ms();
  expire(now);
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) {
    return make_error(Errc::unauthenticated,
                      "no such session: it expired or was never proved; connect again");
  }
  Session& session = found->second;
  if (!equal_secret(proof, call_proof(session.key, session_id, counter, method, request))) {
    ++refused_;
    return make_error(Errc::unauthenticated, "the call's proof does not match its session");
  }
  if (!session.counters.accept(counter)) {
    ++refused_;
    return make_error(Errc::unauthenticated,
                      "the call was already made once (replayed or far out of order)");
  }
  session.last_ms = now;
  used_order_.splice(used_order_.end(), used_order_, session.used);
  return session.peer;
}

std::string SessionTable::answer_proof(const std::string& session_id, std::uint64_t counter,
                                       const std::string& label, const std::string& answer) const {
  const std::lock_guard guard(lock_);
  const auto found = sessions_.find(session_id);
  if (found == sessions_.end()) return {};
  return call_proof(found->second.key, session_id, counter, label, answer);
}

void SessionTable::open_session(const std::string& id, std::string key, PeerIdentity peer,
                                Millis now) {
  while (sessions_.size() >= limits_.sessions_max) {
    sessions_.erase(used_order_.front());
    used_order_.pop_front();
  }
  Session session;
  session.key = std::move(key);
  session.peer = std::move(peer);
  session.used = used_order_.insert(used_order_.end(), id);
  session.last_ms = now;
  sessions_.emplace(id, std::move(session));
}

Millis SessionTable::throttled(const std::string& address, Millis now) {
  const auto found = failures_.find(address);
  if (found == failures_.end()) return 0;
  Failures& failures = found->second;
  failures.level -= now - failures.at;
  failures.at = now;
  if (failures.level <= 0) {
    failures_.erase(found);
    return 0;
  }
  const Millis room = static_cast<Millis>(limits_.failures_max - 1) * limits_.failure_regain_ms;
  return std::max<Millis>(0, failures.level - room);
}

void SessionTable::note_failure(const std::string& address, Millis now) {
  ++refused_;
  if (failures_.size() >= limits_.failing_addresses_max && !failures_.contains(address)) {
    auto oldest =
        std::min_element(failures_.begin(), failures_.end(),
                         [](const auto& a, const auto& b) { return a.second.at < b.second.at; });
    failures_.erase(oldest);
  }
  Failures& failures = failures_[address];
  failures.level =
      std::max<Millis>(0, failures.level - (now - failures.at)) + limits_.failure_regain_ms;
  failures.at = now;
}

void SessionTable::expire(Millis now) {
  while (!pending_order_.empty()) {
    const auto oldest = pending_.find(pending_order_.front());
    if (oldest != pending_.end() && now - oldest->second.since < limits_.pending_ttl_ms) break;
    if (oldest != pending_.end()) pending_.erase(oldest);
    pending_order_.pop_front();
  }
  while (!used_order_.empty()) {
    const auto oldest = sessions_.find(used_order_.front());
    if (oldest != sessions_.end() && now - oldest->second.last_ms < limits_.session_idle_ms) break;
    if (oldest != sessions_.end()) sessions_.erase(oldest);
    used_order_.pop_front();
  }
}

void SessionTable::set_self(PeerIdentity self) {
  const std::lock_guard guard(lock_);
  self_ = std::move(self);
}

PeerIdentity SessionTable::self() const {
  const std::lock_guard guard(lock_);
  return self_;
}

std::vector<Cookie> SessionTable::cookies() const {
  const std::lock_guard guard(lock_);
  return cookies_;
}

void SessionTable::set_cookies(std::vector<Cookie> cookies) {
  const std::lock_guard guard(lock_);
  if (!cookies.empty()) cookies_ = std::move(cookies);
}

std::size_t SessionTable::session_count() const {
  const std::lock_guard guard(lock_);
  return sessions_.size();
}

std::uint64_t SessionTable::refused_count() const {
  const std::lock_guard guard(lock_);
  return refused_;
}

}  // namespace warren::transport
