#pragma once
// Which log rows each table file holds, by group: written into the file when it is made, read back
// to find the files that are mostly dead. Owner: the collector belongs to RocksDB, the rest to
// Reclaimer.

#include "storage/disc/floor_table.h"

#include <rocksdb/table_properties.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::storage {

/// The rows of one group in one file.
struct GroupRows {
  GroupUid uid{};
  std::uint64_t first{};
  std::uint64_t last{};
  std::uint64_t count{};
  std::uint64_t bytes{};
};

/// The property's name in a table file.
inline constexpr const char* kCensusProperty = "warren.groups";
/// Files with more groups carry no census and are left to the periodic compaction.
inline constexpr std::size_t kCensusGroupsMax = 16384;

std::string encode_census(const std::vector<GroupRows>& groups);
/// Nothing when the bytes are not a census.
std::optional<std::vector<GroupRows>> decode_census(std::string_view bytes);

/// Estimates how many of the bytes are dead: rows are taken to be of equal size and, where the
/// floor lies inside the range, evenly spread.
std::uint64_t dead_bytes(const std::vector<GroupRows>& groups, const FloorSnapshot& floors);

class CensusFactory final : public rocksdb::TablePropertiesCollectorFactory {
 public:
  rocksdb::TablePropertiesCollector* CreateTablePropertiesCollector(Context context) override;
  const char* Name() const override { return "warren.census_factory"; }
};

}  // namespace warren::storage
