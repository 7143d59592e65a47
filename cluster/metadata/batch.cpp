#include "cluster/metadata/batch.h"

#include "base/assert.h"
#include "base/bytes.h"

namespace warren::metadata {

namespace {

constexpr std::uint8_t kBatchVersion = 1;
constexpr std::size_t kUidAt = 1 + 3 * 8;
constexpr std::size_t kStampAt = kUidAt + 8;
constexpr std::size_t kHeadBytes = kStampAt + 8 + 4;

Result<BatchHead> read_head(ByteReader& in) {
  const std::uint8_t version = in.u8();
  BatchHead head;
  head.origin = in.u64();
  head.incarnation = in.u64();
  head.sequence = in.u64();
  head.uid_base = in.u64();
  head.stamp_ms = in.i64();
  head.declares = in.u32();
  if (!in.ok() || version == 0) return make_error(Errc::corruption, "metadata batch: malformed head");
  if (version > kBatchVersion)
    return make_error(Errc::unsupported, "metadata batch of version " + std::to_string(version) +
                                             ": written by a newer release");
  if (head.origin == 0 || head.sequence == 0)
    return make_error(Errc::corruption, "metadata batch: of nobody");
  return head;
}

}  // namespace

EncodedPart encode_part(std::uint32_t number, const std::vector<Command>& commands) {
  EncodedPart part;
  ByteWriter out(part.bytes);
  out.u32(number);
  out.u32(static_cast<std::uint32_t>(commands.size()));
  for (const Command& command : commands) {
    out.str32(encode_command(command));
    if (std::holds_alternative<DeclareQueue>(command)) ++part.declares;
  }
  return part;
}

std::string encode_head(const BatchHead& head) {
  std::string bytes;
  ByteWriter out(bytes);
  out.u8(kBatchVersion);
  out.u64(head.origin);
  out.u64(head.incarnation);
  out.u64(head.sequence);
  out.u64(head.uid_base);
  out.i64(head.stamp_ms);
  out.u32(head.declares);
  return bytes;
}

void stamp_batch(std::string& batch, QueueUid uid_base, Millis stamp_ms) {
  WARREN_ASSERT(batch.size() >= kHeadBytes);
  store_be(batch.data() + kUidAt, uid_base);
  store_be(batch.data() + kStampAt, static_cast<std::uint64_t>(stamp_ms));
}

Result<BatchHead> decode_head(std::string_view batch) {
  ByteReader in(batch);
  return read_head(in);
}

Result<Batch> decode_batch(std::string_view bytes) {
  ByteReader in(bytes);
  auto head = read_head(in);
  if (!head) return head.error();
  Batch batch{*head, {}};
  while (in.ok() && !in.at_end()) {
    BatchPart part;
    part.number = in.u32();
    const std::uint32_t count = in.u32();
    for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
      const std::string_view command_bytes = in.str32();
      if (!in.ok()) break;
      auto command = decode_command(command_bytes);
      if (!command) return command.error();
      part.commands.push_back(std::move(*command));
    }
    batch.parts.push_back(std::move(part));
  }
  if (!in.ok()) return make_error(Errc::corruption, "metadata batch: cut short");
  return batch;
}

}  // namespace warren::metadata
