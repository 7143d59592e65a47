#pragma once
// What a queue does with its messages, once its arguments, its policy and the operator policy are
// merged. Plain values: policy.h computes them, the queue only reads them.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

namespace warren::broker {

/// What happens to a publish that finds the queue at its length limit.
enum class Overflow : std::uint8_t {
  drop_head = 0,           ///< the oldest message makes room (dead-lettered, reason maxlen)
  reject_publish = 1,      ///< the new message is refused (basic.nack with confirms)
  reject_publish_dlx = 2,  ///< as above, and the refused message is dead-lettered
};
/// As arguments and policies write it.
constexpr const char* overflow_name(Overflow overflow) {
  switch (overflow) {
    case Overflow::drop_head: return "drop-head";
    case Overflow::reject_publish: return "reject-publish";
    case Overflow::reject_publish_dlx: return "reject-publish-dlx";
  }
  return "unknown";
}

/// The effective settings of one queue. Nothing in an optional = no limit, not set.
struct QueueSettings {
  std::optional<std::int64_t> message_ttl_ms;    ///< >= 0
  std::optional<std::int64_t> expires_ms;        ///< >= 1: unused that long, the queue goes
  std::optional<std::int64_t> max_length;        ///< ready messages
  std::optional<std::int64_t> max_length_bytes;  ///< bodies of ready messages
  Overflow overflow{Overflow::drop_head};
  std::optional<std::string> dead_letter_exchange;  ///< "" = the default exchange
  std::optional<std::string> dead_letter_routing_key;
  std::optional<int> max_priority;  ///< 0..255; nothing = no priorities
  bool single_active{false};
  std::optional<std::int64_t> delivery_limit;  ///< >= 0; nothing = as often as it takes
  std::optional<std::int64_t> consumer_timeout_ms;
  bool dead_letter_at_least_once{false};  ///< only with reject_publish and a dead letter exchange

  bool operator==(const QueueSettings&) const = default;
};

/// A queue's settings; most queues obey none, and then this is one pointer.
class KeptSettings {
 public:
  explicit KeptSettings(QueueSettings settings)
      : own_(settings == QueueSettings{} ? nullptr
                                         : std::make_unique<QueueSettings>(std::move(settings))) {}
  const QueueSettings& operator*() const { return own_ ? *own_ : kNone; }
  const QueueSettings* operator->() const { return &**this; }

 private:
  static const QueueSettings kNone;
  std::unique_ptr<const QueueSettings> own_;
};
inline const QueueSettings KeptSettings::kNone{};

}  // namespace warren::broker
