#pragma once
// A Committer without a thread, for tests and for the simulator: commits when told to.
// Owner: the thread that submits; nothing here is shared.

#include "storage/api/committer.h"

#include <deque>

namespace warren::storage {

/// Commits at once, or, made with `Mode::manual`, when `pump` is called; a batch that a `done`
/// submits is committed after that `done` has returned.
class InlineCommitter final : public Committer {
 public:
  enum class Mode { immediate, manual };

  /// Requires: `store` outlives this.
  explicit InlineCommitter(Store& store, Mode mode = Mode::immediate)
      : store_(store), mode_(mode) {}

  void submit(WriteBatch batch, Durability durability, Done done) override;
  /// Whatever `set_stalled_ms` said last: there is no clock here.
  std::int64_t stalled_ms() const override { return stalled_ms_; }
  void stop() override;

  /// Commits all that is queued now as one group: one write, one sync if any of them asks for it.
  /// Returns how many submissions were answered.
  std::size_t pump();
  std::size_t pending() const { return queue_.size(); }
  /// Bytes of the batches that wait.
  std::size_t pending_bytes() const;
  /// The machine dies: what is queued is forgotten and its `done` is never called.
  void drop_pending() { queue_.clear(); }
  void set_stalled_ms(std::int64_t ms) { stalled_ms_ = ms; }

 private:
  struct Item {
    WriteBatch batch;
    Durability durability{};
    Done done;
  };

  Store& store_;
  Mode mode_;
  std::deque<Item> queue_;
  std::int64_t stalled_ms_{0};
  bool failed_{false};
  bool stopped_{false};
  bool pumping_{false};
};

}  // namespace warren::storage
