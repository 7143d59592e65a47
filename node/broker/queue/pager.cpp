#include "node/broker/queue/pager.h"

#include "node/broker/queue/log_codec.h"

#include <algorithm>

namespace warren::broker {

void Pager::added(std::uint64_t run_id) {
  Run& run = runs_.at(run_id);
  resident_bytes_ += run.bytes;
  resident_messages_ += run.live;
  budget_.add(run.bytes);
  if (log_ == nullptr && pages_ == nullptr) return;
  if (boundary_ == kNone) {
    if (full()) boundary_ = trimmed_ = run_id + 1;
  } else if (boundary_ >= run_id && !full()) {
    boundary_ = kNone;
  }
}

void Pager::removed(Run& run, std::uint64_t n, bool last) {
  if (last && run.paged != 0) {
    pages_->release(run.index, run.bytes);
    if (run.block) --paged_here_;
    run.paged = run.reading = 0;  // a read under way finds nobody
    run.index = 0;
  }
  if (!run.block) return;
  resident_messages_ -= n;
  if (last) {
    resident_bytes_ -= run.bytes;
    budget_.sub(run.bytes);
  }
}

void Pager::keep(Run& run, BlockRef block) {
  paged_here_ += run.paged;
  run.block = std::move(block);
  resident_bytes_ += run.bytes;
  resident_messages_ += run.live;
  budget_.add(run.bytes);
}

void Pager::evict(Run& run) {
  if (!run.block) return;
  resident_bytes_ -= run.bytes;
  resident_messages_ -= run.live;
  budget_.sub(run.bytes);
  paged_here_ -= run.paged;
  run.block.reset();
  if (run.extra) {
    run.extra->offsets = {};  // of a block that goes; the stored copy is back to back
    if (run.extra->levels.empty() && run.extra->transients.empty()) run.extra.reset();
  }
}

void Pager::trim(LogIndex durable, std::uint64_t reader) {
  if (log_ == nullptr && pages_ == nullptr) return;
  if (boundary_ != kNone) {
    trimmed_ = std::max({trimmed_, boundary_, runs_.front_id()});
    for (; trimmed_ < runs_.end_id(); ++trimmed_) {
      Run& run = runs_.at(trimmed_);
      if (run.logged() && run.index > durable) break;
      if (run.live != 0 && can_leave(run, durable)) evict(run);
    }
  }
  if (wants_whole_runs()) page_out(reader);
  // Without a log only what is in a page may go: else this would look at every unsettled message in vain.
  if (!full() || (log_ == nullptr && paged_here_ == 0)) return;
  behind_ = std::max(behind_, runs_.front_id());
  const std::uint64_t stop = std::min(reader, runs_.end_id());
  if (behind_ >= stop) behind_ = runs_.front_id();  // what came back since may go again
  for (; behind_ < stop && full(); ++behind_) {
    Run& run = runs_.at(behind_);
    if (run.live != 0 && can_leave(run, durable)) evict(run);
  }
}

/// From the end of the backlog; then what consumers hold.
void Pager::page_out(std::uint64_t reader) {
  if (resident_bytes_ <= options_.resident_bytes_min) return;
  if (boundary_ != kNone) {
    paged_out_ = std::max({paged_out_, boundary_, runs_.front_id()});
    for (; paged_out_ < runs_.end_id(); ++paged_out_)
      if (!page_one(paged_out_)) return;
  }
  paged_behind_ = std::max(paged_behind_, runs_.front_id());
  for (const std::uint64_t stop = std::min({reader, boundary_, runs_.end_id()}); paged_behind_ < stop; ++paged_behind_)
    if (!page_one(paged_behind_)) return;
}

/// False when there is no room now.
bool Pager::page_one(std::uint64_t run_id) {
  Run& run = runs_.at(run_id);
  if (run.live == 0 || run.index != 0 || run.paging != 0 || run.sparse != 0 || run.bytes == Run::kMaxBytes)
    return true;
  if (!pages_->has_room()) return false;
  const PageId page = pages_->write(queue_, {run.block->data() + run.base, run.bytes}, run.block);
  run.paging = 1;
  writing_.push_back({page, run_id, run.first, run.bytes});
  return true;
}

void Pager::page_written(PageId page, bool success) {
  WARREN_ASSERT(!writing_.empty() && writing_.front().page == page);
  const Writing written = writing_.front();
  writing_.pop_front();
  const std::uint64_t id = runs_.find(written.first, written.run_id);
  Run* run = runs_.valid(id) && runs_.at(id).first == written.first ? &runs_.at(id) : nullptr;
  if (run == nullptr || run->live == 0) return pages_->release(page, written.bytes);
  run->paging = 0;
  if (!success) {
    paged_out_ = std::min(paged_out_, id);  // once more when there is room
    paged_behind_ = std::min(paged_behind_, id);
    return pages_->release(page, written.bytes);
  }
  run->paged = 1;
  run->index = page;
  ++paged_here_;
  if (boundary_ != kNone && id >= boundary_) evict(*run);
}

void Pager::request(std::uint64_t run_id) {
  Run& run = runs_.at(run_id);
  if (run.reading) return;
  run.reading = 1;
  reading_.push_back({run.index, run.paged != 0, run_id, run.first, run.bytes});
  reading_bytes_ += run.bytes;
  if (run.paged != 0)
    pages_->read(queue_, run.index, run.bytes);
  else
    log_->read(run.index);
}

void Pager::read_ahead() {
  if (boundary_ == kNone) return;
  boundary_ = std::max(boundary_, runs_.front_id());
  const std::size_t room = budget_.over() ? options_.resident_bytes_min
                                          : options_.resident_bytes_max / 2;
  while (boundary_ < runs_.end_id()) {
    if (reading_.size() >= options_.read_ahead_entries ||
        reading_bytes_ >= options_.read_ahead_bytes || resident_bytes_ + reading_bytes_ >= room)
      return;
    const Run& run = runs_.at(boundary_);
    if (run.live != 0 && !run.block) request(boundary_);
    ++boundary_;
  }
  boundary_ = kNone;  // everything is here or on its way
}

/// The run that waits for this, no longer waiting; null when it died meanwhile.
Run* Pager::take_reading(LogIndex index, bool paged) {
  const auto it = std::find_if(reading_.begin(), reading_.end(), [&](const Reading& r) {
    return r.index == index && r.paged == paged;
  });
  if (it == reading_.end()) return nullptr;
  const std::uint64_t id = runs_.find(it->first, it->run_id);
  reading_bytes_ -= it->bytes;
  reading_.erase(it);
  if (!runs_.valid(id)) return nullptr;
  Run& run = runs_.at(id);
  if (run.index != index || (run.paged != 0) != paged) return nullptr;
  run.reading = 0;
  return run.live == 0 || run.block ? nullptr : &run;
}

namespace {

bool holds_records(std::string_view bytes, std::uint64_t count) {
  for (; count != 0; --count) {
    if (!MessageView::valid(bytes)) return false;
    bytes.remove_prefix(MessageView(bytes.data()).record_size());
  }
  return true;
}

}  // namespace

bool Pager::arrived(LogIndex index, BlockRef block, bool* damaged) {
  Run* run = take_reading(index, false);
  if (run == nullptr) return false;
  if (!block) {
    *damaged = true;
    return false;
  }
  const auto head = codec::decode_enqueue(block->bytes());
  if (!head || head->first != run->first || head->count != run->count ||
      !holds_records(block->bytes().substr(head->head_bytes), head->count)) {
    *damaged = true;
    return false;
  }
  run->base = static_cast<std::uint32_t>(head->head_bytes);
  keep(*run, std::move(block));
  return true;
}

bool Pager::page_arrived(PageId page, BlockRef block, bool* damaged) {
  Run* run = take_reading(page, true);
  if (run == nullptr) return false;
  if (!block || block->bytes().size() != run->bytes || !holds_records(block->bytes(), run->count)) {
    *damaged = true;
    return false;
  }
  run->base = 0;
  keep(*run, std::move(block));
  return true;
}

void Pager::check_invariants() const {
  std::size_t bytes = 0;
  std::uint64_t messages = 0, reading = 0, writing = 0;
  std::size_t paged_here = 0;
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id) {
    const Run& run = runs_.at(id);
    if (run.block) {
      bytes += run.bytes;
      messages += run.live;
      paged_here += run.paged;
    }
    if (run.reading) {
      ++reading;
      WARREN_ASSERT(std::any_of(reading_.begin(), reading_.end(),
                                [&](const Reading& r) { return r.index == run.index; }));
    }
    if (run.paging) {
      ++writing;
      WARREN_ASSERT(std::any_of(writing_.begin(), writing_.end(),
                                [&](const Writing& w) { return w.first == run.first; }));
    }
  }
  WARREN_ASSERT(bytes == resident_bytes_ && messages == resident_messages_);
  WARREN_ASSERT(paged_here == paged_here_);
  WARREN_ASSERT(reading <= reading_.size() && writing <= writing_.size());
}

}  // namespace warren::broker
