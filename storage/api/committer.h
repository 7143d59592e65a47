#pragma once
// Group commit: the one writer of a node's store.

#include "base/result.h"
#include "storage/api/store.h"

#include <functional>

namespace warren::storage {

/// Takes batches from any thread and makes them durable in the order of submission: everything
/// that arrived during the last sync becomes one write with one sync; at most one is in flight.
/// Implementations: storage/journal (a thread), and a synchronous one for tests and simulation.
class Committer {
 public:
  /// Called once per submission, in submission order, on the committer's thread: post and return.
  using Done = std::function<void(Result<void>)>;

  virtual ~Committer() = default;
  /// `durability` buffered lets a batch ride along with the next sync or, when nothing else asks
  /// for one, be written without. After a failure every `done` gets Errc::io.
  virtual void submit(WriteBatch batch, Durability durability, Done done) = 0;
  /// Milliseconds (steady clock) since the sync now in flight began; 0 when none is.
  virtual std::int64_t stalled_ms() const = 0;
  /// Finishes what was submitted, then stops; idempotent.
  virtual void stop() = 0;
};

}  // namespace warren::storage
