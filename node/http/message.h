#pragma once
// A request and a response of the management API as the handlers see them, and how targets and
// credentials are read. Pure: no sockets, no state.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::http {

struct Request {
  std::string method;                      ///< GET, PUT, ...; HEAD arrives as GET with `head`
  bool head{false};
  std::vector<std::string> path;           ///< segments, percent-decoded: {"api", "queues", "/"}
  std::map<std::string, std::string> query;
  std::string authorization;               ///< the header's value
  std::string origin;                      ///< the header Origin, for CORS
  std::string reason;                      ///< the header X-Reason
  std::string body;
  bool loopback{false};                    ///< the peer is on this host

  /// A query parameter; "" when absent.
  std::string parameter(const std::string& name) const;
  /// True for `name=true` and for a bare `name`.
  bool flag(const std::string& name) const;
};

struct Response {
  int status{200};
  std::string content_type{"application/json"};
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;
};

/// Undoes %XX; with `plus`, '+' is a space (query strings).
/// Errors: nothing on a cut or malformed escape, and on a NUL byte.
std::optional<std::string> percent_decode(std::string_view text, bool plus = false);
/// Escapes all but letters, digits and -_. ; a space becomes '+'.
std::string quote_plus(std::string_view text);

/// Splits "/api/queues/%2F?page=1" into path and query of `out`. Empty segments are dropped, those of
/// escaped slashes are not. False when an escape is malformed.
bool parse_target(std::string_view target, Request& out);

/// The token of a Bearer authorization header; nothing when it is none.
std::optional<std::string_view> parse_bearer(std::string_view header);
/// User and password of a Basic authorization header.
std::optional<std::pair<std::string, std::string>> parse_basic(std::string_view header);

std::string base64_encode(std::string_view bytes);
std::optional<std::string> base64_decode(std::string_view text);
bool is_utf8(std::string_view bytes);

}  // namespace warren::http
