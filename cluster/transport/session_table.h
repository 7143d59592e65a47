#pragma once
// The accepting side's memory: handshakes under way, sessions that proved the cookie, failures per
// address. Every table is bounded. No gRPC here; the clock is given.
// Thread safety: every method may be called from any thread (one lock inside).

#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"
#include "cluster/transport/refusal_log.h"

namespace warren::transport {

/// The bounds of the table; each has its overflow behaviour.
struct SessionLimits {
  std::size_t pending_max{256};    ///< handshakes under way; the oldest goes first
  std::size_t sessions_max{4096};  ///< the longest unused goes first
  Millis pending_ttl_ms{10'000};
  Millis session_idle_ms{900'000};
  std::size_t failures_max{10};   ///< per address in a burst; then refused unheard
  Millis failure_regain_ms{500};  ///< one more is allowed each such time
  std::size_t failing_addresses_max{1024};
};

/// Handshakes and sessions of one server.
/// Invariants: 1. a session exists only for a peer that proved one of the cookies;
///             2. a nonce, session id or call counter is accepted at most once.
class SessionTable {
 public:
  /// Shape: `cookies` as accepted, first the one shown in messages (rotation gives two).
  SessionTable(std::vector<Cookie> cookies, PeerIdentity self, const Clock& clock, Logger& log,
               SessionLimits limits = {});

  /// Begins a handshake. `address` is the peer's, without the port.
  /// Errors: exhausted (too many failures from there), invalid_argument, unsupported, conflict.
  Result<HelloAnswer> hello(const std::string& address, const PeerIdentity& client,
                            const std::string& nonce, const std::string& fingerprint);

  /// Ends a handshake: checks the client's proof, gives the server's.
  /// Errors: unauthenticated with both fingerprints; not_found when the handshake is unknown or
  /// late.
  Result<std::string> prove(const std::string& address, const std::string& session_id,
                            const std::string& proof);

  /// Checks that a call belongs to a session. Errors: unauthenticated.
  Result<PeerIdentity> authorise(const std::string& session_id, std::uint64_t counter,
                                 const std::string& proof, const std::string& method,
                                 const std::string& request);

  /// Proof to the other side that an answer comes from this session's server: as call_proof.
  /// Empty when there is no such session.
  std::string answer_proof(const std::string& session_id, std::uint64_t counter,
                           const std::string& label, const std::string& answer) const;

  /// A node that proved itself looks for another one here: its name leads to the wrong host.
  void note_astray(const PeerIdentity& peer, const std::string& address, const std::string& wanted);

  /// The name or cluster of this node changed (join, reset, rename).
  void set_self(PeerIdentity self);
  PeerIdentity self() const;
  std::vector<Cookie> cookies() const;
  /// Replaces the accepted cookies; sessions stay.
  void set_cookies(std::vector<Cookie> cookies);
  std::size_t session_count() const;
  std::uint64_t refused_count() const;

 private:
  struct Pending {
    Transcript transcript;
    std::string address;
    std::string fingerprint;
    Millis since{0};
  };
  struct Session {
    std::string key;
    PeerIdentity peer;
    CounterWindow counters;
    std::list<std::string>::iterator used;
    Millis last_ms{0};
  };
  /// A bucket that leaks `failure_regain_ms` worth of failures as time goes by.
  struct Failures {
    Millis level{0};
    Millis at{0};
  };

  /// 0, or how long until the address is heard again.
  Millis throttled(const std::string& address, Millis now);
  void note_failure(const std::string& address, Millis now);
  void expire(Millis now);
  void open_session(const std::string& id, std::string key, PeerIdentity peer, Millis now);
  Error cookie_mismatch(const Pending& pending) const;
  /// The end of a line about a failure that repeats; empty optional: not worth a line now.
  std::optional<std::string> worth_a_line(const std::string& subject, const std::string& text,
                                          Millis now);
  void note_clocks(const PeerIdentity& client, const std::string& address, Millis own_wall,
                   Millis now);

  mutable std::mutex lock_;
  std::vector<Cookie> cookies_;
  PeerIdentity self_;
  const Clock& clock_;
  Logger& log_;
  SessionLimits limits_;
  std::map<std::string, Pending> pending_;
  std::list<std::string> pending_order_;
  std::map<std::string, Session> sessions_;
  std::list<std::string> used_order_;  ///< longest unused first
  std::map<std::string, Failures> failures_;
  std::uint64_t refused_{0};
  RefusalLog told_;
};

}  // namespace warren::transport
