#pragma once
// JSON web tokens in compact form: taken apart, and their signature proven with public keys from PEM
// texts. What the claims mean is token_login.h. Pure; values and immutable keys.
// Source: RFC 7515 (JWS), 7518 (algorithms), 8037 (EdDSA).

#include "base/result.h"

#include <boost/json/object.hpp>

#include <memory>
#include <string>
#include <string_view>

struct evp_pkey_st;

namespace warren::access {

inline constexpr std::size_t kTokenBytesMax = 64 << 10;

/// A token taken apart; nothing is proven.
struct TokenParts {
  std::string algorithm;
  std::string key_id;           ///< "" = the token names none
  boost::json::object claims;
  std::string_view signed_text; ///< a part of the token's own bytes
  std::string signature;
};

/// Shape:  three parts of base64url without padding, the first two JSON objects.
/// Errors: invalid_argument; unsupported: a header of `crit`, which demands what is not known here.
Result<TokenParts> split_token(std::string_view token);

/// Bytes of base64url without padding; every other character, and bits left over, are an error.
Result<std::string> from_base64url(std::string_view text);

/// A public key that tokens are signed for. Immutable.
class SigningKey {
 public:
  /// The public key or certificate of a PEM text.
  /// Errors: invalid_argument: none in it, or one that no algorithm here takes (RSA below 2048 bits).
  static Result<SigningKey> from_pem(const std::string& pem);

  /// Whether the signature is right by `algorithm`: RS256/384/512, PS256/384/512, ES256/384/512, EdDSA.
  /// The key must be one of just that kind; `none` and the HS family are never right.
  bool verifies(std::string_view algorithm, std::string_view text, std::string_view signature) const;

 private:
  explicit SigningKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

/// Whether some key can prove it.
bool is_known_algorithm(std::string_view algorithm);

}  // namespace warren::access
