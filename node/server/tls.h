#pragma once
// TLS as a filter over bytes: ciphertext in, plain bytes out, and back. OpenSSL works on memory, so
// that the socket's driver stays the same with and without TLS.

#include "base/result.h"
#include "node/config/settings.h"

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;
struct x509_st;

namespace warren::server {

/// Certificates and rules of a TLS listener; shared by its connections.
class TlsContext {
 public:
  /// Errors: invalid_argument naming the file or option that OpenSSL refused.
  static Result<std::shared_ptr<TlsContext>> make(const config::TlsSettings& settings);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

/// What the peer's certificate and the handshake said.
struct TlsFacts {
  std::string protocol, cipher, key_exchange, hash;
  std::string subject, issuer, validity;  ///< "" without a client certificate
  std::string common_name, distinguished_name;
  /// Subject alternative names in their order: dns, ip, email, uri or other_name, and what it says.
  std::vector<std::pair<std::string, std::string>> alternative_names;
  bool verified{false};
};

/// Which part of a client's certificate is the user (ssl_cert_login_*).
struct CertLogin {
  enum class From : std::uint8_t { distinguished_name, common_name, alternative_name };
  From from{From::distinguished_name};
  std::string kind{"dns"};  ///< of alternative names
  std::size_t index{0};     ///< of that kind
};
/// The user, "" when the certificate was not verified or has no such part.
std::string login_of(const TlsFacts& facts, const CertLogin& wanted);
/// The same facts of a certificate alone.
TlsFacts certificate_facts(x509_st* certificate);

/// One connection's TLS state. Owner: the connection.
class TlsFilter {
 public:
  explicit TlsFilter(const TlsContext& context);
  ~TlsFilter();
  TlsFilter(const TlsFilter&) = delete;
  TlsFilter& operator=(const TlsFilter&) = delete;

  /// Takes ciphertext, appends what it decrypts to.
  /// Errors: invalid_argument when the peer breaks the protocol; cancelled when it closed cleanly.
  Result<void> decrypt(std::string_view ciphertext, std::string& plain);
  /// Encrypts and queues. Requires: established().
  void encrypt(std::string_view plain);
  /// Ciphertext to be sent (also of the handshake); the caller removes what it sent.
  std::string& outgoing();
  bool established() const { return established_; }
  TlsFacts facts() const;

 private:
  void drain();

  ssl_st* ssl_;
  std::string outgoing_;
  bool established_{false};
};

}  // namespace warren::server
