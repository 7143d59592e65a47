#pragma once
// A hash table from byte strings to values, for looking up: its order must not reach behaviour.
// Open addressing with linear probing; erasing shifts back, so there are no tombstones.

#include "base/assert.h"
#include "node/broker/routing/stable_hash.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace warren::broker::routing {

/// Invariants: 1. slots_.size() is a power of two, at most 3/4 full; 2. each used slot names a live
/// entry, whose number stays the same until it is erased.
template <class T>
class KeyTable {
 public:
  T* find(std::string_view key) {
    const std::size_t at = locate(key, hash_of(key));
    return at == kNone ? nullptr : &entries_[slots_[at].entry - 1].value;
  }
  const T* find(std::string_view key) const { return const_cast<KeyTable*>(this)->find(key); }

  /// The value of that key, made when missing. Pointers hold until the next insertion.
  T& operator[](std::string_view key) {
    const std::uint32_t hash = hash_of(key);
    if (const std::size_t at = locate(key, hash); at != kNone)
      return entries_[slots_[at].entry - 1].value;
    if ((size_ + 1) * 4 > slots_.size() * 3) grow();
    std::uint32_t entry;
    if (!free_.empty()) {
      entry = free_.back();
      free_.pop_back();
      entries_[entry - 1] = Entry{std::string(key), T{}};
    } else {
      entries_.push_back(Entry{std::string(key), T{}});
      entry = static_cast<std::uint32_t>(entries_.size());
    }
    place({hash, entry});
    ++size_;
    return entries_[entry - 1].value;
  }

  bool erase(std::string_view key) {
    std::size_t at = locate(key, hash_of(key));
    if (at == kNone) return false;
    const std::uint32_t entry = slots_[at].entry;
    entries_[entry - 1] = Entry{};
    free_.push_back(entry);
    --size_;
    // Whatever was pushed past this slot moves back into the gap.
    std::size_t next = (at + 1) & mask();
    for (; slots_[next].entry != 0; next = (next + 1) & mask()) {
      const std::size_t home = slots_[next].hash & mask();
      if (((next - home) & mask()) < ((next - at) & mask())) continue;
      slots_[at] = slots_[next];
      at = next;
    }
    slots_[at] = {};
    return true;
  }

  std::size_t size() const { return size_; }

  /// Calls use(value) for each, in no order that means anything.
  template <class Use>
  void each_value(Use use) const {
    for (const Slot& slot : slots_)
      if (slot.entry != 0) use(entries_[slot.entry - 1].value);
  }

 private:
  struct Slot {
    std::uint32_t hash{0};
    std::uint32_t entry{0};  // 1-based; 0 = free
  };
  struct Entry {
    std::string key;
    T value{};
  };
  static constexpr std::size_t kNone = ~std::size_t{0};

  static std::uint32_t hash_of(std::string_view key) {
    return static_cast<std::uint32_t>(stable_hash(key));
  }
  std::size_t mask() const { return slots_.size() - 1; }

  std::size_t locate(std::string_view key, std::uint32_t hash) const {
    if (slots_.empty()) return kNone;
    for (std::size_t at = hash & mask(); slots_[at].entry != 0; at = (at + 1) & mask())
      if (slots_[at].hash == hash && entries_[slots_[at].entry - 1].key == key) return at;
    return kNone;
  }
  void place(Slot slot) {
    std::size_t at = slot.hash & mask();
    while (slots_[at].entry != 0) at = (at + 1) & mask();
    slots_[at] = slot;
  }
  void grow() {
    std::vector<Slot> old = std::move(slots_);
    slots_.assign(old.empty() ? 8 : old.size() * 2, Slot{});
    for (const Slot& slot : old)
      if (slot.entry != 0) place(slot);
  }

  std::vector<Slot> slots_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t size_{0};
};

}  // namespace warren::broker::routing
