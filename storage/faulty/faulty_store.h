#pragma once
// A store that misbehaves on command: loses what was not synced, fails, stalls, tears.
// Owner: tests and the simulator, which alone decide when something goes wrong.

#include "storage/api/store.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

namespace warren::storage {

/// Wraps a store that keeps what is durable; what was only buffered is kept here, where reads find
/// it and a crash forgets it.
/// Invariants: 1. the inner store holds exactly the synced writes (and what floors left of them);
/// 2. reads see inner store + buffered writes; 3. after a failed write every call answers Errc::io
/// until `crash`.
/// Thread safety: any thread (one mutex): it is for tests.
class FaultyStore final : public Store {
 public:
  /// Requires: `inner` outlives this.
  explicit FaultyStore(Store& inner) : inner_(inner) {}

  Result<void> write(const WriteBatch& batch, Durability durability) override;
  Result<std::optional<std::string>> get(Keyspace space, std::string_view key) const override;
  Result<std::unique_ptr<Iterator>> scan(Keyspace space, std::string_view from,
                                         std::string_view to) const override;
  void set_floor(GroupUid uid, Floor floor) override;
  void retire(GroupUid uid) override;
  void floors_loaded() override;
  void on_floors_wanted(std::function<void()> ask) override { inner_.on_floors_wanted(std::move(ask)); }
  void floors_current() override { inner_.floors_current(); }
  StoreStats stats() const override;
  void close() override;

  /// Power loss and restart: forgets what was not synced, all faults, and the broken state.
  void crash();
  /// As `crash`, but the first `batches` of the buffered writes had reached the disc.
  void crash_keeping(std::size_t batches);
  /// The n-th call from now that reads or writes fails with Errc::io (1 = the next); 0 = none.
  void fail_nth(std::uint64_t n);
  /// As `fail_nth`, counting writes alone. The failed write may or may not be on the disc after a
  /// crash: `reaches_disc` says which.
  void fail_nth_write(std::uint64_t n, bool reaches_disc = false);
  /// The next synced write reports success to nobody: the machine dies inside it and only the
  /// buffered writes before it survive whole, never a part of a batch.
  void tear_next_write();
  /// Called at the start of every write, for instance to wait (a stalled disc) or to crash.
  void on_write(std::function<void()> hook);
  /// Reads and writes so far, to bound a sweep.
  std::uint64_t operations() const;
  std::uint64_t writes() const;
  std::size_t unsynced_batches() const;

 private:
  struct RowKey {
    Keyspace space{};
    std::string key;
    auto operator<=>(const RowKey&) const = default;
  };
  using Overlay = std::map<RowKey, std::optional<std::string>>;  // nothing = erased
  class Walk;

  Result<void> count_operation() const;
  Result<void> break_now(const std::string& why) const;
  Result<void> write_inner(const WriteBatch* last, Durability durability);
  void overlay(const WriteBatch& batch);
  void reset();

  Store& inner_;
  mutable std::mutex mutex_;
  std::deque<WriteBatch> unsynced_;
  Overlay overlay_;
  std::function<void()> hook_;
  mutable std::uint64_t operations_{0};
  std::uint64_t writes_{0};
  mutable std::uint64_t fail_in_{0};
  std::uint64_t fail_write_in_{0};
  bool failed_write_reaches_disc_{false};
  bool tear_{false};
  mutable bool broken_{false};
  mutable std::string why_;
};

}  // namespace warren::storage
