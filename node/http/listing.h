#pragma once
// What the query of a listing asks for: columns, sort, filter by name, pages. Pure.

#include "base/result.h"
#include "node/http/message.h"

#include <boost/json.hpp>

#include <string_view>

namespace warren::http {

/// The rows as asked: an array, or, with paging, the object that holds one page.
/// Source: features §3.1. Errors: invalid_argument (page numbers, regular expression).
Result<boost::json::value> shape_rows(boost::json::array rows, const Request& request);
/// One object reduced to `columns`, when there are any.
boost::json::value shape_object(const boost::json::value& value, const Request& request);

/// Tables of the control methods ([name, type, value] rows) as plain JSON objects.
boost::json::value plain_table(const boost::json::value& typed);

}  // namespace warren::http
