#pragma once
// Where a message goes: exchanges, bindings and queues of one virtual host, arranged for routing.
// Built from the catalogue's effects. Pure: no clock, no thread; randomness is handed in.

#include "cluster/metadata/types.h"
#include "node/broker/routing/exchange_types.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker::routing {

using metadata::QueueUid;

enum class Routed : std::uint8_t {
  ok,           ///< routed; no queue in the result = unroutable
  no_exchange,  ///< 404 (PUB-08)
  internal,     ///< as ok, but a client may not publish here: 403 (PUB-09)
};

/// What the two random exchange types ask for.
struct RouterHooks {
  /// A number in [0, bound). Without it the first choice is always taken.
  std::function<std::uint64_t(std::uint64_t bound)> random;
  /// True when the queue lives on this node. Without it every queue does.
  std::function<bool(QueueUid)> is_local;
};

/// The routing tables of one virtual host.
/// Invariants: 1. every change that may alter a route changes version();
///             2. a binding exists once per (source, destination, key, arguments) (EXC-20);
///             3. names without an exchange or queue behind them route nowhere, and come alive when
///                the object is put.
/// Owner: one thread; route() uses scratch space and is not const.
class VhostRouter {
 public:
  explicit VhostRouter(RouterHooks hooks = {});
  ~VhostRouter();
  VhostRouter(VhostRouter&&) noexcept;
  VhostRouter& operator=(VhostRouter&&) noexcept;

  /// Adds an exchange, or renews one: its bindings stay when they still mean the same
  /// (same_routing).
  /// The default exchange "" is always there and need not be put.
  void put_exchange(const metadata::ExchangeDef& def, std::optional<std::string> alternate);
  /// Removes an exchange and the bindings of which it is the source.
  void drop_exchange(std::string_view name);
  /// The exchange that takes what this one cannot route (argument or policy); nothing = none.
  void set_alternate(std::string_view exchange, std::optional<std::string> alternate);
  /// Adds a queue, reachable through the default exchange at once.
  void put_queue(std::string_view name, QueueUid uid);
  /// Removes a queue; its bindings go by their own unbind().
  void drop_queue(std::string_view name);
  /// Adds a binding. Repeat: no effect. Requires: the source was put before.
  void bind(const metadata::BindingDef& def);
  void unbind(const metadata::BindingDef& def);

  /// Changes on every mutation; caches compare it. Never 0.
  std::uint64_t version() const;

  /// Adds to `out` the uid of each queue that gets the message, each once (EXC-09).
  /// Shape: `extra_keys` = CC and BCC; `headers` = encoded pairs, read only when an exchange on the
  ///        way looks at them; `properties` = property bytes as on the wire, for hash-property.
  ///        Malformed headers count as none.
  Routed route(std::string_view exchange, std::string_view routing_key,
               std::span<const std::string_view> extra_keys, std::string_view headers,
               std::vector<QueueUid>& out, std::string_view properties = {});

  /// True when exchange and routing key alone do not decide the route (headers, hash by header or
  /// property, random choice somewhere on the way): the result must then not be cached.
  bool depends_on_headers(std::string_view exchange);

  bool has_exchange(std::string_view name) const;
  std::size_t binding_count() const;

 private:
  struct Tables;
  std::unique_ptr<Tables> t_;
};

}  // namespace warren::broker::routing
