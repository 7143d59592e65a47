#pragma once
// Encoded field tables read in place for comparison: names, and values in the classes in which a
// headers exchange compares them.

#include <cstdint>
#include <string_view>
#include <vector>

namespace warren::broker::routing {

/// One field; views point into the encoded pairs.
struct HeaderField {
  /// Widths of one class are equal: int32 7 equals uint8 7, float 1.5 equals double 1.5; an integer
  /// never equals a timestamp, a text never equals bytes.
  enum class Class : std::uint8_t {
    none, integer, real, boolean, timestamp, decimal, text, bytes, array, table
  };

  std::string_view name;
  Class value_class{Class::none};
  std::uint64_t number{0};  ///< integer, real (bits of the double), boolean, timestamp
  std::string_view data;    ///< decimal, text, bytes, array, table: as encoded

  bool same_value(const HeaderField& other) const {
    return value_class == other.value_class && number == other.number && data == other.data;
  }
};

/// The fields of encoded pairs, sorted by name; of equal names the first one stays in front.
/// False when the pairs are malformed; `out` is then empty.
bool read_fields(std::string_view pairs, std::vector<HeaderField>& out);

}  // namespace warren::broker::routing
