#include "base/log.h"

namespace warren {

const char* log_level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::notice: return "notice";
    case LogLevel::warning: return "warning";
    case LogLevel::error: return "error";
    case LogLevel::critical: return "critical";
    case LogLevel::none: return "none";
  }
  return "unknown";
}

const char* log_area_name(LogArea area) {
  switch (area) {
    case LogArea::general: return "general";
    case LogArea::connection: return "connection";
    case LogArea::channel: return "channel";
    case LogArea::queue: return "queue";
    case LogArea::raft: return "raft";
    case LogArea::cluster: return "cluster";
    case LogArea::storage: return "storage";
    case LogArea::access: return "access";
    case LogArea::ctl: return "ctl";
    case LogArea::count: break;
  }
  return "unknown";
}

}  // namespace warren
