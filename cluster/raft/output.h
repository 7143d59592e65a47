#pragma once
// What a core asks its shell to do. Plain data; the order in which it must be done is in the types.

#include "cluster/raft/messages.h"
#include "cluster/raft/types.h"

#include <optional>
#include <type_traits>
#include <vector>

namespace warren::raft {

/// One atomic write. Order: a core's writes reach the disc in the order of `seq`; the shell
/// answers Core::persisted(seq) after the sync, never before.
/// Within one write: first install, then truncate, then append, then the hard state.
struct Write {
  WriteSeq seq{};
  std::optional<LogBase> install;      ///< switch to the staged snapshot; the old log is void
  std::optional<Index> truncate_from;  ///< this entry and all behind it are void
  std::vector<Entry> append;           ///< contiguous
  HardState hard;                      ///< always the newest
};

/// A message that waits until `after` is durable.
struct Held {
  WriteSeq after{};
  Message message;
};

/// The shell streams its newest checkpoint to a member that is behind the log's start.
struct SnapshotOrder {
  NodeId to{};
};

/// A chunk to stage. The shell answers Core::chunk_stored once it is durable.
struct ChunkOrder {
  NodeId from{};
  Term term{0};
  SnapshotChunk chunk;
};

/// The answer to a read: with `ok`, serve it once `index` is applied; else ask again elsewhere.
struct ReadAnswer {
  std::uint64_t ticket{0};
  bool ok{false};
  Index index{0};
};

struct Output {
  std::vector<Write> writes;
  std::vector<Message> now;
  std::vector<Held> held;
  std::vector<SnapshotOrder> snapshots;
  std::vector<ChunkOrder> chunks;
  std::vector<ReadAnswer> reads;
  bool role_changed{false};  ///< role, term or known leader differs from the last output

  bool empty() const {
    return writes.empty() && now.empty() && held.empty() && snapshots.empty() && chunks.empty() &&
           reads.empty() && !role_changed;
  }
};

/// The only way a message gets into an output. A payload without a Waits type does not compile, and
/// only this decides which list it joins. What waits gets its write when the input ends; until then
/// `after` is 0.
template <class P>
void put_message(Output& out, NodeId from, NodeId to, Term term, P payload) {
  using Waits = typename P::Waits;
  static_assert(std::is_same_v<Waits, Immediately> || std::is_same_v<Waits, AfterPersist>);
  Message message{from, to, term, Payload(std::move(payload))};
  if constexpr (std::is_same_v<Waits, Immediately>) {
    out.now.push_back(std::move(message));
  } else {
    out.held.push_back({WriteSeq{}, std::move(message)});
  }
}

}  // namespace warren::raft
