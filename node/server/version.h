#pragma once
// What this server calls itself.

#include "base/release.h"

#include <string_view>

namespace warren::server {

inline const std::string_view kVersion = release().version;
inline constexpr const char* kCompatible = "3.10.8";  ///< the RabbitMQ version whose behaviour is the default
inline constexpr const char* kRuntime = "C++20";

}  // namespace warren::server
