#pragma once
// What is below a simulated disc: rows in memory, or the shipped store over real files. The disc decides
// when a write is carried out and when something breaks; the medium knows what is left then.

#include "storage/api/store.h"
#include "tests/simulation/rows.h"
#include "tests/simulation/world.h"

#include <memory>

namespace warren::simulation {

enum class StoreKind {
  rows,  ///< thousands of runs a minute
  disc,  ///< storage/disc in a temporary folder
};

class Medium {
 public:
  virtual ~Medium() = default;

  /// Opens after a crash. Errors: what the store says; corruption only if it was damaged.
  virtual Result<void> open() = 0;
  virtual Result<std::optional<std::string>> get(storage::Keyspace space, std::string_view key) const = 0;
  virtual Result<std::unique_ptr<storage::Iterator>> scan(storage::Keyspace space, std::string_view from,
                                                          std::string_view to) const = 0;
  virtual void set_floor(storage::GroupUid uid, storage::Floor floor) = 0;
  virtual void retire(storage::GroupUid uid) = 0;
  virtual void floors_loaded() = 0;

  /// Writes a group of batches. Returns when it is as durable as asked for.
  virtual Result<void> apply(const storage::WriteBatch& group, storage::Durability durability) = 0;
  /// The same, but the disc fails; how much got there is the medium's to decide.
  virtual void apply_and_fail(const storage::WriteBatch& group, bool full) = 0;
  /// The process or the machine dies, in the middle of writing `group` if there is one.
  virtual void crash(const storage::WriteBatch* group) = 0;
  /// What a store does by itself now and then. False when the machine died in the middle of it.
  virtual bool tidy() { return true; }

  /// Requires: crashed. Damages what must then be refused at the next start; false when there is nothing.
  virtual bool damage(storage::GroupUid group) = 0;
  /// Flips a bit; whoever reads it is told.
  virtual bool rot() = 0;
  virtual bool rotten() const = 0;
  virtual void age(storage::GroupUid group) = 0;
  virtual void wipe() = 0;
  /// What is durable, also while the process is down.
  virtual bool holds(storage::GroupUid group, std::uint64_t index) const = 0;
};

std::unique_ptr<Medium> make_rows_medium(World& world);
std::unique_ptr<Medium> make_store_medium(World& world);

}  // namespace warren::simulation
