#pragma once
// "Did you mean": the nearest known word. Pure.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::ctl {

/// Fewest insertions, deletions, replacements and swaps of neighbours that turn one into the other.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The nearest of `known`, if it is near enough to be what was meant; the first of equals.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace warren::ctl
