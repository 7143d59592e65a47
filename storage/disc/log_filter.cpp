#include "storage/disc/log_filter.h"

#include "base/bytes.h"

namespace warren::storage {

rocksdb::CompactionFilter::Decision LogFilter::FilterV2(int, const rocksdb::Slice& key, ValueType,
                                                        const rocksdb::Slice&, std::string*,
                                                        std::string* skip_until) const {
  if (key.size() != 16) return Decision::kKeep;
  const auto uid = load_be<std::uint64_t>(key.data());
  const auto index = load_be<std::uint64_t>(key.data() + 8);
  if (group_uid_ != uid) {
    group_ = floors_.find(uid);
    group_uid_ = uid;
  }
  const Verdict verdict = judge(group_, uid, index);
  if (!verdict.dead) return Decision::kKeep;
  *skip_until = log_key(verdict.next_uid, verdict.next_index);
  return Decision::kRemoveAndSkipUntil;
}

bool LogFilterFactory::ShouldFilterTableFileCreation(rocksdb::TableFileCreationReason reason) const {
  using Reason = rocksdb::TableFileCreationReason;
  return floors_->is_loaded() && (reason == Reason::kFlush || reason == Reason::kCompaction);
}

std::unique_ptr<rocksdb::CompactionFilter> LogFilterFactory::CreateCompactionFilter(
    const rocksdb::CompactionFilter::Context& context) {
  // Asked again, because a filter may be made without asking first.
  if (!floors_->is_loaded()) return std::make_unique<LogFilter>(FloorSnapshot({}));
  if (context.reason == rocksdb::TableFileCreationReason::kFlush) floors_->ask_and_wait(wait_);
  return std::make_unique<LogFilter>(floors_->snapshot());
}

}  // namespace warren::storage
