#include "node/broker/queue/ledger.h"

#include <algorithm>

namespace warren::broker {

Scan scan_records(const Block& block, std::span<const RecordRef> records) {
  Scan s;
  const char* data = block.data();
  std::uint32_t expected = records.front().offset;
  for (const RecordRef& ref : records) {
    const MessageView m(data + ref.offset);
    const std::size_t body = m.body_size();
    const std::size_t size = m.record_size();
    if (ref.offset != expected) s.contiguous = false;
    expected = ref.offset + static_cast<std::uint32_t>(size);
    s.record_bytes += static_cast<std::uint32_t>(size);
    s.bodies.add(1, body);
    if (m.persistent()) s.persistent.add(1, body);
    if (m.expiration_ms() != kNoExpiration) s.expiration = true;
  }
  return s;
}

Ledger::Ledger(QueueLog* log, QueuePages* pages, metadata::QueueUid queue,
               const QueueOptions& options, MemoryBudget& budget, bool all_logged)
    : log_(log),
      options_(options),
      all_logged_(all_logged),
      pager_(runs_, log, pages, queue, options, budget) {}

Ledger::~Ledger() { forget(); }

void Ledger::forget() {
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id)
    pager_.removed(runs_.at(id), runs_.at(id).live, true);
  runs_.clear();
  failures_.clear();
}

LogIndex Ledger::append_record(std::string head, std::string_view tail, BlockRef keep) {
  log_bytes_ += head.size() + tail.size();
  last_index_ = log_->append(std::move(head), tail, std::move(keep));
  return last_index_;
}

namespace {

BlockRef copy_records(const Block& from, std::span<const RecordRef> records, std::uint32_t bytes) {
  BlockRef block = Block::make(bytes);
  for (const RecordRef& ref : records) {
    const MessageView m(from.data() + ref.offset);
    std::memcpy(block->append(m.record_size()), m.raw(), m.record_size());
  }
  return block;
}

RunExtra& extra_of(Run& run) {
  if (!run.extra) run.extra = std::make_unique<RunExtra>();
  return *run.extra;
}

}  // namespace

LogIndex Ledger::append(const PublishBatch& batch, std::span<const RecordRef> records,
                        const Scan& scan, std::vector<std::uint8_t> levels, bool deliverable) {
  WARREN_ASSERT(!records.empty() && records.size() <= Run::kMaxCount);
  const bool logged = log_ != nullptr && (all_logged_ || scan.persistent.count != 0);
  Run run;
  const auto count = static_cast<std::uint32_t>(records.size());
  run.first = next_;
  run.count = count;
  run.live = count;
  run.bytes = std::min(scan.record_bytes, Run::kMaxBytes);
  // A small part of a large block gets its own copy, so that it does not keep the rest in memory.
  const bool whole = logged || pager_.wants_whole_runs();
  if ((whole && !scan.contiguous) || scan.record_bytes < batch.block->capacity() / 4) {
    run.block = copy_records(*batch.block, records, scan.record_bytes);
  } else {
    run.block = batch.block;
    run.base = records.front().offset;
    if (!scan.contiguous) {
      run.sparse = 1;
      auto& offsets = extra_of(run).offsets;
      offsets.reserve(count);
      for (const RecordRef& ref : records) offsets.push_back(ref.offset);
    }
  }
  if (!levels.empty()) extra_of(run).levels = std::move(levels);
  next_ += count;
  any_expiration_ |= scan.expiration;
  LogIndex index = 0;
  if (logged) {
    if (!all_logged_ && scan.persistent.count != count) {
      auto& transients = extra_of(run).transients;
      for (std::uint32_t i = 0; i < count; ++i) {
        const MessageView m(batch.block->data() + records[i].offset);
        if (!m.persistent())
          transients.push_back({i, static_cast<std::uint32_t>(m.body_size())});
      }
    }
    if (deliverable) watermark_ = std::max(watermark_, next_);
    run.covered = watermark_ >= next_;
    index = append_record(codec::encode_enqueue(run.first, count, deliverable ? watermark_ : 0),
                          {run.block->data() + run.base, scan.record_bytes}, run.block);
    run.index = index;
    if (deliverable) watermarks_.push_back({index, watermark_});
    logged_.add(count, scan.bodies.bytes);
    touch_chunk(index);
  }
  pager_.added(runs_.push(std::move(run)));
  return index;
}

