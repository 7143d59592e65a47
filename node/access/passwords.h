#pragma once
// Passwords as RabbitMQ stores them: base64(salt4 . hash(salt4 . password)). Pure; randomness is
// handed in.

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace warren::access {

inline constexpr std::string_view kDefaultHashing = "rabbit_password_hashing_sha256";

/// Fills the bytes with secret random numbers.
using RandomBytes = std::function<void(std::span<std::uint8_t>)>;

/// rabbit_password_hashing_sha256, _sha512, _md5; "" is md5, as in exports from before 3.6.
bool is_known_hashing(std::string_view algorithm);

/// Errors: unsupported (algorithm).
Result<std::string> hash_password(std::string_view algorithm, std::string_view password,
                                  const RandomBytes& random);

/// False also for an empty or malformed hash and an unknown algorithm. Takes the same time wherever
/// the hashes differ.
bool verify_password(std::string_view algorithm, std::string_view stored_hash,
                     std::string_view password);

/// Says whether a hash from an import can ever verify: base64 of salt and hash in the right length.
/// Errors: invalid_argument.
Result<void> check_password_hash(std::string_view algorithm, std::string_view stored_hash);

// ---- rules for new passwords (credential_validator.*) --------------------------------------------

struct CredentialRule {
  enum class Kind : std::uint8_t { accept_everything, min_password_length, regexp };
  Kind kind{Kind::accept_everything};
  std::size_t min_length{8};  ///< bytes
  std::string pattern;
};

/// Errors: invalid_argument with the rule that failed.
Result<void> validate_credentials(const CredentialRule& rule, std::string_view user,
                                  std::string_view password);

}  // namespace warren::access
