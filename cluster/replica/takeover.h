#pragma once
// A group whose other members are gone for good, put into the hands of one of them. Offline, before the
// group is loaded; the last resort of an operator (cluster/membership/recovery.h). Whatever this member
// holds becomes the group's truth, also entries that were never committed; what it does not hold is lost.

#include "base/result.h"
#include "cluster/raft/types.h"
#include "storage/api/store.h"

namespace warren::replica {

/// Appends to the group's stored log the membership of `self` alone, in a term above every one it has
/// seen, without waiting for anybody. Again is harmless.
/// Requires: the group is not loaded, and the caller keeps the old members away from it (another
/// cluster number): in their eyes the log has been rewritten.
/// Errors: not_found (no such group, or it never was given a membership), corruption, io.
Result<void> take_over(storage::Store& store, storage::GroupUid uid, raft::NodeId self);

}  // namespace warren::replica
