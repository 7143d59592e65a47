#pragma once
// The vocabulary of the consensus core: identities, entries, hard state.

#include "base/strong_id.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace warren::raft {

/// A member of a group; never reused: a wiped node comes back under another one. 0 is none.
using NodeId = StrongId<struct NodeIdTag>;
/// Number of a write ordered by one core: writes of a core become durable in this order.
using WriteSeq = StrongId<struct WriteSeqTag>;
/// Terms and indexes are plain integers because nearly every line does arithmetic on them.
using Term = std::uint64_t;
using Index = std::uint64_t;

inline constexpr NodeId kNoNode{};

enum class EntryKind : std::uint8_t {
  noop = 0,    ///< a new leader's first entry
  data = 1,    ///< a command of the state machine
  config = 2,  ///< a membership; its body is an encoded Config
};

/// Bytes somebody else keeps alive: copying a slice never copies the bytes.
struct Slice {
  std::shared_ptr<const void> owner;
  std::string_view bytes;

  static Slice of(std::string text) {
    auto kept = std::make_shared<const std::string>(std::move(text));
    std::string_view view = *kept;
    return Slice{std::move(kept), view};
  }
};

/// What an entry costs beside its body, for every bound that counts bytes.
inline constexpr std::uint64_t kEntryOverhead = 24;
/// Largest body a core accepts from a proposal or a peer.
inline constexpr std::uint64_t kMaxBodyBytes = 256ULL << 20;

/// Chunks of a snapshot that may be on the way to a member's disc at once.
inline constexpr std::uint64_t kMaxChunksInFlight = 16;

struct Entry {
  Index index{0};
  Term term{0};
  EntryKind kind{EntryKind::noop};
  Slice body;

  std::uint64_t bytes() const { return body.bytes.size() + kEntryOverhead; }
};

/// What must survive a crash beside the log. `commit` is a hint that shortens recovery.
struct HardState {
  Term term{0};
  NodeId vote{};
  Index commit{0};

  bool operator==(const HardState&) const = default;
};

}  // namespace warren::raft
