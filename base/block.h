#pragma once
// Shared runs of bytes: what input is read into, messages are kept in and output is sent from.

#include "base/assert.h"

#include <boost/smart_ptr/intrusive_ptr.hpp>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace warren {

/// A reference-counted run of bytes. Written by one owner until shared, immutable afterwards.
/// Thread safety: the count is atomic, so blocks may be released on any thread.
class Block {
 public:
  static boost::intrusive_ptr<Block> make(std::size_t capacity) {
    void* raw = std::malloc(sizeof(Block) + capacity);
    WARREN_ASSERT(raw != nullptr);
    return boost::intrusive_ptr<Block>(new (raw) Block(static_cast<std::uint32_t>(capacity)));
  }
  static boost::intrusive_ptr<Block> copy_of(std::string_view bytes) {
    auto block = make(bytes.size());
    std::memcpy(block->append(bytes.size()), bytes.data(), bytes.size());
    return block;
  }

  char* data() { return reinterpret_cast<char*>(this + 1); }
  const char* data() const { return reinterpret_cast<const char*>(this + 1); }
  std::size_t size() const { return size_; }
  std::size_t capacity() const { return capacity_; }
  std::size_t room() const { return capacity_ - size_; }
  std::string_view bytes() const { return {data(), size_}; }
  /// Grows by `n` bytes and gives their start. Requires: n <= room().
  char* append(std::size_t n) {
    WARREN_ASSERT(n <= room());
    char* at = data() + size_;
    size_ += static_cast<std::uint32_t>(n);
    return at;
  }
  /// Takes back the last bytes. Requires: size <= size().
  void shrink_to(std::size_t size) {
    WARREN_ASSERT(size <= size_);
    size_ = static_cast<std::uint32_t>(size);
  }
  bool shared() const { return refs_.load(std::memory_order_acquire) > 1; }

  friend void intrusive_ptr_add_ref(Block* block) {
    block->refs_.fetch_add(1, std::memory_order_relaxed);
  }
  friend void intrusive_ptr_release(Block* block) {
    if (block->refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      block->~Block();
      std::free(block);
    }
  }

 private:
  explicit Block(std::uint32_t capacity) : capacity_(capacity) {}

  std::atomic<std::uint32_t> refs_{0};
  std::uint32_t size_{0};
  std::uint32_t capacity_;
  std::uint32_t unused_{0};
};
using BlockRef = boost::intrusive_ptr<Block>;

}  // namespace warren
