#include "base/field_table.h"

#include "base/bytes.h"

#include <algorithm>

namespace warren {

namespace {

constexpr int kMaxNesting = 64;

void write_value(ByteWriter& out, const FieldValue& value);

void write_table(ByteWriter& out, const FieldTable& table) {
  for (const auto& [name, value] : table) {
    out.str8(std::string_view(name).substr(0, 255));
    write_value(out, value);
  }
}

/// Writes `body` behind its 32-bit length.
template <class Body>
void write_sized(ByteWriter& out, Body body) {
  const std::size_t at = out.target().size();
  out.u32(0);
  body();
  store_be(out.target().data() + at, static_cast<std::uint32_t>(out.target().size() - at - 4));
}

struct ValueWriter {
  ByteWriter& out;

  void operator()(std::monostate) { out.u8('V'); }
  void operator()(bool v) { out.u8('t'), out.u8(v ? 1 : 0); }
  void operator()(std::int8_t v) { out.u8('b'), out.i8(v); }
  void operator()(std::uint8_t v) { out.u8('B'), out.u8(v); }
  void operator()(std::int16_t v) { out.u8('s'), out.i16(v); }
  void operator()(std::uint16_t v) { out.u8('u'), out.u16(v); }
  void operator()(std::int32_t v) { out.u8('I'), out.i32(v); }
  void operator()(std::uint32_t v) { out.u8('i'), out.u32(v); }
  void operator()(std::int64_t v) { out.u8('l'), out.i64(v); }
  void operator()(float v) { out.u8('f'), out.f32(v); }
  void operator()(double v) { out.u8('d'), out.f64(v); }
  void operator()(const FieldDecimal& v) { out.u8('D'), out.u8(v.scale), out.u32(v.value); }
  void operator()(const FieldTimestamp& v) { out.u8('T'), out.u64(v.seconds); }
  void operator()(const std::string& v) { out.u8('S'), out.str32(v); }
  void operator()(const FieldBytes& v) { out.u8('x'), out.str32(v.data); }
  void operator()(const FieldArray& v) {
    out.u8('A');
    write_sized(out, [&] {
      for (const auto& item : v) write_value(out, item);
    });
  }
  void operator()(const FieldTable& v) {
    out.u8('F');
    write_sized(out, [&] { write_table(out, v); });
  }
};

void write_value(ByteWriter& out, const FieldValue& value) { std::visit(ValueWriter{out}, value.v); }

bool read_table(std::string_view bytes, FieldTable& table, int depth);

bool read_value(ByteReader& in, FieldValue& value, int depth) {
  if (depth > kMaxNesting) return false;
  switch (in.u8()) {
    case 'V': value = FieldValue{}; break;
    case 't': value = FieldValue(in.u8() != 0); break;
    case 'b': value = FieldValue(in.i8()); break;
    case 'B': value = FieldValue(in.u8()); break;
    case 's': value = FieldValue(in.i16()); break;
    case 'u': value = FieldValue(in.u16()); break;
    case 'I': value = FieldValue(in.i32()); break;
    case 'i': value = FieldValue(in.u32()); break;
    case 'l':
    case 'L': value = FieldValue(in.i64()); break;
    case 'f': value = FieldValue(in.f32()); break;
    case 'd': value = FieldValue(in.f64()); break;
    case 'D': {
      FieldDecimal d;
      d.scale = in.u8();
      d.value = in.u32();
      value = FieldValue(d);
      break;
    }
    case 'T': value = FieldValue(FieldTimestamp{in.u64()}); break;
    case 'S': value = FieldValue(std::string(in.str32())); break;
    case 'x': value = FieldValue(FieldBytes{std::string(in.str32())}); break;
    case 'A': {
      ByteReader items(in.str32());
      if (!in.ok()) return false;
      FieldArray array;
      while (!items.at_end()) {
        FieldValue item;
        if (!read_value(items, item, depth + 1)) return false;
        array.push_back(std::move(item));
      }
      value = FieldValue(std::move(array));
      break;
    }
    case 'F': {
      const std::string_view inner = in.str32();
      FieldTable table;
      if (!in.ok() || !read_table(inner, table, depth + 1)) return false;
      value = FieldValue(std::move(table));
      break;
    }
    default: return false;
  }
  return in.ok();
}

bool read_table(std::string_view bytes, FieldTable& table, int depth) {
  ByteReader in(bytes);
  while (!in.at_end()) {
    std::string name(in.str8());
    FieldValue value;
    if (!in.ok() || !read_value(in, value, depth)) return false;
    table.entries().emplace_back(std::move(name), std::move(value));
  }
  return true;
}

}  // namespace

const FieldValue* FieldTable::find(std::string_view name) const {
  for (const auto& [key, value] : entries_)
    if (key == name) return &value;
  return nullptr;
}

void FieldTable::set(std::string name, FieldValue value) {
  for (auto& [key, old] : entries_)
    if (key == name) {
      old = std::move(value);
      return;
    }
  entries_.emplace_back(std::move(name), std::move(value));
}

bool FieldTable::erase(std::string_view name) {
  return std::erase_if(entries_, [&](const Entry& e) { return e.first == name; }) > 0;
}

std::string FieldTable::encode() const {
  std::string bytes;
  ByteWriter out(bytes);
  write_table(out, *this);
  return bytes;
}

Result<FieldTable> FieldTable::decode(std::string_view pairs) {
  FieldTable table;
  if (!read_table(pairs, table, 0))
    return make_error(Errc::invalid_argument, "malformed field table");
  return table;
}

bool FieldTable::operator==(const FieldTable& other) const { return entries_ == other.entries_; }

std::optional<std::int64_t> FieldValue::as_int() const {
  return std::visit(
      [](const auto& x) -> std::optional<std::int64_t> {
        using T = std::decay_t<decltype(x)>;
        if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>)
          return static_cast<std::int64_t>(x);
        else if constexpr (std::is_same_v<T, FieldTimestamp>)
          return static_cast<std::int64_t>(x.seconds);
        else
          return std::nullopt;
      },
      v);
}

std::optional<std::string_view> FieldValue::as_string() const {
  if (const auto* s = std::get_if<std::string>(&v)) return std::string_view(*s);
  if (const auto* b = std::get_if<FieldBytes>(&v)) return std::string_view(b->data);
  return std::nullopt;
}

std::optional<bool> FieldValue::as_bool() const {
  if (const auto* b = std::get_if<bool>(&v)) return *b;
  return std::nullopt;
}

const char* FieldValue::type_name() const {
  static constexpr const char* kNames[] = {
      "void",  "bool",   "byte",    "unsignedbyte", "short",   "unsignedshort",
      "signedint", "unsignedint", "long", "float", "double", "decimal",
      "timestamp", "longstr", "binary", "array", "table"};
  static_assert(std::size(kNames) == std::variant_size_v<Variant>);
  return kNames[v.index()];
}

}  // namespace warren
