#pragma once
// Result<T>: how every room reports an expected failure. See README.md, "Errors".

#include <boost/system/result.hpp>

#include <stdexcept>
#include <string>
#include <utility>

namespace warren {

/// What kind of failure it is; callers branch on this, people read the text.
enum class Errc : int {
  invalid_argument = 1,   ///< the request is malformed or out of range
  not_found = 2,          ///< the named object does not exist
  already_exists = 3,     ///< the named object exists and may not be replaced
  conflict = 4,           ///< the object exists with other properties, or is in use
  permission_denied = 5,  ///< the caller may not do this
  unauthenticated = 6,    ///< the caller did not prove who it is
  unavailable = 7,        ///< not now: a peer, majority or resource is missing; a retry may succeed
  timeout = 8,            ///< the deadline passed; the outcome is unknown
  cancelled = 9,          ///< the caller gave up or the node stops
  exhausted = 10,         ///< a named bound was reached
  unsupported = 11,       ///< valid, but this server does not do it
  corruption = 12,        ///< stored or received bytes fail their checks
  io = 13,                ///< the operating system refused a read or write
  internal = 14,          ///< a defect of ours that need not end the process
};

/// The lower-case name of a code, for logs ("not_found").
const char* errc_name(Errc code);

/// A failure: its kind and a text for people that names the object concerned.
struct [[nodiscard]] Error {
  Errc code{Errc::internal};
  std::string text;
};

[[noreturn]] inline void throw_exception_from_error(const Error& error,
                                                    const boost::source_location&) {
  throw std::runtime_error(error.text);
}

template <class T = void>
using Result = boost::system::result<T, Error>;

inline Error make_error(Errc code, std::string text) { return Error{code, std::move(text)}; }

}  // namespace warren
