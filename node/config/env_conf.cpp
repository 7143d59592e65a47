#include "node/config/env_conf.h"

#include <cctype>
#include <optional>

namespace warren::config {

namespace {

bool is_name_start(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_name_char(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

/// One pass over the file. Owner: parse_env_conf's stack.
class Parser {
 public:
  Parser(std::string_view text, const std::string& path, const EnvView& env)
      : text_(text), path_(path), env_(env) {}

  Result<EnvConf> run() {
    while (!at_end()) {
      skip_blanks();
      if (at_end()) break;
      if (peek() == '\n' || peek() == ';') {
        next();
        continue;
      }
      if (peek() == '#') {
        skip_line();
        continue;
      }
      if (auto done = statement(); !done) return done.error();
    }
    return std::move(out_);
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  char next() {
    const char c = text_[at_++];
    if (c == '\n') ++line_;
    return c;
  }
  void skip_blanks() {
    while (!at_end() && (is_blank(peek()) || (peek() == '\\' && peek(1) == '\n'))) {
      if (next() == '\\') next();
    }
  }
  void skip_line() {
    while (!at_end() && peek() != '\n') next();
  }
  std::string where() const { return path_ + ":" + std::to_string(line_); }

  void leave_out(std::string_view reason) {
    out_.notes.push_back(where() + ": left out: " + std::string{reason});
    skip_line();
  }

  std::string name() {
    std::string word;
    while (!at_end() && is_name_char(peek())) word.push_back(next());
    return word;
  }

  /// One assignment, or `export` in front of assignments or names.
  Result<void> statement() {
    if (!is_name_start(peek())) {
      leave_out("only assignments are read, no command is run");
      return {};
    }
    const int line = line_;
    const std::string word = name();
    if (peek() == '=') {
      next();
      needs_shell_ = false;
      auto value = word_value();
      if (!value) return value.error();
      if (needs_shell_) {
        leave_out("the value of " + word + " needs a shell, and none is run");
        return {};
      }
      out_.values[word] = EnvConfValue{std::move(value.value()), line};
      return {};
    }
    if (word == "export" && (is_blank(peek()) || peek() == '\n' || at_end())) return {};
    // `export NAME` of a name that was assigned before changes nothing here.
    if (out_.values.contains(word) && (at_end() || is_blank(peek()) || peek() == '\n')) return {};
    leave_out("only assignments are read, no command is run");
    return {};
  }

  /// The right-hand side up to a blank, newline, `;` or comment.
  Result<std::string> word_value() {
    std::string value;
    while (!at_end()) {
      const char c = peek();
      if (is_blank(c) || c == '\n' || c == ';') break;
      if (c == '\'') {
        next();
        if (auto done = single_quoted(value); !done) return done.error();
      } else if (c == '"') {
        next();
        if (auto done = double_quoted(value); !done) return done.error();
      } else if (c == '\\') {
        next();
        if (at_end()) break;
        if (peek() == '\n') {
          next();
        } else {
          value.push_back(next());
        }
      } else if (c == '$') {
        dollar(value);
      } else if (c == '`' || c == '(') {
        needs_shell_ = true;
        break;
      } else if (c == '~' && value.empty() && (peek(1) == '/' || is_blank(peek(1)))) {
        next();
        value += lookup("HOME");
      } else {
        value.push_back(next());
      }
    }
    return value;
  }

  Result<void> single_quoted(std::string& value) {
    const std::string start = where();
    while (!at_end() && peek() != '\'') value.push_back(next());
    if (at_end()) return make_error(Errc::invalid_argument, start + ": a ' is never closed");
    next();
    return {};
  }

  Result<void> double_quoted(std::string& value) {
    const std::string start = where();
    while (!at_end() && peek() != '"') {
      const char c = peek();
      if (c == '\\') {
        next();
        if (at_end()) break;
        const char escaped = next();
        if (escaped == '\n') continue;
        if (escaped != '"' && escaped != '\\' && escaped != '$' && escaped != '`') {
          value.push_back('\\');
        }
        value.push_back(escaped);
      } else if (c == '$') {
        dollar(value);
      } else if (c == '`') {
        needs_shell_ = true;
        value.push_back(next());
      } else {
        value.push_back(next());
      }
    }
    if (at_end()) return make_error(Errc::invalid_argument, start + ": a \" is never closed");
    next();
    return {};
  }

  void dollar(std::string& value) {
    next();
    if (peek() == '(') {
      needs_shell_ = true;
      return;
    }
    if (peek() == '{') {
      next();
      const std::string wanted = name();
      std::string fallback;
      if (peek() == ':' && peek(1) == '-') {
        next();
        next();
        while (!at_end() && peek() != '}' && peek() != '\n') fallback.push_back(next());
      }
      if (peek() != '}') {
        needs_shell_ = true;
        return;
      }
      next();
      const std::string found = lookup(wanted);
      value += found.empty() ? fallback : found;
      return;
    }
    if (!is_name_start(peek())) {
      value.push_back('$');
      return;
    }
    value += lookup(name());
  }

  std::string lookup(const std::string& wanted) const {
    if (const auto it = out_.values.find(wanted); it != out_.values.end()) return it->second.value;
    if (const auto it = env_.find(wanted); it != env_.end()) return it->second;
    return {};
  }

  std::string_view text_;
  const std::string& path_;
  const EnvView& env_;
  std::size_t at_{0};
  int line_{1};
  bool needs_shell_{false};
  EnvConf out_;
};

}  // namespace

Result<EnvConf> parse_env_conf(std::string_view text, const std::string& path, const EnvView& env) {
  return Parser{text, path, env}.run();
}

}  // namespace warren::config
