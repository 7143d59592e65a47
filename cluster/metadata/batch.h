#pragma once
// One entry of the metadata group's log: what one member brought forward together, in parts that
// are answered each by itself. As bytes. Pure.

#include "base/clock.h"
#include "base/result.h"
#include "cluster/metadata/catalogue.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace warren::metadata {

/// Leads the bytes of a batch; what the leader fills in lies at fixed places.
struct BatchHead {
  std::uint64_t origin{0};       ///< member that proposed it (raft::NodeId)
  std::uint64_t incarnation{0};  ///< of that member; its sequence begins anew with each
  std::uint64_t sequence{0};     ///< from 1 without gaps; makes a batch sent twice apply once
  QueueUid uid_base{0};          ///< by the leader: the first uid for the queues declared here
  Millis stamp_ms{0};            ///< by the leader: its wall clock
  std::uint32_t declares{0};     ///< how many uids are needed

  bool operator==(const BatchHead&) const = default;
};

/// Commands that are carried out in order until the first that fails.
struct BatchPart {
  std::uint32_t number{0};
  std::vector<Command> commands;
};

struct Batch {
  BatchHead head;
  std::vector<BatchPart> parts;
};

/// Commands as they lie in a batch.
struct EncodedPart {
  std::string bytes;
  std::uint32_t declares{0};
};
EncodedPart encode_part(std::uint32_t number, const std::vector<Command>& commands);
std::string encode_head(const BatchHead& head);
/// Fills in what only the leader knows. Requires: `batch` begins with a head.
void stamp_batch(std::string& batch, QueueUid uid_base, Millis stamp_ms);
/// Errors: corruption, unsupported (a newer version). Safe on any bytes.
Result<BatchHead> decode_head(std::string_view batch);
Result<Batch> decode_batch(std::string_view batch);

}  // namespace warren::metadata
