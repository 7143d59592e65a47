#pragma once
// Virtual time: one queue of events, one source of chance, one trace. A seed is a run.

#include "base/clock.h"
#include "base/prng.h"

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <functional>
#include <queue>
#include <string>
#include <utility>
#include <vector>

namespace warren::simulation {

using Micros = std::int64_t;

/// Thrown by checkers; the run ends and reports. Stays inside tests/simulation.
struct Violation {
  std::string invariant;
  std::string text;
};

class World {
 public:
  explicit World(std::uint64_t seed) : prng(seed) {}

  Micros now() const { return now_; }
  Millis now_ms() const { return now_ / 1000; }
  std::uint64_t steps() const { return steps_; }

  void at(Micros when, std::function<void()> what) {
    events_.push({std::max(when, now_), next_++, std::move(what)});
  }
  void after(Micros delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }

  /// Runs events up to `until`.
  void run(Micros until) {
    while (!events_.empty() && events_.top().when <= until) {
      // Moving out of a priority queue is safe here: pop follows at once and order ignores `what`.
      Event event = std::move(const_cast<Event&>(events_.top()));
      events_.pop();
      now_ = event.when;
      ++steps_;
      event.what();
    }
    now_ = until;
  }

  template <class... Args>
  void trace(fmt::format_string<Args...> form, Args&&... args) {
    if (!tracing) return;
    std::string line = fmt::format("{:>10.3f} ", static_cast<double>(now_) / 1000.0);
    line += fmt::format(form, std::forward<Args>(args)...);
    lines.push_back(std::move(line));
    if (lines.size() > 20'000) lines.pop_front();
  }

  Prng prng;
  bool tracing{false};
  std::deque<std::string> lines;

 private:
  struct Event {
    Micros when;
    std::uint64_t order;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  Micros now_{1'000'000};
  std::uint64_t next_{0};
  std::uint64_t steps_{0};
  std::priority_queue<Event> events_;
};

/// A node's clocks: steady follows virtual time, wall may jump.
class SimClock final : public Clock {
 public:
  explicit SimClock(const World& world) : world_(world) {}
  Millis steady_ms() const override { return world_.now_ms(); }
  Millis wall_ms() const override { return 1'700'000'000'000 + world_.now_ms() + wall_offset; }
  Millis wall_offset{0};

 private:
  const World& world_;
};

inline std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  return Prng(a ^ (b * 0x9E3779B97F4A7C15ULL)).next();
}
inline std::uint64_t hash_bytes(std::string_view bytes) {
  std::uint64_t h = 0xCBF29CE484222325ULL;
  for (char c : bytes) h = (h ^ static_cast<std::uint8_t>(c)) * 0x100000001B3ULL;
  return h;
}

}  // namespace warren::simulation
