#include "node/broker/queue/queue.h"

#include <algorithm>

namespace warren::broker {

Queue::Queue(metadata::QueueDef def, QueueSettings settings, QueueHost& host, QueueLog* log,
             MemoryBudget& budget, const QueueOptions& options)
    : def_(std::move(def)),
      settings_(std::move(settings)),
      host_(host),
      ledger_(log, host.pages(), def_.uid, options, budget, def_.type == metadata::QueueType::quorum),
      dispatcher_(def_, settings_, host, ledger_, *this),
      idle_since_(host.wall_ms()) {
  // The timer for x-expires is armed by the first pump.
  if (settings_->expires_ms) dispatcher_.ask_pump();
  after();
}

Queue::~Queue() = default;

void Queue::after() {
  if (deleted_ || pump_wanted_ || !dispatcher_.wants_pump()) return;
  pump_wanted_ = true;
  host_.want_pump(*this);
}

void Queue::publish(PublishBatch& batch, std::span<const RecordRef> records) {
  batch.expect();
  if (deleted_ || records.empty()) return batch.answered();
  const LogIndex index = dispatcher_.publish(batch, records);
  if (index == 0) {
    batch.answered();
  } else {
    ledger_.answer_at(index, batch);
  }
  after();
}

QueueError Queue::subscribe(ConsumerSpec spec, ConsumerSink& sink) {
  if (deleted_) return QueueError::gone;
  const QueueError error = dispatcher_.subscribe(std::move(spec), sink);
  after();
  return error;
}

void Queue::unsubscribe(HolderId holder) {
  if (deleted_) return;
  dispatcher_.unsubscribe(holder);
  after();
}

void Queue::resume(HolderId holder) {
  if (deleted_) return;
  dispatcher_.resume(holder);
  after();
}

void Queue::get(HolderId holder, bool no_ack, std::function<void(const GetResult&)> done) {
  if (deleted_) {
    GetResult gone;
    gone.error = QueueError::gone;
    return done(gone);
  }
  dispatcher_.get(holder, no_ack, std::move(done));
  if (ledger_.has_pending()) dispatcher_.ask_pump();
  after();
}

void Queue::settle(HolderId holder, std::span<const Position> positions, Settle how) {
  if (deleted_) return;
  dispatcher_.settle(holder, positions, how);
  after();
}

void Queue::release(HolderId holder) {
  if (deleted_) return;
  dispatcher_.release(holder);
  after();
}

void Queue::release_range(HolderId first, HolderId end) {
  if (deleted_) return;
  dispatcher_.release_range(first, end);
  after();
}

void Queue::purge(std::function<void(Asked<std::uint64_t> removed)> done) {
  const std::uint64_t removed = deleted_ ? 0 : dispatcher_.purge();
  after();
  done({removed});
}

QueueDepth Queue::depth() const {
  return {dispatcher_.visible_ready(), dispatcher_.consumers().size()};
}

QueueStats Queue::stats() const {
  QueueStats stats;
  dispatcher_.fill(stats);
  stats.memory_bytes += sizeof *this - sizeof dispatcher_ - sizeof ledger_;
  stats.idle_since = idle_since_;
  if (dispatcher_.paused()) stats.state = "paused";
  if (ledger_.failed()) stats.state = "crashed";
  return stats;
}

std::vector<ConsumerInfo> Queue::consumers() const { return dispatcher_.consumer_infos(); }

void Queue::touched() { dispatcher_.touched(); }

void Queue::pump() {
  pump_wanted_ = false;
  if (deleted_) return;
  idle_since_ = host_.wall_ms();
  dispatcher_.pump();
  if (deleted_) return;
  ledger_.end_turn(dispatcher_, dispatcher_.reader_run());
  const Millis at = dispatcher_.next_timer();
  if (at != 0 && (timer_at_ == 0 || at < timer_at_)) {
    timer_at_ = at;
    host_.want_timer(*this, at);
  }
  after();
}

void Queue::on_timer() {
  timer_at_ = 0;
  if (deleted_) return;
  dispatcher_.on_timer();
  dispatcher_.ask_pump();
  pump();
}

void Queue::on_durable(LogIndex up_to) {
  ledger_.on_durable(up_to);
  if (deleted_) return;
  ledger_.trim(dispatcher_.reader_run());
  dispatcher_.on_progress();
  after();
}

void Queue::on_read(LogIndex index, BlockRef block, Result<void> result) {
  if (deleted_) return;
  ledger_.on_read(index, std::move(block), result);
  dispatcher_.on_progress();
  after();
}

void Queue::on_page_read(PageId page, BlockRef block, Result<void> result) {
  if (deleted_) return;
  ledger_.on_page_read(page, std::move(block), result);
  dispatcher_.on_progress();
  after();
}

void Queue::on_page_written(PageId page, bool success) {
  ledger_.on_page_written(page, success);
}

void Queue::trim() {
  if (!deleted_) ledger_.trim(dispatcher_.reader_run());
}

void Queue::on_dead_letter(Position position, bool accepted) {
  if (deleted_) return;
  dispatcher_.on_dead_letter(position, accepted);
  after();
}

void Queue::set_paused(bool paused) {
  if (deleted_) return;
  dispatcher_.set_paused(paused);
  after();
}

void Queue::apply_settings(QueueSettings settings) {
  settings.max_priority = settings_->max_priority;
  settings.single_active = settings_->single_active;
  settings_ = KeptSettings(std::move(settings));
  dispatcher_.settings_changed();
  after();
}

void Queue::on_deleted() {
  if (deleted_) return;
  deleted_ = true;
  ledger_.answer_all();
  dispatcher_.close();
  ledger_.forget();
}

void Queue::checkpoint() {
  if (!deleted_ && ledger_.checkpoint_worth_it()) ledger_.checkpoint(dispatcher_);
}

Result<void> Queue::restore(const std::vector<std::pair<std::string, std::string>>& rows) {
  return ledger_.restore(rows);
}

Result<void> Queue::replay(LogIndex index, std::string_view record, const BlockRef& /*block*/) {
  const int levels = std::clamp(settings_->max_priority.value_or(0), 0, 255) + 1;
  return ledger_.replay(index, record, static_cast<unsigned>(levels));
}

void Queue::recovered() {
  dispatcher_.recovered(ledger_.recovered());
  after();
}

void Queue::check_invariants() const {
  if (!deleted_) dispatcher_.check_invariants();
}

}  // namespace warren::broker
