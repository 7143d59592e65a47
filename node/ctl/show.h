#pragma once
// Pieces of cluster_status, status and the checks that look the same everywhere.

#include <boost/json.hpp>
#include <string>
#include <string_view>

#include "node/ctl/terms.h"

namespace warren::ctl {

namespace json = boost::json;

std::string text_at(const json::value& object, std::string_view key);
std::int64_t number_at(const json::value& object, std::string_view key);
const json::value* find_at(const json::value& object, std::string_view key);
/// "Memory alarm on node rabbit@n1"
std::string alarm_line(const json::value& alarm);
/// "[Node: x, interface: ]Interface: [::], port: 5672, protocol: amqp, purpose: AMQP 0-9-1"
std::string listener_line(const json::value& listener, bool with_node);
/// cluster_status as the Erlang term of RabbitMQ 3.x; `full` adds what 3.10 prints after `alarms`.
Term cluster_status_term(const json::value& status, bool full);
/// cluster_status as text with headings.
std::string cluster_status_text(const json::value& status, bool bold);
/// status as text with headings. `unit` is bytes, kb, mb, gb or tb.
std::string status_text(const json::value& status, std::string_view unit, bool bold);
std::string memory_lines(const json::value& memory, std::string_view unit, bool with_space);
bool known_unit(std::string_view unit);

}  // namespace warren::ctl
