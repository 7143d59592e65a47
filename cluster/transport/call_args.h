#pragma once
// The arguments of a control call: read from JSON that somebody sent, and asked for by name. Pure.

#include <boost/json/object.hpp>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/result.h"

namespace warren::transport {

/// Errors: invalid_argument: no JSON object, one nested too deep, or a number that no double holds.
Result<boost::json::object> parse_call_args(std::string_view text);

/// The columns that a listing is asked for; none = all.
std::set<std::string, std::less<>> wanted_columns(const boost::json::object& args);

// A value of the wrong type counts as absent; numbers out of range are as near as possible.
std::string text_arg(const boost::json::object& args, std::string_view key, std::string_view otherwise = {});
bool flag_arg(const boost::json::object& args, std::string_view key);
std::int64_t number_arg(const boost::json::object& args, std::string_view key, std::int64_t otherwise);

}  // namespace warren::transport
