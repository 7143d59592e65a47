#include "node/broker/queue/consumers.h"

#include <algorithm>

namespace warren::broker {

Consumer* Consumers::find(HolderId id) const {
  for (const auto& c : order_)
    if (c->spec.holder == id) return c.get();
  return nullptr;
}

Consumer& Consumers::add(ConsumerSpec spec, ConsumerSink& sink, Holder& holder) {
  auto owned = std::make_unique<Consumer>();
  Consumer& c = *owned;
  c.spec = std::move(spec);
  c.sink = &sink;
  c.holder = &holder;
  holder.consumer = &c;
  order_.push_back(std::move(owned));
  c.waiting = single_active_ && order_.size() > 1;
  renew(c);
  return c;
}

std::unique_ptr<Consumer> Consumers::remove(HolderId id) {
  const auto it = std::find_if(order_.begin(), order_.end(),
                               [&](const auto& c) { return c->spec.holder == id; });
  if (it == order_.end()) return nullptr;
  std::unique_ptr<Consumer> c = std::move(*it);
  order_.erase(it);
  unlist(*c);
  c->holder->consumer = nullptr;
  if (single_active_ && !c->waiting) activate_next();
  return c;
}

void Consumers::activate_next() {
  Consumer* best = nullptr;
  for (const auto& c : order_)
    if (best == nullptr || (by_priority_ && c->spec.priority > best->spec.priority)) best = c.get();
  if (best == nullptr) return;
  best->waiting = false;
  renew(*best);
}

bool Consumers::renew(Consumer& c) {
  if (c.listed) return true;
  if (c.waiting || !c.has_credit() || !c.sink->can_take()) return false;
  list(c);
  return true;
}

void Consumers::list(Consumer& c) {
  auto it = std::find_if(rounds_.begin(), rounds_.end(),
                         [&](const Round& r) { return r.priority <= c.spec.priority; });
  if (it == rounds_.end() || it->priority != c.spec.priority)
    it = rounds_.insert(it, Round{c.spec.priority, nullptr});
  if (it->head == nullptr) {
    it->head = c.next = c.prev = &c;
  } else {  // behind everybody else of the round
    c.next = it->head;
    c.prev = it->head->prev;
    c.prev->next = c.next->prev = &c;
  }
  c.listed = true;
  find_first();
}

void Consumers::unlist(Consumer& c) {
  if (!c.listed) return;
  const auto it = std::find_if(rounds_.begin(), rounds_.end(),
                               [&](const Round& r) { return r.priority == c.spec.priority; });
  if (c.next == &c) {
    it->head = nullptr;
  } else {
    c.prev->next = c.next;
    c.next->prev = c.prev;
    if (it->head == &c) it->head = c.next;
  }
  c.next = c.prev = nullptr;
  c.listed = false;
  find_first();
}

void Consumers::find_first() {
  first_ = nullptr;
  for (Round& r : rounds_)
    if (r.head != nullptr) {
      first_ = &r;
      return;
    }
}

std::uint64_t Consumers::capacity(std::uint64_t limit) const {
  std::uint64_t total = 0;
  for (const auto& c : order_) {
    if (!c->listed || !c->sink->can_take()) continue;
    if (c->spec.no_ack || c->spec.prefetch == 0) return limit;
    total += c->spec.prefetch - c->holder->held.size();
    if (total >= limit) return limit;
  }
  return total;
}

const Consumer* Consumers::active() const {
  for (const auto& c : order_)
    if (!c->waiting) return c.get();
  return nullptr;
}

}  // namespace warren::broker
