#include "node/broker/json_values.h"

#include "node/broker/definitions.h"

#include <boost/json/parse.hpp>
#include <fmt/format.h>

#include <cmath>

namespace warren::broker {

namespace json = boost::json;

Result<json::value> parse_json(std::string_view text) {
  json::parse_options options;
  options.allow_invalid_utf8 = true;
  json::error_code error;
  json::value parsed = json::parse({text.data(), text.size()}, error, {}, options);
  if (error)
    return make_error(Errc::invalid_argument, fmt::format("not JSON: {}", error.message()));
  return parsed;
}

Error Fields::wrong(std::string_view text) const {
  return make_error(Errc::invalid_argument, fmt::format("{}: {}", what_, text));
}

const json::value* Fields::find(std::string_view key) const {
  const json::value* found = object_.if_contains({key.data(), key.size()});
  return found == nullptr || found->is_null() ? nullptr : found;
}

Result<std::string> Fields::text(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return wrong(fmt::format("field '{}' is missing", key));
  if (!found->is_string()) return wrong(fmt::format("field '{}' is not a text", key));
  return to_text(found->get_string());
}

Result<std::string> Fields::text(std::string_view key, std::string_view otherwise) const {
  if (find(key) == nullptr) return std::string(otherwise);
  return text(key);
}

Result<bool> Fields::boolean(std::string_view key, bool otherwise) const {
  const json::value* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->is_bool()) return found->get_bool();
  return wrong(fmt::format("field '{}' is not true or false", key));
}

Result<std::int64_t> Fields::integer(std::string_view key, std::int64_t otherwise) const {
  const json::value* found = find(key);
  if (found == nullptr) return otherwise;
  if (found->is_int64()) return found->get_int64();
  // Old brokers let priorities have a fraction.
  if (found->is_double() && std::abs(found->get_double()) < 1e15)
    return static_cast<std::int64_t>(found->get_double());
  return wrong(fmt::format("field '{}' is not an integer", key));
}

Result<std::vector<std::string>> Fields::words(std::string_view key) const {
  std::vector<std::string> out;
  const json::value* found = find(key);
  if (found == nullptr) return out;
  if (const auto* list = found->if_array()) {
    for (const json::value& item : *list) {
      if (!item.is_string()) return wrong(fmt::format("field '{}' holds more than texts", key));
      out.push_back(to_text(item.get_string()));
    }
    return out;
  }
  if (!found->is_string()) return wrong(fmt::format("field '{}' is not a list", key));
  std::string word;
  for (const char c : to_text(found->get_string()) + ",") {
    if (c != ',') {
      if (c != ' ') word += c;
      continue;
    }
    if (!word.empty()) out.push_back(std::move(word));
    word.clear();
  }
  return out;
}

Result<std::map<std::string, std::int64_t>> Fields::numbers(std::string_view key) const {
  auto entries = object(key);
  if (!entries) return entries.error();
  std::map<std::string, std::int64_t> out;
  for (const auto& [name, value] : *entries) {
    if (!value.is_int64())
      return wrong(fmt::format("'{}' of field '{}' is not an integer", to_text(name), key));
    out[to_text(name)] = value.get_int64();
  }
  return out;
}

Result<json::object> Fields::object(std::string_view key) const {
  const json::value* found = find(key);
  if (found == nullptr) return json::object();
  if (const auto* entries = found->if_object()) return *entries;
  if (const auto* list = found->if_array(); list != nullptr && list->empty()) return json::object();
  return wrong(fmt::format("field '{}' is not an object", key));
}

// ---- AMQP arguments -------------------------------------------------------------------------------

namespace {

constexpr std::size_t kNameBytes = 255;

Result<FieldValue> to_field(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return FieldValue{};
    case json::kind::bool_: return FieldValue(value.get_bool());
    case json::kind::int64: return FieldValue(std::int64_t{value.get_int64()});
    case json::kind::uint64:
      return make_error(Errc::invalid_argument,
                        fmt::format("integer {} has more than 63 bits", value.get_uint64()));
    case json::kind::double_: return FieldValue(value.get_double());
    case json::kind::string: return FieldValue(to_text(value.get_string()));
    case json::kind::array: {
      FieldArray out;
      for (const json::value& item : value.get_array()) {
        auto field = to_field(item);
        if (!field) return field.error();
        out.push_back(std::move(*field));
      }
      return FieldValue(std::move(out));
    }
    case json::kind::object: {
      auto table = json_to_table(value.get_object());
      if (!table) return table.error();
      return FieldValue(std::move(*table));
    }
  }
  return make_error(Errc::internal, "unknown kind of JSON value");
}

struct ToJson {
  json::value operator()(std::monostate) const { return nullptr; }
  json::value operator()(bool v) const { return v; }
  json::value operator()(float v) const { return static_cast<double>(v); }
  json::value operator()(double v) const { return v; }
  template <class Int>
    requires std::is_integral_v<Int>
  json::value operator()(Int v) const {
    return static_cast<std::int64_t>(v);
  }
  json::value operator()(const FieldDecimal& v) const {
    return static_cast<double>(v.value) / std::pow(10.0, v.scale);
  }
  json::value operator()(const FieldTimestamp& v) const {
    return static_cast<std::int64_t>(v.seconds);
  }
  json::value operator()(const std::string& v) const { return json::string(v.data(), v.size()); }
  json::value operator()(const FieldBytes& v) const { return (*this)(v.data); }
  json::value operator()(const FieldArray& v) const {
    json::array out;
    for (const FieldValue& item : v) out.push_back(std::visit(*this, item.v));
    return out;
  }
  json::value operator()(const FieldTable& v) const { return table_to_json(v); }
};

}  // namespace

Result<FieldTable> json_to_table(const json::object& object) {
  FieldTable out;
  for (const auto& [name, value] : object) {
    if (name.size() > kNameBytes)
      return make_error(Errc::invalid_argument,
                        fmt::format("the name of argument '{}...' is longer than {} bytes",
                                    to_text(name.substr(0, 32)), kNameBytes));
    auto field = to_field(value);
    if (!field)
      return make_error(field.error().code,
                        fmt::format("argument '{}': {}", to_text(name), field.error().text));
    out.entries().emplace_back(to_text(name), std::move(*field));
  }
  return out;
}

json::object table_to_json(const FieldTable& table) {
  json::object out;
  for (const auto& [name, value] : table) out[name] = std::visit(ToJson{}, value.v);
  return out;
}

}  // namespace warren::broker
