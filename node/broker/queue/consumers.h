#pragma once
// The consumers of a queue and whose turn it is. Owned by a queue's Dispatcher.

#include "node/broker/queue/held.h"
#include "node/broker/queue_api.h"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace warren::broker {

struct Consumer;

/// Who holds deliveries: a consumer, or a channel that used basic.get. Outlives its consumer while
/// anything is unsettled.
struct Holder {
  HolderId id{};
  HeldRing held;
  Consumer* consumer{nullptr};
};

struct Consumer {
  ConsumerSpec spec;
  ConsumerSink* sink{nullptr};
  Holder* holder{nullptr};
  bool listed{false};        ///< in the round: can be served, as far as we know
  bool waiting{false};       ///< another one is the single active consumer
  Consumer* next{nullptr};   ///< in the round of its priority
  Consumer* prev{nullptr};

  bool has_credit() const {
    return spec.no_ack || spec.prefetch == 0 || holder->held.size() < spec.prefetch;
  }
};

/// Invariants: 1. a listed consumer has credit and is not waiting; 2. with single active, at most
/// one consumer does not wait; 3. rounds are sorted by priority, the highest first.
class Consumers {
 public:
  Consumers(bool single_active, bool by_priority)
      : single_active_(single_active), by_priority_(by_priority) {}

  bool empty() const { return order_.empty(); }
  std::size_t size() const { return order_.size(); }
  const std::vector<std::unique_ptr<Consumer>>& all() const { return order_; }
  Consumer* find(HolderId id) const;

  Consumer& add(ConsumerSpec spec, ConsumerSink& sink, Holder& holder);
  /// Takes the consumer out; with single active the next one takes its place.
  std::unique_ptr<Consumer> remove(HolderId id);

  /// Whose turn it is; nothing when nobody can take a message.
  Consumer* next() {
    while (first_ != nullptr) {
      Consumer* c = first_->head;
      if (c->sink->can_take()) [[likely]] return c;
      unlist(*c);
    }
    return nullptr;
  }
  /// `c`, just given by next(), has got a message: the turn passes on.
  void served(Consumer& c) {
    if (!c.has_credit()) {
      unlist(c);
    } else if (c.next != &c) {
      first_->head = c.next;
    }
  }
  /// The consumer may have become able to take. True when it now takes part.
  bool renew(Consumer& c);
  /// True when some consumer might take a message.
  bool any_listed() const { return first_ != nullptr; }
  /// How many messages consumers would take at once, as far as prefetch tells; at most `limit`.
  std::uint64_t capacity(std::uint64_t limit) const;
  const Consumer* active() const;

 private:
  struct Round {
    std::int32_t priority;
    Consumer* head;  ///< nullptr = nobody
  };

  void list(Consumer& c);
  void unlist(Consumer& c);
  void find_first();
  void activate_next();

  bool single_active_;
  bool by_priority_;
  std::vector<std::unique_ptr<Consumer>> order_;  ///< by subscription
  std::vector<Round> rounds_;
  Round* first_{nullptr};  ///< the highest round with anybody in it
};

}  // namespace warren::broker
