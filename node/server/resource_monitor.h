#pragma once
// Memory and disc against their limits (ALM-01, ALM-02). Reads the system's figures; the owner
// raises the alarms.

#include "base/clock.h"
#include "node/config/settings.h"

#include <cstdint>
#include <optional>
#include <string>

namespace warren::server {

/// Owner: the loop's thread.
class ResourceMonitor {
 public:
  ResourceMonitor(const config::AlarmSettings& settings, std::string data_dir);

  /// Reads the figures that are due: memory each second, the disc every 10 s down to 100 ms as free
  /// space nears its limit.
  void check(Millis now);

  bool memory_alarm() const { return memory_used_ > memory_limit(); }
  bool disk_alarm() const { return disk_free_ < disk_limit() && disk_known_; }
  std::uint64_t memory_used() const { return memory_used_; }
  std::uint64_t memory_total() const { return memory_total_; }
  std::uint64_t memory_limit() const;
  std::uint64_t disk_free() const { return disk_free_; }
  std::uint64_t disk_limit() const;
  /// "relative" share of memory, or absolute bytes.
  void set_memory_limit(std::optional<double> relative, std::optional<std::int64_t> absolute);
  void set_disk_limit(std::optional<double> memory_relative, std::optional<std::int64_t> absolute);
  const config::AlarmSettings& settings() const { return settings_; }

 private:
  config::AlarmSettings settings_;
  std::string data_dir_;
  std::uint64_t memory_total_{0};
  std::uint64_t memory_used_{0};
  std::uint64_t disk_free_{0};
  bool disk_known_{false};
  Millis memory_due_{0};
  Millis disk_due_{0};
};

}  // namespace warren::server
