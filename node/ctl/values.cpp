// Cells and terms out of JSON values.
#include <fmt/format.h>

#include <sstream>

#include "node/ctl/format.h"

namespace warren::ctl {
namespace {

using Kind = Column::Kind;

std::string number_text(const json::value& value) {
  if (value.is_double()) {
    const std::string text = fmt::format("{}", value.get_double());
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  return json::serialize(value);
}

std::string text_of(const json::value& value) { return plain_text(value); }

bool is_triple(const json::value& value) {
  return value.is_array() && value.get_array().size() == 3 && value.get_array()[0].is_string() &&
         value.get_array()[1].is_string();
}

/// A field's value as tables show it; `type` is AMQP's.
std::string field_text(std::string_view type, const json::value& value) {
  if (type == "table") return table_text(value);
  if (type == "array" && value.is_array()) {
    std::string out;
    for (const json::value& item : value.get_array()) {
      const bool typed =
          item.is_array() && item.get_array().size() == 2 && item.get_array()[0].is_string();
      out += out.empty() ? "" : ",";
      out += typed ? field_text(std::string_view(item.get_array()[0].get_string()),
                                item.get_array()[1])
                   : text_of(item);
    }
    return "[" + out + "]";
  }
  if (value.is_string()) return flat(Term::string(value.get_string()));
  return text_of(value);
}

Term field_term(std::string_view type, const json::value& value) {
  if (type == "table" && value.is_array()) {
    std::vector<Term> fields;
    for (const json::value& field : value.get_array()) {
      if (!is_triple(field)) continue;
      const auto& parts = field.get_array();
      const std::string_view kind = parts[1].get_string();
      fields.push_back(Term::tuple(
          {Term::binary(parts[0].get_string()), Term::atom(kind), field_term(kind, parts[2])}));
    }
    return Term::list(std::move(fields));
  }
  if (type == "array" && value.is_array()) {
    std::vector<Term> items;
    for (const json::value& item : value.get_array()) {
      if (!item.is_array() || item.get_array().size() != 2 || !item.get_array()[0].is_string())
        continue;
      const std::string_view kind = item.get_array()[0].get_string();
      items.push_back(Term::tuple({Term::atom(kind), field_term(kind, item.get_array()[1])}));
    }
    return Term::list(std::move(items));
  }
  return generic_term(value);
}

std::string joined(const json::value& value) {
  std::string out;
  for (const json::value& item : value.get_array())
    out += (out.empty() ? "" : ", ") + text_of(item);
  return "[" + out + "]";
}

}  // namespace

std::string plain_text(const json::value& value) {
  if (value.is_null()) return {};
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_double()) return number_text(value);
  return json::serialize(value);
}

std::vector<Column> columns_of(std::string_view spec) {
  static constexpr std::pair<std::string_view, Kind> kKinds[] = {
      {"atom", Kind::atom}, {"bool", Kind::boolean}, {"number", Kind::number},
      {"pid", Kind::pid},   {"table", Kind::table},  {"atoms", Kind::atoms},
      {"pids", Kind::pids}, {"json", Kind::json},    {"host", Kind::host}};
  std::vector<Column> out;
  std::istringstream in{std::string(spec)};
  for (std::string word; in >> word;) {
    Column column;
    const std::size_t equals = word.find('=');
    column.name = word.substr(0, equals);
    if (equals != std::string::npos) {
      for (const auto& [name, kind] : kKinds) {
        if (word.substr(equals + 1) == name) column.kind = kind;
      }
    }
    // Columns of the replica commands have capitals and spaces in their names.
    if (column.name[0] >= 'A' && column.name[0] <= 'Z') {
      for (char& c : column.name) c = c == '_' ? ' ' : c;
    }
    out.push_back(std::move(column));
  }
  return out;
}

std::string table_text(const json::value& table) {
  if (!table.is_array()) return table.is_null() ? "[]" : json::serialize(table);
  std::string out;
  for (const json::value& field : table.get_array()) {
    if (!is_triple(field)) continue;
    const auto& parts = field.get_array();
    out += fmt::format("{}{{{},{}}}", out.empty() ? "" : ",",
                       flat(Term::string(parts[0].get_string())),
                       field_text(std::string_view(parts[1].get_string()), parts[2]));
  }
  return "[" + out + "]";
}

std::string cell_text(const Column& column, const json::value& value) {
  if (value.is_null()) return {};
  if (column.kind == Kind::table) return table_text(value);
  if (column.kind == Kind::json) return json::serialize(value);
  if ((column.kind == Kind::atoms || column.kind == Kind::pids) && value.is_array())
    return joined(value);
  return text_of(value);
}

Term generic_term(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null: return Term::atom("undefined");
    case json::kind::bool_: return Term::boolean(value.get_bool());
    case json::kind::string: return Term::binary(value.get_string());
    case json::kind::array: {
      std::vector<Term> items;
      for (const json::value& item : value.get_array()) items.push_back(generic_term(item));
      return Term::list(std::move(items));
    }
    case json::kind::object: {
      std::vector<Term> items;
      for (const auto& item : value.get_object())
        items.push_back(Term::pair(item.key(), generic_term(item.value())));
      return Term::list(std::move(items));
    }
    default: return Term::number(number_text(value));
  }
}

Term cell_term(const Column& column, const json::value& value) {
  if (value.is_null()) return Term::raw("''");
  switch (column.kind) {
    case Kind::atom:
      return value.is_string() ? Term::atom(value.get_string()) : generic_term(value);
    case Kind::pid:
      return value.is_string() ? Term::raw(std::string(value.get_string())) : generic_term(value);
    case Kind::table: return field_term("table", value);
    case Kind::atoms:
    case Kind::pids: {
      if (!value.is_array()) return generic_term(value);
      std::vector<Term> items;
      for (const json::value& item : value.get_array()) {
        items.push_back(column.kind == Kind::atoms ? Term::atom(text_of(item))
                                                   : Term::raw(text_of(item)));
      }
      return Term::list(std::move(items));
    }
    default: return generic_term(value);
  }
}

}  // namespace warren::ctl
