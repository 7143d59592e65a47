#include "node/broker/routing/header_fields.h"

#include "base/bytes.h"

#include <algorithm>

namespace warren::broker::routing {

namespace {

using Class = HeaderField::Class;

void set_integer(HeaderField& field, std::int64_t value) {
  field.value_class = Class::integer;
  field.number = static_cast<std::uint64_t>(value);
}

void set_real(HeaderField& field, double value) {
  field.value_class = Class::real;
  field.number = std::bit_cast<std::uint64_t>(value == 0 ? 0.0 : value);  // -0 equals 0
}

bool read_field(ByteReader& in, HeaderField& field) {
  field.name = in.str8();
  const auto sized = [&](Class value_class) {
    field.value_class = value_class;
    field.data = in.str32();
  };
  switch (in.u8()) {
    case 'V': break;
    case 't':
      field.value_class = Class::boolean;
      field.number = in.u8() != 0 ? 1 : 0;
      break;
    case 'b': set_integer(field, in.i8()); break;
    case 'B': set_integer(field, in.u8()); break;
    case 's': set_integer(field, in.i16()); break;
    case 'u': set_integer(field, in.u16()); break;
    case 'I': set_integer(field, in.i32()); break;
    case 'i': set_integer(field, in.u32()); break;
    case 'l':
    case 'L': set_integer(field, in.i64()); break;
    case 'f': set_real(field, in.f32()); break;
    case 'd': set_real(field, in.f64()); break;
    case 'T':
      field.value_class = Class::timestamp;
      field.number = in.u64();
      break;
    case 'D':
      field.value_class = Class::decimal;
      field.data = in.bytes(5);
      break;
    case 'S': sized(Class::text); break;
    case 'x': sized(Class::bytes); break;
    case 'A': sized(Class::array); break;
    case 'F': sized(Class::table); break;
    default: return false;
  }
  return in.ok();
}

}  // namespace

bool read_fields(std::string_view pairs, std::vector<HeaderField>& out) {
  out.clear();
  ByteReader in(pairs);
  while (!in.at_end()) {
    if (!read_field(in, out.emplace_back())) {
      out.clear();
      return false;
    }
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const HeaderField& a, const HeaderField& b) { return a.name < b.name; });
  return true;
}

}  // namespace warren::broker::routing
