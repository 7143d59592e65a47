// Access tokens of strangers: taken apart, their claims read as if they were proven, scopes and wildcards
// matched against a dumb matcher.

#include "node/access/token_login.h"
#include "tests/fuzz/fuzz.h"

#include <boost/json/parse.hpp>

namespace {

using namespace warren::access;

/// Any characters for `*`, tried one after the other.
bool dumb_match(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern.front() == '*')
    return dumb_match(pattern.substr(1), text) || (!text.empty() && dumb_match(pattern, text.substr(1)));
  return !text.empty() && pattern.front() == text.front() && dumb_match(pattern.substr(1), text.substr(1));
}

void wildcards(std::string_view pattern, std::string_view text) {
  const auto parsed = Wildcard::parse(pattern);
  const bool plain = pattern.find_first_of("%+") == pattern.npos;
  FUZZ_CHECK(parsed.has_value() || !plain);
  if (!parsed) return;
  const bool hit = parsed->matches(text);
  if (plain && pattern.size() <= 8 && text.size() <= 12) FUZZ_CHECK(hit == dumb_match(pattern, text));
}

const TokenVerifier& verifier() {
  static const auto made = [] {
    TokenOptions options;
    options.resource_server_id = "mq";
    options.additional_scopes_key = "roles a.b.c";
    options.username_claims = {"user.name"};
    options.scope_aliases["alias"] = {"mq.read:v/q", "mq.tag:administrator"};
    return *TokenVerifier::make(options);
  }();
  return *made;
}

void claims(std::string_view text) {
  boost::json::error_code error;
  const auto value = boost::json::parse({text.data(), text.size()}, error);
  if (error || !value.is_object()) return;
  const auto login = verifier().read_claims(value.get_object(), 1000);
  if (!login) return;
  FUZZ_CHECK(!login->user.empty());
  FUZZ_CHECK(!login->expires_s || *login->expires_s > 1000);
  for (const auto& scope : login->scopes) {
    const bool enters = login->enters("v");
    FUZZ_CHECK(!login->can("v", scope.permission, "q") || enters);
    FUZZ_CHECK(!login->can_use_topic("v", "q", "k", scope.permission) || login->can("v", scope.permission, "q"));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input in(data, size);
  const auto kind = in.below(4);
  if (kind == 0) {
    const auto pattern = in.text();
    wildcards(pattern, in.rest());
  } else if (kind == 1) {
    claims(in.rest());
  } else if (kind == 2) {
    (void)parse_scope(in.rest());
  } else {
    const std::string_view token = in.rest();
    const auto parts = split_token(token);
    if (parts) FUZZ_CHECK(token.starts_with(parts->signed_text) && !parts->algorithm.empty());
    FUZZ_CHECK(!verifier().verify(token, 1000));  // nothing is signed by a key that is not there
    if (parts && parts->claims.size() < 64) (void)verifier().read_claims(parts->claims, 1000);
  }
  return 0;
}
