#pragma once
// Erlang terms as text: what advanced.config, rabbitmq.config and enabled_plugins are written in.
// Pure.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace warren::config {

/// One term. A string (`"..."`) and a binary (`<<"...">>`) hold their bytes in `text`, an atom its
/// name.
struct Term {
  enum class Kind { atom, string, binary, integer, decimal, list, tuple } kind{Kind::atom};
  std::string text;         ///< atom, string, binary; a number as written
  std::vector<Term> items;  ///< list, tuple
  int line{1};

  bool is_tuple(std::size_t size) const { return kind == Kind::tuple && items.size() == size; }
  bool is_list() const { return kind == Kind::list; }
  /// Anything that has a text: not a list or tuple.
  bool is_scalar() const { return kind != Kind::list && kind != Kind::tuple; }
};

/// Nesting deeper than this is refused.
inline constexpr int kTermDepthMax = 64;

/// Reads one term that ends with a full stop; `%` begins a comment.
/// Errors: invalid_argument with file and line.
Result<Term> parse_term(std::string_view text, const std::string& file);

/// The term as Erlang would print it, for messages.
std::string show_term(const Term& term);

}  // namespace warren::config
