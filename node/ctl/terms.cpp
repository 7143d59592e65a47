#include "node/ctl/terms.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace warren::ctl {
namespace {

constexpr std::size_t kColumns = 80;

bool plain_atom(std::string_view name) {
  if (name.empty() || name[0] < 'a' || name[0] > 'z') return false;
  static constexpr std::string_view kReserved[] = {
      "after", "and",   "andalso", "band",    "begin", "bnot", "bor",  "bsl", "bsr",   "bxor",
      "case",  "catch", "cond",    "div",     "end",   "fun",  "if",   "let", "maybe", "not",
      "of",    "or",    "orelse",  "receive", "rem",   "try",  "when", "xor"};
  if (std::find(std::begin(kReserved), std::end(kReserved), name) != std::end(kReserved))
    return false;
  return std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '@';
  });
}

std::string quoted(std::string_view text, char quote) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote || c == '\\') out += '\\';
    switch (c) {
      case '\n': out += "\\n"; break;
      case '\t': out += "\\t"; break;
      case '\r': out += "\\r"; break;
      case '\x1b': out += "\\e"; break;
      default: out += c;
    }
  }
  return out + quote;
}

/// Bytes that are not text print as numbers, as Erlang does.
bool printable(std::string_view bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](unsigned char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r' || c == 0x1b;
  });
}

/// The layout; `tag_indent` as in Erlang's own: -1 beside the tag, 4 or 1 fixed. A layout that
/// would begin a value in the right half of the line does not fit, and the next one is tried for
/// all.
class Layout {
 public:
  explicit Layout(int tag_indent) : tag_indent_(tag_indent) {}

  std::string run(const Term& term) { return put(term, 0, 0); }
  bool fits() const { return fits_; }

 private:
  std::string put(const Term& term, std::size_t column, std::size_t depth) {
    const std::string line = flat(term);
    if (column + line.size() + depth < kColumns) return line;
    if (term.kind == Term::Kind::atomic || term.parts.empty()) return line;
    switch (term.kind) {
      case Term::Kind::list: return "[" + put_parts(term, 0, column + 1, depth + 1) + "]";
      case Term::Kind::map: return "#{" + put_pairs(term, column + 2, depth + 1) + "}";
      default: break;
    }
    if (term.parts.front().tag && term.parts.size() > 1) return put_tagged(term, column, depth);
    return "{" + put_parts(term, 0, column + 1, depth + 1) + "}";
  }

  std::string put_tagged(const Term& term, std::size_t column, std::size_t depth) {
    const std::string& tag = term.parts.front().text;
    const std::size_t under = tag.size() + 2;
    if (tag_indent_ > 0 && under > static_cast<std::size_t>(tag_indent_)) {
      const std::size_t at = column + static_cast<std::size_t>(tag_indent_);
      fits_ = fits_ && at <= kColumns / 2;
      return "{" + tag + put_rest(term, 1, at, column + tag.size() + 1, depth + 1) + "}";
    }
    fits_ = fits_ && column + under < kColumns / 2;
    return "{" + tag + "," + put_parts(term, 1, column + under, depth + 1) + "}";
  }

  std::string put_parts(const Term& term, std::size_t from, std::size_t column, std::size_t depth) {
    const Term& first = term.parts[from];
    const std::string text = put(first, column, from + 1 == term.parts.size() ? depth : 0);
    const bool atomic = first.kind == Term::Kind::atomic;
    return text + put_rest(term, from + 1, column, atomic ? column + text.size() : kColumns, depth);
  }

  /// The elements from `from`: small ones go on on the line, others begin a line at `indent`.
  std::string put_rest(const Term& term, std::size_t from, std::size_t indent, std::size_t column,
                       std::size_t depth) {
    std::string out;
    for (std::size_t i = from; i < term.parts.size(); ++i) {
      const Term& part = term.parts[i];
      const std::size_t closing = i + 1 == term.parts.size() ? depth : 1;
      const bool atomic = part.kind == Term::Kind::atomic || part.parts.empty();
      const std::size_t length = flat(part).size() + 1;
      if (atomic && column + length + closing < kColumns) {
        out += "," + flat(part);
        column += length;
        continue;
      }
      const std::string text = put(part, indent, i + 1 == term.parts.size() ? depth : 0);
      out += ",\n" + std::string(indent, ' ') + text;
      column = atomic ? indent + text.size() : kColumns;
    }
    return out;
  }

  std::string put_pairs(const Term& term, std::size_t indent, std::size_t depth) {
    std::string out;
    std::size_t column = indent;
    for (std::size_t i = 0; i + 1 < term.parts.size(); i += 2) {
      const std::string key = flat(term.parts[i]) + " => ";
      const bool last = i + 2 >= term.parts.size();
      std::string text = key + flat(term.parts[i + 1]);
      const bool wide = column + text.size() + 1 + (last ? depth : 1) >= kColumns;
      if (i > 0) out += ",";
      if (i > 0 && wide) {
        out += "\n" + std::string(indent, ' ');
        column = indent;
      }
      if (column + text.size() + depth >= kColumns)
        text = key + put(term.parts[i + 1], indent + 4, depth);
      out += text;
      column += text.size() + 1;
    }
    return out;
  }

  int tag_indent_;
  bool fits_{true};
};

}  // namespace

Term Term::atom(std::string_view name) {
  Term term;
  term.text = plain_atom(name) ? std::string(name) : quoted(name, '\'');
  term.tag = true;
  return term;
}

Term Term::binary(std::string_view bytes) {
  Term term;
  if (bytes.empty()) {
    term.text = "<<>>";
  } else if (printable(bytes)) {
    term.text = "<<" + quoted(bytes, '"') + ">>";
  } else {
    std::string numbers;
    for (const char c : bytes)
      numbers += fmt::format("{}{}", numbers.empty() ? "" : ",", static_cast<unsigned char>(c));
    term.text = "<<" + numbers + ">>";
  }
  return term;
}

Term Term::string(std::string_view text) {
  Term term;
  term.text = text.empty() ? "[]" : quoted(text, '"');
  return term;
}

Term Term::number(std::string text) { return raw(std::move(text)); }

Term Term::raw(std::string text) {
  Term term;
  term.text = std::move(text);
  return term;
}

Term Term::boolean(bool value) { return atom(value ? "true" : "false"); }

Term Term::list(std::vector<Term> parts) {
  Term term;
  term.kind = Kind::list;
  term.parts = std::move(parts);
  return term;
}

Term Term::tuple(std::vector<Term> parts) {
  Term term;
  term.kind = Kind::tuple;
  term.parts = std::move(parts);
  return term;
}

Term Term::map(std::vector<Term> keys_and_values) {
  Term term;
  term.kind = Kind::map;
  term.parts = std::move(keys_and_values);
  return term;
}

std::string flat(const Term& term) {
  if (term.kind == Term::Kind::atomic) return term.text;
  std::string inside;
  for (std::size_t i = 0; i < term.parts.size(); ++i) {
    const bool value = term.kind == Term::Kind::map && i % 2 == 1;
    if (i > 0) inside += value ? " => " : ",";
    inside += flat(term.parts[i]);
  }
  switch (term.kind) {
    case Term::Kind::list: return "[" + inside + "]";
    case Term::Kind::map: return "#{" + inside + "}";
    default: return "{" + inside + "}";
  }
}

std::string pretty(const Term& term) {
  for (const int indent : {-1, 4}) {
    Layout layout(indent);
    std::string text = layout.run(term);
    if (layout.fits()) return text;
  }
  return Layout(1).run(term);
}

}  // namespace warren::ctl
