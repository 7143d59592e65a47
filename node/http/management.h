#pragma once
// The management API's listener: there while the plugin rabbitmq_management is enabled and the app
// runs, otherwise not at all.

#include "node/server/node.h"

#include <memory>
#include <string>
#include <vector>

namespace warren::http {

inline constexpr std::size_t kBodyMax = 10'000'000;
inline constexpr std::size_t kHeaderMax = 16 * 1024;
inline constexpr std::size_t kConnectionsMax = 256;

/// Owner: the loop's thread. May go before the node does.
class Management {
 public:
  explicit Management(server::Node& node);
  ~Management();
  /// Opens or closes the listener as the enabled plugins ask.
  /// Errors: io (the port is taken), invalid_argument (address).
  Result<void> apply(const std::vector<std::string>& plugins);

 private:
  struct Server;
  server::Node& node_;
  std::shared_ptr<Server> server_;
};

}  // namespace warren::http
