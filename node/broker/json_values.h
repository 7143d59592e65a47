#pragma once
// Reading fields of a JSON object with errors that name them. Private to definitions.

#include "base/result.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker {

inline std::string to_text(const boost::json::string& text) { return {text.data(), text.size()}; }
inline std::string to_text(boost::json::string_view text) { return {text.data(), text.size()}; }

/// Parses a document; bytes that are no UTF-8 pass, as AMQP names may hold them.
/// Errors: invalid_argument.
Result<boost::json::value> parse_json(std::string_view text);

/// One object of a definitions document, with the words that name it in errors.
class Fields {
 public:
  Fields(const boost::json::object& object, std::string what)
      : object_(object), what_(std::move(what)) {}

  const std::string& what() const { return what_; }
  void rename(std::string what) { what_ = std::move(what); }
  Error wrong(std::string_view text) const;

  const boost::json::value* find(std::string_view key) const;
  /// Errors of all: invalid_argument. A missing or null field gives the default, or, without one, an
  /// error.
  Result<std::string> text(std::string_view key) const;
  Result<std::string> text(std::string_view key, std::string_view otherwise) const;
  Result<bool> boolean(std::string_view key, bool otherwise) const;
  Result<std::int64_t> integer(std::string_view key, std::int64_t otherwise) const;
  /// A list of texts, or one text with commas between them.
  Result<std::vector<std::string>> words(std::string_view key) const;
  /// Names with integers; an empty list also stands for none.
  Result<std::map<std::string, std::int64_t>> numbers(std::string_view key) const;
  /// An object; an empty list also stands for an empty one.
  Result<boost::json::object> object(std::string_view key) const;

 private:
  const boost::json::object& object_;
  std::string what_;
};

}  // namespace warren::broker
