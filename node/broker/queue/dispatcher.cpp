#include "node/broker/queue/dispatcher.h"

#include <algorithm>

namespace warren::broker {

Dispatcher::Dispatcher(const metadata::QueueDef& def, const KeptSettings& settings,
                       QueueHost& host, Ledger& ledger, QueueEndpoint& queue)
    : def_(def),
      settings_(settings),
      host_(host),
      ledger_(ledger),
      queue_(queue),
      quorum_(def.type == metadata::QueueType::quorum),
      top_level_(static_cast<unsigned>(std::clamp(settings->max_priority.value_or(0), 0, 255))),
      ready_(top_level_ + 1, quorum_),
      cursors_(top_level_ + 1),
      consumers_(settings->single_active, quorum_),
      last_used_(host.steady_ms()) {}

bool Dispatcher::counts_failures() const { return quorum_ || settings_->delivery_limit.has_value(); }

// ---- messages come ------------------------------------------------------------------------------

LogIndex Dispatcher::publish(PublishBatch& batch, std::span<const RecordRef> records) {
  std::vector<RecordRef> admitted;
  if (settings_->overflow != Overflow::drop_head &&
      (settings_->max_length || settings_->max_length_bytes)) {
    admitted = admit(batch, records);
    records = admitted;
  }
  LogIndex index = 0;
  counters_.publish += records.size();
  while (!records.empty()) {
    const std::size_t n = std::min<std::size_t>(records.size(), Run::kMaxCount);
    add_run(batch, records.first(n), index);
    records = records.subspan(n);
  }
  if (consumers_.any_listed() || !gets_.empty() || ttl_active() || over_length(0, 0) ||
      ledger_.short_of_memory())
    wants_pump_ = true;
  return index;
}

void Dispatcher::add_run(PublishBatch& batch, std::span<const RecordRef> records,
                         LogIndex& index) {
  const Scan scan = scan_records(*batch.block, records);
  const Position first = ledger_.next();
  std::vector<std::uint8_t> levels;
  if (top_level_ == 0) {
    ready_.push(0, first, first + records.size());
  } else {
    bool mixed = false;
    levels.reserve(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      const MessageView m(batch.block->data() + records[i].offset);
      const unsigned level = std::min<unsigned>(m.priority(), top_level_);
      levels.push_back(static_cast<std::uint8_t>(level));
      mixed |= level != levels.front();
      ready_.push(level, first + i, first + i + 1);
    }
    if (!mixed) levels.resize(levels.front() == 0 ? 0 : 1);
  }
  ready_bytes_ += scan.bodies.bytes;
  const bool soon = !consumers_.empty() && ready_.count() <= ledger_.options().watermark_reserve;
  const LogIndex at = ledger_.append(batch, records, scan, std::move(levels), soon);
  if (at != 0) {
    index = at;
    const Tally& kept = quorum_ ? scan.bodies : scan.persistent;
    persistent_.add(kept.count, kept.bytes);
  }
}

void Dispatcher::recovered(const IntervalSet& live) {
  ready_bytes_ = ledger_.logged_tally().bytes;
  persistent_ = ledger_.logged_tally();
  const Position watermark = ledger_.watermark();
  const auto add = [&](unsigned level, Position first, Position end) {
    const Position split = std::clamp(watermark, first, end);
    if (first < split) ready_.put_back(level, Range{first, split});
    if (split < end) ready_.push(level, split, end);
  };
  RunTable& runs = ledger_.runs();
  live.each([&](const Range& range) {
    if (top_level_ == 0) return add(0, range.first, range.end);
    for (Position p = range.first; p < range.end;) {
      const Run& run = runs.at(runs.find(p, runs.end_id()));
      const Position end = std::min(range.end, run.end());
      for (; p < end; ++p)
        add(std::min(run.level_of(static_cast<std::uint32_t>(p - run.first)), top_level_), p, p + 1);
    }
  });
  wants_pump_ = true;
}

// ---- consumers ----------------------------------------------------------------------------------

Holder& Dispatcher::holder_of(HolderId id) {
  Holder& holder = holders_[id];
  holder.id = id;
  return holder;
}

void Dispatcher::drop_holder_if_idle(HolderId id) {
  const auto it = holders_.find(id);
  if (it != holders_.end() && it->second.consumer == nullptr && it->second.held.empty())
    holders_.erase(it);
}

QueueError Dispatcher::subscribe(ConsumerSpec spec, ConsumerSink& sink) {
  if (!quorum_ && !consumers_.empty() &&
      (spec.exclusive || consumers_.all().front()->spec.exclusive))
    return QueueError::exclusive_use;
  if (!quorum_ && settings_->single_active && spec.exclusive) return QueueError::exclusive_use;
  Holder& holder = holder_of(spec.holder);
  if (holder.consumer != nullptr) return QueueError::in_use;
  had_consumer_ = true;
  last_used_ = host_.steady_ms();
  consumers_.add(std::move(spec), sink, holder);
  ledger_.set_active(true);
  wants_pump_ = true;
  return QueueError::none;
}

void Dispatcher::unsubscribe(HolderId id) {
  if (!consumers_.remove(id)) return;
  drop_holder_if_idle(id);
  consumer_left();
}

void Dispatcher::consumer_left() {
  last_used_ = host_.steady_ms();
  if (consumers_.empty()) ledger_.set_active(false);
  wants_pump_ = true;  // the next single active consumer, the expiry timer
  if (def_.auto_delete && had_consumer_ && consumers_.empty())
    host_.want_delete(queue_, "last consumer of an auto-delete queue gone");
}

void Dispatcher::resume(HolderId id) {
  const auto it = holders_.find(id);
  if (it == holders_.end() || it->second.consumer == nullptr) return;
  if (consumers_.renew(*it->second.consumer) && !ready_.empty()) wants_pump_ = true;
}

// ---- delivering ---------------------------------------------------------------------------------

Held Dispatcher::held_of(const MessageView& m, Position p, unsigned level) const {
  Held held{};
  held.position = p;
  held.level = level;
  held.body_bytes = static_cast<std::uint32_t>(m.body_size());
  held.persistent = m.persistent() || quorum_;
  return held;
}

bool Dispatcher::deliver_stretch() {
  const ReadyIndex::Head head = ready_.head();
  Cursor& cursor = cursors_[head.level];
  Run* run = ledger_.open(cursor, head.first);
  ledger_.read_ahead();
  if (run == nullptr ||
      !ledger_.may_deliver(*run, head.first, ledger_.options().watermark_reserve)) {
    waits_ = true;
    return false;
  }
  const Position end = std::min({head.end, run->end(), ledger_.deliverable_end(*run)});
  const bool logged = run->logged();
  const bool ttl = ttl_active();
  const bool counts = head.returned && counts_failures();
  const std::uint32_t* offsets = run->sparse ? run->extra->offsets.data() : nullptr;
  const std::uint64_t run_id = cursor.run_id;
  const char* data = run->block->data() + run->base;
  std::uint32_t offset = cursor.offset;

  Delivery d;
  d.block = &run->block;
  d.redelivered = head.returned;
  Position p = head.first;
  Position auto_first = p;      // acknowledged by being delivered, not yet told to the ledger
  std::uint64_t auto_bytes = 0;
  std::uint64_t bytes = 0, no_ack = 0;
  Tally kept_gone;              // persistent ones among them
  bool dead = false;
  Consumer* c = nullptr;
  while (p < end && (c = consumers_.next()) != nullptr) {
    if (offsets != nullptr) offset = offsets[p - run->first] - run->base;
    const MessageView m(data + offset);
    if (ttl && expired(m, p)) [[unlikely]] {
      dead = true;
      break;
    }
    const std::size_t body = m.body_size();
    d.holder = c->spec.holder;
    d.position = p;
    d.message = m;
    if (counts) d.delivery_count = ledger_.failures(p);
    c->sink->deliver(d);
    bytes += body;
    if (c->spec.no_ack) {
      ++no_ack;
      auto_bytes += body;
      if (logged && (quorum_ || m.persistent())) kept_gone.add(1, body);
    } else {
      if (auto_first < p) ledger_.remove_span(run_id, auto_first, p - auto_first, auto_bytes);
      auto_first = p + 1;
      auto_bytes = 0;
      Held held = held_of(m, p, head.level);
      held.logged = logged;
      held.persistent &= held.logged;
      c->holder->held.add(held);
      unacked_.add(1, body);
      if (logged) unacked_logged_.add(1, body);
      if (held.persistent) persistent_unacked_.add(1, body);
    }
    consumers_.served(*c);
    ++p;
    offset += static_cast<std::uint32_t>(m.record_size());
  }
  const std::uint64_t n = p - head.first;
  cursor.position = p == run->end() ? 0 : p;  // the offset means nothing in the next run
  cursor.offset = offset;
  if (n != 0) {
    ready_.consume(head, n);
    ready_bytes_ -= bytes;
    counters_.deliver_no_ack += no_ack;
    counters_.deliver += n - no_ack;
    if (head.returned) counters_.redeliver += n;
    if (kept_gone.count != 0) persistent_.sub(kept_gone.count, kept_gone.bytes);
    if (auto_first < p) ledger_.remove_span(run_id, auto_first, p - auto_first, auto_bytes);
  }
  if (dead) {
    const Step step = expire_heads();
    if (step != Step::done) return false;
  }
  return true;
}

bool Dispatcher::pump() {
  wants_pump_ = false;
  waits_ = false;
  buried_ = 0;
  now_wall_ = host_.wall_ms();
  now_steady_ = host_.steady_ms();
  if (ledger_.failed()) return false;
  bool bound = false;
  if (!dying_.empty()) keeps_dead_letters() ? bury_kept() : bury_waiting();
  if (ttl_active()) bound |= expire_heads() == Step::bound;
  if (!gets_.empty()) serve_gets();
  while (!bound && !paused_ && !ready_.empty() && consumers_.next() != nullptr)
    if (!deliver_stretch()) break;
  if (over_length(0, 0)) bound |= enforce_length() == Step::bound;
  fresh_from_ = ledger_.next();
  if (ttl_active()) {
    bound |= expire_heads() == Step::bound;
    if (ready_.empty() && unacked_.count == 0 && dying_.empty()) ledger_.no_expiration();
  }
  bound |= buried_ >= kBuryPerPump;
  if (bound) wants_pump_ = true;
  return bound;
}

void Dispatcher::on_progress() {
  if (waits_) wants_pump_ = true;
}

// ---- basic.get ----------------------------------------------------------------------------------

void Dispatcher::get(HolderId id, bool no_ack, std::function<void(const GetResult&)> done) {
  last_used_ = host_.steady_ms();
  if (settings_->single_active && def_.type == metadata::QueueType::quorum) {  // CNS-12
    GetResult refused;
    refused.error = QueueError::unsupported;
    return done(refused);
  }
  gets_.push_back({id, no_ack, std::move(done)});
  now_wall_ = host_.wall_ms();
  now_steady_ = host_.steady_ms();
  if (over_length(0, 0)) enforce_length();
  serve_gets();
}

void Dispatcher::serve_gets() {
  while (!gets_.empty()) {
    PendingGet get = std::move(gets_.front());
    gets_.pop_front();
    if (!try_get(get)) {
      gets_.push_front(std::move(get));
      waits_ = true;
      return;
    }
  }
}

bool Dispatcher::try_get(PendingGet& get) {
  constexpr std::uint32_t kReserve = 64;  // a get is no sign of a drain to come
  GetResult result;
  if (ttl_active() && expire_heads() != Step::done) return false;  // the head now may be delivered
  if (ready_.empty()) {
    ++counters_.get_empty;
    get.done(result);
    return true;
  }
  const ReadyIndex::Head head = ready_.head();
  Cursor& cursor = cursors_[head.level];
  Run* run = ledger_.open(cursor, head.first);
  if (run == nullptr || !ledger_.may_deliver(*run, head.first, kReserve)) return false;
  const BlockRef block = run->block;
  const MessageView m(block->data() + run->base + cursor.offset);
  Held held = held_of(m, head.first, head.level);
  held.logged = run->logged();
  held.persistent &= held.logged;
  Delivery d{get.holder, head.first, m, &block, head.returned, 0};
  if (head.returned && counts_failures()) d.delivery_count = ledger_.failures(head.first);
  ready_.consume(head, 1);
  ready_bytes_ -= held.body_bytes;
  if (head.returned) ++counters_.redeliver;
  if (get.no_ack) {
    ++counters_.get_no_ack;
    if (held.persistent) persistent_.sub(1, held.body_bytes);
    ledger_.remove(head.first, held.body_bytes);
  } else {
    ++counters_.get;
    holder_of(get.holder).held.add(held);
    unacked_.add(1, held.body_bytes);
    if (held.logged) unacked_logged_.add(1, held.body_bytes);
    if (held.persistent) persistent_unacked_.add(1, held.body_bytes);
  }
  result.delivery = d;
  result.remaining = static_cast<std::uint32_t>(std::min<std::uint64_t>(ready_.count(), ~0u));
  if (ttl_active() && !ready_.empty()) wants_pump_ = true;  // the next head may have expired already
  get.done(result);
  return true;
}

// ---- settling -----------------------------------------------------------------------------------

void Dispatcher::let_go(const Held& held) {
  unacked_.sub(1, held.body_bytes);
  if (held.logged) unacked_logged_.sub(1, held.body_bytes);
  if (held.persistent) persistent_unacked_.sub(1, held.body_bytes);
}

void Dispatcher::settle(HolderId id, std::span<const Position> positions, Settle how) {
  const auto it = holders_.find(id);
  if (it == holders_.end()) return;
  Holder& holder = it->second;
  Range acked;  // neighbours, told to the ledger together
  std::uint64_t acked_bytes = 0;
  bool acked_logged = false;
  for (const Position p : positions) {
    const std::optional<Held> held = holder.held.take(p);
    if (!held) continue;
    let_go(*held);
    if (how == Settle::ack) {
      ++counters_.ack;
      if (held->persistent) persistent_.sub(1, held->body_bytes);
      if (acked.end != p || acked_logged != held->logged) {
        ledger_.remove_range(acked.first, acked.end, acked_bytes);
        acked.first = p;
        acked_bytes = 0;
        acked_logged = held->logged;
      }
      acked.end = p + 1;
      acked_bytes += held->body_bytes;
    } else if (how == Settle::requeue || how == Settle::unseen) {
      give_back(*held, how == Settle::requeue);
    } else {
      bury(*held, DeathReason::rejected);
    }
  }
  ledger_.remove_range(acked.first, acked.end, acked_bytes);
  if (holder.consumer == nullptr) {
    if (holder.held.empty()) holders_.erase(it);
  } else {
    consumers_.renew(*holder.consumer);
  }
  if (ledger_.has_pending() || (!ready_.empty() && consumers_.any_listed())) wants_pump_ = true;
}

void Dispatcher::give_back(const Held& held, bool count_failure) {
  const Position p = held.position;
  if (count_failure && counts_failures()) {
    const std::uint32_t count = ledger_.failures(p) + 1;
    if (settings_->delivery_limit && *settings_->delivery_limit >= 0 &&
        count > static_cast<std::uint64_t>(*settings_->delivery_limit))
      return bury(held, DeathReason::delivery_limit);
    ledger_.set_failures(p, count);
  }
  ready_.put_back(held.level, p);
  ready_bytes_ += held.body_bytes;
  wants_pump_ = true;
}

void Dispatcher::release(HolderId id) {
  std::erase_if(gets_, [&](const PendingGet& get) { return get.holder == id; });
  const auto it = holders_.find(id);
  if (it == holders_.end()) return;
  const bool left = consumers_.remove(id) != nullptr;
  it->second.held.each([&](const Held& held) {
    let_go(held);
    give_back(held, true);
  });
  holders_.erase(it);
  wants_pump_ = true;
  if (left) consumer_left();
}

void Dispatcher::release_range(HolderId first, HolderId end) {
  std::erase_if(gets_, [&](const PendingGet& get) { return get.holder >= first && get.holder < end; });
  std::vector<HolderId> ids;
  for (auto it = holders_.lower_bound(first); it != holders_.end() && it->first < end; ++it)
    ids.push_back(it->first);
  for (const HolderId id : ids) release(id);
}

std::uint64_t Dispatcher::purge() {
  std::vector<Range> ranges;
  ready_.each([&](unsigned, const Range& r, bool) { ranges.push_back(r); });
  const std::uint64_t removed = ready_.count();
  std::uint64_t dying_logged = 0;
  Tally kept_dying;
  for (const auto& [position, dying] : dying_) {
    if (dying.held.logged) dying_logged += dying.held.body_bytes;
    if (dying.held.persistent) kept_dying.add(1, dying.held.body_bytes);
  }
  const std::uint64_t stays = unacked_logged_.bytes + dying_logged;
  ready_.clear();
  ready_bytes_ = 0;
  ledger_.purge(ranges, ledger_.logged_tally().bytes - stays);
  persistent_ = persistent_unacked_;
  persistent_.add(kept_dying.count, kept_dying.bytes);
  wants_pump_ = true;
  return removed;
}

void Dispatcher::close() {
  std::vector<ConsumerSink*> sinks;
  for (const auto& c : consumers_.all()) sinks.push_back(c->sink);
  while (!consumers_.empty()) consumers_.remove(consumers_.all().back()->spec.holder);
  holders_.clear();
  ready_.clear();
  auto gets = std::move(gets_);
  gets_.clear();
  for (ConsumerSink* sink : sinks) sink->cancelled();
  for (PendingGet& get : gets) {
    GetResult gone;
    gone.error = QueueError::gone;
    get.done(gone);
  }
}

}  // namespace warren::broker
