// What leaves a queue without being consumed: expired, over the length limit, rejected.
#include "node/broker/queue/dispatcher.h"

#include <algorithm>

namespace warren::broker {

Millis Dispatcher::expiry(const MessageView& m) const {
  std::uint64_t ttl = m.expiration_ms();
  if (settings_->message_ttl_ms)
    ttl = std::min(ttl, static_cast<std::uint64_t>(std::max<std::int64_t>(0, *settings_->message_ttl_ms)));
  const std::uint64_t since = m.timestamp_ms();
  if (ttl == kNoExpiration || ttl >= static_cast<std::uint64_t>(kNever) ||
      since >= static_cast<std::uint64_t>(kNever) - ttl)
    return kNever;
  return static_cast<Millis>(since + ttl);
}

bool Dispatcher::expired(const MessageView& m, Position p) const {
  const Millis at = expiry(m);
  if (at == kNever) return false;
  // A message that may not wait at all still gets the turn in which it came.
  if (at == static_cast<Millis>(m.timestamp_ms())) return p < fresh_from_;
  return now_wall_ >= at;
}

Dispatcher::Step Dispatcher::expire_heads() {
  Step result = Step::done;
  head_expiry_ = kNever;
  for (unsigned level = ready_.levels(); level-- > 0;) {
    while (!ready_.level_empty(level)) {
      if (buried_ >= kBuryPerPump) return Step::bound;
      const ReadyIndex::Head head = ready_.head_of(level);
      Cursor& cursor = cursors_[level];
      const Run* run = ledger_.open(cursor, head.first);
      ledger_.read_ahead();
      if (run == nullptr) {
        waits_ = true;
        result = Step::waits;
        break;
      }
      const MessageView m(run->block->data() + run->base + cursor.offset);
      if (!expired(m, head.first)) {
        head_expiry_ = std::min(head_expiry_, expiry(m));
        break;
      }
      bury_head(head, *run, cursor, DeathReason::expired);
    }
  }
  return result;
}

bool Dispatcher::over_length(std::uint64_t extra_count, std::uint64_t extra_bytes) const {
  const auto above = [](std::uint64_t value, const std::optional<std::int64_t>& limit) {
    return limit && *limit >= 0 && value > static_cast<std::uint64_t>(*limit);
  };
  if (keeps_dead_letters()) {  // they are in nobody's hands yet (QUE-14)
    extra_count += dying_.size();
    extra_bytes += dying_bytes_;
  }
  return above(ready_.count() + extra_count, settings_->max_length) ||
         above(ready_bytes_ + extra_bytes, settings_->max_length_bytes);
}

Dispatcher::Step Dispatcher::enforce_length() {
  if (settings_->overflow != Overflow::drop_head) return Step::done;
  while (!ready_.empty() && over_length(0, 0)) {
    if (buried_ >= kBuryPerPump) return Step::bound;
    const ReadyIndex::Head head = ready_.head();
    Cursor& cursor = cursors_[head.level];
    const Run* run = ledger_.open(cursor, head.first);
    ledger_.read_ahead();
    if (run == nullptr) {
      waits_ = true;
      return Step::waits;
    }
    bury_head(head, *run, cursor, DeathReason::maxlen);
  }
  return Step::done;
}

void Dispatcher::count_death(DeathReason reason) {
  if (!settings_->dead_letter_exchange) {
    ++counters_.dropped;
    return;
  }
  switch (reason) {
    case DeathReason::rejected: ++counters_.dead_letter_rejected; break;
    case DeathReason::expired: ++counters_.dead_letter_expired; break;
    case DeathReason::maxlen: ++counters_.dead_letter_maxlen; break;
    case DeathReason::delivery_limit: ++counters_.dead_letter_limit; break;
  }
}

void Dispatcher::bury_head(const ReadyIndex::Head& head, const Run& run, const Cursor& cursor,
                           DeathReason reason) {
  const BlockRef block = run.block;
  const MessageView m(block->data() + run.base + cursor.offset);
  const bool persistent = run.logged() && (quorum_ || m.persistent());
  const std::uint64_t body = m.body_size();
  ++buried_;
  // Out of the ready messages first: the host may publish to this very queue in between.
  ready_.consume(head, 1);
  ready_bytes_ -= body;
  if (keeps_dead_letters()) {
    Held held = held_of(m, head.first, head.level);
    held.logged = run.logged();
    held.persistent = persistent;
    return keep_dying(held, reason);
  }
  if (persistent) persistent_.sub(1, body);
  count_death(reason);
  if (settings_->dead_letter_exchange) {
    Delivery d{0, head.first, m, &block, head.returned, ledger_.failures(head.first)};
    host_.dead_letter(queue_, d, reason);
  }
  ledger_.remove(head.first, static_cast<std::uint32_t>(body));
}

void Dispatcher::bury(const Held& held, DeathReason reason) {
  const Position p = held.position;
  if (keeps_dead_letters()) return keep_dying(held, reason);
  if (settings_->dead_letter_exchange) {
    const Run* run = ledger_.open(side_, p);
    if (run == nullptr) {
      keep_dying(held, reason);
      waits_ = true;
      return;
    }
    const BlockRef block = run->block;
    const MessageView m(block->data() + run->base + side_.offset);
    Delivery d{0, p, m, &block, true, ledger_.failures(p)};
    host_.dead_letter(queue_, d, reason);
  }
  buried({held, reason});
}

void Dispatcher::buried(const Dying& dying) {
  count_death(dying.reason);
  if (dying.held.persistent) persistent_.sub(1, dying.held.body_bytes);
  ledger_.remove(dying.held.position, dying.held.body_bytes);
}

void Dispatcher::keep_dying(const Held& held, DeathReason reason) {
  dying_bytes_ += held.body_bytes;
  dying_.emplace(Position{held.position}, Dying{held, reason});
  if (!keeps_dead_letters()) return;
  unsent_.insert(held.position);
  wants_pump_ = true;
}

void Dispatcher::settings_changed() {
  wants_pump_ = true;
  unsent_.clear();
  unsent_later_.clear();
  if (!keeps_dead_letters()) return;
  for (const auto& [p, dying] : dying_)
    if (!dying.asked) unsent_.insert(p);
}

std::map<Position, Dispatcher::Dying>::iterator Dispatcher::forget_dying(std::map<Position, Dying>::iterator it) {
  dying_bytes_ -= it->second.held.body_bytes;
  asked_ -= it->second.asked;
  return dying_.erase(it);
}

/// At-least-once: a window is under way, oldest first; who fails makes room for others meanwhile.
void Dispatcher::bury_kept() {
  for (; !unsent_later_.empty() && unsent_later_.begin()->first <= now_steady_;
       unsent_later_.erase(unsent_later_.begin()))
    if (dying_.contains(unsent_later_.begin()->second)) unsent_.insert(unsent_later_.begin()->second);
  std::uint32_t waiting = 0;  // for their bodies
  for (auto at = unsent_.begin(); at != unsent_.end() && asked_ + waiting < kDeadLetterWindow;) {
    const auto it = dying_.find(*at);
    const Run* run = it == dying_.end() || it->second.asked ? nullptr : ledger_.open(side_, *at);
    if (it != dying_.end() && !it->second.asked && run == nullptr) {
      waits_ = true;
      ++waiting;
      ++at;
      continue;
    }
    at = unsent_.erase(at);
    if (run == nullptr) continue;
    Dying& dying = it->second;
    const BlockRef block = run->block;
    const MessageView m(block->data() + run->base + side_.offset);
    dying.asked = true;
    ++asked_;
    host_.dead_letter_kept(queue_, {0, it->first, m, &block, true, ledger_.failures(it->first)}, dying.reason,
                           dying.failed_times != 0);
  }
}

void Dispatcher::on_dead_letter(Position p, bool accepted) {
  const auto it = dying_.find(p);
  if (it == dying_.end() || !it->second.asked) return;
  wants_pump_ = true;
  if (accepted) {
    const Dying dying = it->second;
    forget_dying(it);
    return buried(dying);
  }
  Dying& dying = it->second;
  dying.asked = false;
  --asked_;
  constexpr std::uint8_t kDoublings = 6;
  unsent_later_.emplace(host_.steady_ms() + (kDeadLetterRetry << std::min(dying.failed_times, kDoublings)), p);
  if (dying.failed_times < kDoublings) ++dying.failed_times;
}

void Dispatcher::bury_waiting() {
  std::uint32_t looked = 0;
  for (auto it = dying_.begin(); it != dying_.end() && buried_ < kBuryPerPump;) {
    if (++looked > ledger_.options().read_ahead_entries) break;
    if (it->second.asked) {  // the policy changed meanwhile
      ++it;
      continue;
    }
    if (ledger_.open(side_, it->first) == nullptr) {
      waits_ = true;
      ++it;
      continue;
    }
    const Dying dying = it->second;
    it = forget_dying(it);
    bury(dying.held, dying.reason);
    ++buried_;
    looked = 0;
  }
}

std::vector<RecordRef> Dispatcher::admit(PublishBatch& batch, std::span<const RecordRef> records) {
  std::vector<RecordRef> admitted;
  admitted.reserve(records.size());
  // What consumers take at once does not count: they are served in this turn, before anybody looks.
  const std::uint64_t room = consumers_.capacity(ready_.count() + records.size());
  std::uint64_t bytes = 0;
  for (const RecordRef& ref : records) {
    const MessageView m(batch.block->data() + ref.offset);
    const std::uint64_t waiting = ready_.count() + admitted.size();
    const bool taken = waiting < room;
    const bool full = !taken && (over_length(admitted.size() + 1 - room, 0) ||
                                 over_length(0, bytes + m.body_size()));
    if (!full) {
      admitted.push_back(ref);
      if (!taken) bytes += m.body_size();
      continue;
    }
    batch.reject(ref.number);
    if (settings_->overflow == Overflow::reject_publish_dlx && settings_->dead_letter_exchange) {
      count_death(DeathReason::maxlen);
      Delivery d{0, 0, m, &batch.block, false, 0};
      host_.dead_letter(queue_, d, DeathReason::maxlen);
    }
  }
  return admitted;
}

}  // namespace warren::broker
