#pragma once
// Messages between cores as bytes. Big-endian, one message behind the other; the frame around
// them carries version, cluster and group (cluster/replica/frame.h).

#include "base/bytes.h"
#include "base/result.h"
#include "cluster/raft/messages.h"

#include <memory>
#include <string>

namespace warren::raft {

/// Appends `message` to `out`. Requires: an Append has its entries filled in.
void encode_message(const Message& message, std::string& out);
/// Reads one message; slices point into the bytes that `owner` keeps alive.
/// Errors: corruption (truncated, unknown kind, impossible count); the reader is then useless.
Result<Message> decode_message(ByteReader& in, const std::shared_ptr<const void>& owner);

/// The value stored for a log entry is this head followed by its body.
std::string encode_entry_head(const Entry& entry);
/// Errors: corruption, unsupported. Slices point into `bytes`.
Result<Entry> decode_stored_entry(Index index, std::string_view bytes,
                                  std::shared_ptr<const void> owner);

}  // namespace warren::raft
