#include "storage/disc/chain_check.h"

#include "storage/disc/batch_stamp.h"

#include <fmt/format.h>
#include <rocksdb/write_batch.h>

namespace warren::storage {

rocksdb::WalFilter::WalProcessingOption ChainCheck::LogRecordFound(unsigned long long,
                                                                   const std::string& file,
                                                                   const rocksdb::WriteBatch& batch,
                                                                   rocksdb::WriteBatch*, bool*) {
  const std::string& bytes = batch.Data();
  const auto stamp = BatchStamp::decode(std::string_view(bytes).substr(0, kStampHeadBytes));
  if (!stamp) {
    failure_ = "a batch without a stamp in " + file;
    return WalProcessingOption::kCorruptedRecord;
  }
  if (number_ != 0 && (stamp->number != number_ + 1 || stamp->previous != check_)) {
    failure_ = fmt::format("write-ahead log damaged: {}: batch {} follows batch {}: what was between "
                           "them is missing", file, stamp->number, number_);
    return WalProcessingOption::kCorruptedRecord;
  }
  number_ = stamp->number;
  check_ = stamp_check(bytes);
  return WalProcessingOption::kContinueProcessing;
}

}  // namespace warren::storage
