#include "node/server/loop.h"

#include <ctime>

namespace warren::server {

void Loop::refresh() {
  timespec now{};
  // The coarse clocks are exact to a few milliseconds, and cost a tenth of the fine ones.
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
  steady_ = Millis{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  clock_gettime(CLOCK_REALTIME_COARSE, &now);
  wall_ = Millis{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace warren::server
