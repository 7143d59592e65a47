#pragma once
// Erlang terms: as data, as text on one line, and laid out over several lines the way Erlang's
// shell does it (80 columns). Pure.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::ctl {

/// An Erlang term that is only ever printed.
struct Term {
  enum class Kind { atomic, list, tuple, map };
  Kind kind{Kind::atomic};
  std::string text;         ///< of an atomic one, as printed
  bool tag{false};          ///< an atom: a tuple that begins with it is laid out as tagged
  std::vector<Term> parts;  ///< of a map: key, value, key, value

  static Term atom(std::string_view name);
  static Term binary(std::string_view bytes);
  static Term string(std::string_view text);  ///< a list of characters: "text"
  static Term number(std::string text);
  static Term raw(std::string text);  ///< a pid and the like
  static Term boolean(bool value);
  static Term list(std::vector<Term> parts = {});
  static Term tuple(std::vector<Term> parts);
  static Term map(std::vector<Term> keys_and_values);
  static Term pair(std::string_view tag, Term value) {
    return tuple({atom(tag), std::move(value)});
  }
};

/// One line.
std::string flat(const Term& term);
/// Several lines where one is not enough.
std::string pretty(const Term& term);

}  // namespace warren::ctl
