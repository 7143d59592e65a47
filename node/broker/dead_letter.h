#pragma once
// What becomes of a dead message: where it goes next and how its properties tell its story.
// Pure; the caller routes and publishes. Source: RabbitMQ's x-death, field types as 3.10.8 sends
// them, x-last-death-* as since 3.13.

#include "base/result.h"
#include "node/broker/message.h"
#include "node/broker/queue_api.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker {

/// "rejected", "expired", "maxlen", "delivery_limit" (DLX-01).
const char* death_reason_name(DeathReason reason);

struct DyingMessage {
  MessageView message;
  std::string_view queue;         ///< name of the queue it dies in
  DeathReason reason{};
  std::uint64_t now_seconds{};    ///< wall time since 1970
  std::string_view exchange;      ///< the queue's dead-letter exchange; "" = the default one
  std::optional<std::string_view> routing_key;  ///< its dead-letter routing key
};

/// What to publish next. The body, the priority and the delivery mode stay as they were; the new
/// record carries kDeadLettered among its flags, and no expiration.
struct DeadLetter {
  std::string exchange;
  std::string routing_key;
  std::vector<std::string> extra_keys;  ///< of CC and BCC, without a dead-letter routing key
  std::string properties;               ///< wire bytes
};

/// Works out the next life of a dead message (DLX-02 to DLX-05).
/// An x-death written by a client is counted on like our own (PUB-15, 3.10).
/// Errors: invalid_argument when the properties are malformed; the message is then lost.
Result<DeadLetter> make_dead_letter(const DyingMessage& dying);

/// True when a dead letter must not enter `target`: it has been there before, and since then died
/// by itself only, never by a reject (DLX-06).
/// Shape: `properties` = DeadLetter::properties, so with the latest death in it.
bool is_cycle(std::string_view properties, std::string_view target_queue);

/// The routing keys in the CC and BCC headers, CC first; views into `headers` (encoded pairs).
/// Items that are no text are passed over, as RabbitMQ does.
/// Errors: invalid_argument when CC or BCC is no array: 406 (PUB-14).
Result<void> collect_extra_keys(std::string_view headers, std::vector<std::string_view>& out);

}  // namespace warren::broker
