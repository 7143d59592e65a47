#pragma once
// What a store must provide: ordered keyspaces, atomic batches, durability on request.
// Implemented by storage/disc (RocksDB), storage/memory (RAM nodes, tests) and wrapped by
// storage/faulty; one conformance suite (tests/storage/conformance) holds for all.

#include "base/result.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace warren::storage {

/// The keyspaces of a node, by life time of their rows (reliability E.5).
enum class Keyspace : std::uint8_t {
  hard_state = 0,   ///< per group: term, vote, truncation, checkpoint index; overwritten in place
  log = 1,          ///< group uid . index -> log entry, the only copy of a message body
  queue_state = 2,  ///< group uid . type . chunk -> checkpoint chunks of a queue
  meta = 3,         ///< object path -> metadata object
};
inline constexpr int kKeyspaceCount = 4;

/// Never reused, also not after the group is gone; 0 is none.
using GroupUid = std::uint64_t;

/// 16 bytes, big-endian, so that byte order is (uid, index) order.
std::string log_key(GroupUid uid, std::uint64_t index);

/// A list of puts and erases that take effect together or not at all, in order.
/// Owner: the builder; a value added with `put_shared` is kept alive by its `owner` until the batch goes.
class WriteBatch {
 public:
  struct Op {
    Keyspace space{};
    bool erase{};
    std::string key;
    std::string head;                   ///< first part of the value
    std::string_view tail;              ///< second part, bytes that `owner` keeps
    std::shared_ptr<const void> owner;
  };

  void put(Keyspace space, std::string key, std::string value);
  /// The stored value is `head` followed by `tail`; `tail` is not copied here.
  void put_shared(Keyspace space, std::string key, std::string head, std::string_view tail,
                  std::shared_ptr<const void> owner);
  void erase(Keyspace space, std::string key);
  /// Appends all of `other`'s operations behind these.
  void append(WriteBatch&& other);
  void clear();

  bool empty() const { return ops_.empty(); }
  const std::vector<Op>& ops() const { return ops_; }
  /// Keys and values added up.
  std::size_t bytes() const { return bytes_; }

 private:
  std::vector<Op> ops_;
  std::size_t bytes_{0};
};

enum class Durability {
  buffered,  ///< survives the process, not the machine, once `write` returns
  synced,    ///< survives power loss once `write` returns: fsync completed, also for all earlier writes
};

/// Which log entries of a group may still be read. Everything at or below `checkpoint` that is
/// not in `live` is dead and may vanish at any time. Built from a checkpoint that is durable.
struct Floor {
  std::uint64_t checkpoint{0};
  /// Ascending indexes <= checkpoint that are still needed.
  std::shared_ptr<const std::vector<std::uint64_t>> live;
};

/// Walks keys in byte order. Requires: the store outlives it; released before the store closes.
class Iterator {
 public:
  virtual ~Iterator() = default;
  virtual bool valid() const = 0;
  virtual void next() = 0;
  virtual std::string_view key() const = 0;
  virtual std::string_view value() const = 0;
  /// Not ok when the walk ended because of a failure.
  virtual Result<void> status() const = 0;
};

struct StoreStats {
  std::uint64_t bytes_written{0};      ///< into write batches
  std::uint64_t syncs{0};
  std::uint64_t log_bytes_flushed{0};  ///< log bytes that reached a table file
  std::uint64_t disc_bytes{0};         ///< used now, all files
};

/// Thread safety: `write` from one thread (the committer); everything else from any thread.
/// Errors: any failed write or sync means the store is broken for good: every later call answers
/// Errc::io, and the node must stop (fail-stop); nothing is retried.
class Store {
 public:
  virtual ~Store() = default;

  virtual Result<void> write(const WriteBatch& batch, Durability durability) = 0;
  /// Nothing when the key is absent.
  virtual Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const = 0;
  /// Keys in [from, to), in order; an empty `to` means the end of the keyspace.
  virtual Result<std::unique_ptr<Iterator>> scan(Keyspace space, std::string_view from,
                                                 std::string_view to) const = 0;

  /// Declares log entries dead (see Floor). Monotonic: a lower checkpoint is ignored.
  virtual void set_floor(GroupUid uid, Floor floor) = 0;
  /// All rows of a group's log are dead, now and in future. Its uid is never used again.
  virtual void retire(GroupUid uid) = 0;
  /// Until called after open, nothing dead is dropped: all floors must be known first.
  virtual void floors_loaded() = 0;
  /// `ask` is called, from any thread, when log rows are about to reach table files; it must only
  /// post. Whoever owns the groups then writes checkpoints of those with dead rows, synced, calls
  /// `set_floor` for them once they are durable, and `floors_current`. The store waits for that a
  /// moment (bounded, no write waits): every row dead by then is never written to a table.
  /// An empty `ask` ends it; no call is running once that has returned.
  virtual void on_floors_wanted(std::function<void()> ask) { (void)ask; }
  virtual void floors_current() {}

  virtual StoreStats stats() const = 0;
  /// Flushes nothing, waits for background work; idempotent.
  virtual void close() = 0;
};

}  // namespace warren::storage
