#include "node/access/jwt.h"

#include <boost/json/parse.hpp>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <array>

namespace warren::access {

namespace json = boost::json;

namespace {

constexpr int kRsaBitsMin = 2048;  // RFC 7518, 3.3

enum class Family : std::uint8_t { rsa, rsa_pss, ecdsa, eddsa };

struct Algorithm {
  std::string_view name;
  Family family;
  const EVP_MD* (*digest)();
  std::string_view curve;      // of ecdsa, as OpenSSL calls it
  std::size_t number_bytes;    // of r and of s
};

constexpr std::array<Algorithm, 10> kAlgorithms{{
    {"RS256", Family::rsa, EVP_sha256, "", 0},
    {"RS384", Family::rsa, EVP_sha384, "", 0},
    {"RS512", Family::rsa, EVP_sha512, "", 0},
    {"PS256", Family::rsa_pss, EVP_sha256, "", 0},
    {"PS384", Family::rsa_pss, EVP_sha384, "", 0},
    {"PS512", Family::rsa_pss, EVP_sha512, "", 0},
    {"ES256", Family::ecdsa, EVP_sha256, "prime256v1", 32},
    {"ES384", Family::ecdsa, EVP_sha384, "secp384r1", 48},
    {"ES512", Family::ecdsa, EVP_sha512, "secp521r1", 66},
    {"EdDSA", Family::eddsa, nullptr, "", 0},
}};

const Algorithm* algorithm_of(std::string_view name) {
  for (const auto& one : kAlgorithms)
    if (one.name == name) return &one;
  return nullptr;
}

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

std::string curve_of(EVP_PKEY* key) {
  std::array<char, 64> name{};
  std::size_t size = 0;
  if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, name.data(), name.size(), &size) != 1)
    return {};
  return {name.data(), size};
}

/// The form that OpenSSL reads, of r and s side by side (RFC 7518, 3.4); "" when they are no such pair.
std::string der_of(std::string_view pair, std::size_t number_bytes) {
  if (pair.size() != 2 * number_bytes) return {};
  const std::unique_ptr<ECDSA_SIG, decltype(&ECDSA_SIG_free)> both(ECDSA_SIG_new(), ECDSA_SIG_free);
  BIGNUM* r = BN_bin2bn(bytes_of(pair), static_cast<int>(number_bytes), nullptr);
  BIGNUM* s = BN_bin2bn(bytes_of(pair) + number_bytes, static_cast<int>(number_bytes), nullptr);
  if (!both || ECDSA_SIG_set0(both.get(), r, s) != 1) {
    BN_free(r);
    BN_free(s);
    return {};
  }
  unsigned char* made = nullptr;
  const int size = i2d_ECDSA_SIG(both.get(), &made);
  if (size <= 0) return {};
  std::string out(reinterpret_cast<char*>(made), static_cast<std::size_t>(size));
  OPENSSL_free(made);
  return out;
}

bool fits(EVP_PKEY* key, const Algorithm& algorithm) {
  switch (algorithm.family) {
    case Family::rsa: return EVP_PKEY_is_a(key, "RSA") == 1;
    case Family::rsa_pss: return EVP_PKEY_is_a(key, "RSA") == 1 || EVP_PKEY_is_a(key, "RSA-PSS") == 1;
    case Family::ecdsa: return EVP_PKEY_is_a(key, "EC") == 1 && curve_of(key) == algorithm.curve;
    case Family::eddsa: return EVP_PKEY_is_a(key, "ED25519") == 1 || EVP_PKEY_is_a(key, "ED448") == 1;
  }
  return false;
}

Result<json::object> read_object(std::string_view encoded, const char* what) {
  auto text = from_base64url(encoded);
  if (!text) return make_error(Errc::invalid_argument, fmt::format("the token's {} is not base64url", what));
  json::error_code error;
  json::value value = json::parse({text->data(), text->size()}, error);
  if (error || !value.is_object())
    return make_error(Errc::invalid_argument, fmt::format("the token's {} is no JSON object", what));
  return std::move(value.as_object());
}

}  // namespace

bool is_known_algorithm(std::string_view algorithm) { return algorithm_of(algorithm) != nullptr; }