void Ledger::answer_at(LogIndex index, PublishBatch& batch) {
  if (index <= durable_) {
    batch.answered();
  } else {
    waiting_.push_back({index, PublishBatchRef(&batch)});
  }
}

// ---- reading ------------------------------------------------------------------------------------

Run* Ledger::open(Cursor& cursor, Position p) {
  const std::uint64_t id = runs_.find(p, cursor.run_id);
  WARREN_ASSERT(runs_.valid(id) && runs_.at(id).contains(p));
  Run& run = runs_.at(id);
  if (!run.block) {
    pager_.request(id);
    return nullptr;
  }
  const auto ordinal = static_cast<std::uint32_t>(p - run.first);
  constexpr std::uint64_t kWalk = 64;
  if (ordinal == 0) {
    cursor.offset = run.sparse ? run.extra->offsets[0] - run.base : 0;
  } else if (run.contains(cursor.position) && cursor.position <= p &&
             p - cursor.position <= kWalk && !run.sparse) {
    const char* at = run.block->data() + run.base + cursor.offset;
    for (Position i = cursor.position; i < p; ++i) at += MessageView(at).record_size();
    cursor.offset = static_cast<std::uint32_t>(at - run.block->data()) - run.base;
  } else {
    cursor.offset = offset_of(run, ordinal) - run.base;
  }
  cursor.run_id = id;
  cursor.position = p;
  return &run;
}

bool Ledger::may_deliver(const Run& run, Position p, std::uint32_t reserve) {
  if (!run.logged() || run.covered) return true;
  // Reserve on when half is used, so that a drain does not wait for the disc; but not again and
  // again for a little more.
  constexpr Position kBeyond = 64;  // a queue polled by basic.get: not one sync per message
  const Position target = std::min(next_ + kBeyond, p + reserve);
  if (p + reserve / 2 >= watermark_ && target > watermark_ &&
      (p >= watermark_ || target - watermark_ >= reserve / 4)) {
    watermark_ = target;
    append_record(codec::encode_watermark(watermark_), {}, nullptr);
    watermarks_.push_back({last_index_, watermark_});
  }
  return p < watermark_durable_;
}

// ---- removing -----------------------------------------------------------------------------------

void Ledger::remove(Position p, std::uint32_t body_bytes) {
  const std::uint64_t id = runs_.find(p, hint_);
  WARREN_ASSERT(runs_.valid(id) && runs_.at(id).contains(p));
  hint_ = id;
  gone(id, p, 1, body_bytes);
}

void Ledger::remove_range(Position first, Position end, std::uint64_t body_bytes) {
  while (first < end) {
    const std::uint64_t id = runs_.find(first, hint_);
    WARREN_ASSERT(runs_.valid(id) && runs_.at(id).contains(first));
    hint_ = id;
    const Position to = std::min(end, runs_.at(id).end());
    gone(id, first, to - first, body_bytes);
    body_bytes = 0;  // only their sum counts
    first = to;
  }
}

void Ledger::remove_span(std::uint64_t run_id, Position first, std::uint64_t n,
                         std::uint64_t body_bytes) {
  gone(run_id, first, n, body_bytes);
}

void Ledger::gone(std::uint64_t run_id, Position first, std::uint64_t n,
                  std::uint64_t body_bytes) {
  Run& run = runs_.at(run_id);
  WARREN_ASSERT(n <= run.live);
  run.live -= n;
  if (run.logged()) {
    logged_.sub(n, body_bytes);
    note_removed(first, first + n, body_bytes);
    touch_chunk(run.index);
  }
  if (!failures_.empty()) [[unlikely]]
    failures_.erase(failures_.lower_bound(first), failures_.lower_bound(first + n));
  pager_.removed(run, n, run.live == 0);
  if (run.live == 0) runs_.drop(run_id);
}

