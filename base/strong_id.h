#pragma once
// Integer identities that cannot be mixed up: StrongId<struct TermTag> and StrongId<struct IndexTag>
// are different types with the same cost as the integer.

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace warren {

template <class Tag, class Int = std::uint64_t>
struct StrongId {
  Int value{};

  constexpr StrongId() = default;
  constexpr explicit StrongId(Int v) : value(v) {}

  constexpr auto operator<=>(const StrongId&) const = default;
  constexpr StrongId next() const { return StrongId(static_cast<Int>(value + 1)); }
};

}  // namespace warren

template <class Tag, class Int>
struct std::hash<warren::StrongId<Tag, Int>> {
  std::size_t operator()(warren::StrongId<Tag, Int> id) const noexcept {
    return std::hash<Int>{}(id.value);
  }
};
