#pragma once
// Bounds of a queue, and the memory that the queues of one shard share. Owner: the shard.

#include <cstddef>
#include <cstdint>

namespace warren::broker {

/// Bodies in memory of all queues of a shard. Over the limit every queue keeps only its floor.
class MemoryBudget {
 public:
  explicit MemoryBudget(std::size_t limit_bytes = std::size_t{64} << 20) : limit_(limit_bytes) {}

  void add(std::size_t bytes) { used_ += bytes; }
  void sub(std::size_t bytes) { used_ -= bytes; }
  std::size_t used() const { return used_; }
  bool over() const { return used_ > limit_; }

 private:
  std::size_t limit_;
  std::size_t used_{0};
};

struct QueueOptions {
  std::size_t resident_bytes_max{std::size_t{16} << 20};   ///< bodies a queue with consumers keeps
  std::size_t resident_bytes_min{std::size_t{1} << 20};    ///< without, or when the shard is over
  std::size_t read_ahead_bytes{std::size_t{1} << 20};      ///< asked of the log, not yet answered
  std::uint32_t read_ahead_entries{64};                    ///< the same, as a number of entries
  std::size_t checkpoint_bytes{std::size_t{48} << 20};     ///< of log between two checkpoints
  std::uint32_t watermark_reserve{16384};  ///< positions that one watermark record frees
};

}  // namespace warren::broker
