#pragma once
// Host names to addresses without blocking: the system's resolver runs on a few threads that come
// when needed and go when idle. Owner: cluster/transport; any thread.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace warren::transport {

/// The numeric addresses of a host name, in the system's order. Blocks.
/// Errors: not_found naming host, reason and remedy.
Result<std::vector<std::string>> resolve_host(const std::string& host);

/// The first name of a numeric address, by the system's reverse look-up. Blocks. Errors: not_found.
Result<std::string> name_of_address(const std::string& address);

/// True for addresses of one of this host's own interfaces.
bool is_own_address(const std::string& address);

/// Runs what blocks (names, files of the registry) apart from loop and network threads.
/// Bound: kWorkersMax threads, kJobsMax jobs; a job beyond it is refused.
class Workers {
 public:
  static constexpr std::size_t kWorkersMax = 4;
  static constexpr std::size_t kJobsMax = 256;

  Workers();
  /// Jobs that are waiting are dropped; those that run are not waited for.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// False when too much is waiting.
  bool run(std::function<void()> job);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace warren::transport
