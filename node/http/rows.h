#pragma once
// Rows of control methods, from this node or another, as the API shows them. Pure. Rows of other nodes
// are input: a column may be missing or of another type, and then it is left out or zero.

#include <boost/json.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace warren::http {

/// A column as text or number; "" and 0 when it is none.
std::string_view text_at(const boost::json::object& row, std::string_view column);
std::uint64_t number_at(const boost::json::object& row, std::string_view column);

/// {name, peer_host, peer_port} of a connection called "host:port -> host:port".
boost::json::object connection_details(std::string_view connection);
/// The name of a channel is that of its connection with " (n)" behind it.
std::string_view connection_of(std::string_view channel);

boost::json::object queue_json(boost::json::object row);
boost::json::object connection_json(boost::json::object row);
boost::json::object channel_json(boost::json::object row);
boost::json::object consumer_json(const boost::json::object& row);

/// Nodes answer in no order of use to anybody: by vhost and name instead. Stable.
void sort_rows(boost::json::array& rows);

/// Rows of list_nodes as /api/nodes shows them, by name.
boost::json::array nodes_json(boost::json::array rows);

/// What the nodes' rows say together.
struct NodeSums {
  std::uint64_t ready{0}, unacked{0}, consumers{0}, connections{0}, channels{0};
  boost::json::object message_stats, churn_rates;
  boost::json::array listeners, contexts;
};
/// Sums of queues, connections and channels are of the vhosts that `counts`.
NodeSums sum_nodes(const boost::json::array& rows, const std::function<bool(std::string_view vhost)>& counts);

}  // namespace warren::http
