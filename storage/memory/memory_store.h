#pragma once
// The store of a RAM node and of tests: ordered maps in memory, nothing survives the process.
// Owner: whoever opened it. It must not pretend to durability: `synced` costs and means nothing here.

#include "storage/api/store.h"

#include <array>
#include <map>
#include <shared_mutex>
#include <unordered_map>

namespace warren::storage {

/// Keeps every keyspace in one ordered map.
/// Thread safety: as Store; readers share a lock, so one writer never blocks for longer than one read.
/// Dead log entries are dropped as soon as a floor says so, after `floors_loaded`.
class MemoryStore final : public Store {
 public:
  MemoryStore() = default;

  Result<void> write(const WriteBatch& batch, Durability durability) override;
  Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<Iterator>> scan(Keyspace space, std::string_view from,
                                         std::string_view to) const override;
  void set_floor(GroupUid uid, Floor floor) override;
  void retire(GroupUid uid) override;
  void floors_loaded() override;
  StoreStats stats() const override;
  void close() override;

 private:
  using Rows = std::map<std::string, std::string, std::less<>>;
  struct GroupFloor {
    Floor floor;
    bool retired{false};
  };
  class Walk;

  void drop_dead(GroupUid uid, const GroupFloor& group);
  void erase_row(Rows& rows, Rows::iterator at);

  mutable std::shared_mutex mutex_;
  std::array<Rows, kKeyspaceCount> spaces_;
  std::unordered_map<GroupUid, GroupFloor> floors_;
  bool floors_loaded_{false};
  bool closed_{false};
  StoreStats stats_;
};

}  // namespace warren::storage
