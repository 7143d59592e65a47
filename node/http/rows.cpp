#include "node/http/rows.h"

#include "node/http/listing.h"

#include <algorithm>
#include <charconv>
#include <iterator>
#include <set>
#include <tuple>

namespace warren::http {

namespace json = boost::json;

namespace {

const json::object kNothing;

const json::object& object_at(const json::object& row, std::string_view column) {
  const auto* value = row.if_contains(column);
  return value != nullptr && value->is_object() ? value->get_object() : kNothing;
}

const json::array* array_at(const json::object& row, std::string_view column) {
  const auto* value = row.if_contains(column);
  return value == nullptr ? nullptr : value->if_array();
}

json::value column_or_null(const json::object& row, std::string_view column) {
  const auto* value = row.if_contains(column);
  return value == nullptr ? json::value(nullptr) : *value;
}

void empty_is_null(json::object& row, std::initializer_list<const char*> columns) {
  for (const char* column : columns)
    if (auto* value = row.if_contains(column); value != nullptr && value->is_string() && value->get_string().empty())
      *value = nullptr;
}

void open_table(json::object& row, const char* column) {
  const auto* typed = row.if_contains(column);
  json::value plain = plain_table(typed == nullptr ? json::value(nullptr) : *typed);
  row[column] = std::move(plain);
}

/// Counters of the same name, added up.
void add_counters(json::object& sums, const json::object& more) {
  for (const auto& [name, value] : more)
    if (value.is_number()) sums[name] = number_at(sums, name) + number_at(more, name);
}

void append(json::array& out, const json::array* more) {
  if (more != nullptr) out.insert(out.end(), more->begin(), more->end());
}

}  // namespace

std::string_view text_at(const json::object& row, std::string_view column) {
  const auto* value = row.if_contains(column);
  return value != nullptr && value->is_string() ? std::string_view(value->get_string()) : std::string_view{};
}

std::uint64_t number_at(const json::object& row, std::string_view column) {
  const auto* value = row.if_contains(column);
  if (value == nullptr) return 0;
  if (value->is_uint64()) return value->get_uint64();
  return value->is_int64() && value->get_int64() > 0 ? static_cast<std::uint64_t>(value->get_int64()) : 0;
}

json::object connection_details(std::string_view connection) {
  json::object out{{"name", connection}};
  const std::string_view peer = connection.substr(0, connection.find(" -> "));
  const auto colon = peer.rfind(':');
  if (colon == std::string_view::npos) return out;
  std::string_view host = peer.substr(0, colon);
  const std::string_view digits = peer.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (ec != std::errc{} || end != digits.data() + digits.size()) return out;
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  out["peer_host"] = host;
  out["peer_port"] = port;
  return out;
}

std::string_view connection_of(std::string_view channel) { return channel.substr(0, channel.rfind(" (")); }

json::object queue_json(json::object row) {
  open_table(row, "arguments");
  empty_is_null(row, {"policy", "operator_policy", "exclusive_consumer_tag", "single_active_consumer_tag"});
  if (object_at(row, "effective_policy_definition").empty()) row["effective_policy_definition"] = json::object{};
  for (const char* key : {"pid", "owner_pid", "exclusive_consumer_pid", "slave_pids", "synchronised_slave_pids",
                          "mirror_pids", "synchronised_mirror_pids", "disk_reads", "disk_writes"})
    row.erase(key);
  return row;
}

json::object connection_json(json::object row) {
  open_table(row, "client_properties");
  row["protocol"] = "AMQP 0-9-1";
  row["type"] = "network";
  json::value user = column_or_null(row, "user");
  row["user_who_performed_action"] = std::move(user);
  empty_is_null(row, {"ssl_protocol", "ssl_key_exchange", "ssl_cipher", "ssl_hash", "peer_cert_subject",
                      "peer_cert_issuer", "peer_cert_validity"});
  if (text_at(row, "user_provided_name").empty()) row.erase("user_provided_name");
  row.erase("pid");
  return row;
}

json::object channel_json(json::object row) {
  row["connection_details"] = connection_details(connection_of(text_at(row, "name")));
  row.erase("pid");
  row.erase("connection");
  return row;
}

json::object consumer_json(const json::object& row) {
  const std::string_view channel_name = text_at(row, "channel_name");
  const std::string_view connection = connection_of(channel_name);
  json::object channel = connection_details(connection);
  channel["connection_name"] = connection;
  channel["name"] = channel_name;
  channel["node"] = text_at(row, "node");
  channel["user"] = text_at(row, "user");
  json::object out{{"queue", json::object{{"name", text_at(row, "queue_name")}, {"vhost", text_at(row, "vhost")}}},
                   {"channel_details", std::move(channel)}};
  for (const char* column : {"consumer_tag", "ack_required", "prefetch_count", "active", "activity_status",
                             "exclusive"})
    out[column] = column_or_null(row, column);
  out["arguments"] = plain_table(column_or_null(row, "arguments"));
  return out;
}

void sort_rows(json::array& rows) {
  const auto key = [](const json::value& value) {
    const auto* row = value.if_object();
    return row == nullptr ? std::tuple<std::string_view, std::string_view>{}
                          : std::tuple(text_at(*row, "vhost"), text_at(*row, "name"));
  };
  std::stable_sort(rows.begin(), rows.end(),
                   [&key](const json::value& a, const json::value& b) { return key(a) < key(b); });
}

json::array nodes_json(json::array rows) {
  std::set<std::string, std::less<>> running;
  for (const auto& value : rows)
    if (const auto* row = value.if_object(); row != nullptr && column_or_null(*row, "running") == json::value(true))
      running.emplace(text_at(*row, "name"));
  json::array out;
  for (auto& value : rows) {
    if (!value.is_object()) continue;
    json::object row = std::move(value.get_object());
    row.erase("totals");
    row.erase("listeners");
    // Who does not run is no partition.
    if (const auto* cut = array_at(row, "partitions")) {
      json::array kept;
      std::copy_if(cut->begin(), cut->end(), std::back_inserter(kept), [&running](const json::value& name) {
        return name.is_string() && running.contains(std::string_view(name.get_string()));
      });
      row["partitions"] = std::move(kept);
    }
    out.push_back(std::move(row));
  }
  sort_rows(out);
  return out;
}

NodeSums sum_nodes(const json::array& rows, const std::function<bool(std::string_view)>& counts) {
  NodeSums sums;
  for (const auto& value : rows) {
    const auto* row = value.if_object();
    if (row == nullptr) continue;
    append(sums.listeners, array_at(*row, "listeners"));
    append(sums.contexts, array_at(*row, "contexts"));
    const json::object& totals = object_at(*row, "totals");
    add_counters(sums.message_stats, object_at(totals, "message_stats"));
    add_counters(sums.churn_rates, object_at(totals, "churn_rates"));
    for (const auto& [vhost, numbers] : object_at(totals, "vhosts")) {
      const auto* of_vhost = numbers.if_object();
      if (of_vhost == nullptr || !counts(vhost)) continue;
      sums.ready += number_at(*of_vhost, "messages_ready");
      sums.unacked += number_at(*of_vhost, "messages_unacknowledged");
      sums.consumers += number_at(*of_vhost, "consumers");
      sums.connections += number_at(*of_vhost, "connections");
      sums.channels += number_at(*of_vhost, "channels");
    }
  }
  return sums;
}

}  // namespace warren::http
