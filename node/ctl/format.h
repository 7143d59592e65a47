#pragma once
// Rows as text: one formatter per --formatter. Values come as JSON (docs/control-methods.md §1);
// the column's kind says what they are. Formatters write to a stream and keep no rows, except the
// pretty table.

#include <boost/json.hpp>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "node/ctl/terms.h"

namespace warren::ctl {

namespace json = boost::json;

/// A column of a listing and what its values are.
struct Column {
  enum class Kind { text, atom, boolean, number, pid, table, atoms, pids, json, host };
  std::string name;
  Kind kind{Kind::text};
};

/// "name durable=bool" taken apart; '_' in names of columns that have a space is kept here.
std::vector<Column> columns_of(std::string_view spec);

/// A single value as people read it: strings without quotes, numbers without exponents where that
/// is shorter.
std::string plain_text(const json::value& value);
/// One cell of a table: names as they are, tables as Erlang terms, JSON as JSON, nothing for null.
std::string cell_text(const Column& column, const json::value& value);
/// The value as an Erlang term.
Term cell_term(const Column& column, const json::value& value);
/// Any JSON value as an Erlang term: objects become proplists, strings binaries.
Term generic_term(const json::value& value);
/// An AMQP table ([[name, type, value], ...]) as tables show it: [{"name",value},...].
std::string table_text(const json::value& table);

class RowFormatter {
 public:
  virtual ~RowFormatter() = default;
  virtual void row(const json::object& row) = 0;
  virtual void end() {}
};

struct FormatOptions {
  bool headers{true};
  bool bold{false};
};

/// Requires: `name` is one of formatter_names(). `out` and `columns` outlive the formatter.
std::unique_ptr<RowFormatter> make_formatter(std::string_view name, std::ostream& out,
                                             const std::vector<Column>& columns,
                                             FormatOptions options);

}  // namespace warren::ctl