Result<std::string> from_base64url(std::string_view text) {
  std::string out;
  out.reserve(text.size() / 4 * 3 + 2);
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : text) {
    std::uint32_t value = 0;
    if (c >= 'A' && c <= 'Z') value = static_cast<std::uint32_t>(c - 'A');
    else if (c >= 'a' && c <= 'z') value = static_cast<std::uint32_t>(c - 'a') + 26;
    else if (c >= '0' && c <= '9') value = static_cast<std::uint32_t>(c - '0') + 52;
    else if (c == '-') value = 62;
    else if (c == '_') value = 63;
    else return make_error(Errc::invalid_argument, "not base64url");
    bits = (bits << 6) | value;
    held += 6;
    if (held < 8) continue;
    held -= 8;
    out += static_cast<char>((bits >> held) & 0xFF);
    bits &= (1U << held) - 1;
  }
  // Of two texts for the same bytes one is not as it was signed.
  if (held == 6 || bits != 0) return make_error(Errc::invalid_argument, "not base64url");
  return out;
}

Result<TokenParts> split_token(std::string_view token) {
  const auto malformed = [](const char* why) { return make_error(Errc::invalid_argument, why); };
  if (token.size() > kTokenBytesMax) return malformed("the token is too long");
  const auto first = token.find('.');
  const auto second = first == token.npos ? first : token.find('.', first + 1);
  if (second == token.npos || token.find('.', second + 1) != token.npos)
    return malformed("it is no token of three parts");
  TokenParts parts;
  parts.signed_text = token.substr(0, second);
  auto header = read_object(token.substr(0, first), "header");
  if (!header) return header.error();
  const auto text = [&](const char* name, std::string& into) {
    const json::value* found = header->if_contains(name);
    if (found == nullptr) return true;
    if (!found->is_string()) return false;
    into.assign(found->get_string().data(), found->get_string().size());
    return true;
  };
  if (!text("alg", parts.algorithm) || !text("kid", parts.key_id) || parts.algorithm.empty())
    return malformed("the token's header has no proper alg or kid");
  if (header->contains("crit"))
    return make_error(Errc::unsupported, "the token's header demands what this server does not know");
  auto claims = read_object(token.substr(first + 1, second - first - 1), "payload");
  if (!claims) return claims.error();
  parts.claims = std::move(*claims);
  auto signature = from_base64url(token.substr(second + 1));
  if (!signature) return malformed("the token's signature is not base64url");
  parts.signature = std::move(*signature);
  return parts;
}

Result<SigningKey> SigningKey::from_pem(const std::string& pem) {
  const auto open = [&pem] {
    return std::unique_ptr<BIO, decltype(&BIO_free)>(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                     BIO_free);
  };
  std::shared_ptr<EVP_PKEY> key(PEM_read_bio_PUBKEY(open().get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  if (!key) {
    const std::unique_ptr<X509, decltype(&X509_free)> certificate(
        PEM_read_bio_X509(open().get(), nullptr, nullptr, nullptr), X509_free);
    if (certificate) key = {X509_get_pubkey(certificate.get()), EVP_PKEY_free};
  }
  ERR_clear_error();
  if (!key) return make_error(Errc::invalid_argument, "it holds no public key and no certificate in PEM form");
  bool useful = false;
  for (const auto& algorithm : kAlgorithms) useful = useful || fits(key.get(), algorithm);
  const bool rsa = EVP_PKEY_is_a(key.get(), "RSA") == 1 || EVP_PKEY_is_a(key.get(), "RSA-PSS") == 1;
  if (rsa && EVP_PKEY_get_bits(key.get()) < kRsaBitsMin)
    return make_error(Errc::invalid_argument, fmt::format("an RSA key of {} bits is too weak; {} are needed",
                                                          EVP_PKEY_get_bits(key.get()), kRsaBitsMin));
  if (!useful) return make_error(Errc::invalid_argument, "tokens are not signed with a key of this kind");
  return SigningKey(std::move(key));
}

bool SigningKey::verifies(std::string_view name, std::string_view text, std::string_view signature) const {
  const Algorithm* algorithm = algorithm_of(name);
  if (algorithm == nullptr || !fits(key_.get(), *algorithm)) return false;
  std::string der;
  if (algorithm->family == Family::ecdsa) {
    der = der_of(signature, algorithm->number_bytes);
    signature = der;
  }
  if (signature.empty()) return false;
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_PKEY_CTX* key_context = nullptr;
  const EVP_MD* digest = algorithm->digest == nullptr ? nullptr : algorithm->digest();
  bool ready = context && EVP_DigestVerifyInit(context.get(), &key_context, digest, nullptr, key_.get()) == 1;
  if (ready && algorithm->family == Family::rsa_pss)
    ready = EVP_PKEY_CTX_set_rsa_padding(key_context, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(key_context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
            EVP_PKEY_CTX_set_rsa_mgf1_md(key_context, digest) == 1;
  const bool right = ready && EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(),
                                               bytes_of(text), text.size()) == 1;
  ERR_clear_error();
  return right;
}

}  // namespace warren::access
