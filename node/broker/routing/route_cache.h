#pragma once
// A channel's memory of where (exchange, routing key) leads. Bounded: a full cache starts anew.
// Owner: the channel's thread.

#include "node/broker/routing/stable_hash.h"

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::broker::routing {

/// Keeps a resolved `T` per (exchange, routing key) for one version of the routing tables.
/// Use:    if (T* hit = cache.find(router.version(), exchange, key)) ...; else cache.put(...)
/// Bound:  buckets of four in a fixed table; a newcomer takes the place of the oldest of its four.
/// Errors: none; a miss is always right. Pointers hold until the next put() or clear().
template <class T>
class RouteCache {
 public:
  /// Requires: `capacity` is a power of two and at least 4.
  explicit RouteCache(std::size_t capacity = 64) : capacity_(capacity) {}

  T* find(std::uint64_t version, std::string_view exchange, std::string_view key) {
    if (version != version_) [[unlikely]] return nullptr;
    if (last_ != nullptr && last_->is(exchange, key)) [[likely]] return &last_->value;
    if (slots_.empty()) return nullptr;
    Slot* ways = &slots_[bucket(exchange, key)];
    for (std::size_t i = 0; i < kWays; ++i)
      if (ways[i].used && ways[i].is(exchange, key)) {
        last_ = &ways[i];
        return &last_->value;
      }
    return nullptr;
  }

  /// Remembers a route found at `version`; an older cache is emptied first.
  T& put(std::uint64_t version, std::string_view exchange, std::string_view key, T value) {
    if (version != version_) clear();
    version_ = version;
    if (slots_.empty()) slots_.resize(capacity_);
    Slot* ways = &slots_[bucket(exchange, key)];
    std::size_t at = 0;  // where the key is, or the oldest
    while (at + 1 < kWays && !(ways[at].used && ways[at].is(exchange, key))) ++at;
    std::rotate(ways, ways + at, ways + at + 1);
    Slot& slot = ways[0];
    slot.used = true;
    slot.exchange.assign(exchange);
    slot.key.assign(key);
    slot.value = std::move(value);
    last_ = &slot;
    return slot.value;
  }

  void clear() {
    for (Slot& slot : slots_) slot = Slot{};
    last_ = nullptr;
    version_ = 0;
  }

 private:
  static constexpr std::size_t kWays = 4;

  struct Slot {
    bool used{false};
    std::string exchange, key;
    T value{};
    bool is(std::string_view x, std::string_view k) const {
      return k == key && x == exchange;
    }
  };

  std::size_t bucket(std::string_view exchange, std::string_view key) const {
    const auto h = stable_hash(key, exchange.size());
    return h & (capacity_ - 1) & ~(kWays - 1);
  }

  std::size_t capacity_;
  std::uint64_t version_{0};
  Slot* last_{nullptr};
  std::vector<Slot> slots_;
};

}  // namespace warren::broker::routing
