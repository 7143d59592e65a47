// How a ledger comes back: checkpoint rows, then the records behind them.
#include "node/broker/queue/ledger.h"

#include <algorithm>

namespace warren::broker {
namespace {

Error damaged(const char* what) {
  return make_error(Errc::corruption, std::string("queue log: ") + what);
}

}  // namespace

Result<void> Ledger::restore(const std::vector<std::pair<std::string, std::string>>& rows) {
  std::vector<const std::pair<std::string, std::string>*> chunks;
  codec::HeadRow head;
  for (const auto& row : rows) {
    if (row.first == codec::head_key()) {
      auto decoded = codec::decode_head_row(row.second);
      if (!decoded) return decoded.error();
      head = *decoded;
    } else if (!row.first.empty() && row.first[0] == 'c') {
      chunks.push_back(&row);
    } else {
      return damaged("unknown checkpoint row");
    }
  }
  std::sort(chunks.begin(), chunks.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  for (const auto* row : chunks)
    if (auto done = restore_chunk(row->second); !done) return done.error();
  if (recovering_.count() != head.live || next_ > head.next)
    return damaged("checkpoint rows disagree");
  covers_ = last_index_ = head.covers;
  next_ = head.next;
  watermark_ = head.watermark;
  any_expiration_ = head.any_expiration;
  logged_ = {head.live, head.live_bytes};
  return {};
}

Result<void> Ledger::restore_chunk(std::string_view value) {
  auto entries = codec::decode_chunk_row(value);
  if (!entries) return entries.error();
  for (codec::EntryRow& e : *entries) {
    if (e.first < next_ || e.index <= last_index_) return damaged("checkpoint rows overlap");
    Run run;
    run.first = e.first;
    run.count = e.count;
    run.index = e.index;
    run.bytes = std::min(e.bytes, Run::kMaxBytes);
    std::uint64_t live = e.count;
    if (e.live.empty()) {
      recovering_.insert(e.first, e.first + e.count);
    } else {
      live = 0;
      for (const Range& r : e.live) {
        recovering_.insert(r.first, r.end);
        live += r.end - r.first;
      }
    }
    run.live = live;
    if (!e.levels.empty() || !e.transients.empty()) {
      run.extra = std::make_unique<RunExtra>();
      run.extra->levels = std::move(e.levels);
      run.extra->transients = std::move(e.transients);
    }
    failures_.insert(e.counts.begin(), e.counts.end());
    next_ = run.end();
    last_index_ = e.index;
    runs_.push(std::move(run));
  }
  return {};
}

Result<void> Ledger::replay(LogIndex index, std::string_view record, unsigned levels) {
  if (index <= covers_) return {};
  if (index <= last_index_ && last_index_ != covers_) return damaged("records out of order");
  auto kind = codec::kind_of(record);
  if (!kind) return kind.error();
  last_index_ = index;
  log_bytes_ += record.size();
  switch (*kind) {
    case codec::Kind::enqueue:
      return replay_enqueue(index, record, levels);
    case codec::Kind::remove: {
      auto remove = codec::decode_remove(record);
      if (!remove) return remove.error();
      replay_remove(*remove);
      return {};
    }
    case codec::Kind::returned: {
      auto returned = codec::decode_returned(record);
      if (!returned) return returned.error();
      for (const auto& [position, count] : returned->counts)
        if (recovering_.contains(position)) {
          failures_[position] = count;
          const std::uint64_t id = runs_.find(position, hint_);
          if (runs_.valid(id)) touch_chunk(runs_.at(id).index);
        }
      return {};
    }
    case codec::Kind::watermark: {
      auto watermark = codec::decode_watermark(record);
      if (!watermark) return watermark.error();
      watermark_ = std::max(watermark_, *watermark);
      return {};
    }
    case codec::Kind::settings:
      return {};
  }
  return damaged("unknown kind");
}

Result<void> Ledger::replay_enqueue(LogIndex index, std::string_view record, unsigned levels) {
  auto head = codec::decode_enqueue(record);
  if (!head) return head.error();
  if (head->first < next_) return damaged("positions go back");
  std::string_view rest = record.substr(head->head_bytes);
  Run run;
  run.first = head->first;
  run.count = head->count;
  run.live = head->count;
  run.index = index;
  run.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(rest.size(), Run::kMaxBytes));
  RunExtra extra;
  bool leveled = false;
  std::uint64_t body_bytes = 0;
  for (std::uint32_t i = 0; i < head->count; ++i) {
    if (!MessageView::valid(rest)) return damaged("a message in an entry is not whole");
    const MessageView m(rest.data());
    body_bytes += m.body_size();
    if (m.expiration_ms() != kNoExpiration) any_expiration_ = true;
    if (!m.persistent() && !all_logged_)
      extra.transients.push_back({i, static_cast<std::uint32_t>(m.body_size())});
    const auto level = static_cast<std::uint8_t>(std::min<unsigned>(m.priority(), levels - 1));
    leveled |= level != 0;
    extra.levels.push_back(level);
    rest.remove_prefix(m.record_size());
  }
  if (!rest.empty()) return damaged("bytes behind the last message of an entry");
  if (!leveled) extra.levels = {};
  if (leveled || !extra.transients.empty())
    run.extra = std::make_unique<RunExtra>(std::move(extra));
  recovering_.insert(run.first, run.end());
  logged_.add(head->count, body_bytes);
  next_ = run.end();
  watermark_ = std::max(watermark_, head->watermark);
  touch_chunk(index);
  runs_.push(std::move(run));
  return {};
}

void Ledger::replay_remove(const codec::Remove& remove) {
  for (const Range& range : remove.ranges)
    recovering_.erase(range.first, range.end, [&](const Range& piece) { forget_recovered(piece); });
  logged_.bytes -= std::min(logged_.bytes, remove.body_bytes);
}

void Ledger::forget_recovered(Range piece) {
  logged_.count -= piece.end - piece.first;
  if (!failures_.empty())
    failures_.erase(failures_.lower_bound(piece.first), failures_.lower_bound(piece.end));
  for (Position p = piece.first; p < piece.end;) {
    const std::uint64_t id = runs_.find(p, hint_);
    hint_ = id;
    Run& run = runs_.at(id);
    const Position end = std::min(piece.end, run.end());
    run.live -= end - p;
    touch_chunk(run.index);
    if (run.live == 0) runs_.drop(id);
    p = end;
  }
}

IntervalSet Ledger::recovered() {
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id) {
    if (!runs_.valid(id) || !runs_.at(id).extra || runs_.at(id).live == 0) continue;
    const std::vector<TransientRecord> transients = std::move(runs_.at(id).extra->transients);
    const Position first = runs_.at(id).first;
    for (const TransientRecord& t : transients) {
      const Position p = first + t.ordinal;
      recovering_.erase(p, p + 1, [&](const Range& piece) {
        forget_recovered(piece);
        logged_.bytes -= std::min<std::uint64_t>(logged_.bytes, t.body_bytes);
      });
    }
  }
  if (runs_.wants_compaction()) runs_.compact({});
  hint_ = runs_.front_id();
  if (logged_.count == 0) logged_.bytes = 0;
  durable_ = last_index_;
  watermark_durable_ = watermark_;
  pager_.start_cold();
  return std::move(recovering_);
}

}  // namespace warren::broker
