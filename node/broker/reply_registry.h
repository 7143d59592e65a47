#pragma once
// Direct reply-to: which channel a reply token belongs to (CNS-23, CNS-24).

#include <map>
#include <string>
#include <string_view>

namespace warren::broker {

class Channel;

inline constexpr std::string_view kReplyTo = "amq.rabbitmq.reply-to";
inline constexpr std::string_view kReplyToPrefix = "amq.rabbitmq.reply-to.";

/// Owner: the broker's thread. A token is a whole queue name, amq.rabbitmq.reply-to.<secret>.
class ReplyRegistry {
 public:
  void add(std::string token, Channel& channel) { channels_.emplace(std::move(token), &channel); }
  void remove(std::string_view token) {
    if (auto found = channels_.find(token); found != channels_.end()) channels_.erase(found);
  }
  /// Null when the requester is gone.
  Channel* find(std::string_view token) const {
    auto found = channels_.find(token);
    return found == channels_.end() ? nullptr : found->second;
  }

 private:
  std::map<std::string, Channel*, std::less<>> channels_;
};

}  // namespace warren::broker