void Ledger::note_removed(Position first, Position end, std::uint64_t body_bytes) {
  removed_bytes_ += body_bytes;
  if (!removed_.empty()) {
    Range& last = removed_.back();
    if (last.end == first) {
      last.end = end;
      return;
    }
    if (first < last.end) removed_sorted_ = false;
  }
  removed_.push_back({first, end});
}

void Ledger::touch_chunk(LogIndex index) {
  const std::uint64_t chunk = index >> codec::kChunkBits;
  if (chunk == dirty_last_) return;
  dirty_last_ = chunk;
  dirty_.insert(chunk);
}

void Ledger::purge(const std::vector<Range>& ranges, std::uint64_t logged_bytes) {
  flush_removed();
  std::uint64_t logged = 0;
  for (const Range& range : ranges) {
    for (Position p = range.first; p < range.end;) {
      const std::uint64_t id = runs_.find(p, hint_);
      hint_ = id;
      WARREN_ASSERT(runs_.valid(id) && runs_.at(id).contains(p));
      const Position end = std::min(range.end, runs_.at(id).end());
      if (runs_.at(id).logged()) logged += end - p;
      gone(id, p, end - p, 0);
      p = end;
    }
  }
  if (logged == 0) return;
  logged_.bytes -= logged_bytes;
  removed_bytes_ += logged_bytes;
  flush_removed(codec::Gone::purged);
}

bool Ledger::logged(Position p) const {
  const std::uint64_t id = runs_.find(p, hint_);
  return runs_.valid(id) && runs_.at(id).contains(p) && runs_.at(id).logged();
}

std::uint32_t Ledger::failures(Position p) const {
  const auto it = failures_.find(p);
  return it == failures_.end() ? 0 : it->second;
}

void Ledger::set_failures(Position p, std::uint32_t count) {
  failures_[p] = count;
  if (log_ != nullptr && logged(p)) counted_.emplace_back(p, count);
}

// ---- end of turn --------------------------------------------------------------------------------

void Ledger::flush_removed(codec::Gone why) {
  if (removed_.empty()) return;
  if (!removed_sorted_) {
    std::sort(removed_.begin(), removed_.end(),
              [](const Range& a, const Range& b) { return a.first < b.first; });
    std::size_t to = 0;
    for (std::size_t i = 1; i < removed_.size(); ++i) {
      if (removed_[to].end == removed_[i].first) {
        removed_[to].end = removed_[i].end;
      } else {
        removed_[++to] = removed_[i];
      }
    }
    removed_.resize(to + 1);
    removed_sorted_ = true;
  }
  std::string head = codec::encode_remove(why, removed_bytes_, removed_);
  log_bytes_ += head.size();
  last_index_ = log_->append_lazy(std::move(head));
  removed_.clear();
  removed_bytes_ = 0;
}

