#pragma once
// The calling side of the cookie handshake as a pure machine: what to send, what to make of the
// answers, and the text of each failure. No sockets, no clock. Private to cluster/transport.

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"

namespace warren::transport {

/// A session as the calling side holds it.
struct ClientSession {
  PeerIdentity server;
  std::string session_id;
  std::string key;
};

/// One handshake. Order: on_hello, then on_prove or on_refused.
class ClientHandshake {
 public:
  /// Shape: `cookies` as for the server, at least one; `self` with the clock's time filled in;
  ///        `where` names host and port in messages.
  ClientHandshake(std::vector<Cookie> cookies, PeerIdentity self, std::string where);
  ~ClientHandshake();

  const PeerIdentity& self() const { return transcript_.client; }
  const std::string& nonce() const { return transcript_.client_nonce; }
  /// Of the cookie shown in messages; proves nothing.
  std::string fingerprint() const { return cookies_.front().fingerprint(); }

  /// Checks what the server said; answers the proof to send.
  /// Errors: invalid_argument and corruption (malformed), unsupported (versions), conflict (cluster).
  Result<std::string> on_hello(const HelloAnswer& answer);
  /// Checks the server's proof. Errors: unauthenticated.
  Result<ClientSession> on_prove(const std::string& server_proof) const;
  /// The server did not accept our proof: the text names both fingerprints, file, owner and mode.
  Error on_refused() const;

 private:
  const Cookie& cookie() const { return cookies_[chosen_]; }

  std::vector<Cookie> cookies_;
  std::size_t chosen_{0};
  std::string where_;
  std::string their_fingerprint_;
  std::string proof_;
  Transcript transcript_;
};

}  // namespace warren::transport
