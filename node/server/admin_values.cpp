#include "node/server/admin_values.h"

#include <filesystem>
#include <type_traits>

namespace warren::server {

namespace json = boost::json;

namespace {

json::array typed(const FieldValue& value);

json::value plain(const FieldValue& value) {
  return std::visit(
      [](const auto& v) -> json::value {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::monostate>)
          return nullptr;
        else if constexpr (std::is_same_v<T, bool>)
          return v;
        else if constexpr (std::is_integral_v<T>)
          return static_cast<std::int64_t>(v);
        else if constexpr (std::is_floating_point_v<T>)
          return static_cast<double>(v);
        else if constexpr (std::is_same_v<T, FieldDecimal>)
          return json::array{v.scale, v.value};
        else if constexpr (std::is_same_v<T, FieldTimestamp>)
          return v.seconds;
        else if constexpr (std::is_same_v<T, std::string>)
          return json::string(v);
        else if constexpr (std::is_same_v<T, FieldBytes>)
          return json::string(v.data);
        else if constexpr (std::is_same_v<T, FieldArray>) {
          json::array items;
          for (const auto& item : v) items.push_back(typed(item));
          return items;
        } else
          return table_json(v);
      },
      value.v);
}

json::array typed(const FieldValue& value) { return {value.type_name(), plain(value)}; }

}  // namespace

json::array table_json(const FieldTable& table) {
  json::array out;
  for (const auto& [name, value] : table)
    out.push_back(json::array{json::string(name), value.type_name(), plain(value)});
  return out;
}

json::value parsed_json(const std::string& text) {
  boost::system::error_code ec;
  auto value = json::parse(text, ec);
  return ec ? json::value(nullptr) : value;
}

json::array strings_json(const std::vector<std::string>& items) {
  json::array out;
  for (const auto& item : items) out.push_back(json::string(item));
  return out;
}

std::string pid_text(const Node& node, std::uint64_t local) {
  return "<" + node.settings().node_name + "." + std::to_string(node.started_wall_ms() / 1000) + "." +
         std::to_string(local) + ".0>";
}

// Connections, channels and queues share one space of numbers: three bits tell them apart.
std::string connection_pid(const Node& node, const broker::Session& session) {
  return pid_text(node, session.id() * 8);
}

std::string channel_pid(const Node& node, const broker::Session& session, std::uint16_t channel) {
  return pid_text(node, (((session.id() << 16) | channel) * 8) + 1);
}

std::string queue_pid(const Node& node, metadata::QueueUid uid) { return pid_text(node, (uid * 8) + 2); }

json::array listeners_json(const Node& node) {
  json::array out;
  const std::string& name = node.settings().node_name;
  const auto add = [&](const std::string& interface, int port, const char* protocol, const char* purpose) {
    out.push_back(json::object{{"node", name}, {"protocol", protocol}, {"interface", interface},
                               {"port", port}, {"purpose", purpose}});
  };
  auto& mutable_node = const_cast<Node&>(node);
  if (mutable_node.app() != nullptr)
    for (const auto& listener : mutable_node.app()->listeners())
      add(listener->interface(), listener->port(), listener->tls() ? "amqp/ssl" : "amqp",
          listener->tls() ? "AMQP 0-9-1 and AMQP 1.0 over TLS" : "AMQP 0-9-1 and AMQP 1.0");
  for (const auto& plugin : node.plugin_listeners)
    add(plugin.interface, plugin.port, plugin.protocol.c_str(), plugin.purpose.c_str());
  add("[::]", node.control_port(), "clustering", "inter-node and CLI tool communication");
  return out;
}

json::array alarms_json(Node& node) {
  json::array out;
  if (node.app() == nullptr) return out;
  for (const auto& [name, resource] : node.app()->broker().alarms().list())
    out.push_back(json::object{{"type", "resource_limit"}, {"resource", resource}, {"node", name}});
  return out;
}

json::array feature_flags(const Node& node, const std::vector<membership::FlagView>& others) {
  json::array flags;
  for (const auto& row : membership::flag_rows(release(), node.cluster().flags(), others))
    flags.push_back(json::object{{"name", row.name}, {"state", membership::flag_state_name(row.state)},
                                 {"desc", row.about}, {"doc_url", ""},
                                 {"stability", membership::stability_name(row.stability)}, {"provided_by", "rabbit"}});
  return flags;
}

std::size_t open_files() {
  std::error_code ec;
  std::size_t count = 0;
  for (std::filesystem::directory_iterator at("/proc/self/fd", ec), end; !ec && at != end; at.increment(ec))
    ++count;
  return count;
}

}  // namespace warren::server
