#pragma once
// What an exchange type is to the router: a set of bindings, and the destinations that a message
// finds through them. One implementation per type.

#include "cluster/metadata/types.h"
#include "node/broker/routing/vhost_router.h"

#include <algorithm>
#include <compare>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::broker::routing {

/// Number of a destination (queue or exchange) in its router; reused when nothing names it.
using DestId = std::uint32_t;

/// A binding as matchers see it. Equal identity = equal (dest, key, args).
struct BindingRef {
  DestId dest;
  std::string_view dest_name;
  std::string_view key;
  std::uint32_t args;              ///< number of the encoded arguments; 0 = none
  const FieldTable& arguments;
};

/// The message's side.
struct RouteInput {
  std::string_view key;
  std::span<const std::string_view> extra_keys;
  std::string_view headers;     ///< encoded pairs
  std::string_view properties;  ///< property bytes

  template <class Use>
  void each_key(Use use) const {
    use(key);
    for (const std::string_view extra : extra_keys) use(extra);
  }
};

/// Takes what matchers find; the router's.
class Matches {
 public:
  struct Destination {
    std::uint64_t mark{0};       ///< stamp of the last route that reached it
    QueueUid uid{0};             ///< of a queue; 0 = none of that name now
    std::uint32_t exchange{0};   ///< 1-based number of an exchange; 0 = none
    std::uint32_t refs{0};       ///< bindings that name it, and the object itself
  };

  Matches(std::vector<Destination>& destinations, std::vector<QueueUid>& queues,
          std::vector<std::uint32_t>& exchanges, std::uint64_t stamp, const RouterHooks& hooks)
      : destinations_(destinations), queues_(queues), exchanges_(exchanges), stamp_(stamp),
        hooks_(hooks) {}

  /// A destination was found, maybe not for the first time.
  void add(DestId id) {
    Destination& d = destinations_[id];
    if (d.uid != 0) {
      hit_ = true;
      if (d.mark == stamp_) return;
      d.mark = stamp_;
      queues_.push_back(d.uid);
    } else if (d.exchange != 0) {
      hit_ = true;
      if (d.mark == stamp_) return;
      d.mark = stamp_;
      exchanges_.push_back(d.exchange);
    }
  }
  bool present(DestId id) const {
    return destinations_[id].uid != 0 || destinations_[id].exchange != 0;
  }
  bool local_queue(DestId id) const {
    const QueueUid uid = destinations_[id].uid;
    return uid != 0 && (!hooks_.is_local || hooks_.is_local(uid));
  }
  std::uint64_t random(std::uint64_t bound) const {
    return hooks_.random ? hooks_.random(bound) : 0;
  }
  /// True when add() found something since the last call.
  bool take_hit() { return std::exchange(hit_, false); }

 private:
  std::vector<Destination>& destinations_;
  std::vector<QueueUid>& queues_;
  std::vector<std::uint32_t>& exchanges_;
  std::uint64_t stamp_;
  const RouterHooks& hooks_;
  bool hit_{false};
};

/// The bindings of one exchange. Owner: its router.
class Matcher {
 public:
  virtual ~Matcher() = default;
  /// False when that binding was there already.
  virtual bool add(const BindingRef& binding) = 0;
  /// False when there was no such binding.
  virtual bool remove(const BindingRef& binding) = 0;
  virtual void route(const RouteInput& input, Matches& out) = 0;
  /// Calls use(dest, args) for every binding, in any order.
  using UseBinding = std::function<void(DestId dest, std::uint32_t args)>;
  virtual void each(const UseBinding& use) const = 0;
  /// True when more than the routing key decides.
  virtual bool beyond_key() const { return false; }
};

/// A matcher of that type; one that routes nowhere for a type we do not know.
std::unique_ptr<Matcher> make_matcher(const metadata::ExchangeDef& def);

/// Destinations behind one key, ascending; a destination is there once per different arguments.
class TargetList {
 public:
  bool add(DestId dest, std::uint32_t args) {
    const Target target{dest, args};
    const auto at = std::lower_bound(targets_.begin(), targets_.end(), target);
    if (at != targets_.end() && *at == target) return false;
    targets_.insert(at, target);
    return true;
  }
  bool remove(DestId dest, std::uint32_t args) {
    const Target target{dest, args};
    const auto at = std::lower_bound(targets_.begin(), targets_.end(), target);
    if (at == targets_.end() || *at != target) return false;
    targets_.erase(at);
    return true;
  }
  bool empty() const { return targets_.empty(); }
  void give(Matches& out) const {
    for (const Target& target : targets_) out.add(target.dest);
  }
  void each(const Matcher::UseBinding& use) const {
    for (const Target& target : targets_) use(target.dest, target.args);
  }

 private:
  struct Target {
    DestId dest;
    std::uint32_t args;
    auto operator<=>(const Target&) const = default;
  };
  std::vector<Target> targets_;
};

}  // namespace warren::broker::routing
