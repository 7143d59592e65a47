#include "storage/disc/table_census.h"

#include "base/bytes.h"

#include <algorithm>

namespace warren::storage {
namespace {

class Census final : public rocksdb::TablePropertiesCollector {
 public:
  rocksdb::Status AddUserKey(const rocksdb::Slice& key, const rocksdb::Slice& value,
                             rocksdb::EntryType, rocksdb::SequenceNumber, std::uint64_t) override {
    if (key.size() != 16) return rocksdb::Status::OK();
    const auto uid = load_be<std::uint64_t>(key.data());
    const auto index = load_be<std::uint64_t>(key.data() + 8);
    if (groups_.empty() || groups_.back().uid != uid) {
      if (groups_.size() >= kCensusGroupsMax) {
        too_many_ = true;
        return rocksdb::Status::OK();
      }
      groups_.push_back({uid, index, index, 0, 0});
    }
    auto& group = groups_.back();
    group.last = index;
    ++group.count;
    group.bytes += key.size() + value.size();
    return rocksdb::Status::OK();
  }
  rocksdb::Status Finish(rocksdb::UserCollectedProperties* properties) override {
    if (!too_many_) (*properties)[kCensusProperty] = encode_census(groups_);
    groups_.clear();
    return rocksdb::Status::OK();
  }
  rocksdb::UserCollectedProperties GetReadableProperties() const override { return {}; }
  const char* Name() const override { return "warren.census"; }

 private:
  std::vector<GroupRows> groups_;
  bool too_many_{false};
};

}  // namespace

std::string encode_census(const std::vector<GroupRows>& groups) {
  std::string out;
  ByteWriter to(out);
  to.u8(1);
  for (const auto& group : groups) {
    to.u64(group.uid);
    to.u64(group.first);
    to.u64(group.last);
    to.u64(group.count);
    to.u64(group.bytes);
  }
  return out;
}

std::optional<std::vector<GroupRows>> decode_census(std::string_view bytes) {
  ByteReader from(bytes);
  if (from.u8() != 1) return {};
  std::vector<GroupRows> out;
  while (from.ok() && !from.at_end()) {
    GroupRows group;
    group.uid = from.u64();
    group.first = from.u64();
    group.last = from.u64();
    group.count = from.u64();
    group.bytes = from.u64();
    if (group.count == 0 || group.last < group.first) return {};
    out.push_back(group);
  }
  if (!from.ok()) return {};
  return out;
}

std::uint64_t dead_bytes(const std::vector<GroupRows>& groups, const FloorSnapshot& floors) {
  std::uint64_t sum = 0;
  for (const auto& rows : groups) {
    const auto* group = floors.find(rows.uid);
    if (group == nullptr) continue;
    if (group->retired) {
      sum += rows.bytes;
      continue;
    }
    const std::uint64_t last = std::min(rows.last, group->floor.checkpoint);
    if (last < rows.first) continue;
    const double share = static_cast<double>(last - rows.first + 1) /
                         static_cast<double>(rows.last - rows.first + 1);
    double dead = share * static_cast<double>(rows.count);
    if (const auto* live = group->floor.live.get()) {
      const auto begin = std::lower_bound(live->begin(), live->end(), rows.first);
      const auto end = std::upper_bound(begin, live->end(), last);
      dead -= static_cast<double>(end - begin);
    }
    if (dead <= 0) continue;
    sum += static_cast<std::uint64_t>(dead / static_cast<double>(rows.count) *
                                      static_cast<double>(rows.bytes));
  }
  return sum;
}

rocksdb::TablePropertiesCollector* CensusFactory::CreateTablePropertiesCollector(Context) {
  return new Census;  // RocksDB takes ownership
}

}  // namespace warren::storage
