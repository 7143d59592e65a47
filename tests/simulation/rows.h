#pragma once
// The rows of a store in memory, by keyspace: what a simulated disc holds, and what a real one must hold.
// Owner: a medium.

#include "storage/api/store.h"

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace warren::simulation {

class Rows {
 public:
  using Space = std::map<std::string, std::string, std::less<>>;

  Space& of(storage::Keyspace space) { return spaces_[static_cast<std::size_t>(space)]; }
  const Space& of(storage::Keyspace space) const { return spaces_[static_cast<std::size_t>(space)]; }
  void apply(const storage::WriteBatch& batch);
  void clear();

  /// Carries a floor out; `dropped` is told of every row that goes. False when a higher one was there.
  bool set_floor(storage::GroupUid uid, storage::Floor floor,
                 const std::function<void(const std::string&)>& dropped);
  void retire(storage::GroupUid uid);
  /// Floors are told anew after a start.
  void forget_floors() { floors_.clear(); }
  const storage::Floor* floor_of(storage::GroupUid uid) const;

  /// Whether the group's log reaches `index`: as an entry, or below where its record says it begins.
  bool holds(storage::GroupUid group, std::uint64_t index) const;
  /// A group's record, if there is one.
  std::string* record(storage::GroupUid group);

 private:
  /// Where a group's log begins, read from its record.
  struct Extent {
    storage::GroupUid log_uid;
    std::uint64_t base;
  };
  std::optional<Extent> extent(storage::GroupUid group) const;

  std::array<Space, storage::kKeyspaceCount> spaces_;
  std::map<storage::GroupUid, storage::Floor> floors_;  ///< those that were carried out
};

/// A group's record as the first version wrote it; nothing when it says what that could not.
std::optional<std::string> aged_record(const std::string& record);

}  // namespace warren::simulation
