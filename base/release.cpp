// This release. Nothing else belongs into this file: a program that defines release() itself takes none of it.

#include "base/release.h"

namespace warren {

namespace {

using enum Stability;

// RabbitMQ's flags of 3.10: what they stand for is here from the first release on, and tools look for them.
constexpr FeatureFlag kFlags[] = {
    {"classic_mirrored_queue_version", required, "mirrored queues may use either storage version"},
    {"drop_unroutable_metric", required, "counts publishes that no queue took"},
    {"empty_basic_get_metric", required, "counts gets from empty queues"},
    {"implicit_default_bindings", required, "bindings to the default exchange are not stored"},
    {"maintenance_mode_status", required, "members know who is drained"},
    {"quorum_queue", required, "replicated queues"},
    {"stream_queue", required, "queues of type stream"},
    {"user_limits", required, "limits of connections and channels per user"},
    {"virtual_host_metadata", required, "descriptions and tags of virtual hosts"},
};

constexpr Release kRelease{"0.1.0", 1, 1, kFlags};

}  // namespace

const Release& release() { return kRelease; }

}  // namespace warren
