#pragma once
// Virtual time: one queue of events, one source of chance, one trace. A seed is a run.

#include "base/clock.h"
#include "base/prng.h"

#include <fmt/format.h>

#include <cstdint>
#include <deque>
#include <algorithm>
#include <cstddef>
#include <new>
#include <queue>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace warren::simulation {

using Micros = std::int64_t;

/// Thrown by checkers; the run ends and reports. Stays inside tests/simulation.
struct Violation {
  std::string invariant;
  std::string text;
};

/// What an event does. Holds its captures in place: a run makes millions of them.
class Task {
 public:
  Task() = default;
  template <class F>
    requires(!std::is_same_v<std::remove_cvref_t<F>, Task>)
  Task(F&& what) {  // NOLINT: made from any callable
    using Kept = std::remove_cvref_t<F>;
    static_assert(sizeof(Kept) <= kRoom && std::is_nothrow_move_constructible_v<Kept>);
    new (room_) Kept(std::forward<F>(what));
    handle_ = [](Do act, std::byte* self, std::byte* other) {
      auto* kept = std::launder(reinterpret_cast<Kept*>(self));
      if (act == Do::call) return (*kept)();
      if (act == Do::move) new (other) Kept(std::move(*kept));
      kept->~Kept();
    };
  }
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {
    if (handle_) handle_(Do::move, other.room_, room_);
  }
  Task& operator=(Task&& other) noexcept {
    if (this == &other) return *this;
    this->~Task();
    return *new (this) Task(std::move(other));
  }
  ~Task() {
    if (handle_) std::exchange(handle_, nullptr)(Do::end, room_, nullptr);
  }
  void operator()() { handle_(Do::call, room_, nullptr); }

 private:
  static constexpr std::size_t kRoom = 64;
  enum class Do { call, move, end };
  void (*handle_)(Do, std::byte*, std::byte*){nullptr};
  alignas(std::max_align_t) std::byte room_[kRoom];
};

class World {
 public:
  explicit World(std::uint64_t seed) : prng(seed) {}

  Micros now() const { return now_; }
  Millis now_ms() const { return now_ / 1000; }
  std::uint64_t steps() const { return steps_; }

  void at(Micros when, Task what) {
    std::uint32_t place;
    if (free_.empty()) {
      place = static_cast<std::uint32_t>(tasks_.size());
      tasks_.push_back(std::move(what));
    } else {
      place = free_.back();
      free_.pop_back();
      tasks_[place] = std::move(what);
    }
    events_.push({std::max(when, now_), next_++, place});
  }
  void after(Micros delay, Task what) { at(now_ + delay, std::move(what)); }

  /// Runs events up to `until`.
  void run(Micros until) {
    while (!events_.empty() && events_.top().when <= until) {
      Event event = events_.top();
      events_.pop();
      now_ = event.when;
      ++steps_;
      Task what = std::move(tasks_[event.place]);
      free_.push_back(event.place);
      what();
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
    std::uint32_t place;  ///< in tasks_
    bool operator<(const Event& other) const {
      return when != other.when ? when > other.when : order > other.order;
    }
  };

  Micros now_{1'000'000};
  std::uint64_t next_{0};
  std::uint64_t steps_{0};
  std::priority_queue<Event> events_;
  std::vector<Task> tasks_;
  std::vector<std::uint32_t> free_;
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
