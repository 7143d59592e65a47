#include "node/config/erlang_terms.h"

#include <fmt/core.h>

#include <cctype>

namespace warren::config {

namespace {

bool atom_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '@';
}

/// One pass over the text. Owner: parse_term's stack.
class Parser {
 public:
  Parser(std::string_view text, const std::string& file) : text_(text), file_(file) {}

  Result<Term> run() {
    auto term = parse(0);
    if (!term) return term;
    skip();
    if (!take('.')) return wrong("a full stop is missing at the end");
    skip();
    if (at_ < text_.size()) return wrong("there is more behind the full stop");
    return term;
  }

 private:
  Error wrong(std::string_view what) const {
    return make_error(Errc::invalid_argument, fmt::format("{}:{}: {}", file_, line_, what));
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  char next() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }
  bool take(char c) {
    if (peek() != c || at_ >= text_.size()) return false;
    next();
    return true;
  }
  void skip() {
    while (at_ < text_.size()) {
      if (std::isspace(static_cast<unsigned char>(peek())) != 0) {
        next();
      } else if (peek() == '%') {
        while (at_ < text_.size() && peek() != '\n') next();
      } else {
        break;
      }
    }
  }

  Result<Term> parse(int depth) {
    if (depth > kTermDepthMax) return wrong("the term is nested too deeply");
    skip();
    Term term;
    term.line = line_;
    if (at_ >= text_.size()) return wrong("the text ends inside a term");
    const char c = peek();
    if (c == '[') return sequence(std::move(term), Term::Kind::list, ']', depth);
    if (c == '{') return sequence(std::move(term), Term::Kind::tuple, '}', depth);
    if (c == '"') {
      term.kind = Term::Kind::string;
      return quoted(std::move(term), '"');
    }
    if (c == '\'') {
      term.kind = Term::Kind::atom;
      return quoted(std::move(term), '\'');
    }
    if (text_.substr(at_).starts_with("<<")) return binary(std::move(term));
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '+') {
      return number(std::move(term));
    }
    if (c >= 'a' && c <= 'z') {
      while (at_ < text_.size() && atom_char(peek())) term.text.push_back(next());
      return term;
    }
    return wrong(fmt::format("'{}' begins no term", c));
  }

  Result<Term> sequence(Term term, Term::Kind kind, char end, int depth) {
    term.kind = kind;
    next();
    skip();
    if (take(end)) return term;
    while (true) {
      auto item = parse(depth + 1);
      if (!item) return item;
      term.items.push_back(std::move(item.value()));
      skip();
      if (take(end)) return term;
      if (!take(',')) return wrong(fmt::format("a comma or {} is missing", end));
    }
  }

  Result<Term> quoted(Term term, char end) {
    next();
    while (at_ < text_.size() && peek() != end) {
      char c = next();
      if (c == '\\' && at_ < text_.size()) {
        c = next();
        if (c == 'n') c = '\n';
        if (c == 't') c = '\t';
        if (c == 's') c = ' ';
      }
      term.text.push_back(c);
    }
    if (!take(end)) {
      line_ = term.line;
      return wrong(fmt::format("a {} is never closed", end));
    }
    return term;
  }

  Result<Term> binary(Term term) {
    term.kind = Term::Kind::binary;
    next();
    next();
    skip();
    if (peek() == '"') {
      auto whole = quoted(std::move(term), '"');
      if (!whole) return whole;
      term = std::move(whole.value());
      skip();
      if (peek() == '/') {
        while (at_ < text_.size() && peek() != '>') next();
      }
    }
    if (!take('>') || !take('>')) return wrong("only binaries of the form <<\"text\">> are read");
    return term;
  }

  Result<Term> number(Term term) {
    term.kind = Term::Kind::integer;
    if (peek() == '-' || peek() == '+') {
      const char sign = next();
      if (sign == '-') term.text.push_back(sign);
    }
    while (at_ < text_.size()) {
      const char c = peek();
      const bool fraction = c == '.' && at_ + 1 < text_.size() &&
                            std::isdigit(static_cast<unsigned char>(text_[at_ + 1])) != 0;
      if (fraction || c == 'e' || c == 'E') {
        term.kind = Term::Kind::decimal;
      } else if (c == '_') {
        next();
        continue;
      } else if (std::isdigit(static_cast<unsigned char>(c)) == 0 &&
                 !(c == '-' && term.kind == Term::Kind::decimal)) {
        break;
      }
      term.text.push_back(next());
    }
    if (term.text.empty() || term.text == "-") return wrong("a sign without a number");
    return term;
  }

  std::string_view text_;
  const std::string& file_;
  std::size_t at_{0};
  int line_{1};
};

}  // namespace

Result<Term> parse_term(std::string_view text, const std::string& file) {
  return Parser{text, file}.run();
}

std::string show_term(const Term& term) {
  switch (term.kind) {
    case Term::Kind::string: return "\"" + term.text + "\"";
    case Term::Kind::binary: return "<<\"" + term.text + "\">>";
    case Term::Kind::atom:
    case Term::Kind::integer:
    case Term::Kind::decimal: return term.text;
    case Term::Kind::list:
    case Term::Kind::tuple: break;
  }
  std::string out = term.is_list() ? "[" : "{";
  for (const auto& item : term.items) {
    if (out.size() > 1) out += ",";
    out += show_term(item);
  }
  return out + (term.is_list() ? "]" : "}");
}

}  // namespace warren::config
