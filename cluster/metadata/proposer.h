#pragma once
// How changes of the catalogue reach the group's leader, whoever that is, and their answers come
// back: gathers, numbers, forwards, sends again, gives up. Pure; both sides, as every member may lead.

#include "cluster/metadata/machine.h"
#include "cluster/raft/types.h"

#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace warren::metadata {

struct ProposerOptions {
  raft::NodeId self{};
  std::uint64_t incarnation{1};       ///< of this node; sequences begin anew with each
  Millis timeout_ms{30'000};          ///< before a caller is told that it did not work
  Millis resend_ms{1'000};            ///< without an answer: perhaps it was lost
  Millis retry_ms{50};                ///< after a refusal
  std::size_t batch_bytes{512 << 10};
  std::size_t batch_parts{2'048};
  std::size_t in_flight{4};           ///< batches; more wait, and grow
  std::size_t waiting_bytes{64U << 20};
  std::size_t waiting_parts{65'536};
};

/// What the proposer needs of the node. Nothing here calls back at once but `failed`.
class ProposerLink {
 public:
  virtual ~ProposerLink() = default;
  /// Appends to the log as the leader of `term`. `failed` when it was refused (at once) or lost.
  virtual void append(raft::Term term, std::string batch, std::function<void(const Error&)> failed) = 0;
  virtual void send(raft::NodeId to, std::string frame) = 0;
  /// Asks for flush() soon.
  virtual void want_flush() = 0;
  virtual QueueUid next_uid() const = 0;
  /// As Machine::applied_sequence.
  virtual std::optional<std::uint64_t> applied_sequence(std::uint64_t origin,
                                                        std::uint64_t incarnation) const = 0;
  /// Who does not answer, for people: "rabbit@b, rabbit@c"; "" when nobody is known to be missing.
  virtual std::string missing() const = 0;
  virtual Millis steady_ms() const = 0;
  virtual Millis wall_ms() const = 0;
};

using ProposeDone = std::function<void(std::vector<Result<void>>)>;
/// none: waits for its results however long it takes. When a snapshot hides them it is brought forward
/// once more, so it must be commands that may be carried out twice. Never refused because too much waits.
enum class Deadline : std::uint8_t { normal, none };

/// Owner: the loop's thread. Order: parts are carried out in the order of submit().
/// Invariants: 1. a sequence names one batch for ever; sent again it may only lack parts whose
/// callers were told that they failed; 2. every `done` is called once.
class Proposer {
 public:
  /// Requires: `link` outlives this.
  Proposer(ProposerOptions options, ProposerLink& link) : options_(options), link_(link) {}

  /// Brings commands forward as one part. `done` gets a result per command.
  /// Errors: exhausted (too much waits), timeout (no majority; sometimes the outcome is unknown).
  void submit(const std::vector<Command>& commands, ProposeDone done, Deadline deadline = Deadline::normal);
  /// Sends what gathered. Once per loop turn.
  void flush();
  /// Deadlines and repeats. While !idle(), every 20 ms or so.
  void tick();
  bool idle() const { return waiting_.empty() && sent_.empty(); }
  /// Every caller that waits is told that it failed.
  void fail_all(const Error& error);

  // ---- from the machine (MachineHooks)
  void on_decided(std::uint64_t sequence, std::vector<PartResults> results);
  void on_skipped_to(std::uint64_t sequence);
  void on_leadership(const replica::Leadership& now);

  // ---- from the network
  void on_frame(raft::NodeId from, std::string_view frame);
  void on_peer_up(raft::NodeId peer);

  std::uint64_t refused_frames() const { return refused_frames_; }

 private:
  struct Part {
    std::uint32_t number{0};
    std::string bytes;
    std::uint32_t declares{0};
    std::size_t commands{0};
    Millis deadline{0};  // 0 = none
    ProposeDone done;    // empty: was told already
  };
  struct SentBatch {
    std::uint64_t sequence;
    std::vector<Part> parts;
  };
  struct Accepted {
    std::uint64_t incarnation;
    std::uint64_t sequence;
  };
  enum class Kind : std::uint8_t { forward = 1, refusal = 2 };

  bool can_send() const { return leading_ || (leader_ != raft::kNoNode && leader_ != options_.self); }
  void send(const SentBatch& batch);
  void answer(Part& part, const Error& error);
  Error timed_out(bool sent) const;
  void expire(Millis now);
  void take(raft::NodeId from, const BatchHead& head, std::string batch);
  void append(raft::NodeId from, const BatchHead& head, std::string batch);
  void refuse(raft::NodeId to, std::uint64_t incarnation);
  void on_refused();

  ProposerOptions options_;
  ProposerLink& link_;

  // as the origin
  std::deque<Part> waiting_;
  std::size_t waiting_bytes_{0};
  std::deque<SentBatch> sent_;
  std::uint64_t next_sequence_{1};
  std::uint32_t next_number_{1};
  bool send_again_{false};   // with the next flush
  Millis send_again_at_{0};  // 0 = when nothing is heard
  Millis last_sent_ms_{0};
  Millis expire_at_{0};
  raft::Term term_{0};
  raft::NodeId leader_{};

  // as the leader
  bool leading_{false};
  std::map<std::uint64_t, Accepted> accepted_;  // by origin, of this term
  QueueUid next_uid_{0};
  std::uint64_t refused_frames_{0};
};

}  // namespace warren::metadata
