#include "cluster/transport/call_args.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <cmath>
#include <limits>

namespace warren::transport {

namespace json = boost::json;

namespace {

const json::value* find(const json::object& args, std::string_view key) {
  return args.if_contains({key.data(), key.size()});
}

/// Numbers beyond a double read as infinity, which does not read again once it is written.
bool is_finite(const json::value& value) {
  if (value.is_double()) return std::isfinite(value.get_double());
  if (value.is_array())
    return std::all_of(value.get_array().begin(), value.get_array().end(), is_finite);
  if (!value.is_object()) return true;
  return std::all_of(value.get_object().begin(), value.get_object().end(),
                     [](const auto& cell) { return is_finite(cell.value()); });
}

}  // namespace

Result<json::object> parse_call_args(std::string_view text) {
  json::error_code error;
  json::parse_options parsing;
  parsing.allow_invalid_utf8 = true;  // names are bytes
  json::value args = json::parse({text.data(), text.size()}, error, {}, parsing);
  if (error || !args.is_object())
    return make_error(Errc::invalid_argument, "the arguments are not a JSON object");
  if (!is_finite(args)) return make_error(Errc::invalid_argument, "a number in the arguments is too large");
  return std::move(args.get_object());
}

std::set<std::string, std::less<>> wanted_columns(const json::object& args) {
  std::set<std::string, std::less<>> wanted;
  const auto* columns = find(args, "columns");
  if (columns == nullptr || !columns->is_array()) return wanted;
  for (const auto& column : columns->get_array()) {
    if (column.is_string()) wanted.emplace(column.get_string());
  }
  return wanted;
}

std::string text_arg(const json::object& args, std::string_view key, std::string_view otherwise) {
  const auto* value = find(args, key);
  if (value == nullptr || !value->is_string()) return std::string(otherwise);
  return {value->get_string().data(), value->get_string().size()};
}

bool flag_arg(const json::object& args, std::string_view key) {
  const auto* value = find(args, key);
  return value != nullptr && value->is_bool() && value->get_bool();
}

std::int64_t number_arg(const json::object& args, std::string_view key, std::int64_t otherwise) {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  const auto* value = find(args, key);
  if (value == nullptr) return otherwise;
  if (value->is_int64()) return value->get_int64();
  if (value->is_uint64()) return kMax;  // a smaller one would be an int64
  if (!value->is_double()) return otherwise;
  const double number = value->get_double();
  if (number >= 9.2e18) return kMax;
  return number <= -9.2e18 ? -kMax : static_cast<std::int64_t>(number);
}

}  // namespace warren::transport
