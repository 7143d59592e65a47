#include "node/server/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>

namespace warren::server {

namespace {

std::string last_error() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

Error refuse(const std::string& what) {
  return make_error(Errc::invalid_argument, what + ": " + last_error());
}

int protocol_version(const std::string& name) {
  if (name == "tlsv1.3") return TLS1_3_VERSION;
  if (name == "tlsv1.2") return TLS1_2_VERSION;
  if (name == "tlsv1.1") return TLS1_1_VERSION;
  return TLS1_VERSION;
}

std::string name_text(const X509_NAME* name, unsigned long flags) {
  BIO* out = BIO_new(BIO_s_mem());
  X509_NAME_print_ex(out, name, 0, flags);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return text;
}

std::string time_text(const ASN1_TIME* time) {
  BIO* out = BIO_new(BIO_s_mem());
  ASN1_TIME_print(out, time);
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return text;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::make(const config::TlsSettings& settings) {
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  std::shared_ptr<TlsContext> context(new TlsContext(raw));
  int lowest = TLS1_2_VERSION, highest = TLS1_3_VERSION;
  for (std::size_t i = 0; i < settings.versions.size(); ++i) {
    const int version = protocol_version(settings.versions[i]);
    lowest = i == 0 ? version : std::min(lowest, version);
    highest = i == 0 ? version : std::max(highest, version);
  }
  SSL_CTX_set_min_proto_version(raw, lowest);
  SSL_CTX_set_max_proto_version(raw, highest);
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS);
  if (settings.honor_cipher_order) SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE);
  if (!settings.key_password.empty())
    SSL_CTX_set_default_passwd_cb_userdata(raw, const_cast<char*>(settings.key_password.c_str()));
  if (SSL_CTX_use_certificate_chain_file(raw, settings.cert_file.c_str()) != 1)
    return refuse("ssl_options.certfile '" + settings.cert_file + "' cannot be used");
  if (SSL_CTX_use_PrivateKey_file(raw, settings.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
    return refuse("ssl_options.keyfile '" + settings.key_file + "' cannot be used");
  if (!settings.ca_file.empty() &&
      SSL_CTX_load_verify_locations(raw, settings.ca_file.c_str(), nullptr) != 1)
    return refuse("ssl_options.cacertfile '" + settings.ca_file + "' cannot be used");
  if (!settings.ca_file.empty())
    SSL_CTX_set_client_CA_list(raw, SSL_load_client_CA_file(settings.ca_file.c_str()));
  std::string ciphers;
  for (const auto& cipher : settings.ciphers) ciphers += (ciphers.empty() ? "" : ":") + cipher;
  if (!ciphers.empty() && SSL_CTX_set_cipher_list(raw, ciphers.c_str()) != 1 &&
      SSL_CTX_set_ciphersuites(raw, ciphers.c_str()) != 1)
    return refuse("ssl_options.ciphers '" + ciphers + "' cannot be used");
  int verify = SSL_VERIFY_NONE;
  if (settings.verify_peer) verify = SSL_VERIFY_PEER;
  if (settings.verify_peer && settings.fail_if_no_peer_cert) verify |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
  SSL_CTX_set_verify(raw, verify, nullptr);
  SSL_CTX_set_verify_depth(raw, settings.depth + 1);
  static constexpr unsigned char kSessionContext[] = "warren";
  SSL_CTX_set_session_id_context(raw, kSessionContext, sizeof kSessionContext - 1);
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

TlsFilter::TlsFilter(const TlsContext& context) : ssl_(SSL_new(context.get())) {
  SSL_set_bio(ssl_, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
  SSL_set_accept_state(ssl_);
}

TlsFilter::~TlsFilter() { SSL_free(ssl_); }

Result<void> TlsFilter::decrypt(std::string_view ciphertext, std::string& plain) {
  ERR_clear_error();  // SSL_get_error looks at the thread's queue, whoever left something in it
  BIO_write(SSL_get_rbio(ssl_), ciphertext.data(), static_cast<int>(ciphertext.size()));
  if (!established_) {
    const int result = SSL_do_handshake(ssl_);
    drain();
    if (result != 1) {
      const int why = SSL_get_error(ssl_, result);
      if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {};
      return refuse("TLS handshake failed");
    }
    established_ = true;
  }
  std::array<char, 16384> chunk;
  for (;;) {
    const int n = SSL_read(ssl_, chunk.data(), static_cast<int>(chunk.size()));
    if (n > 0) {
      plain.append(chunk.data(), static_cast<std::size_t>(n));
      continue;
    }
    drain();
    const int why = SSL_get_error(ssl_, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) return {};
    if (why == SSL_ERROR_ZERO_RETURN) return make_error(Errc::cancelled, "the peer closed TLS");
    return refuse("TLS record refused");
  }
}

void TlsFilter::encrypt(std::string_view plain) {
  while (!plain.empty()) {
    const int n = SSL_write(ssl_, plain.data(), static_cast<int>(std::min<std::size_t>(plain.size(), 1 << 20)));
    if (n <= 0) {
      ERR_clear_error();
      break;
    }
    plain.remove_prefix(static_cast<std::size_t>(n));
  }
}

std::string& TlsFilter::outgoing() {
  drain();
  return outgoing_;
}

void TlsFilter::drain() {
  char* data = nullptr;
  BIO* out = SSL_get_wbio(ssl_);
  const long size = BIO_get_mem_data(out, &data);
  if (size > 0) {
    outgoing_.append(data, static_cast<std::size_t>(size));
    (void)BIO_reset(out);
  }
}

TlsFacts TlsFilter::facts() const {
  X509* cert = SSL_get_peer_certificate(ssl_);
  TlsFacts facts = certificate_facts(cert);
  X509_free(cert);
  facts.verified = cert != nullptr && SSL_get_verify_result(ssl_) == X509_V_OK &&
                   (SSL_get_verify_mode(ssl_) & SSL_VERIFY_PEER) != 0;
  facts.protocol = SSL_get_version(ssl_);
  const SSL_CIPHER* cipher = SSL_get_current_cipher(ssl_);
  if (cipher != nullptr) facts.cipher = SSL_CIPHER_get_name(cipher);
  return facts;
}

namespace {

/// "" when a NUL is inside: a name that others read to there only must not be taken for theirs.
std::string text_of(const ASN1_STRING* text) {
  unsigned char* data = nullptr;
  const int size = ASN1_STRING_to_UTF8(&data, text);
  if (size < 0) return {};
  std::string out(reinterpret_cast<char*>(data), static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return out.find('\0') == std::string::npos ? out : std::string();
}

std::string common_name_of(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  return at < 0 ? std::string() : text_of(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
}

std::string address_of(const ASN1_OCTET_STRING* bytes) {
  const int size = ASN1_STRING_length(bytes);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (size == 4 || size == 16)
    ::inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(bytes), text.data(), text.size());
  return text.data();
}

std::pair<std::string, std::string> alternative_name_of(const GENERAL_NAME& name) {
  switch (name.type) {
    case GEN_DNS: return {"dns", text_of(name.d.dNSName)};
    case GEN_EMAIL: return {"email", text_of(name.d.rfc822Name)};
    case GEN_URI: return {"uri", text_of(name.d.uniformResourceIdentifier)};
    case GEN_IPADD: return {"ip", address_of(name.d.iPAddress)};
    case GEN_OTHERNAME: {
      const ASN1_TYPE* value = name.d.otherName->value;
      return {"other_name", value->type == V_ASN1_UTF8STRING ? text_of(value->value.utf8string) : std::string()};
    }
    default: return {};
  }
}

}  // namespace

TlsFacts certificate_facts(X509* cert) {
  TlsFacts facts;
  if (cert == nullptr) return facts;
  facts.subject = name_text(X509_get_subject_name(cert), XN_FLAG_RFC2253);
  facts.issuer = name_text(X509_get_issuer_name(cert), XN_FLAG_RFC2253);
  facts.validity = time_text(X509_get0_notBefore(cert)) + " - " + time_text(X509_get0_notAfter(cert));
  facts.distinguished_name = facts.subject;
  facts.common_name = common_name_of(X509_get_subject_name(cert));
  auto* names = static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(cert, NID_subject_alt_name, nullptr, nullptr));
  for (int i = 0; i < sk_GENERAL_NAME_num(names); ++i)
    facts.alternative_names.push_back(alternative_name_of(*sk_GENERAL_NAME_value(names, i)));
  GENERAL_NAMES_free(names);
  return facts;
}

std::string login_of(const TlsFacts& facts, const CertLogin& wanted) {
  if (!facts.verified) return {};
  if (wanted.from == CertLogin::From::distinguished_name) return facts.distinguished_name;
  if (wanted.from == CertLogin::From::common_name) return facts.common_name;
  std::size_t at = 0;
  for (const auto& [kind, text] : facts.alternative_names)
    if (kind == wanted.kind && at++ == wanted.index) return text;
  return {};
}

}  // namespace warren::server
