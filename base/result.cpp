#include "base/result.h"

namespace warren {

const char* errc_name(Errc code) {
  switch (code) {
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::not_found: return "not_found";
    case Errc::already_exists: return "already_exists";
    case Errc::conflict: return "conflict";
    case Errc::permission_denied: return "permission_denied";
    case Errc::unauthenticated: return "unauthenticated";
    case Errc::unavailable: return "unavailable";
    case Errc::timeout: return "timeout";
    case Errc::cancelled: return "cancelled";
    case Errc::exhausted: return "exhausted";
    case Errc::unsupported: return "unsupported";
    case Errc::corruption: return "corruption";
    case Errc::io: return "io";
    case Errc::internal: return "internal";
  }
  return "unknown";
}

}  // namespace warren
