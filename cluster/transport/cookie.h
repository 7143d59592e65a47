#pragma once
// The shared secret of a cluster: where it is found, when it is refused, what may be shown of it.
// The secret itself is never printed, logged or sent.

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::transport {

inline constexpr std::size_t kCookieMaxBytes = 255;

/// A cookie and where it came from.
struct Cookie {
  std::string secret;
  std::string source;   ///< "file", "environment" or "option"
  std::string file;     ///< path; empty unless source is "file"
  unsigned mode{0};     ///< permission bits of the file
  std::string owner;    ///< user name (or uid) that owns the file
  bool created{false};  ///< made by this call
  std::string warning;  ///< something the operator should know; empty when nothing

  /// First 8 hex digits of a keyed hash: tells two cookies apart in logs of both sides.
  std::string fingerprint() const;
  /// Base64 of MD5, the form `erlang_cookie_hash` prints; only for local display.
  std::string erlang_hash() const;
  /// One clause for messages: `file /x/.erlang.cookie, owner rabbitmq, mode 400, fingerprint
  /// 1a2b3c4d`.
  std::string describe() const;
};

/// Where to look. Empty strings mean "not given".
struct CookieSearch {
  std::string option;              ///< --erlang-cookie
  std::string environment;         ///< RABBITMQ_ERLANG_COOKIE
  std::vector<std::string> files;  ///< in order; a missing one is passed over
  bool create{false};              ///< servers only: make files.front() when none exists

  /// The search of this process: both variables and `$HOME`, `/var/lib/rabbitmq`.
  static CookieSearch from_environment(std::string option = {}, bool create = false);
};

/// Finds, checks and reads the cookie; the first source that exists decides.
/// Errors:   permission_denied when group or others may touch the file, or it cannot be read;
///           not_found when there is none; invalid_argument when empty or over 255 characters.
/// Repeat:   two servers that create at once agree on one file: it is linked into place.
Result<Cookie> find_cookie(const CookieSearch& search);

/// What each source holds, for `erlang_cookie_sources` and messages; never the secret.
struct CookieFileFacts {
  std::string path;
  bool exists{false};
  bool readable{false};
  bool regular{false};
  bool writable{false};
  long long size{0};
  unsigned mode{0};
  std::string owner;
};
CookieFileFacts cookie_file_facts(const std::string& path);

/// The name of a user id, or the number when it has none.
std::string user_name(unsigned uid);
/// `$HOME` or the home directory of the effective user.
std::string home_directory();

}  // namespace warren::transport
