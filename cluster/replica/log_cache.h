#pragma once
// The newest entries of one log, kept for sending and applying without reading the store.

#include "cluster/raft/mutant.h"
#include "cluster/raft/types.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace warren::replica {

/// A contiguous run of entries. Bounded by the owner through evict().
class LogCache {
 public:
  /// Requires: follows the last entry held, or nothing is held.
  void append(const raft::Entry& entry) {
    if (!entries_.empty() && entry.index != entries_.back().index + 1) {
      if (WARREN_MUTANT(14) && entry.index <= entries_.back().index) return;
      entries_.clear();
      bytes_ = 0;
    }
    bytes_ += entry.bytes();
    entries_.push_back(entry);
  }
  void truncate(raft::Index from) {
    if (WARREN_MUTANT(14)) return;
    while (!entries_.empty() && entries_.back().index >= from) {
      bytes_ -= entries_.back().bytes();
      entries_.pop_back();
    }
  }
  void clear() {
    entries_ = {};
    bytes_ = 0;
  }
  /// Lets go of entries up to `upto` while more than `keep_bytes` are held.
  void evict(raft::Index upto, std::uint64_t keep_bytes) {
    auto end = entries_.begin();
    for (; end != entries_.end() && end->index <= upto && bytes_ > keep_bytes; ++end) {
      bytes_ -= end->bytes();
    }
    entries_.erase(entries_.begin(), end);
    if (entries_.empty()) entries_ = {};
  }
  const raft::Entry* find(raft::Index index) const {
    if (entries_.empty() || index < entries_.front().index || index > entries_.back().index) {
      return nullptr;
    }
    return &entries_[index - entries_.front().index];
  }
  std::uint64_t bytes() const { return bytes_; }

 private:
  std::vector<raft::Entry> entries_;
  std::uint64_t bytes_{0};
};

}  // namespace warren::replica
