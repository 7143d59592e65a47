#pragma once
// Changing the cookie of a running cluster: two are accepted for a while. The new one comes to each
// host as a file beside the old one, <cookie file>.next; it is never sent.
//
//   stage   both are accepted, the old one is used     (on every node, then)
//   commit  the file moves over the old one; the new one is used, the old one still accepted
//   retire  only the new one                           (when every node has committed)

#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/transport/cookie.h"

namespace warren::transport {

/// What a step made of the accepted cookies, the one in use first.
struct RotationStep {
  std::vector<Cookie> cookies;
  std::string message;
};

/// Where a new cookie is expected; empty when the cookie in use did not come from a file.
std::string next_cookie_file(const std::vector<Cookie>& cookies);

/// Takes one step from the cookies accepted now. `step` is "stage", "commit", "retire" or "" (only
/// says how things stand). Blocks for files.
/// Repeat:   a step that was taken already answers so and changes nothing.
/// Errors:   invalid_argument (unknown step, the same cookie), not_found (no file), conflict (not
///           staged), permission_denied (owner or mode of the file), io.
Result<RotationStep> rotate_cookie(const std::vector<Cookie>& cookies, const std::string& step);

/// The cookies to accept at start: a staged one survives a restart by its file. A file that may not
/// be used is left out, with a warning in `cookies.front()`.
std::vector<Cookie> with_staged(std::vector<Cookie> cookies);

}  // namespace warren::transport
