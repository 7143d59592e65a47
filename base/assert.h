#pragma once
// Assertions that stay on in every build: for the impossible, never for input.

#include <cstdio>
#include <cstdlib>

namespace warren {

/// Prints the failed condition with its place and ends the process.
[[noreturn]] inline void assertion_failed(const char* condition, const char* file, int line) {
  std::fprintf(stderr, "assertion failed: %s at %s:%d\n", condition, file, line);
  std::abort();
}

}  // namespace warren

#define WARREN_ASSERT(condition)                                          \
  do {                                                                    \
    if (!(condition)) [[unlikely]]                                        \
      ::warren::assertion_failed(#condition, __FILE__, __LINE__);         \
  } while (false)
