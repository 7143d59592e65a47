#include "node/access/passwords.h"

#include "node/access/patterns.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <optional>

namespace warren::access {

namespace {

constexpr std::size_t kSaltBytes = 4;

const EVP_MD* digest_of(std::string_view algorithm) {
  if (algorithm == "rabbit_password_hashing_sha256") return EVP_sha256();
  if (algorithm == "rabbit_password_hashing_sha512") return EVP_sha512();
  if (algorithm == "rabbit_password_hashing_md5" || algorithm.empty()) return EVP_md5();
  return nullptr;
}

/// salt . digest(salt . password)
std::string salted(const EVP_MD* digest, std::string_view salt, std::string_view password) {
  std::string input(salt);
  input.append(password);
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned int size = 0;
  const int done = EVP_Digest(input.data(), input.size(), hash.data(), &size, digest, nullptr);
  OPENSSL_cleanse(input.data(), input.size());
  if (done != 1) return {};
  std::string out(salt);
  out.append(reinterpret_cast<const char*>(hash.data()), size);
  return out;
}

std::string to_base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0 || text.size() > 1024) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  const auto body = text.substr(0, text.size() - padding);
  if (body.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
      body.npos)
    return std::nullopt;
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0 || static_cast<std::size_t>(size) < padding) return std::nullopt;
  out.resize(static_cast<std::size_t>(size) - padding);
  return out;
}

}  // namespace

bool is_known_hashing(std::string_view algorithm) { return digest_of(algorithm) != nullptr; }

Result<std::string> hash_password(std::string_view algorithm, std::string_view password,
                                  const RandomBytes& random) {
  const EVP_MD* digest = digest_of(algorithm);
  if (digest == nullptr)
    return make_error(Errc::unsupported, fmt::format("password hashing '{}'", algorithm));
  std::array<std::uint8_t, kSaltBytes> salt{};
  random(salt);
  const std::string_view salt_text(reinterpret_cast<const char*>(salt.data()), salt.size());
  const std::string raw = salted(digest, salt_text, password);
  if (raw.empty())
    return make_error(Errc::unsupported,
                      fmt::format("password hashing '{}': the library refuses it", algorithm));
  return to_base64(raw);
}

bool verify_password(std::string_view algorithm, std::string_view stored_hash,
                     std::string_view password) {
  const EVP_MD* digest = digest_of(algorithm);
  if (digest == nullptr) return false;
  const auto stored = from_base64(stored_hash);
  if (!stored || stored->size() <= kSaltBytes) return false;
  const std::string given = salted(digest, stored->substr(0, kSaltBytes), password);
  return given.size() == stored->size() &&
         CRYPTO_memcmp(given.data(), stored->data(), given.size()) == 0;
}

Result<void> check_password_hash(std::string_view algorithm, std::string_view stored_hash) {
  if (stored_hash.empty()) return {};  // no password logs in
  const EVP_MD* digest = digest_of(algorithm);
  if (digest == nullptr)
    return make_error(Errc::invalid_argument,
                      fmt::format("unknown hashing algorithm '{}'", algorithm));
  const auto stored = from_base64(stored_hash);
  if (!stored) return make_error(Errc::invalid_argument, "the password hash is not base64");
  const std::size_t expected = kSaltBytes + static_cast<std::size_t>(EVP_MD_get_size(digest));
  if (stored->size() != expected)
    return make_error(Errc::invalid_argument,
                      fmt::format("the password hash holds {} bytes, {} needs {}", stored->size(),
                                  algorithm.empty() ? "rabbit_password_hashing_md5" : algorithm,
                                  expected));
  return {};
}

Result<void> validate_credentials(const CredentialRule& rule, std::string_view user,
                                  std::string_view password) {
  switch (rule.kind) {
    case CredentialRule::Kind::accept_everything: return {};
    case CredentialRule::Kind::min_password_length:
      if (password.size() >= rule.min_length) return {};
      return make_error(Errc::invalid_argument,
                        fmt::format("password of user '{}': minimum required password length: {}",
                                    user, rule.min_length));
    case CredentialRule::Kind::regexp: {
      Patterns patterns(1);
      auto found = patterns.search(rule.pattern, password);
      if (!found) return found.error();
      if (*found) return {};
      return make_error(Errc::invalid_argument,
                        fmt::format("password of user '{}': provided password does not match "
                                    "validation regular expression",
                                    user));
    }
  }
  return make_error(Errc::internal, "unknown kind of credential rule");
}

}  // namespace warren::access
