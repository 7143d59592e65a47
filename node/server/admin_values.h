#pragma once
// Broker values as the control methods show them (docs/control-methods.md §1).

#include "base/field_table.h"
#include "node/broker/session.h"
#include "node/server/node.h"

#include <boost/json.hpp>

#include <cstddef>
#include <string>
#include <string_view>

namespace warren::server {

/// A field table as an array of [name, type, value].
boost::json::array table_json(const FieldTable& table);
/// JSON text that we stored ourselves; null when it does not parse.
boost::json::value parsed_json(const std::string& text);
boost::json::array strings_json(const std::vector<std::string>& items);

/// "<node.incarnation.local.0>", the shape of a process id.
std::string pid_text(const Node& node, std::uint64_t local);
std::string connection_pid(const Node& node, const broker::Session& session);
std::string channel_pid(const Node& node, const broker::Session& session, std::uint16_t channel);
std::string queue_pid(const Node& node, metadata::QueueUid uid);

/// One object per listener, with protocol and purpose.
boost::json::array listeners_json(const Node& node);
/// Feature flags with their states, as far as `others` and this node tell.
boost::json::array feature_flags(const Node& node, const std::vector<membership::FlagView>& others);
/// What a node says of itself to the others, for cluster_status.
boost::json::object node_brief_of(Node& node);
/// One object per active alarm.
boost::json::array alarms_json(Node& node);
/// Of this process.
std::size_t open_files();

}  // namespace warren::server
