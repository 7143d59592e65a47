#pragma once
// What a run measured: latencies in a logarithmic histogram, and who saw which message.

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

namespace warren::perf {

/// Values in nanoseconds, each bucket within 1/64 of its value. Fixed size, no allocation.
class Histogram {
 public:
  void add(std::uint64_t value) {
    ++buckets_[bucket(value)];
    ++count_;
  }
  std::uint64_t count() const { return count_; }
  /// The value that the share `q` of [0, 1] lies at or below.
  std::uint64_t at(double q) const {
    const auto wanted = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted || (seen == count_ && seen > 0)) return value(i);
    }
    return 0;
  }

 private:
  static constexpr int kSub = 6;
  static std::size_t bucket(std::uint64_t v) {
    if (v < (1U << kSub)) return v;
    const int shift = std::bit_width(v) - kSub - 1;
    return (static_cast<std::size_t>(shift + 1) << kSub) + ((v >> shift) & ((1U << kSub) - 1));
  }
  static std::uint64_t value(std::size_t i) {
    if (i < (1U << kSub)) return i;
    const int shift = static_cast<int>(i >> kSub) - 1;
    return ((1ULL << kSub) + (i & ((1U << kSub) - 1))) << shift;
  }

  std::array<std::uint64_t, 60U << kSub> buckets_{};
  std::uint64_t count_{0};
};

/// Which sequence numbers of one producer one queue's consumers have seen; a bit each.
class Seen {
 public:
  /// False when it was seen before.
  bool add(std::uint64_t seq) {
    const std::size_t word = seq / 64;
    if (word >= words_.size()) words_.resize(word + word / 2 + 16);
    const std::uint64_t bit = 1ULL << (seq % 64);
    if ((words_[word] & bit) != 0) return false;
    words_[word] |= bit;
    ++count_;
    return true;
  }
  std::uint64_t count() const { return count_; }

 private:
  std::vector<std::uint64_t> words_;
  std::uint64_t count_{0};
};

}  // namespace warren::perf
