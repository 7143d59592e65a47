#pragma once
// Keys and signed tokens for tests: made once per program, signed with OpenSSL as an issuer would.

#include "node/access/token_login.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <memory>
#include <string>
#include <string_view>

namespace warren::access::testing_keys {

using Key = std::shared_ptr<EVP_PKEY>;

inline Key rsa_key(unsigned bits = 2048) { return {EVP_RSA_gen(bits), EVP_PKEY_free}; }
inline Key ec_key(const char* curve) { return {EVP_EC_gen(curve), EVP_PKEY_free}; }
inline Key ed_key() { return {EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), EVP_PKEY_free}; }

inline std::string public_pem(const Key& key) {
  BIO* out = BIO_new(BIO_s_mem());
  PEM_write_bio_PUBKEY(out, key.get());
  char* data = nullptr;
  const long size = BIO_get_mem_data(out, &data);
  std::string pem(data, static_cast<std::size_t>(size));
  BIO_free(out);
  return pem;
}

inline std::string base64url(std::string_view bytes) {
  static constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string out;
  std::uint32_t bits = 0;
  int held = 0;
  for (const char c : bytes) {
    bits = (bits << 8) | static_cast<unsigned char>(c);
    for (held += 8; held >= 6; held -= 6) out += kAlphabet[(bits >> (held - 6)) & 63];
  }
  if (held > 0) out += kAlphabet[(bits << (6 - held)) & 63];
  return out;
}

/// The signature of `text` as JOSE has it. `number_bytes`: of r and s; 0 = not ECDSA.
inline std::string sign(const Key& key, const EVP_MD* digest, std::string_view text, bool pss = false,
                        std::size_t number_bytes = 0) {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_PKEY_CTX* inner = nullptr;
  EVP_DigestSignInit(context, &inner, digest, nullptr, key.get());
  if (pss) {
    EVP_PKEY_CTX_set_rsa_padding(inner, RSA_PKCS1_PSS_PADDING);
    EVP_PKEY_CTX_set_rsa_pss_saltlen(inner, RSA_PSS_SALTLEN_DIGEST);
  }
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t size = 0;
  EVP_DigestSign(context, nullptr, &size, bytes, text.size());
  std::string out(size, '\0');
  EVP_DigestSign(context, reinterpret_cast<unsigned char*>(out.data()), &size, bytes, text.size());
  EVP_MD_CTX_free(context);
  out.resize(size);
  if (number_bytes == 0) return out;
  const auto* der = reinterpret_cast<const unsigned char*>(out.data());
  ECDSA_SIG* both = d2i_ECDSA_SIG(nullptr, &der, static_cast<long>(out.size()));
  std::string pair(2 * number_bytes, '\0');
  auto* into = reinterpret_cast<unsigned char*>(pair.data());
  BN_bn2binpad(ECDSA_SIG_get0_r(both), into, static_cast<int>(number_bytes));
  BN_bn2binpad(ECDSA_SIG_get0_s(both), into + number_bytes, static_cast<int>(number_bytes));
  ECDSA_SIG_free(both);
  return pair;
}

inline std::string unsigned_token(std::string_view algorithm, std::string_view claims, std::string_view more = "") {
  return base64url("{\"alg\":\"" + std::string(algorithm) + "\"" + std::string(more) + "}") + "." + base64url(claims);
}

/// RS256.
inline std::string token(const Key& key, std::string_view claims, std::string_view more = ",\"kid\":\"k\"") {
  const std::string text = unsigned_token("RS256", claims, more);
  return text + "." + base64url(sign(key, EVP_sha256(), text));
}

}  // namespace warren::access::testing_keys
