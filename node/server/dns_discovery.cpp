// Peers by DNS (CLU-21): the addresses of a seed name, and the names they lead back to. The system's
// resolver blocks, so it runs apart; what the names mean is decided in cluster/membership/discovery.h.

#include "node/server/cluster_service.h"
#include "node/server/node.h"

namespace warren::server {

namespace {

/// Blocks. Errors: what the resolver says of the seed; addresses without a name are told and left out.
Result<std::vector<std::string>> hosts_behind(const std::string& seed, std::vector<std::string>& nameless) {
  auto addresses = transport::resolve_host(seed);
  if (!addresses) return addresses.error();
  std::vector<std::string> hosts;
  for (const auto& address : *addresses) {
    auto name = transport::name_of_address(address);
    if (name) hosts.push_back(std::move(*name));
    else nameless.push_back(name.error().text);
  }
  return hosts;
}

}  // namespace

void ClusterService::discover(const membership::PeerSource::Found& found) {
  if (node_.settings().cluster.discovery == "dns") return dns_peers().find(found);
  found(node_.settings().cluster.peers);
}

membership::PeerSource ClusterService::dns_peers() {
  membership::PeerSource source;
  source.grows = true;
  source.size_hint = static_cast<std::size_t>(node_.settings().cluster.size_hint);
  source.find = [this](const membership::PeerSource::Found& found) {
    const std::string seed = node_.settings().cluster.dns_hostname;
    if (seed.empty())
      return found(make_error(Errc::invalid_argument, "cluster_formation.peer_discovery_backend is dns, but "
                                                      "cluster_formation.dns.hostname is not set"));
    std::weak_ptr<char> alive = alive_;
    const auto job = [this, alive, seed, found, &loop = node_.loop()] {
      std::vector<std::string> nameless;
      auto hosts = hosts_behind(seed, nameless);
      loop.post([this, alive, found, hosts = std::move(hosts), nameless = std::move(nameless)] {
        if (alive.expired()) return;
        node_.loop().refresh();
        for (const auto& text : nameless) warn("peer discovery: " + text);
        if (!hosts) return found(hosts.error());
        found(membership::peers_on_hosts(*hosts, self_name()));
      });
    };
    if (!workers_.run(job)) found(make_error(Errc::unavailable, "too many look-ups of names are under way"));
  };
  return source;
}

}  // namespace warren::server
