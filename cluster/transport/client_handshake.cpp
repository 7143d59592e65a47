#include "cluster/transport/client_handshake.h"

#include <fmt/format.h>

#include <algorithm>

#include "cluster/transport/crypto.h"

namespace warren::transport {

ClientHandshake::ClientHandshake(std::vector<Cookie> cookies, PeerIdentity self, std::string where)
    : cookies_(std::move(cookies)), where_(std::move(where)) {
  transcript_.client = std::move(self);
  transcript_.client_nonce = random_bytes(kNonceBytes);
}

ClientHandshake::~ClientHandshake() {
  for (Cookie& cookie : cookies_) wipe(cookie.secret);
}

Result<std::string> ClientHandshake::on_hello(const HelloAnswer& answer) {
  if (Result<> shape = check_identity(answer.server); !shape) return shape.error();
  if (answer.nonce.size() != kNonceBytes || answer.session_id.size() != kSessionIdBytes) {
    return make_error(Errc::corruption,
                      "malformed handshake: bad nonce or session id from the server");
  }
  const Result<std::uint32_t> version = agree_version(transcript_.client, answer.server);
  if (!version) return version.error();
  if (*version != answer.version) {
    return make_error(Errc::corruption,
                      "malformed handshake: the server chose another protocol version");
  }
  if (Result<> cluster = check_cluster(transcript_.client, answer.server); !cluster)
    return cluster.error();
  transcript_.server = answer.server;
  transcript_.server_nonce = answer.nonce;
  transcript_.session_id = answer.session_id;
  transcript_.version = answer.version;
  their_fingerprint_ = answer.cookie_fingerprint;
  // While a cookie is being changed either may be the one the other side has.
  for (std::size_t i = 0; i < cookies_.size(); ++i)
    if (cookies_[i].fingerprint() == their_fingerprint_) chosen_ = i;
  proof_ = client_proof(cookie().secret, transcript_);
  return proof_;
}

Result<ClientSession> ClientHandshake::on_prove(const std::string& proof) const {
  if (!equal_secret(proof, server_proof(cookie().secret, transcript_, proof_))) {
    return make_error(
        Errc::unauthenticated,
        fmt::format("{} accepted this side but did not prove that it knows the cookie itself; "
                    "something else may be listening on {}",
                    transcript_.server.node_name, where_));
  }
  return ClientSession{transcript_.server, transcript_.session_id,
                       session_key(cookie().secret, transcript_)};
}

Error ClientHandshake::on_refused() const {
  const bool plain = !their_fingerprint_.empty() && their_fingerprint_.size() <= 16 &&
                     std::all_of(their_fingerprint_.begin(), their_fingerprint_.end(),
                                 [](unsigned char c) { return std::isxdigit(c) != 0; });
  return make_error(
      Errc::unauthenticated,
      fmt::format("the Erlang cookies of {} and this side differ: here {}; there ({}) fingerprint {}. "
                  "Put the same cookie on both sides (mode 400, owned by the user of the node) and "
                  "restart the node whose cookie changed; the other side's log names its file",
                  transcript_.server.node_name, cookies_.front().describe(), where_,
                  plain ? their_fingerprint_ : "unknown"));
}

}  // namespace warren::transport
