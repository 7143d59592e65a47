#pragma once
// A channel's memory of where (exchange, routing key) leads. Bounded: a full cache starts anew.
// Owner: the channel's thread.

#include "node/broker/routing/stable_hash.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace warren::broker::routing {

/// Keeps a resolved `T` per (exchange, routing key) for one version of the routing tables.
/// Use:    if (T* hit = cache.find(router.version(), exchange, key)) ...; else cache.put(...)
/// Bound:  2-way buckets of a fixed table; a newcomer takes the place of the older of its two.
/// Errors: none; a miss is always right. Pointers hold until the next put() or clear().
template <class T>
class RouteCache {
 public:
  /// Requires: `capacity` is a power of two and at least 2.
  explicit RouteCache(std::size_t capacity = 64) : capacity_(capacity) {}

  T* find(std::uint64_t version, std::string_view exchange, std::string_view key) {
    if (version != version_) [[unlikely]] return nullptr;
    if (last_ != nullptr && last_->is(exchange, key)) [[likely]] return &last_->value;
    if (slots_.empty()) return nullptr;
    Slot* pair = &slots_[bucket(exchange, key)];
    for (int i = 0; i < 2; ++i)
      if (pair[i].used && pair[i].is(exchange, key)) {
        last_ = &pair[i];
        return &last_->value;
      }
    return nullptr;
  }

  /// Remembers a route found at `version`; an older cache is emptied first.
  T& put(std::uint64_t version, std::string_view exchange, std::string_view key, T value) {
    if (version != version_) clear();
    version_ = version;
    if (slots_.empty()) slots_.resize(capacity_);
    Slot* pair = &slots_[bucket(exchange, key)];
    if (!pair[0].is(exchange, key) || !pair[0].used) std::swap(pair[0], pair[1]);
    Slot& slot = pair[0];
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
    return (h & (capacity_ - 1)) & ~std::size_t{1};
  }

  std::size_t capacity_;
  std::uint64_t version_{0};
  Slot* last_{nullptr};
  std::vector<Slot> slots_;
};

}  // namespace warren::broker::routing
