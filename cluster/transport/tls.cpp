#include "cluster/transport/tls.h"

#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <cstdio>

namespace warren::transport {

namespace {

namespace tls = grpc::experimental;

constexpr unsigned kLookAgainS = 60;
const std::string kPrefix = "RABBITMQ_CLUSTER_TLS_";
constexpr const char* kCa = "CACERTFILE";
constexpr const char* kCertificate = "CERTFILE";
constexpr const char* kKey = "KEYFILE";

/// Never given back: it owns a thread, which must not be joined at the end of the process.
std::shared_ptr<tls::CertificateProviderInterface>& provider() {
  static auto* held = new std::shared_ptr<tls::CertificateProviderInterface>;
  return *held;
}

struct Freed {
  void operator()(X509* x) const { X509_free(x); }
  void operator()(X509_STORE* s) const { X509_STORE_free(s); }
  void operator()(X509_STORE_CTX* c) const { X509_STORE_CTX_free(c); }
  void operator()(STACK_OF(X509)* s) const { sk_X509_pop_free(s, X509_free); }
  void operator()(EVP_PKEY* k) const { EVP_PKEY_free(k); }
  void operator()(std::FILE* f) const { std::fclose(f); }
};

Error bad(const std::string& file, std::string_view what) {
  ERR_clear_error();
  return make_error(Errc::invalid_argument, fmt::format("TLS between nodes: {}: {}", file, what));
}

template <class T, class Read>
Result<std::unique_ptr<T, Freed>> read_pem(const std::string& file, std::string_view kind, Read read) {
  const std::unique_ptr<std::FILE, Freed> in(std::fopen(file.c_str(), "re"));
  if (!in) return bad(file, "cannot be read");
  std::unique_ptr<T, Freed> out(read(in.get()));
  if (!out) return bad(file, fmt::format("holds no {} in PEM form (a pass phrase is not supported)", kind));
  return out;
}

X509* read_certificate(std::FILE* in) { return PEM_read_X509(in, nullptr, nullptr, nullptr); }
EVP_PKEY* read_key(std::FILE* in) {
  const auto no_phrase = [](char*, int, int, void*) { return 0; };
  return PEM_read_PrivateKey(in, nullptr, no_phrase, nullptr);
}

/// As the other side will: is the certificate of that CA, by way of those that stand behind it in its file?
/// Nobody would say it before the first handshake otherwise, and then only that it failed.
Result<void> check_chain(const TlsFiles& files, X509* certificate) {
  const std::unique_ptr<X509_STORE, Freed> store(X509_STORE_new());
  if (!store || X509_STORE_load_file(store.get(), files.ca.c_str()) != 1)
    return bad(files.ca, "holds no certificate in PEM form");
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST);
  const std::unique_ptr<STACK_OF(X509), Freed> between(sk_X509_new_null());
  const std::unique_ptr<std::FILE, Freed> in(std::fopen(files.certificate.c_str(), "re"));
  while (X509* one = in ? read_certificate(in.get()) : nullptr) sk_X509_push(between.get(), one);
  ERR_clear_error();  // of the file's end
  const std::unique_ptr<X509_STORE_CTX, Freed> context(X509_STORE_CTX_new());
  if (!context || X509_STORE_CTX_init(context.get(), store.get(), certificate, between.get()) != 1)
    return bad(files.certificate, "cannot be verified");
  if (X509_verify_cert(context.get()) == 1) return {};
  return bad(files.certificate,
             fmt::format("is not accepted by the CA in {}: {}", files.ca,
                         X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
}

Result<void> check(const TlsFiles& files) {
  const std::pair<const std::string*, const char*> all[] = {
      {&files.ca, kCa}, {&files.certificate, kCertificate}, {&files.key, kKey}};
  for (const auto& [file, name] : all)
    if (file->empty())
      return make_error(Errc::invalid_argument,
                        fmt::format("TLS between nodes needs three files: {}{} is not set", kPrefix, name));
  auto ca = read_pem<X509>(files.ca, "certificate", read_certificate);
  if (!ca) return ca.error();
  auto certificate = read_pem<X509>(files.certificate, "certificate", read_certificate);
  if (!certificate) return certificate.error();
  auto key = read_pem<EVP_PKEY>(files.key, "private key", read_key);
  if (!key) return key.error();
  if (X509_check_private_key(certificate->get(), key->get()) != 1)
    return bad(files.key, "is not the key of the certificate in " + files.certificate);
  if (X509_cmp_current_time(X509_get0_notAfter(certificate->get())) < 0)
    return bad(files.certificate, "the certificate has expired");
  return check_chain(files, certificate->get());
}

}  // namespace

TlsFiles tls_files(const std::function<std::string(const std::string&)>& value_of) {
  return {value_of(kPrefix + kCa), value_of(kPrefix + kCertificate), value_of(kPrefix + kKey)};
}

Result<void> use_tls(const TlsFiles& files) {
  if (files.empty()) return {};
  if (auto good = check(files); !good) return good;
  provider() = std::make_shared<tls::FileWatcherCertificateProvider>(files.key, files.certificate, files.ca,
                                                                     kLookAgainS);
  return {};
}

std::shared_ptr<grpc::ChannelCredentials> channel_credentials() {
  if (!provider()) return grpc::InsecureChannelCredentials();
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(provider());
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(true);
  options.set_check_call_host(false);
  options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
  return tls::TlsCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> server_credentials() {
  if (!provider()) return grpc::InsecureServerCredentials();
  tls::TlsServerCredentialsOptions options(provider());
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_cert_request_type(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  options.set_certificate_verifier(std::make_shared<tls::NoOpCertificateVerifier>());
  return tls::TlsServerCredentials(options);
}

std::string tls_remedy(std::string_view why) {
  const bool ours = provider() != nullptr;
  if (ours && (why.find("andshake") != why.npos || why.find("SSL") != why.npos || why.find("losed") != why.npos))
    return "; this side uses TLS between nodes: the other must too, with a certificate of the same CA that has not "
           "expired (RABBITMQ_CLUSTER_TLS_*, on both hosts)";
  if (!ours && (why.find("losed") != why.npos || why.find("reset") != why.npos))
    return "; or the other side uses TLS between nodes and this one does not (RABBITMQ_CLUSTER_TLS_*)";
  return "";
}

}  // namespace warren::transport
