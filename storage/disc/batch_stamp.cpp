#include "storage/disc/batch_stamp.h"

#include "base/bytes.h"
#include "base/crc32c.h"

namespace warren::storage {
namespace {

constexpr std::string_view kMagic = "wrn1";
constexpr std::size_t kBatchHeader = 12;   // sequence (8), count (4)
constexpr char kLogDataTag = 0x3;          // RocksDB's tag of a record that is in the log only
constexpr std::size_t kStampBytes = 24;
constexpr std::size_t kCheckedTail = 1024;

}  // namespace

std::string BatchStamp::encode() const {
  std::string out;
  ByteWriter to(out);
  to.bytes(kMagic);
  to.u64(number);
  to.u64(synced_through);
  to.u32(previous);
  return out;
}

std::optional<BatchStamp> BatchStamp::decode(std::string_view head) {
  ByteReader from(head);
  from.bytes(kBatchHeader);
  const auto tag = static_cast<char>(from.u8());
  const auto length = from.u8();
  if (tag != kLogDataTag || length != kStampBytes || from.bytes(kMagic.size()) != kMagic) return {};
  BatchStamp stamp;
  stamp.number = from.u64();
  stamp.synced_through = from.u64();
  stamp.previous = from.u32();
  if (!from.ok()) return {};
  return stamp;
}

std::uint32_t stamp_check(std::string_view batch) {
  char length[8];
  store_be(length, static_cast<std::uint64_t>(batch.size()));
  const auto crc = crc32c(0, {length, sizeof length});
  return crc32c(crc, batch.substr(batch.size() > kCheckedTail ? batch.size() - kCheckedTail : 0));
}

}  // namespace warren::storage
