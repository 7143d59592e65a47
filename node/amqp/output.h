#pragma once
// Bytes on their way to a client: small frames packed in chunks, large bodies by reference. Filled
// by the state machines, emptied by the socket's driver with scatter-gather writes.

#include "base/block.h"
#include "node/amqp/codec.h"

#include <deque>
#include <span>
#include <string_view>

namespace warren::amqp {

/// Owner: the connection. Holds nothing while everything is sent.
class Output {
 public:
  /// Room for exactly `n` bytes, in one piece, which the caller fills at once.
  char* reserve(std::size_t n);
  void append(std::string_view bytes);
  /// Sends `bytes`, which `keep` owns, without copying.
  void append_shared(const BlockRef& keep, std::string_view bytes);

  template <class Method>
  void method(std::uint16_t channel, const Method& method) {
    scratch_.clear();
    append_frame(scratch_, channel, method);
    append(scratch_);
  }
  /// Header and body frames of a content. `keep` owns `body`, null to copy it.
  /// Shape: `props` = property flags and values; frames carry at most frame_max - 8 bytes.
  void content(std::uint16_t channel, std::string_view props, std::string_view body,
               std::uint32_t frame_max, const BlockRef& keep);

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  /// Up to `pieces.size()` runs from the front; gives their number.
  std::size_t gather(std::span<std::string_view> pieces) const;
  /// Drops `n` bytes from the front. Requires: n <= size().
  void consume(std::size_t n);
  void clear();

 private:
  struct Piece {
    BlockRef block;
    const char* at;
    std::size_t size;
  };

  std::deque<Piece> pieces_;
  BlockRef tail_;  // chunk that may still grow; the last piece when that piece points into it
  std::size_t size_{0};
  std::string scratch_;
};

}  // namespace warren::amqp
