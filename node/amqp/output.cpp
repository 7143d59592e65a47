#include "node/amqp/output.h"

#include <algorithm>

namespace warren::amqp {

namespace {

// The first chunk is small, so that a connection with one reply in flight stays cheap; a busy one
// gets chunks that make few, large writes.
constexpr std::size_t kSmallChunk = 4096 - sizeof(Block);
constexpr std::size_t kLargeChunk = 65536 - sizeof(Block);
// Below this a copy costs less than another scatter-gather element.
constexpr std::size_t kShareFrom = 2048;

}  // namespace

char* Output::reserve(std::size_t n) {
  if (!tail_ || tail_->room() < n) {
    tail_ = Block::make(std::max(n, size_ == 0 ? kSmallChunk : kLargeChunk));
    pieces_.push_back(Piece{tail_, tail_->data(), 0});
  } else if (pieces_.empty() || pieces_.back().block != tail_) {
    pieces_.push_back(Piece{tail_, tail_->data() + tail_->size(), 0});
  }
  char* at = tail_->append(n);
  pieces_.back().size += n;
  size_ += n;
  return at;
}

void Output::append(std::string_view bytes) {
  std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
}

void Output::append_shared(const BlockRef& keep, std::string_view bytes) {
  pieces_.push_back(Piece{keep, bytes.data(), bytes.size()});
  size_ += bytes.size();
}

void Output::content(std::uint16_t channel, std::string_view props, std::string_view body,
                     std::uint32_t frame_max, const BlockRef& keep) {
  const std::size_t header_payload = 12 + props.size();
  const std::size_t room = frame_max == 0 ? body.size() : frame_max - kFrameOverhead;
  const bool one_piece = body.size() <= room && (body.size() < kShareFrom || !keep);
  const std::size_t header_bytes = kFrameOverhead + header_payload;
  const std::size_t inline_body =
      one_piece && !body.empty() ? kFrameOverhead + body.size() : std::size_t{0};
  char* at = reserve(header_bytes + inline_body);
  at[0] = static_cast<char>(kFrameHeader);
  store_be(at + 1, channel);
  store_be(at + 3, static_cast<std::uint32_t>(header_payload));
  store_be(at + 7, std::uint32_t{60} << 16);
  store_be(at + 11, static_cast<std::uint64_t>(body.size()));
  std::memcpy(at + 19, props.data(), props.size());
  at += 19 + props.size();
  *at++ = static_cast<char>(kFrameEnd);
  if (inline_body != 0) {
    at[0] = static_cast<char>(kFrameBody);
    store_be(at + 1, channel);
    store_be(at + 3, static_cast<std::uint32_t>(body.size()));
    std::memcpy(at + 7, body.data(), body.size());
    at[7 + body.size()] = static_cast<char>(kFrameEnd);
    return;
  }
  while (!body.empty()) {
    const std::string_view part = body.substr(0, room);
    body.remove_prefix(part.size());
    char* head = reserve(kFrameHeaderBytes);
    head[0] = static_cast<char>(kFrameBody);
    store_be(head + 1, channel);
    store_be(head + 3, static_cast<std::uint32_t>(part.size()));
    if (keep && part.size() >= kShareFrom)
      append_shared(keep, part);
    else
      append(part);
    *reserve(1) = static_cast<char>(kFrameEnd);
  }
}

std::size_t Output::gather(std::span<std::string_view> pieces) const {
  std::size_t n = 0;
  for (const Piece& piece : pieces_) {
    if (n == pieces.size()) break;
    if (piece.size != 0) pieces[n++] = {piece.at, piece.size};
  }
  return n;
}

void Output::consume(std::size_t n) {
  WARREN_ASSERT(n <= size_);
  size_ -= n;
  while (n > 0) {
    Piece& front = pieces_.front();
    const std::size_t part = std::min(n, front.size);
    front.at += part;
    front.size -= part;
    n -= part;
    if (front.size == 0) pieces_.pop_front();
  }
  if (size_ == 0) clear();
}

void Output::clear() {
  pieces_.clear();
  pieces_.shrink_to_fit();
  tail_.reset();
  size_ = 0;
}

}  // namespace warren::amqp
