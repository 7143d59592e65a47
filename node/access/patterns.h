#pragma once
// Perl-compatible patterns of permissions, policies and validators: compiled once, kept by text,
// bounded in number and in the work one match may take. Owner: one thread per instance.

#include "base/result.h"

#include <cstddef>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>

namespace warren::access {

inline constexpr std::uint32_t kMatchLimit = 100000;      // steps; a hostile pattern ends in ~2 ms
inline constexpr std::size_t kPatternsMax = 1024;         // compiled ones kept, least recent go
inline constexpr std::size_t kPatternBytesMax = 64 * 1024;

/// Says whether the pattern can be compiled.
/// Errors: invalid_argument, with the reason and its place.
Result<void> check_pattern(std::string_view pattern);

class Patterns {
 public:
  explicit Patterns(std::size_t capacity = kPatternsMax);
  ~Patterns();
  Patterns(const Patterns&) = delete;
  Patterns& operator=(const Patterns&) = delete;

  /// True when the pattern occurs anywhere in the subject (bytes, not characters). An empty pattern
  /// is an empty pattern: it matches everything; permissions give "" their own meaning.
  /// Errors: invalid_argument (pattern), exhausted (match limit).
  Result<bool> search(std::string_view pattern, std::string_view subject);
  /// As `search`, and false on an error.
  bool matches(std::string_view pattern, std::string_view subject);

  std::size_t size() const { return by_text_.size(); }

 private:
  struct Compiled;
  struct Machine;
  Compiled* find_or_compile(std::string_view pattern);

  const std::size_t capacity_;
  std::list<Compiled> recent_;  // most recent first
  std::map<std::string, std::list<Compiled>::iterator, std::less<>> by_text_;
  std::unique_ptr<Machine> machine_;
};

}  // namespace warren::access
