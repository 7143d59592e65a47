#include "node/access/sasl.h"

#include "base/field_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace warren::access {

namespace {

Result<SaslClaim> parse_plain(std::string_view response) {
  const auto malformed = [] {
    return make_error(Errc::invalid_argument, "response is not of the form NUL user NUL password");
  };
  if (response.empty() || response.front() != '\0') return malformed();
  response.remove_prefix(1);
  const auto split = response.find('\0');
  if (split == response.npos) return malformed();
  const std::string_view password = response.substr(split + 1);
  if (password.find('\0') != password.npos) return malformed();
  return SaslClaim{std::string(response.substr(0, split)), std::string(password)};
}

Result<SaslClaim> parse_amqplain(std::string_view response) {
  auto table = FieldTable::decode(response);
  if (!table) return make_error(Errc::invalid_argument, "response is not a field table");
  const FieldValue* login = table->find("LOGIN");
  const FieldValue* password = table->find("PASSWORD");
  const auto* login_text = login ? std::get_if<std::string>(&login->v) : nullptr;
  const auto* password_text = password ? std::get_if<std::string>(&password->v) : nullptr;
  if (login_text == nullptr || password_text == nullptr)
    return make_error(Errc::invalid_argument,
                      "AMQPLAIN auth info lacks LOGIN or PASSWORD as a long string");
  return SaslClaim{*login_text, *password_text};
}

bool is_wanted(std::string_view mechanism, const SaslContext& context) {
  const auto& only = context.only;
  return only.empty() || std::find(only.begin(), only.end(), mechanism) != only.end();
}

bool is_offered(std::string_view mechanism, const SaslContext& context) {
  if (!is_wanted(mechanism, context)) return false;
  if (mechanism == "EXTERNAL") return context.certificate_user.has_value();
  if (mechanism == "ANONYMOUS") return !context.anonymous_user.empty();
  return mechanism == "PLAIN" || mechanism == "AMQPLAIN";
}

}  // namespace

std::string sasl_mechanisms(const SaslContext& context) {
  std::string out;
  for (const char* name : {"PLAIN", "AMQPLAIN", "EXTERNAL", "ANONYMOUS"})
    if (is_offered(name, context)) out += (out.empty() ? "" : " ") + std::string(name);
  return out;
}

Result<SaslClaim> parse_sasl(std::string_view mechanism, std::string_view response,
                             const SaslContext& context) {
  // Without a certificate EXTERNAL is a login that fails, where the operator wants it at all.
  const bool fails = mechanism == "EXTERNAL" && is_wanted(mechanism, context);
  if (!fails && !is_offered(mechanism, context))
    return make_error(Errc::unsupported,
                      fmt::format("unknown authentication mechanism '{}'", mechanism.substr(0, 64)));
  if (mechanism == "PLAIN") return parse_plain(response);
  if (mechanism == "AMQPLAIN") return parse_amqplain(response);
  if (mechanism == "ANONYMOUS") return SaslClaim{context.anonymous_user, std::nullopt};
  if (!context.certificate_user)
    return make_error(Errc::unauthenticated, "EXTERNAL needs a client certificate with a name");
  return SaslClaim{*context.certificate_user, std::nullopt};
}

}  // namespace warren::access
