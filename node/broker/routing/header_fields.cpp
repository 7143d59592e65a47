#include "node/broker/routing/header_fields.h"

#include "base/bytes.h"
#include "node/amqp/properties.h"

#include <algorithm>

namespace warren::broker::routing {

namespace {

using Class = HeaderField::Class;

void set_integer(HeaderField& field, std::int64_t value) {
  field.value_class = value < 0 ? Class::negative : Class::integer;
  field.number = static_cast<std::uint64_t>(value);
}

void set_unsigned(HeaderField& field, std::uint64_t value) {
  field.value_class = Class::integer;
  field.number = value;
}

/// Whole numbers join the integers, so that 7.0 equals 7.
void set_real(HeaderField& field, double value) {
  constexpr double kTwo63 = 9223372036854775808.0;
  if (value >= 0 && value < 2 * kTwo63) {
    const auto whole = static_cast<std::uint64_t>(value);
    if (static_cast<double>(whole) == value) return set_unsigned(field, whole);
  } else if (value < 0 && value >= -kTwo63) {
    const auto whole = static_cast<std::int64_t>(value);
    if (static_cast<double>(whole) == value) return set_integer(field, whole);
  }
  field.value_class = Class::fraction;
  field.number = std::bit_cast<std::uint64_t>(value);
}

void set_value(HeaderField& field, const amqp::RawValue& raw) {
  ByteReader in(raw.payload);
  const auto bytes = [&](Class value_class) {
    field.value_class = value_class;
    field.data = raw.payload;
  };
  switch (raw.tag) {
    case 't':
      field.value_class = Class::boolean;
      field.number = in.u8() != 0 ? 1 : 0;
      break;
    case 'b': set_integer(field, in.i8()); break;
    case 'B': set_unsigned(field, in.u8()); break;
    case 's': set_integer(field, in.i16()); break;
    case 'u': set_unsigned(field, in.u16()); break;
    case 'I': set_integer(field, in.i32()); break;
    case 'i': set_unsigned(field, in.u32()); break;
    case 'l':
    case 'L': set_integer(field, in.i64()); break;
    case 'T': set_unsigned(field, in.u64()); break;
    case 'f': set_real(field, static_cast<double>(in.f32())); break;
    case 'd': set_real(field, in.f64()); break;
    case 'D': bytes(Class::decimal); break;
    case 'S':
    case 'x': bytes(Class::text); break;
    case 'A': bytes(Class::array); break;
    case 'F': bytes(Class::table); break;
    default: break;  // void
  }
}

/// Stable. Few fields are the rule: std::stable_sort would allocate for them.
void sort_by_name(std::vector<HeaderField>& fields) {
  const auto before = [](const HeaderField& a, const HeaderField& b) { return a.name < b.name; };
  constexpr std::size_t kFew = 16;
  if (fields.size() > kFew) {
    std::stable_sort(fields.begin(), fields.end(), before);
    return;
  }
  for (auto at = fields.begin(); at != fields.end(); ++at)
    std::rotate(std::upper_bound(fields.begin(), at, *at, before), at, at + 1);
}

}  // namespace

bool read_fields(std::string_view pairs, std::vector<HeaderField>& out) {
  out.clear();
  amqp::RawPair pair;
  while (!pairs.empty()) {
    if (!amqp::take_pair(pairs, pair)) {
      out.clear();
      return false;
    }
    HeaderField& field = out.emplace_back();
    field.name = pair.name;
    set_value(field, pair.value);
  }
  sort_by_name(out);
  return true;
}

}  // namespace warren::broker::routing
