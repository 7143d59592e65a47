#pragma once
// Direct reply-to: which channel a reply token belongs to (CNS-23, CNS-24).

#include <charconv>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace warren::broker {

class Channel;

inline constexpr std::string_view kReplyTo = "amq.rabbitmq.reply-to";
inline constexpr std::string_view kReplyToPrefix = "amq.rabbitmq.reply-to.";

/// A token of a node in a cluster ends with the member's id, so that a reply finds its way from
/// anywhere: amq.rabbitmq.reply-to.<secret>.<16 hex digits>.
inline std::string reply_suffix(std::uint64_t member) {
  static constexpr char kDigits[] = "0123456789abcdef";
  if (member == 0) return {};
  std::string out(17, '.');
  for (int i = 0; i < 16; ++i) out[1 + i] = kDigits[(member >> (60 - 4 * i)) & 15];
  return out;
}
/// The member that gave a token out; 0 = it does not say.
inline std::uint64_t reply_member(std::string_view token) {
  std::uint64_t member = 0;
  const std::size_t dot = token.size() < 17 ? 0 : token.size() - 17;
  if (token.size() <= kReplyToPrefix.size() + 17 || token[dot] != '.') return 0;
  const auto [end, error] = std::from_chars(token.data() + dot + 1, token.data() + token.size(), member, 16);
  return error == std::errc() && end == token.data() + token.size() ? member : 0;
}

/// Owner: the broker's thread. A token is a whole queue name.
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
