#include "node/broker/queue/pager.h"

#include "node/broker/queue/log_codec.h"

#include <algorithm>

namespace warren::broker {

void Pager::added(std::uint64_t run_id) {
  Run& run = runs_.at(run_id);
  resident_bytes_ += run.bytes;
  resident_messages_ += run.live;
  budget_.add(run.bytes);
  if (log_ == nullptr) return;
  if (boundary_ == kNone) {
    if (full()) boundary_ = trimmed_ = run_id + 1;
  } else if (boundary_ >= run_id && !full()) {
    boundary_ = kNone;
  }
}

void Pager::removed(Run& run, std::uint64_t n, bool last) {
  if (!run.block) return;
  resident_messages_ -= n;
  if (last) {
    resident_bytes_ -= run.bytes;
    budget_.sub(run.bytes);
  }
}

void Pager::keep(Run& run, BlockRef block) {
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
  run.block.reset();
  if (run.extra) {
    run.extra->offsets = {};  // of a block that goes; the log's copy is back to back
    if (run.extra->levels.empty() && run.extra->transients.empty()) run.extra.reset();
  }
}

void Pager::trim(LogIndex durable, std::uint64_t reader) {
  if (log_ == nullptr) return;
  if (boundary_ != kNone) {
    trimmed_ = std::max({trimmed_, boundary_, runs_.front_id()});
    for (; trimmed_ < runs_.end_id(); ++trimmed_) {
      Run& run = runs_.at(trimmed_);
      if (run.index > durable) break;
      if (run.live != 0 && run.index != 0) evict(run);
    }
  }
  if (!full()) return;
  behind_ = std::max(behind_, runs_.front_id());
  const std::uint64_t stop = std::min(reader, runs_.end_id());
  if (behind_ >= stop) behind_ = runs_.front_id();  // what came back since may go again
  for (; behind_ < stop && full(); ++behind_) {
    Run& run = runs_.at(behind_);
    if (run.live != 0 && run.index != 0 && run.index <= durable) evict(run);
  }
}

void Pager::request(std::uint64_t run_id) {
  Run& run = runs_.at(run_id);
  if (run.reading) return;
  run.reading = 1;
  reading_.push_back({run.index, run_id, run.first, run.bytes});
  reading_bytes_ += run.bytes;
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

bool Pager::arrived(LogIndex index, BlockRef block, bool* damaged) {
  const auto it = std::find_if(reading_.begin(), reading_.end(),
                               [&](const Reading& r) { return r.index == index; });
  if (it == reading_.end()) return false;
  const std::uint64_t id = runs_.find(it->first, it->run_id);
  reading_bytes_ -= it->bytes;
  reading_.erase(it);
  Run* run = runs_.valid(id) && runs_.at(id).index == index ? &runs_.at(id) : nullptr;
  if (run == nullptr) return false;  // it died meanwhile
  run->reading = 0;
  if (run->live == 0 || run->block) return false;
  if (!block) {
    *damaged = true;
    return false;
  }
  const auto head = codec::decode_enqueue(block->bytes());
  if (!head || head->first != run->first || head->count != run->count) {
    *damaged = true;
    return false;
  }
  std::string_view rest = block->bytes().substr(head->head_bytes);
  for (std::uint32_t i = 0; i < head->count; ++i) {
    if (!MessageView::valid(rest)) {
      *damaged = true;
      return false;
    }
    rest.remove_prefix(MessageView(rest.data()).record_size());
  }
  run->base = static_cast<std::uint32_t>(head->head_bytes);
  keep(*run, std::move(block));
  return true;
}

void Pager::check_invariants() const {
  std::size_t bytes = 0;
  std::uint64_t messages = 0, reading = 0;
  for (std::uint64_t id = runs_.front_id(); id < runs_.end_id(); ++id) {
    const Run& run = runs_.at(id);
    if (run.block) {
      bytes += run.bytes;
      messages += run.live;
    }
    if (run.reading) {
      ++reading;
      WARREN_ASSERT(std::any_of(reading_.begin(), reading_.end(),
                                [&](const Reading& r) { return r.index == run.index; }));
    }
  }
  WARREN_ASSERT(bytes == resident_bytes_ && messages == resident_messages_);
  WARREN_ASSERT(reading <= reading_.size());
}

}  // namespace warren::broker
