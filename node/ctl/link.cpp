// Finding the node that is meant and connecting to it.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <ostream>

#include "cluster/transport/node_registry.h"
#include "node/ctl/context.h"
#include "node/ctl/diagnostics.h"

namespace warren::ctl {
namespace {

constexpr std::uint16_t kDefaultPort = 25672;
constexpr Millis kConnectDefaultMs = 10'000;
constexpr Millis kConnectLongestMs = 60'000;
constexpr int kPortOffset = 20'000;

std::uint16_t port_from(const std::optional<std::string>& text, int offset) {
  int port = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), port).ec != std::errc())
    return 0;
  port += offset;
  return port > 0 && port <= 65535 ? static_cast<std::uint16_t>(port) : 0;
}

std::string env_or(const Surroundings& world, const char* name, std::string other) {
  std::optional<std::string> value = world.env(name);
  return value && !value->empty() ? *value : other;
}

/// Without an entry in the registry: this host's own settings when they name the same node, else
/// 25672.
std::uint16_t guess_port(const Surroundings& world, const Globals& globals,
                         const std::string& node) {
  if (!same_node(node, full_node_name(world, globals, ""))) return kDefaultPort;
  if (const std::uint16_t port = port_from(world.env("RABBITMQ_DIST_PORT"), 0)) return port;
  if (const std::uint16_t port = port_from(world.env("RABBITMQ_NODE_PORT"), kPortOffset))
    return port;
  return kDefaultPort;
}

transport::PeerIdentity own_identity(const Surroundings& world) {
  transport::PeerIdentity self;
  self.node_name = fmt::format("rabbitmqcli-{}-{}", ::getpid(), full_node_name(world, {}, ""));
  self.role = "ctl";
  return self;
}

/// Another node listens there: asks it where the wanted one is.
std::uint16_t ask_port(transport::ControlClient& client, const std::string& node,
                       Millis deadline_ms) {
  const auto answer = client.call("locate_node", {{"name", node}}, {}, deadline_ms);
  if (!answer || !answer->is_object()) return 0;
  const json::value* port = answer->get_object().if_contains("port");
  if (port == nullptr || !port->is_int64() || port->get_int64() <= 0 || port->get_int64() > 65535)
    return 0;
  return static_cast<std::uint16_t>(port->get_int64());
}

struct Link {
  transport::Cookie cookie;
  transport::ControlTarget target;
};

Result<> connect_to(Context& context, Link& link, Millis deadline_ms) {
  const transport::PeerIdentity self = own_identity(context.world);
  for (int attempt = 0; attempt < 2; ++attempt) {
    auto client = transport::ControlClient::connect(link.target, link.cookie, self, deadline_ms);
    if (!client) return client.error();
    const std::string& name = (*client)->server().node_name;
    if (same_node(name, context.node)) {
      context.client = std::move(*client);
      context.node = context.client->server().node_name;
      return {};
    }
    const std::uint16_t port = attempt == 0 ? ask_port(**client, context.node, deadline_ms) : 0;
    if (port == 0) {
      return make_error(Errc::unavailable,
                        fmt::format("{} port {} is node {}; no node {} runs on that host",
                                    link.target.host, link.target.port, name, context.node));
    }
    link.target.port = port;
  }
  return make_error(Errc::unavailable, fmt::format("node {} is not running", context.node));
}

Result<> find_and_connect(Context& context, const Invocation& invocation, Link& link,
                          Millis deadline_ms) {
  context.node = full_node_name(context.world, invocation.globals, invocation.globals.node);
  Result<transport::Cookie> cookie =
      transport::find_cookie(cookie_search(context.world, invocation.globals));
  if (!cookie) return cookie.error();
  link.cookie = std::move(*cookie);
  link.target.host = host_of(context.node);
  const auto entry = transport::find_node(context.node, context.world.registry);
  link.target.port =
      entry ? entry->port : guess_port(context.world, invocation.globals, context.node);
  return connect_to(context, link, deadline_ms);
}

Millis connect_deadline(const Invocation& invocation) {
  const Millis timeout = timeout_of(invocation);
  return timeout == 0 ? kConnectDefaultMs : std::min(timeout, kConnectLongestMs);
}

}  // namespace

std::string host_of(std::string_view node) {
  const std::size_t at = node.find('@');
  return std::string(at == std::string_view::npos ? node : node.substr(at + 1));
}

std::string full_node_name(const Surroundings& world, const Globals& globals, std::string given) {
  if (given.empty()) given = env_or(world, "RABBITMQ_NODENAME", "rabbit");
  if (given.find('@') != std::string::npos) return given;
  const std::string use_long = env_or(world, "RABBITMQ_USE_LONGNAME", "false");
  const bool long_names = globals.longnames || use_long == "true";
  return given + "@" + (long_names ? world.long_host : world.short_host);
}

bool same_node(std::string_view a, std::string_view b) {
  if (a == b) return true;
  const auto up_to_domain = [](std::string_view node) {
    const std::size_t at = node.find('@');
    if (at == std::string_view::npos) return node;
    return node.substr(0, std::min(node.find('.', at), node.size()));
  };
  const auto has_domain = [](std::string_view node) {
    const std::size_t at = node.find('@');
    return at != std::string_view::npos && node.find('.', at) != std::string_view::npos;
  };
  // Only a short name against a long one; two different domains are two nodes.
  return has_domain(a) != has_domain(b) && up_to_domain(a) == up_to_domain(b);
}

transport::CookieSearch cookie_search(const Surroundings& world, const Globals& globals) {
  transport::CookieSearch search;
  search.option = globals.cookie;
  search.environment = env_or(world, "RABBITMQ_ERLANG_COOKIE", "");
  search.files = world.cookie_files;
  return search;
}

Result<> try_connect(Context& context, const Invocation& invocation, Millis deadline_ms) {
  Link link;
  return find_and_connect(context, invocation, link, deadline_ms);
}

int print_unreachable(Context& context, const Invocation& invocation, const std::string& node, const Error& why) {
  const auto cookie = transport::find_cookie(cookie_search(context.world, invocation.globals));
  Context about{context.world, nullptr, node, true};
  const auto entry = transport::find_node(node, context.world.registry);
  transport::ControlTarget target;
  target.host = host_of(node);
  target.port = entry ? entry->port : guess_port(context.world, invocation.globals, node);
  print_diagnostics(about, target, cookie ? *cookie : transport::Cookie{}, why);
  return kExitUnavailable;
}

int connect(Context& context, const Invocation& invocation) {
  if (context.client != nullptr) return kExitOk;
  Link link;
  const Result<> connected =
      find_and_connect(context, invocation, link, connect_deadline(invocation));
  if (connected) {
    if (!link.cookie.warning.empty())
      context.world.err << "Warning: " << link.cookie.warning << "\n";
    return kExitOk;
  }
  if (link.target.host.empty()) {
    context.world.err << "Error:\n" << connected.error().text << "\n";
    return kExitConfig;
  }
  print_diagnostics(context, link.target, link.cookie, connected.error());
  return kExitUnavailable;
}

}  // namespace warren::ctl
