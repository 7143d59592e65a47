#include "node/server/resource_monitor.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace warren::server {

namespace {

std::uint64_t physical_memory() {
  const auto pages = static_cast<std::uint64_t>(sysconf(_SC_PHYS_PAGES));
  std::uint64_t total = pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  // A container's limit counts as the machine's memory.
  for (const char* path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream in(path);
    std::uint64_t limit = 0;
    if (in >> limit && limit > 0) total = std::min(total, limit);
  }
  return total;
}

}  // namespace

ResourceMonitor::ResourceMonitor(const config::AlarmSettings& settings, std::string data_dir)
    : settings_(settings),
      data_dir_(std::move(data_dir)),
      memory_total_(settings.memory_total ? static_cast<std::uint64_t>(*settings.memory_total)
                                          : physical_memory()) {}

std::uint64_t ResourceMonitor::memory_limit() const {
  if (settings_.memory_absolute) return static_cast<std::uint64_t>(*settings_.memory_absolute);
  return static_cast<std::uint64_t>(settings_.memory_relative * static_cast<double>(memory_total_));
}

std::uint64_t ResourceMonitor::disk_limit() const {
  if (settings_.disk_relative)
    return static_cast<std::uint64_t>(*settings_.disk_relative * static_cast<double>(memory_total_));
  return static_cast<std::uint64_t>(settings_.disk_absolute);
}

void ResourceMonitor::set_memory_limit(std::optional<double> relative,
                                       std::optional<std::int64_t> absolute) {
  settings_.memory_absolute = absolute;
  if (relative) settings_.memory_relative = *relative;
  memory_due_ = 0;
}

void ResourceMonitor::set_disk_limit(std::optional<double> memory_relative,
                                     std::optional<std::int64_t> absolute) {
  settings_.disk_relative = memory_relative;
  if (absolute) settings_.disk_absolute = *absolute;
  disk_due_ = 0;
}

void ResourceMonitor::check(Millis now) {
  if (now >= memory_due_) {
    memory_due_ = now + settings_.memory_interval_ms;
    std::ifstream in("/proc/self/statm");
    std::uint64_t pages = 0, resident = 0;
    if (in >> pages >> resident) memory_used_ = resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  }
  if (now >= disk_due_) {
    struct statvfs fs {};
    disk_known_ = statvfs(data_dir_.c_str(), &fs) == 0;
    if (disk_known_) disk_free_ = std::uint64_t{fs.f_bavail} * fs.f_frsize;
    const std::uint64_t limit = std::max<std::uint64_t>(1, disk_limit());
    const double spare = static_cast<double>(disk_free_) / static_cast<double>(limit);
    disk_due_ = now + std::clamp<Millis>(static_cast<Millis>(spare * 1000.0), 100, 10'000);
  }
}

}  // namespace warren::server
