#pragma once
// TLS between nodes and from the tools to nodes (CLU-27): off, or for everything that this process
// dials and serves.

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace grpc {
class ChannelCredentials;
class ServerCredentials;
}  // namespace grpc

namespace warren::transport {

/// PEM files. Each side shows its certificate and wants one of the other that `ca` signed. The name in it is
/// not compared: which node it is, the cookie's handshake proves, so `ca` is to sign for this cluster alone.
struct TlsFiles {
  std::string ca, certificate, key;
  bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

/// As nodes and tools set them. Shape: `value_of` gets a variable's whole name; "" = it is not set.
TlsFiles tls_files(const std::function<std::string(const std::string&)>& value_of);

/// From now on every connection of this process uses TLS; the files are looked at again every minute.
/// Empty: does nothing. Requires: called before the first connection, once.
/// Errors: invalid_argument naming the file and what is wrong with it.
Result<void> use_tls(const TlsFiles& files);

// ---- for cluster/transport
std::shared_ptr<grpc::ChannelCredentials> channel_credentials();
std::shared_ptr<grpc::ServerCredentials> server_credentials();
/// What to look at when a connection failed for `why`; "" when TLS has nothing to do with it.
std::string tls_remedy(std::string_view why);

}  // namespace warren::transport
