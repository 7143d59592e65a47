// Options: logins with OAuth 2.0 access tokens.

#include "node/config/options.h"

namespace warren::config {

const std::vector<OptionSpec>& oauth2_options() {
  using enum OptionType;
  static const std::vector<OptionSpec> table{
      {.key = "auth_oauth2.resource_server_id",
       .doc = "What this broker is called in tokens: a token's `aud` must name it, and its scopes begin with it and "
              "a dot. Unset: neither is looked at.",
       .example = "auth_oauth2.resource_server_id = rabbitmq"},
      {.key = "auth_oauth2.signing_keys.$name",
       .doc = "File with the public key or certificate (PEM) of the key that tokens name as `kid`; RSA of 2048 bits or "
              "more, P-256, P-384, P-521, Ed25519. Read when the app starts.",
       .example = "auth_oauth2.signing_keys.key-1 = /etc/rabbitmq/key-1.pem"},
      {.key = "auth_oauth2.default_key",
       .doc = "The key of tokens that name none.",
       .example = "auth_oauth2.default_key = key-1"},
      {.key = "auth_oauth2.algorithms.$name",
       .doc = "The only algorithms that count; without any: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, "
              "ES512 and EdDSA, as the key allows. `none` and the HS family never count.",
       .example = "auth_oauth2.algorithms.1 = RS256"},
      {.key = "auth_oauth2.verify_aud",
       .type = boolean,
       .default_text = "true",
       .doc = "A token's `aud` must name the resource server."},
      {.key = "auth_oauth2.scope_prefix",
       .doc = "What scopes begin with, instead of the resource server's id and a dot.",
       .example = "auth_oauth2.scope_prefix = mq:"},
      {.key = "auth_oauth2.additional_scopes_key",
       .doc = "Claims with further scopes, separated by spaces: a list, a text, or an object with one of these under the "
              "resource server's id. Dots lead into objects.",
       .example = "auth_oauth2.additional_scopes_key = realm_access.roles"},
      {.key = "auth_oauth2.preferred_username_claims.$num",
       .doc = "Claims that name the user, in order, before `client_id` and `sub`.",
       .example = "auth_oauth2.preferred_username_claims.1 = user_name"},
      {.key = "auth_oauth2.scope_aliases.$name",
       .doc = "Scopes, separated by spaces, that a scope of this name stands for.",
       .example = "auth_oauth2.scope_aliases.developer = rabbitmq.read:*/* rabbitmq.write:*/*"},
      {.key = "auth_oauth2.jwks_url",
       .doc = "Refused: keys are not fetched over HTTPS; give them as `auth_oauth2.signing_keys`."},
      {.key = "auth_oauth2.jwks_uri", .doc = "Refused, as `auth_oauth2.jwks_url`."},
      {.key = "auth_oauth2.issuer",
       .doc = "Refused, as `auth_oauth2.jwks_url`: it is where keys would be looked for."},
  };
  return table;
}

}  // namespace warren::config
