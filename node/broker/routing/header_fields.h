#pragma once
// Encoded field tables read in place for comparison: names, and values in the classes in which a
// headers exchange compares them.

#include <cstdint>
#include <string_view>
#include <vector>

namespace warren::broker::routing {

/// One field; views point into the encoded pairs.
/// Numbers are equal by value whatever their type: int32 7, uint8 7, timestamp 7 and double 7.0 are
/// one. Texts and byte strings with the same bytes are equal. Arrays and tables are equal when
/// their encodings are. Source: observed with RabbitMQ 3.10.8, all pairs of types.
struct HeaderField {
  enum class Class : std::uint8_t {
    none, integer, negative, fraction, boolean, decimal, text, array, table
  };

  std::string_view name;
  Class value_class{Class::none};
  std::uint64_t number{0};  ///< integer, negative, boolean: the value; fraction: bits of the double
  std::string_view data;    ///< decimal, text, array, table

  bool same_value(const HeaderField& other) const {
    return value_class == other.value_class && number == other.number && data == other.data;
  }
};

/// The fields of encoded pairs, sorted by name; of equal names the first one stays in front.
/// False when the pairs are malformed; `out` is then empty.
bool read_fields(std::string_view pairs, std::vector<HeaderField>& out);

}  // namespace warren::broker::routing
