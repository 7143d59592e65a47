#include "cluster/raft/log_index.h"

#include "base/assert.h"

#include <algorithm>

namespace warren::raft {

std::optional<Term> LogIndex::term(Index index) const {
  if (index < base_index_ || index > last_) return std::nullopt;
  if (index == base_index_) return base_term_;
  auto after = std::upper_bound(runs_.begin(), runs_.end(), index,
                                [](Index i, const Run& run) { return i < run.first; });
  return after == runs_.begin() ? base_term_ : std::prev(after)->term;
}

Index LogIndex::last_at_or_below_term(Index from, Term of) const {
  Index at = std::min(from, last_);
  for (auto run = runs_.rbegin(); run != runs_.rend(); ++run) {
    if (run->term > of && at >= run->first) at = run->first - 1;
  }
  // Entries between the base and the first run carry the base's term.
  bool before_runs = runs_.empty() || at < runs_.front().first;
  if (before_runs && base_term_ > of) at = base_index_;
  return std::max(at, base_index_);
}

void LogIndex::append(Term of) {
  WARREN_ASSERT(of >= last_term());
  ++last_;
  if (runs_.empty() ? of != base_term_ : of != runs_.back().term) runs_.push_back({last_, of});
}

void LogIndex::truncate(Index from) {
  WARREN_ASSERT(from > base_index_);
  if (from > last_) return;
  last_ = from - 1;
  while (!runs_.empty() && runs_.back().first > last_) runs_.pop_back();
}

void LogIndex::compact(Index to) {
  WARREN_ASSERT(to >= base_index_ && to <= last_);
  Term at = *term(to);
  base_index_ = to;
  base_term_ = at;
  // Runs that ended at or below the new base go; one that spans it is expressed by base_term_.
  auto keep = std::find_if(runs_.begin(), runs_.end(), [&](const Run& r) { return r.first > to; });
  runs_.erase(runs_.begin(), keep);
}

void LogIndex::reset(Index base_index, Term base_term) {
  *this = LogIndex(base_index, base_term);
}

}  // namespace warren::raft
