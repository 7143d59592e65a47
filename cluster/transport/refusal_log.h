#pragma once
// Says whether a failure that repeats is worth another line: once per text, then once a minute with
// the number of times it was left out. Pure. Owner: whoever holds the lock around it.

#include <cstdint>
#include <map>
#include <string>

#include "base/clock.h"

namespace warren::transport {

class RefusalLog {
 public:
  static constexpr Millis kRepeatMs = 60'000;
  static constexpr std::size_t kSubjectsMax = 256;  ///< beyond it the one told longest ago goes

  /// True when a line about `subject` is due; `left_out` then gets how many were not told since.
  bool due(const std::string& subject, const std::string& text, Millis now,
           std::uint64_t& left_out);
  /// All is well with `subject`: the next failure is news.
  void forget(const std::string& subject) { told_.erase(subject); }
  std::uint64_t total() const { return total_; }

 private:
  struct Told {
    std::string text;
    Millis at{0};
    std::uint64_t left_out{0};
  };
  std::map<std::string, Told> told_;
  std::uint64_t total_{0};
};

}  // namespace warren::transport
