#pragma once
// Declares of queues and exchanges before they become commands: are the arguments acceptable, which
// type is meant, may what exists answer. Errors carry the texts that RabbitMQ's clients know.

#include "base/result.h"
#include "cluster/metadata/types.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::broker {

inline constexpr std::int64_t kExpiryMaxMs = 315'360'000'000;  // ten years
inline constexpr std::int64_t kSegmentBytesMax = 3'000'000'000;

/// The type a declare means: its argument, else the vhost's default, else the node's.
/// Errors: invalid_argument (406), with the text.
Result<metadata::QueueType> queue_type_of(const metadata::QueueDef& def,
                                          std::string_view vhost_default,
                                          std::string_view node_default = "classic");

/// Checks the arguments and properties of a queue that does not exist yet; `def.type` is set.
/// Order: types and ranges first, then arguments of other queue types, then the properties.
/// Errors: invalid_argument (406), with the text.
Result<void> validate_queue_arguments(const metadata::QueueDef& def);
/// Errors: invalid_argument (406), with the text. The exchange's type is not looked at.
Result<void> validate_exchange_arguments(const metadata::ExchangeDef& def);

/// Whether a declare may be answered by what exists; to be asked before `validate_queue_arguments`.
/// Errors: already_exists (405, exclusive elsewhere), conflict (406), with the text.
Result<void> check_equivalence(const metadata::QueueDef& existing,
                               const metadata::QueueDef& requested);
Result<void> check_equivalence(const metadata::ExchangeDef& existing,
                               const metadata::ExchangeDef& requested);

/// The integer of an argument of any integer type; nothing for others, timestamps too.
std::optional<std::int64_t> integer_argument(const FieldTable& arguments, std::string_view name);
std::optional<std::string_view> text_argument(const FieldTable& arguments, std::string_view name);

/// Words that arguments and policies share.
bool is_leader_locator(std::string_view word);
bool is_master_locator(std::string_view word);
/// A number above 0 and one of the units Y M D h m s. Gives milliseconds.
std::optional<std::int64_t> parse_max_age_ms(std::string_view text);

}  // namespace warren::broker
