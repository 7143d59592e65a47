#pragma once
// AMQP field tables: the one value type for message headers, declare arguments and policies.
// Order and exact types are kept, so that what was read is written back byte for byte.

#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace warren {

struct FieldValue;
class FieldTable;
using FieldArray = std::vector<FieldValue>;

struct FieldDecimal {
  std::uint8_t scale{};
  std::uint32_t value{};
  bool operator==(const FieldDecimal&) const = default;
};
/// Seconds since 1970 (tag T).
struct FieldTimestamp {
  std::uint64_t seconds{};
  bool operator==(const FieldTimestamp&) const = default;
};
/// Bytes that are not text (tag x).
struct FieldBytes {
  std::string data;
  bool operator==(const FieldBytes&) const = default;
};

/// An ordered list of named values.
/// Source: AMQP 0-9-1 4.2.5.5, with RabbitMQ's tags (s is a 16-bit integer, L reads as l).
class FieldTable {
 public:
  using Entry = std::pair<std::string, FieldValue>;

  const FieldValue* find(std::string_view name) const;
  /// Replaces the first value of that name, or appends.
  void set(std::string name, FieldValue value);
  bool erase(std::string_view name);
  bool empty() const;
  std::size_t size() const;
  const std::vector<Entry>& entries() const { return entries_; }
  std::vector<Entry>& entries() { return entries_; }
  std::vector<Entry>::const_iterator begin() const;
  std::vector<Entry>::const_iterator end() const;

  /// The encoded pairs, without the leading 32-bit length.
  std::string encode() const;
  /// Decodes pairs as `encode` writes them.
  /// Errors: invalid_argument on an unknown tag, a bad length or nesting deeper than 64.
  static Result<FieldTable> decode(std::string_view pairs);

  bool operator==(const FieldTable&) const;

 private:
  std::vector<Entry> entries_;
};

/// One value with its exact AMQP type; monostate is "void" (tag V).
struct FieldValue {
  using Variant = std::variant<std::monostate, bool, std::int8_t, std::uint8_t, std::int16_t,
                               std::uint16_t, std::int32_t, std::uint32_t, std::int64_t, float,
                               double, FieldDecimal, FieldTimestamp, std::string, FieldBytes,
                               FieldArray, FieldTable>;
  Variant v;

  FieldValue() = default;
  FieldValue(Variant value) : v(std::move(value)) {}
  template <class T>
    requires(!std::is_same_v<std::remove_cvref_t<T>, FieldValue>) &&
            std::is_constructible_v<Variant, std::in_place_type_t<std::decay_t<T>>, T>
  FieldValue(T&& value) : v(std::in_place_type<std::decay_t<T>>, std::forward<T>(value)) {}
  FieldValue(const char* text) : v(std::string(text)) {}

  bool operator==(const FieldValue&) const = default;

  /// The value of any integer type (also timestamp); nothing for the other types.
  std::optional<std::int64_t> as_int() const;
  /// The text of a longstr or byte array.
  std::optional<std::string_view> as_string() const;
  std::optional<bool> as_bool() const;
  const FieldTable* as_table() const { return std::get_if<FieldTable>(&v); }
  const FieldArray* as_array() const { return std::get_if<FieldArray>(&v); }
  bool is_void() const { return std::holds_alternative<std::monostate>(v); }
  /// AMQP type name as RabbitMQ prints it: longstr, signedint, bool, table, ...
  const char* type_name() const;
};

// Down here, because they need the whole FieldValue.
inline bool FieldTable::empty() const { return entries_.empty(); }
inline std::size_t FieldTable::size() const { return entries_.size(); }
inline std::vector<FieldTable::Entry>::const_iterator FieldTable::begin() const {
  return entries_.begin();
}
inline std::vector<FieldTable::Entry>::const_iterator FieldTable::end() const {
  return entries_.end();
}

}  // namespace warren
