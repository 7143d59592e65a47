#pragma once
// The PROXY header that a load balancer puts in front of a client's bytes, versions 1 (a line of text) and 2
// (binary). Pure: bytes in, addresses out.
// Source: the PROXY protocol, versions 1 & 2 (HAProxy's specification), sections 2.1 and 2.2.

#include "base/result.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::server {

/// A header may be as long as that; addresses need 232 bytes at most, the rest is for extensions.
inline constexpr std::size_t kProxyHeaderMax = 4096;

struct ProxyHeader {
  enum class Kind : std::uint8_t {
    local,    ///< the proxy itself connects (a health check): the socket's own addresses are right
    unknown,  ///< somebody's connection whose addresses the proxy does not know
    known,
  };
  Kind kind{Kind::unknown};
  std::size_t size{0};  ///< bytes of the header; the client's follow
  std::string source, destination;  ///< IP addresses in their usual form, of `known`
  std::uint16_t source_port{0}, destination_port{0};
};

/// The header that `bytes` begin with; nothing while more bytes are needed, never more than kProxyHeaderMax.
/// Errors: invalid_argument: they do not begin with one.
Result<std::optional<ProxyHeader>> read_proxy_header(std::string_view bytes);

}  // namespace warren::server
