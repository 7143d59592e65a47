#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>

#include "node/ctl/plugins.h"
#include "node/ctl/terms.h"

namespace warren::ctl {
namespace {

Error bad_file(std::string_view why) {
  return make_error(Errc::invalid_argument, fmt::format("not a list of plug-in names: {}", why));
}

bool name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '@';
}

}  // namespace

const std::vector<PluginInfo>& known_plugins() {
  static const std::vector<PluginInfo> all{
      {"rabbitmq_amqp1_0", "", "AMQP 1.0 support"},
      {"rabbitmq_auth_backend_cache", "", "Caches what other authentication backends answer"},
      {"rabbitmq_auth_backend_http", "", "Authentication over HTTP"},
      {"rabbitmq_auth_backend_ldap", "", "Authentication over LDAP"},
      {"rabbitmq_auth_backend_oauth2", "", "Authentication with OAuth 2.0 tokens"},
      {"rabbitmq_auth_mechanism_ssl", "", "Login with client certificates (EXTERNAL)"},
      {"rabbitmq_consistent_hash_exchange", "", "Exchange type x-consistent-hash"},
      {"rabbitmq_delayed_message_exchange", "", "Exchange type x-delayed-message"},
      {"rabbitmq_event_exchange", "", "Publishes events to an exchange"},
      {"rabbitmq_federation", "", "Federated exchanges and queues"},
      {"rabbitmq_federation_management", "rabbitmq_federation rabbitmq_management",
       "Federation in the management page"},
      {"rabbitmq_management", "rabbitmq_management_agent rabbitmq_web_dispatch",
       "Management page and HTTP API"},
      {"rabbitmq_management_agent", "", "Gathers what the management page shows"},
      {"rabbitmq_message_deduplication", "", "De-duplication of messages"},
      {"rabbitmq_mqtt", "", "MQTT"},
      {"rabbitmq_peer_discovery_common", "", "What peer discovery backends share"},
      {"rabbitmq_peer_discovery_consul", "rabbitmq_peer_discovery_common",
       "Peer discovery with Consul"},
      {"rabbitmq_peer_discovery_etcd", "rabbitmq_peer_discovery_common",
       "Peer discovery with etcd"},
      {"rabbitmq_peer_discovery_k8s", "rabbitmq_peer_discovery_common",
       "Peer discovery in Kubernetes"},
      {"rabbitmq_prometheus", "rabbitmq_management_agent rabbitmq_web_dispatch",
       "Metrics for Prometheus"},
      {"rabbitmq_random_exchange", "", "Exchange type x-random"},
      {"rabbitmq_recent_history_exchange", "", "Exchange type x-recent-history"},
      {"rabbitmq_sharding", "", "Sharded queues"},
      {"rabbitmq_shovel", "", "Moves messages between brokers"},
      {"rabbitmq_shovel_management", "rabbitmq_management rabbitmq_shovel",
       "Shovels in the management page"},
      {"rabbitmq_stomp", "", "STOMP"},
      {"rabbitmq_stream", "", "Stream protocol"},
      {"rabbitmq_stream_management", "rabbitmq_management rabbitmq_stream",
       "Streams in the management page"},
      {"rabbitmq_top", "rabbitmq_management", "Busy parts in the management page"},
      {"rabbitmq_tracing", "rabbitmq_management", "Message tracing to files"},
      {"rabbitmq_trust_store", "", "Client certificates by white list"},
      {"rabbitmq_web_dispatch", "", "HTTP listener of the plug-ins"},
      {"rabbitmq_web_mqtt", "rabbitmq_mqtt", "MQTT over WebSocket"},
      {"rabbitmq_web_stomp", "rabbitmq_stomp", "STOMP over WebSocket"},
  };
  return all;
}

const PluginInfo* find_plugin(std::string_view name) {
  for (const PluginInfo& plugin : known_plugins()) {
    if (plugin.name == name) return &plugin;
  }
  return nullptr;
}

std::set<std::string> with_dependencies(const std::set<std::string>& names) {
  std::set<std::string> all;
  std::vector<std::string> open(names.begin(), names.end());
  while (!open.empty()) {
    const std::string name = std::move(open.back());
    open.pop_back();
    if (!all.insert(name).second) continue;
    const PluginInfo* plugin = find_plugin(name);
    if (plugin == nullptr) continue;
    std::istringstream in{std::string(plugin->dependencies)};
    for (std::string word; in >> word;) open.push_back(word);
  }
  return all;
}

Result<std::set<std::string>> parse_enabled_plugins(std::string_view text) {
  std::set<std::string> names;
  std::size_t at = 0;
  const auto skip = [&] {
    while (at < text.size()) {
      if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
        ++at;
      } else if (text[at] == '%') {
        while (at < text.size() && text[at] != '\n') ++at;
      } else {
        return;
      }
    }
  };
  skip();
  if (at == text.size()) return names;
  if (text[at] != '[') return bad_file("it must begin with '['");
  ++at;
  skip();
  while (at < text.size() && text[at] != ']') {
    std::string name;
    if (text[at] == '\'') {
      const std::size_t close = text.find('\'', at + 1);
      if (close == std::string_view::npos) return bad_file("a quote is not closed");
      name = text.substr(at + 1, close - at - 1);
      at = close + 1;
    } else {
      while (at < text.size() && name_character(text[at])) name += text[at++];
    }
    if (name.empty()) return bad_file(at < text.size() ? fmt::format("unexpected '{}'", text[at]) : "a name is empty");
    names.insert(std::move(name));
    skip();
    if (at < text.size() && text[at] == ',') {
      ++at;
      skip();
    } else if (at < text.size() && text[at] != ']') {
      return bad_file("a comma is missing");
    }
  }
  if (at == text.size()) return bad_file("']' is missing");
  ++at;
  skip();
  if (at >= text.size() || text[at] != '.') return bad_file("the dot at the end is missing");
  return names;
}

Result<std::set<std::string>> read_enabled_plugins(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    if (::access(file.c_str(), F_OK) != 0) return std::set<std::string>();
    return make_error(Errc::io, fmt::format("cannot read {}: {}", file, std::strerror(errno)));
  }
  const std::string text(std::istreambuf_iterator<char>(in), {});
  auto names = parse_enabled_plugins(text);
  if (!names) return make_error(names.error().code, file + ": " + names.error().text);
  return names;
}

Result<> write_enabled_plugins(const std::string& file, const std::set<std::string>& names) {
  std::string text = "[";
  for (const std::string& name : names)
    text += (text.size() > 1 ? "," : "") + flat(Term::atom(name));
  text += "].\n";
  const std::string temporary = file + ".new";
  const auto failed = [&](int error) {
    ::unlink(temporary.c_str());
    return make_error(
        error == EACCES || error == EPERM ? Errc::permission_denied : Errc::io,
        fmt::format("cannot write the enabled plugins file {}: {}", file, std::strerror(error)));
  };
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return failed(errno);
  const bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                       ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!written) return failed(error);
  if (std::rename(temporary.c_str(), file.c_str()) != 0) return failed(errno);
  return {};
}

}  // namespace warren::ctl
