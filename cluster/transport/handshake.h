#pragma once
// The arithmetic of the cookie handshake: transcript, proofs, session key, proof of a call.
// Pure: no sockets, no clock; nonces are given. Architecture §3.
//
//   client -> Hello { identity, nonce }          server -> { identity, nonce, session id, version }
//   client -> Prove { client proof }             server -> { server proof }
//   client -> Call  { ... } + proof of the call in the metadata
//
// The client proves first: a stranger who connects learns nothing made with the cookie.
// Both proofs cover everything that was said, so nothing of it can be changed on the way.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/release.h"
#include "base/result.h"

namespace warren::transport {

inline constexpr std::size_t kNonceBytes = 32;
inline constexpr std::size_t kSessionIdBytes = 16;
inline constexpr std::size_t kProofBytes = 32;
inline constexpr std::size_t kNameMaxBytes = 255;

/// Who a peer says it is.
struct PeerIdentity {
  std::string node_name;     ///< rabbit@host, or a tool's own name
  std::string node_id;       ///< 16 bytes; empty for tools
  std::string cluster_id;    ///< empty while unknown
  std::string role{"node"};  ///< "node" or "ctl"
  std::uint32_t version_min{release().protocol_min};
  std::uint32_t version_max{release().protocol_max};
  std::string product_version;
  std::int64_t wall_clock_ms{0};

  bool operator==(const PeerIdentity&) const = default;
};

/// What the accepting side says first.
struct HelloAnswer {
  PeerIdentity server;
  std::string nonce;
  std::string session_id;
  std::uint32_t version{0};
  std::string cookie_fingerprint;
};

/// Everything both sides said before the proofs.
struct Transcript {
  PeerIdentity client;
  PeerIdentity server;
  std::string client_nonce;
  std::string server_nonce;
  std::string session_id;
  std::uint32_t version{0};
  std::string channel_binding;  ///< of TLS; empty without

  /// Injective encoding: every field with its length, in fixed order.
  std::string encode() const;
};

std::string client_proof(std::string_view cookie, const Transcript& transcript);
std::string server_proof(std::string_view cookie, const Transcript& transcript,
                         std::string_view client_proof);
/// The key that proves later calls belong to this session.
std::string session_key(std::string_view cookie, const Transcript& transcript);
/// Proof of one call: binds session, number of the call and what is asked.
std::string call_proof(std::string_view session_key, std::string_view session_id,
                       std::uint64_t counter, std::string_view method, std::string_view request);

/// The highest version both speak.
/// Errors: unsupported, with both ranges in the text.
Result<std::uint32_t> agree_version(const PeerIdentity& mine, const PeerIdentity& theirs);

/// Checks lengths and shape of what a stranger sent. Errors: invalid_argument naming the field.
Result<> check_identity(const PeerIdentity& identity);

/// Two nodes of different clusters must not talk. Errors: conflict naming both clusters and nodes.
Result<> check_cluster(const PeerIdentity& mine, const PeerIdentity& theirs);

/// Clocks further apart than this are worth a warning; nothing depends on them but logs and times
/// that people see.
inline constexpr std::int64_t kClockSkewWarnMs = 30'000;
/// What to say about two clocks, with both times; nothing when they are close.
std::optional<std::string> clock_warning(const std::string& node, std::int64_t wall_ms,
                                         const std::string& other, std::int64_t other_wall_ms);

/// Counters that were used: each at most once, at most 63 out of order.
class CounterWindow {
 public:
  /// True when `counter` is new and not too old; remembers it.
  bool accept(std::uint64_t counter);

 private:
  std::uint64_t highest_{0};
  std::uint64_t seen_{0};  ///< bit i: highest_ - i was used
};

}  // namespace warren::transport
