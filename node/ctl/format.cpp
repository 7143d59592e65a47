#include "node/ctl/format.h"

#include <ostream>

namespace warren::ctl {
namespace {

const json::value kNothing;

const json::value& value_of(const json::object& row, const Column& column) {
  const json::value* value = row.if_contains(column.name);
  return value == nullptr ? kNothing : *value;
}

std::string bold_text(const std::string& text, bool bold) {
  return bold ? "\x1b[1m" + text + "\x1b[0m" : text;
}

/// Columns between tabs, a header line first.
class Table final : public RowFormatter {
 public:
  Table(std::ostream& out, const std::vector<Column>& columns, FormatOptions options)
      : out_(out), columns_(columns), headers_(options.headers) {}

  void row(const json::object& row) override {
    if (headers_) line([](const Column& column) { return column.name; });
    headers_ = false;
    line([&row](const Column& column) { return cell_text(column, value_of(row, column)); });
  }

 private:
  template <class Cell>
  void line(Cell cell) {
    const char* between = "";
    for (const Column& column : columns_) {
      out_ << between << cell(column);
      between = "\t";
    }
    out_ << "\n" << std::flush;
  }

  std::ostream& out_;
  const std::vector<Column>& columns_;
  bool headers_;
};

/// Box drawing; needs all rows to know the widths.
class PrettyTable final : public RowFormatter {
 public:
  PrettyTable(std::ostream& out, const std::vector<Column>& columns, FormatOptions options)
      : out_(out), columns_(columns), options_(options) {}

  void row(const json::object& row) override {
    std::vector<std::string> cells;
    for (const Column& column : columns_) cells.push_back(cell_text(column, value_of(row, column)));
    rows_.push_back(std::move(cells));
  }

  void end() override {
    if (rows_.empty()) return;
    std::vector<std::string> names;
    for (const Column& column : columns_) names.push_back(column.name);
    widths_.assign(columns_.size(), 0);
    for (const auto& cells : rows_) widen(cells);
    if (options_.headers) widen(names);
    border("┌", "┬", "┐");
    if (options_.headers) cells(names, options_.bold);
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      if (i > 0 || options_.headers) border("├", "┼", "┤");
      cells(rows_[i], false);
    }
    border("└", "┴", "┘");
    out_ << std::flush;
  }

 private:
  /// Characters, not bytes.
  static std::size_t width(const std::string& text) {
    std::size_t count = 0;
    for (const char c : text) count += (static_cast<unsigned char>(c) & 0xC0) != 0x80 ? 1 : 0;
    return count;
  }
  void widen(const std::vector<std::string>& cells) {
    for (std::size_t i = 0; i < cells.size(); ++i)
      widths_[i] = std::max(widths_[i], width(cells[i]));
  }
  void border(const char* left, const char* middle, const char* right) {
    const char* before = left;
    for (const std::size_t width : widths_) {
      out_ << before;
      for (std::size_t i = 0; i < width + 2; ++i) out_ << "─";
      before = middle;
    }
    out_ << right << "\n";
  }
  void cells(const std::vector<std::string>& cells, bool bold) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      out_ << "│ " << bold_text(cells[i], bold)
           << std::string(widths_[i] - width(cells[i]) + 1, ' ');
    }
    out_ << "│\n";
  }

  std::ostream& out_;
  const std::vector<Column>& columns_;
  FormatOptions options_;
  std::vector<std::vector<std::string>> rows_;
  std::vector<std::size_t> widths_;
};

json::object chosen(const json::object& row, const std::vector<Column>& columns) {
  json::object out;
  for (const Column& column : columns) {
    const json::value& value = value_of(row, column);
    out[column.name] = value.is_null() ? json::value("") : value;
  }
  return out;
}

class Json final : public RowFormatter {
 public:
  Json(std::ostream& out, const std::vector<Column>& columns, bool stream)
      : out_(out), columns_(columns), stream_(stream) {}
  void row(const json::object& row) override {
    if (!stream_) out_ << (first_ ? "[\n" : ",");
    first_ = false;
    out_ << json::serialize(chosen(row, columns_)) << "\n" << std::flush;
  }
  void end() override {
    if (!stream_) out_ << (first_ ? "[\n]\n" : "]\n") << std::flush;
  }

 private:
  std::ostream& out_;
  const std::vector<Column>& columns_;
  bool stream_;
  bool first_{true};
};

class Csv final : public RowFormatter {
 public:
  Csv(std::ostream& out, const std::vector<Column>& columns, FormatOptions options)
      : out_(out), columns_(columns), headers_(options.headers) {}
  void row(const json::object& row) override {
    if (headers_) line([](const Column& column) { return column.name; });
    headers_ = false;
    line([&row](const Column& column) { return cell_text(column, value_of(row, column)); });
  }

 private:
  template <class Cell>
  void line(Cell cell) {
    const char* between = "\"";
    for (const Column& column : columns_) {
      out_ << between;
      for (const char c : cell(column)) out_ << (c == '"' ? "\"" : "") << c;
      between = "\",\"";
    }
    out_ << "\"\n" << std::flush;
  }

  std::ostream& out_;
  const std::vector<Column>& columns_;
  bool headers_;
};

/// One list of property lists.
class Erlang final : public RowFormatter {
 public:
  Erlang(std::ostream& out, const std::vector<Column>& columns) : out_(out), columns_(columns) {}
  void row(const json::object& row) override {
    std::vector<Term> pairs;
    for (const Column& column : columns_)
      pairs.push_back(Term::pair(column.name, cell_term(column, value_of(row, column))));
    rows_.push_back(Term::list(std::move(pairs)));
  }
  void end() override { out_ << pretty(Term::list(std::move(rows_))) << "\n" << std::flush; }

 private:
  std::ostream& out_;
  const std::vector<Column>& columns_;
  std::vector<Term> rows_;
};

/// `[name: "q", messages: 0]`, a row a line.
class Text final : public RowFormatter {
 public:
  Text(std::ostream& out, const std::vector<Column>& columns) : out_(out), columns_(columns) {}
  void row(const json::object& row) override {
    std::string line;
    for (const Column& column : columns_) {
      const json::value& value = value_of(row, column);
      const bool quote = value.is_string() && column.kind == Column::Kind::text;
      line += (line.empty() ? "" : ", ") + column.name + ": ";
      line += quote ? flat(Term::string(value.get_string())) : cell_text(column, value);
    }
    out_ << "[" << line << "]\n" << std::flush;
  }

 private:
  std::ostream& out_;
  const std::vector<Column>& columns_;
};

}  // namespace

std::unique_ptr<RowFormatter> make_formatter(std::string_view name, std::ostream& out,
                                             const std::vector<Column>& columns,
                                             FormatOptions options) {
  if (name == "pretty_table") return std::make_unique<PrettyTable>(out, columns, options);
  if (name == "json") return std::make_unique<Json>(out, columns, false);
  if (name == "json_stream") return std::make_unique<Json>(out, columns, true);
  if (name == "csv") return std::make_unique<Csv>(out, columns, options);
  if (name == "erlang") return std::make_unique<Erlang>(out, columns);
  if (name == "string" || name == "string_per_line" || name == "inspect")
    return std::make_unique<Text>(out, columns);
  return std::make_unique<Table>(out, columns, options);
}

}  // namespace warren::ctl
