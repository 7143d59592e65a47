// A later release for tests: all that this one has, one stable feature flag more and one on trial.

#include "base/release.h"

namespace warren {

namespace {

using enum Stability;

constexpr FeatureFlag kFlags[] = {
    {"classic_mirrored_queue_version", required, ""},
    {"drop_unroutable_metric", required, ""},
    {"empty_basic_get_metric", required, ""},
    {"implicit_default_bindings", required, ""},
    {"maintenance_mode_status", required, ""},
    {"on_trial", experimental, "what the later release tries"},
    {"quorum_queue", required, ""},
    {"stream_queue", required, ""},
    {"user_limits", required, ""},
    {"virtual_host_metadata", required, ""},
    {"written_anew", stable, "what the later release stores in another form"},
};

constexpr Release kRelease{WARREN_TEST_VERSION, WARREN_TEST_PROTOCOL_MIN, WARREN_TEST_PROTOCOL_MAX, kFlags};

}  // namespace

const Release& release() { return kRelease; }

}  // namespace warren
