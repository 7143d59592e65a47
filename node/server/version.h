#pragma once
// What this server calls itself.

namespace warren::server {

inline constexpr const char* kVersion = "0.1.0";
inline constexpr const char* kCompatible = "3.10.8";  ///< the RabbitMQ version whose behaviour is the default
inline constexpr const char* kRuntime = "C++20";

}  // namespace warren::server
