#include "cluster/transport/refusal_log.h"

#include <algorithm>

namespace warren::transport {

bool RefusalLog::due(const std::string& subject, const std::string& text, Millis now,
                     std::uint64_t& left_out) {
  ++total_;
  left_out = 0;
  if (told_.size() >= kSubjectsMax && !told_.contains(subject)) {
    told_.erase(std::min_element(told_.begin(), told_.end(), [](const auto& a, const auto& b) {
      return a.second.at < b.second.at;
    }));
  }
  const auto [at, fresh] = told_.try_emplace(subject);
  Told& told = at->second;
  if (!fresh && told.text == text && now - told.at < kRepeatMs) {
    ++told.left_out;
    return false;
  }
  left_out = told.left_out;
  told = {text, now, 0};
  return true;
}

}  // namespace warren::transport
