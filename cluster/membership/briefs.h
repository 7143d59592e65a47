#pragma once
// What members said of themselves last, and whom to ask again: so that a question to the whole cluster
// has an answer for a member that lives, also when its own comes late. Pure. Owner: the node's loop.

#include "base/clock.h"

#include <boost/json.hpp>

#include <cstdint>
#include <map>
#include <vector>

namespace warren::membership {

class Briefs {
 public:
  static constexpr Millis kOldest = 60'000;   ///< older ones are not shown
  static constexpr Millis kRefresh = 20'000;  ///< asked again while the member is connected
  static constexpr Millis kRetry = 250;       ///< after an answer that did not come

  /// Connected: to be asked as soon as may be.
  void up(std::uint64_t member);
  /// Not connected: what it said may no longer be so.
  void down(std::uint64_t member) { members_.erase(member); }
  void clear() { members_.clear(); }

  /// Connected members to ask now. Each is listed once, until put() or missed().
  std::vector<std::uint64_t> due(Millis now);
  /// An answer, also to a question that due() did not ask for. Nothing for a member that is not connected.
  void put(std::uint64_t member, boost::json::value brief, Millis now);
  void missed(std::uint64_t member, Millis now);
  /// The last answer since the member is connected; null when there is none or it is old.
  const boost::json::value* find(std::uint64_t member, Millis now) const;

 private:
  struct Member {
    boost::json::value brief;
    Millis at{0};
    bool known{false};
    bool asked{false};
    Millis ask_at{0};
  };
  std::map<std::uint64_t, Member> members_;
};

}  // namespace warren::membership
