#include "node/http/listing.h"

#include "node/access/patterns.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace warren::http {

namespace json = boost::json;

namespace {

constexpr std::size_t kPageDefault = 100;
constexpr std::size_t kPageMax = 500;

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> out;
  while (!text.empty()) {
    const auto end = text.find(at);
    if (end != 0) out.emplace_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return out;
}

/// A value by dotted path; null when there is none.
const json::value* find_path(const json::value& row, std::string_view path) {
  const json::value* at = &row;
  for (const auto& part : split(path, '.')) {
    at = at->is_object() ? at->as_object().if_contains(part) : nullptr;
    if (at == nullptr) return nullptr;
  }
  return at;
}

void put_path(json::object& out, const std::vector<std::string>& path, const json::value& value) {
  json::object* at = &out;
  for (std::size_t i = 0; i + 1 < path.size(); ++i) {
    auto& inner = (*at)[path[i]];
    if (!inner.is_object()) inner = json::object{};
    at = &inner.as_object();
  }
  (*at)[path.back()] = value;
}

json::value choose(const json::value& row, const std::vector<std::string>& columns) {
  if (columns.empty() || !row.is_object()) return row;
  json::object out;
  for (const auto& column : columns) {
    const auto path = split(column, '.');
    if (const auto* value = path.empty() ? nullptr : find_path(row, column)) put_path(out, path, *value);
  }
  return out;
}

bool less(const json::value* a, const json::value* b) {
  const auto number = [](const json::value* v, double& out) {
    if (v == nullptr || !v->is_number()) return false;
    out = v->to_number<double>();
    return true;
  };
  double x = 0, y = 0;
  if (number(a, x) && number(b, y)) return x < y;
  const auto text = [](const json::value* v) {
    if (v == nullptr || v->is_null()) return std::string();
    return v->is_string() ? std::string(v->as_string()) : json::serialize(*v);
  };
  return text(a) < text(b);
}

/// Errors: invalid_argument when the parameter is there and no number of at least 1.
Result<std::size_t> number_of(const Request& request, const char* name, std::size_t otherwise) {
  const std::string text = request.parameter(name);
  if (text.empty()) return otherwise;
  std::size_t value = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (ec != std::errc{} || end != text.data() + text.size() || value == 0)
    return make_error(Errc::invalid_argument, std::string(name) + " must be a number above 0");
  return value;
}

Result<void> filter(json::array& rows, const Request& request) {
  const std::string name = request.parameter("name");
  if (name.empty()) return {};
  const bool regex = request.flag("use_regex");
  if (regex)
    if (auto valid = access::check_pattern(name); !valid) return valid.error();
  access::Patterns patterns;
  json::array kept;
  for (auto& row : rows) {
    const auto* value = find_path(row, "name");
    if (value == nullptr || !value->is_string()) continue;
    const std::string_view text(value->as_string());
    if (regex ? patterns.matches(name, text) : text.find(name) != std::string_view::npos)
      kept.push_back(std::move(row));
  }
  rows = std::move(kept);
  return {};
}

}  // namespace

Result<json::value> shape_rows(json::array rows, const Request& request) {
  const std::size_t total = rows.size();
  if (auto filtered = filter(rows, request); !filtered) return filtered.error();
  if (const std::string by = request.parameter("sort"); !by.empty()) {
    std::stable_sort(rows.begin(), rows.end(), [&by](const json::value& a, const json::value& b) {
      return less(find_path(a, by), find_path(b, by));
    });
    if (request.flag("sort_reverse")) std::reverse(rows.begin(), rows.end());
  }
  const auto columns = split(request.parameter("columns"), ',');
  const bool paged = request.query.contains("page") || request.flag("pagination");
  std::size_t from = 0, until = rows.size();
  json::object frame;
  if (paged) {
    auto page = number_of(request, "page", 1);
    auto size = number_of(request, "page_size", kPageDefault);
    if (!page) return page.error();
    if (!size) return size.error();
    if (*size > kPageMax) return make_error(Errc::invalid_argument, "page_size is at most 500");
    const std::size_t pages = std::max<std::size_t>(1, (rows.size() + *size - 1) / *size);
    if (*page > pages)
      return make_error(Errc::invalid_argument, "page out of range: there are " + std::to_string(pages));
    from = (*page - 1) * *size;
    until = std::min(rows.size(), from + *size);
    frame = {{"total_count", total}, {"item_count", until - from}, {"filtered_count", rows.size()},
             {"page", *page}, {"page_size", *size}, {"page_count", pages}};
  }
  json::array out;
  for (std::size_t i = from; i < until; ++i) out.push_back(choose(rows[i], columns));
  if (!paged) return json::value(std::move(out));
  frame["items"] = std::move(out);
  return json::value(std::move(frame));
}

json::value shape_object(const json::value& value, const Request& request) {
  return choose(value, split(request.parameter("columns"), ','));
}

namespace {

json::value plain_value(std::string_view type, const json::value& value) {
  if (type == "table") return plain_table(value);
  if (type != "array" || !value.is_array()) return value;
  json::array out;
  for (const auto& item : value.as_array())
    if (item.is_array() && item.as_array().size() == 2 && item.as_array()[0].is_string())
      out.push_back(plain_value(item.as_array()[0].as_string(), item.as_array()[1]));
  return out;
}

}  // namespace

json::value plain_table(const json::value& typed) {
  json::object out;
  if (!typed.is_array()) return out;
  for (const auto& entry : typed.as_array()) {
    if (!entry.is_array() || entry.as_array().size() != 3) continue;
    const auto& triple = entry.as_array();
    if (triple[0].is_string() && triple[1].is_string())
      out[triple[0].as_string()] = plain_value(triple[1].as_string(), triple[2]);
  }
  return out;
}

}  // namespace warren::http
