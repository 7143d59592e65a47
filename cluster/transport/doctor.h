#pragma once
// cluster_doctor: checks from this node everything that a cluster needs of cookie, names, ports,
// versions and clocks, before anyone joins. Answers with one line per check.

#include <boost/json.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "cluster/transport/cookie.h"
#include "cluster/transport/handshake.h"

namespace warren::transport {

class Workers;

struct DoctorOptions {
  PeerIdentity self;
  std::vector<Cookie> cookies;  ///< as in use
  std::uint16_t own_port{0};
  std::vector<std::string> registry;
  std::uint16_t default_port{25672};
  std::string other;     ///< rabbit@host to check against; empty: this node alone
  bool reverse{true};    ///< ask the other node to check us as well
  Millis deadline_ms{5'000};
};

/// One line of the answer.
struct DoctorCheck {
  std::string check;   ///< "own cookie", "name", ...
  std::string status;  ///< "ok", "warning", "failed" or "skipped"
  std::string text;    ///< what was found, and the remedy when it is not well
};

/// {"node", "other", "ok", "checks": [{"check", "status", "text"}]}; ok means that nothing failed.
boost::json::object doctor_report(const DoctorOptions& options, const std::vector<DoctorCheck>& checks);

/// Checks without blocking the caller; `done` runs once, on another thread.
void run_doctor(const std::shared_ptr<Workers>& workers, DoctorOptions options,
                std::function<void(std::vector<DoctorCheck>)> done);

}  // namespace warren::transport
