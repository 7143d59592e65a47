#pragma once
// Time as an input: pure rooms take a Clock& and never ask the operating system.

#include <cstdint>

namespace warren {

using Millis = std::int64_t;

/// Source of time. `steady_ms` never goes back; `wall_ms` is Unix time and may jump.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Millis steady_ms() const = 0;
  virtual Millis wall_ms() const = 0;
};

/// A clock that tests and the simulator move by hand.
class ManualClock final : public Clock {
 public:
  Millis steady_ms() const override { return steady_; }
  Millis wall_ms() const override { return wall_; }
  void advance(Millis by) {
    steady_ += by;
    wall_ += by;
  }
  void jump_wall(Millis by) { wall_ += by; }

 private:
  Millis steady_{1'000};
  Millis wall_{1'700'000'000'000};
};

}  // namespace warren
