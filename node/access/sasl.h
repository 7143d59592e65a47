#pragma once
// What a client says in connection.start-ok: the mechanism's response, turned into a claim of who it
// is. Pure; the claim is not proven here.

#include "base/result.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::access {

/// A claim: with a password that must verify, or proven already (EXTERNAL) or not needing it.
struct SaslClaim {
  std::string user;
  std::optional<std::string> password;
};

/// What this listener knows and allows.
struct SaslContext {
  std::optional<std::string> certificate_user;  ///< name taken from the verified TLS certificate
  std::string anonymous_user;                   ///< "" = ANONYMOUS is not offered
  std::vector<std::string> only;                ///< of those, only these; empty = all
};

/// The mechanisms offered, space-separated, for connection.start.
std::string sasl_mechanisms(const SaslContext& context);

/// Shape:  PLAIN = NUL user NUL password; AMQPLAIN = pairs of a field table with longstr LOGIN and
///         PASSWORD; EXTERNAL and ANONYMOUS ignore the response.
/// Errors: unsupported (mechanism not offered: 503 inside, the peer sees TCP close), invalid_argument
///         (malformed: 502), unauthenticated (EXTERNAL without a certificate).
Result<SaslClaim> parse_sasl(std::string_view mechanism, std::string_view response,
                             const SaslContext& context);

}  // namespace warren::access
