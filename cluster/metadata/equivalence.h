#pragma once
// May an existing queue or exchange answer for a declare? Shared by the catalogue, which decides,
// and the broker, which tells the client. Pure functions.

#include "cluster/metadata/types.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace warren::metadata {

/// The arguments that are compared for a queue of this type, in the order of comparison. All others
/// may differ. They are also the ones a queue of this type knows.
std::span<const std::string_view> compared_queue_arguments(QueueType type);

/// Nothing when `requested` describes what exists; else the text of the 406 refusal.
/// Exclusive queues count as not durable. Integer widths do not matter.
std::optional<std::string> find_inequivalence(const QueueDef& existing, const QueueDef& requested);
std::optional<std::string> find_inequivalence(const ExchangeDef& existing,
                                              const ExchangeDef& requested);

/// True when the declare must be refused with 405: the queue is another connection's, or the exclusive
/// bit differs.
bool is_locked(const QueueDef& existing, const QueueDef& requested);
/// The text of the 405 refusal.
std::string locked_text(const QueueDef& existing);

/// One value as refusals print it: text and numbers bare, the rest in Erlang's notation.
std::string print_argument(const FieldValue& value);

}  // namespace warren::metadata
