#pragma once
// A double-ended list in small chunks: elements have ids that count up for ever, stay where they
// are in memory, and are found by id in constant time. An empty one holds at most one chunk.

#include "base/assert.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace warren::broker {

/// Invariants: ids of living elements are [front_id, end_id); popped slots hold T{}.
template <class T, unsigned kBits = 5>
class ChunkRing {
 public:
  static constexpr std::uint64_t kChunk = std::uint64_t{1} << kBits;

  bool empty() const { return front_ == end_; }
  std::uint64_t size() const { return end_ - front_; }
  std::uint64_t front_id() const { return front_; }
  std::uint64_t end_id() const { return end_; }
  T& at(std::uint64_t id) { return chunks_[(id >> kBits) - base_][id & (kChunk - 1)]; }
  const T& at(std::uint64_t id) const { return chunks_[(id >> kBits) - base_][id & (kChunk - 1)]; }
  T& front() { return at(front_); }
  const T& front() const { return at(front_); }
  T& back() { return at(end_ - 1); }
  const T& back() const { return at(end_ - 1); }

  T& push_back(T value) {
    if ((end_ >> kBits) - base_ == chunks_.size()) grow();
    T& slot = at(end_++);
    slot = std::move(value);
    return slot;
  }
  void pop_front() {
    WARREN_ASSERT(front_ < end_);
    at(front_) = T{};
    ++front_;
    if ((front_ & (kChunk - 1)) == 0) drop_front_chunk();
  }
  void pop_back() {
    WARREN_ASSERT(front_ < end_);
    --end_;
    at(end_) = T{};
    const std::uint64_t used = ((end_ + kChunk - 1) >> kBits) - base_;
    while (chunks_.size() > used && chunks_.size() > lead_ + 1) chunks_.pop_back();
  }
  void clear() {
    while (!empty()) pop_front();
  }
  std::size_t memory_bytes() const {
    return (chunks_.size() - lead_) * kChunk * sizeof(T) + chunks_.capacity() * sizeof(void*);
  }

 private:
  void grow() {
    chunks_.push_back(std::make_unique<T[]>(kChunk));
  }
  void drop_front_chunk() {
    chunks_[lead_++].reset();
    if (lead_ == chunks_.size() || (lead_ >= 64 && lead_ * 2 >= chunks_.size())) {
      chunks_.erase(chunks_.begin(), chunks_.begin() + static_cast<std::ptrdiff_t>(lead_));
      base_ += lead_;
      lead_ = 0;
    }
  }

  std::vector<std::unique_ptr<T[]>> chunks_;  ///< of ids from base_ * kChunk; the first lead_ are gone
  std::uint64_t base_{0};
  std::size_t lead_{0};
  std::uint64_t front_{0};
  std::uint64_t end_{0};
};

}  // namespace warren::broker