void Ledger::end_turn(LiveSource& live, std::uint64_t reader_run) {
  if (!counted_.empty()) {
    std::stable_sort(counted_.begin(), counted_.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    std::string head = codec::encode_returned(counted_);
    log_bytes_ += head.size();
    last_index_ = log_->append_lazy(std::move(head));
    counted_.clear();
  }
  flush_removed();
  trim(reader_run);
  if (runs_.wants_compaction()) {
    std::uint64_t* const marks[] = {pager_.boundary_mark(), pager_.trimmed_mark(),
                                    pager_.behind_mark(), pager_.paged_out_mark(), pager_.paged_behind_mark(), &hint_};
    runs_.compact(marks);
  }
  if (log_bytes_ >= options_.checkpoint_bytes) checkpoint(live);
}

void Ledger::checkpoint(LiveSource& live) {
  if (log_ == nullptr) return;
  flush_removed();
  std::map<std::uint64_t, std::vector<codec::EntryRow>> chunks;
  for (const std::uint64_t chunk : dirty_) chunks[chunk];
  std::vector<LogIndex> indexes;
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id) {
    const Run& run = runs_.at(id);
    if (!run.logged() || run.live == 0) continue;
    indexes.push_back(run.index);
    const auto chunk = chunks.find(run.index >> codec::kChunkBits);
    if (chunk == chunks.end()) continue;
    codec::EntryRow row;
    row.index = run.index;
    row.first = run.first;
    row.count = run.count;
    row.bytes = run.bytes;
    if (run.live != run.count) {
      live.live_in(run.first, run.end(), row.live);
      std::sort(row.live.begin(), row.live.end(),
                [](const Range& a, const Range& b) { return a.first < b.first; });
    }
    if (run.extra) {
      row.levels = run.extra->levels;
      row.transients = run.extra->transients;
    }
    for (auto it = failures_.lower_bound(run.first); it != failures_.end() && it->first < run.end();
         ++it)
      row.counts.push_back(*it);
    chunk->second.push_back(std::move(row));
  }
  std::vector<std::pair<std::string, std::optional<std::string>>> rows;
  for (const auto& [chunk, entries] : chunks) {
    if (entries.empty()) {
      rows.emplace_back(codec::chunk_key(chunk), std::nullopt);
    } else {
      rows.emplace_back(codec::chunk_key(chunk), codec::encode_chunk_row(entries));
    }
  }
  rows.emplace_back(codec::head_key(),
                    codec::encode_head_row({last_index_, next_, watermark_, logged_.count,
                                            logged_.bytes, any_expiration_}));
  covers_ = last_index_;
  dirty_.clear();
  dirty_last_ = ~std::uint64_t{0};
  log_bytes_ = 0;
  log_->checkpoint(std::move(rows), covers_, std::move(indexes));
}

// ---- answers of the log -------------------------------------------------------------------------

void Ledger::on_durable(LogIndex up_to) {
  if (up_to <= durable_) return;
  durable_ = up_to;
  while (!watermarks_.empty() && watermarks_.front().first <= up_to) {
    watermark_durable_ = std::max(watermark_durable_, watermarks_.front().second);
    watermarks_.pop_front();
  }
  while (!waiting_.empty() && waiting_.front().index <= up_to) {
    const PublishBatchRef batch = std::move(waiting_.front().batch);
    waiting_.pop_front();
    batch->answered();
  }
}

void Ledger::answer_all() {
  while (!waiting_.empty()) {
    const PublishBatchRef batch = std::move(waiting_.front().batch);
    waiting_.pop_front();
    batch->answered();
  }
}

bool Ledger::on_read(LogIndex index, BlockRef block, const Result<void>& result) {
  bool damaged = false;
  const bool used = pager_.arrived(index, result ? std::move(block) : BlockRef{}, &damaged);
  failed_ |= damaged;
  return used;
}

bool Ledger::on_page_read(PageId page, BlockRef block, const Result<void>& result) {
  bool damaged = false;
  const bool used = pager_.page_arrived(page, result ? std::move(block) : BlockRef{}, &damaged);
  failed_ |= damaged;
  return used;
}

std::size_t Ledger::memory_bytes() const {
  return sizeof *this + runs_.memory_bytes() + pager_.resident_bytes() +
         removed_.capacity() * sizeof(Range) + failures_.size() * 64 +
         waiting_.memory_bytes() + watermarks_.memory_bytes();
}

void Ledger::check_invariants() const {
  runs_.check_invariants();
  pager_.check_invariants();
  std::uint64_t logged = 0;
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id) {
    const Run& run = runs_.at(id);
    WARREN_ASSERT(run.end() <= next_ && (log_ != nullptr || !run.logged()));
    if (run.logged()) logged += run.live;
  }
  WARREN_ASSERT(logged == logged_.count);
  WARREN_ASSERT(logged != 0 || logged_.bytes == 0);
}

}  // namespace warren::broker
