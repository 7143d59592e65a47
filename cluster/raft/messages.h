#pragma once
// What cores say to each other. Each payload names, in its type, the durability it waits for.

#include "cluster/raft/config.h"
#include "cluster/raft/types.h"

#include <cstdint>
#include <variant>
#include <vector>

namespace warren::raft {

/// May leave at once.
struct Immediately {};
/// May leave only after everything this core ordered to be written so far is on disc.
struct AfterPersist {};

/// A leader's stamp on a message, returned in the answer: it proves contact at that time.
struct Echo {
  std::uint64_t round{0};   ///< counts broadcasts of this leadership
  std::int64_t sent_ms{0};  ///< the leader's own steady clock

  bool operator==(const Echo&) const = default;
};

/// "Would you vote for me in `asked`?" Changes nothing at the receiver.
struct PreVote {
  using Waits = Immediately;
  Term asked{0};
  Index last_index{0};
  Term last_term{0};
};
struct PreVoteReply {
  using Waits = Immediately;
  Term asked{0};
  bool granted{false};
};
/// Waits: the candidate's own term, vote and log must be durable before it asks.
struct Vote {
  using Waits = AfterPersist;
  Index last_index{0};
  Term last_term{0};
  bool transfer{false};  ///< the old leader wants it: overrides the lease
};
struct VoteReply {
  using Waits = AfterPersist;
  bool granted{false};
};
/// In an output `entries` is empty and (prev_index, last_index] names what the shell fills in.
struct Append {
  using Waits = Immediately;
  Index prev_index{0};
  Term prev_term{0};
  Index last_index{0};
  Index commit{0};
  Echo echo;
  std::vector<Entry> entries;
};
struct AppendReply {
  using Waits = AfterPersist;
  bool ok{false};
  Index match{0};      ///< ok: everything up to here equals the leader's log and is durable
  Index prev_index{0};  ///< refused: the prev_index that did not fit
  Index hint_index{0};  ///< refused: try from here
  Term hint_term{0};
  Index commit{0};  ///< the follower's own
  Echo echo;
};
/// The leader hands over: campaign now.
struct TimeoutNow {
  using Waits = Immediately;
};
/// One piece of a state machine's checkpoint and live entries.
struct SnapshotChunk {
  using Waits = Immediately;
  std::uint64_t transfer{0};  ///< differs between transfers of one leadership
  std::uint64_t number{0};    ///< from 0
  bool last{false};
  LogBase base;
  Slice body;
};
/// How far a member got with a snapshot; survives its crash, so that the stream goes on from there.
struct StagedSnapshot {
  NodeId from{};
  Term term{0};
  std::uint64_t transfer{0};
  std::uint64_t next{0};  ///< chunks below are on disc
  LogBase base;

  bool operator==(const StagedSnapshot&) const = default;
};
struct SnapshotReply {
  using Waits = AfterPersist;
  std::uint64_t transfer{0};
  std::uint64_t next{0};  ///< the chunk wanted next: all before it are durable
};
/// A member asks the leader for an index it must have applied before answering a read.
struct ReadRequest {
  using Waits = Immediately;
  std::uint64_t ticket{0};
};
struct ReadReply {
  using Waits = Immediately;
  std::uint64_t ticket{0};
  bool ok{false};
  Index index{0};
};

using Payload = std::variant<PreVote, PreVoteReply, Vote, VoteReply, Append, AppendReply,
                             TimeoutNow, SnapshotChunk, SnapshotReply, ReadRequest, ReadReply>;

struct Message {
  NodeId from{};
  NodeId to{};
  Term term{0};  ///< the sender's
  Payload payload;
};

/// The payload's name, for logs and traces ("append").
const char* message_name(const Message& message);

}  // namespace warren::raft
