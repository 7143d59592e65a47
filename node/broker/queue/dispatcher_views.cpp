// What others see of a dispatcher: timers, listings, the live set for checkpoints, invariants.
#include "base/bytes.h"
#include "node/broker/queue/dispatcher.h"

#include <algorithm>

namespace warren::broker {

// ---- timers -------------------------------------------------------------------------------------

Millis Dispatcher::next_timer() {
  const Millis now = host_.steady_ms();
  Millis at = kNever;
  if (head_expiry_ != kNever && ttl_active() && !ready_.empty())
    at = now + std::max<Millis>(0, head_expiry_ - host_.wall_ms());
  if (settings_->expires_ms && consumers_.empty())
    at = std::min(at, last_used_ + *settings_->expires_ms);
  if (!unsent_later_.empty() && keeps_dead_letters()) at = std::min(at, unsent_later_.begin()->first);
  return at == kNever ? 0 : std::max<Millis>(at, 1);
}

void Dispatcher::on_timer() {
  const Millis now = host_.steady_ms();
  if (settings_->expires_ms && consumers_.empty() && now >= last_used_ + *settings_->expires_ms) {
    last_used_ = now;  // asked once per period
    host_.want_delete(queue_, "unused for longer than x-expires");
  }
}

void Dispatcher::touched() {
  if (!quorum_) last_used_ = host_.steady_ms();
}

// ---- listings -----------------------------------------------------------------------------------

std::uint64_t Dispatcher::visible_ready() const {
  // A head that is over the limit goes at the end of this turn; nobody should see it meanwhile.
  if (settings_->overflow == Overflow::drop_head && settings_->max_length && *settings_->max_length >= 0)
    return std::min(ready_.count(), static_cast<std::uint64_t>(*settings_->max_length));
  return ready_.count();
}

void Dispatcher::fill(QueueStats& stats) {
  stats.ready = ready_.count();
  stats.unacked = unacked_.count + dying_.size();
  stats.ready_bytes = ready_bytes_;
  stats.unacked_bytes = unacked_.bytes + dying_bytes_;
  stats.persistent = persistent_.count;
  stats.persistent_bytes = persistent_.bytes;
  const std::uint64_t ram = ledger_.resident_messages();
  stats.ready_ram = std::min(stats.ready, ram);
  stats.unacked_ram = std::min(stats.unacked, ram - stats.ready_ram);
  stats.bytes_ram = ledger_.resident_bytes();
  stats.consumers = consumers_.size();
  stats.counters = counters_;
  for (const auto& c : consumers_.all())
    if (c->spec.exclusive) stats.exclusive_consumer_tag = c->spec.tag;
  if (const Consumer* active = consumers_.active(); settings_->single_active && active != nullptr)
    stats.single_active_tag = active->spec.tag;
  if (!ready_.empty()) {
    const ReadyIndex::Head head = ready_.head();
    Cursor cursor = cursors_[head.level];
    const RunTable& runs = ledger_.runs();
    const std::uint64_t id = runs.find(head.first, cursor.run_id);
    if (runs.valid(id) && runs.at(id).block) {
      const Run* run = ledger_.open(cursor, head.first);
      stats.head_timestamp =
          timestamp_property(MessageView(run->block->data() + run->base + cursor.offset).props());
    }
  }
  constexpr std::size_t kDyingNodes = sizeof(Dying) + 2 * sizeof(Position) + 10 * sizeof(void*);  // in two trees
  stats.memory_bytes = sizeof *this + ready_.memory_bytes() + ledger_.memory_bytes() + dying_.size() * kDyingNodes;
  for (const auto& [id, holder] : holders_)
    stats.memory_bytes += sizeof holder + holder.held.memory_bytes();
}

std::vector<ConsumerInfo> Dispatcher::consumer_infos() const {
  std::vector<ConsumerInfo> out;
  for (const auto& c : consumers_.all()) {
    ConsumerInfo info;
    info.spec = c->spec;
    info.active = !c->waiting;
    info.activity_status = !settings_->single_active ? "up" : c->waiting ? "waiting" : "single_active";
    info.unacked = static_cast<std::uint32_t>(c->holder->held.size());
    out.push_back(std::move(info));
  }
  return out;
}

std::optional<std::uint64_t> timestamp_property(std::string_view props) {
  // Bits of the property flags, in the order of the values. Source: AMQP 0-9-1 4.2.6, 1.8.1.
  enum : unsigned {
    kContentType = 1u << 15, kContentEncoding = 1u << 14, kHeaders = 1u << 13,
    kDeliveryMode = 1u << 12, kPriority = 1u << 11, kCorrelationId = 1u << 10,
    kReplyTo = 1u << 9, kExpiration = 1u << 8, kMessageId = 1u << 7, kTimestamp = 1u << 6,
  };
  ByteReader in(props);
  const unsigned flags = in.u16();
  if ((flags & kTimestamp) == 0 || (flags & 1) != 0) return std::nullopt;
  if (flags & kContentType) in.str8();
  if (flags & kContentEncoding) in.str8();
  if (flags & kHeaders) in.str32();
  if (flags & kDeliveryMode) in.u8();
  if (flags & kPriority) in.u8();
  if (flags & kCorrelationId) in.str8();
  if (flags & kReplyTo) in.str8();
  if (flags & kExpiration) in.str8();
  if (flags & kMessageId) in.str8();
  const std::uint64_t value = in.u64();
  if (!in.ok()) return std::nullopt;
  return value;
}

// ---- what lives ---------------------------------------------------------------------------------

void Dispatcher::live_in(Position first, Position end, std::vector<Range>& out) {
  const auto add = [&](Position p) {
    if (!out.empty() && out.back().end == p) {
      out.back().end = p + 1;
    } else {
      out.push_back({p, p + 1});
    }
  };
  ready_.each_in(first, end, [&](const Range& r) { out.push_back(r); });
  for (auto it = dying_.lower_bound(first); it != dying_.end() && it->first < end; ++it)
    add(it->first);
  for (const auto& [id, holder] : holders_)
    holder.held.each_in(first, end, [&](const Held& held) { add(held.position); });
}

void Dispatcher::check_invariants() const {
  ready_.check_invariants();
  ledger_.check_invariants();
  IntervalSet live;
  const auto add = [&](Position first, Position end) {
    live.each(first, end, [](const Range&) { WARREN_ASSERT(false); });
    live.insert(first, end);
  };
  ready_.each([&](unsigned, const Range& r, bool) { add(r.first, r.end); });
  Tally unacked, logged, kept;
  for (const auto& [id, holder] : holders_) {
    holder.held.check_invariants();
    WARREN_ASSERT(holder.consumer != nullptr || !holder.held.empty());
    if (holder.consumer != nullptr) WARREN_ASSERT(holder.consumer->holder == &holder);
    holder.held.each([&](const Held& held) {
      add(held.position, held.position + 1);
      unacked.add(1, held.body_bytes);
      if (held.logged) logged.add(1, held.body_bytes);
      if (held.persistent) kept.add(1, held.body_bytes);
    });
  }
  for (const auto& [position, dying] : dying_) add(position, position + 1);
  const auto same = [](const Tally& a, const Tally& b) {
    return a.count == b.count && a.bytes == b.bytes;
  };
  WARREN_ASSERT(same(unacked, unacked_) && same(logged, unacked_logged_) &&
                same(kept, persistent_unacked_));
  WARREN_ASSERT(!ready_.empty() || ready_bytes_ == 0);
  const RunTable& runs = ledger_.runs();
  std::uint64_t total = 0;
  for (std::uint64_t id = runs.front_id(); id < runs.end_id(); ++id) {
    const Run& run = runs.at(id);
    std::uint64_t n = 0;
    live.each(run.first, run.end(), [&](const Range& r) { n += r.end - r.first; });
    WARREN_ASSERT(n == run.live);
    total += n;
  }
  WARREN_ASSERT(total == live.count());
  for (const auto& c : consumers_.all())
    WARREN_ASSERT(!c->listed || (!c->waiting && c->has_credit()));
}

}  // namespace warren::broker
