#include "cluster/transport/handshake.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "base/bytes.h"
#include "cluster/transport/crypto.h"

namespace warren::transport {
namespace {

constexpr std::string_view kTranscriptLabel = "warren handshake v1";
constexpr std::string_view kClientLabel = "warren client proof v1";
constexpr std::string_view kServerLabel = "warren server proof v1";
constexpr std::string_view kSessionLabel = "warren session key v1";
constexpr std::string_view kCallLabel = "warren call proof v1";

void put(ByteWriter& to, std::string_view field) {
  to.u32(static_cast<std::uint32_t>(field.size()));
  to.bytes(field);
}

void put(ByteWriter& to, const PeerIdentity& identity) {
  put(to, identity.node_name);
  put(to, identity.node_id);
  put(to, identity.cluster_id);
  put(to, identity.role);
  to.u32(identity.version_min);
  to.u32(identity.version_max);
  put(to, identity.product_version);
  to.i64(identity.wall_clock_ms);
}

/// 2026-11-22T16:00:00Z
std::string utc(std::int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  char text[32] = "?";
  if (::gmtime_r(&seconds, &parts) != nullptr)
    std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

std::string labelled(std::string_view label, std::string_view body) {
  std::string out;
  ByteWriter to(out);
  put(to, label);
  put(to, body);
  return out;
}

bool printable(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](unsigned char c) { return c >= 0x20 && c != 0x7f; });
}

}  // namespace

std::string Transcript::encode() const {
  std::string out;
  ByteWriter to(out);
  put(to, kTranscriptLabel);
  put(to, client_nonce);
  put(to, server_nonce);
  put(to, session_id);
  to.u32(version);
  put(to, client);
  put(to, server);
  put(to, channel_binding);
  return out;
}

std::string client_proof(std::string_view cookie, const Transcript& transcript) {
  return hmac_sha256(cookie, labelled(kClientLabel, transcript.encode()));
}

std::string server_proof(std::string_view cookie, const Transcript& transcript,
                         std::string_view client_proof) {
  return hmac_sha256(cookie, labelled(kServerLabel, labelled(client_proof, transcript.encode())));
}

std::string session_key(std::string_view cookie, const Transcript& transcript) {
  return hmac_sha256(cookie, labelled(kSessionLabel, transcript.encode()));
}

std::string call_proof(std::string_view session_key, std::string_view session_id,
                       std::uint64_t counter, std::string_view method, std::string_view request) {
  std::string text;
  ByteWriter to(text);
  put(to, kCallLabel);
  put(to, session_id);
  to.u64(counter);
  put(to, method);
  put(to, sha256(request));
  return hmac_sha256(session_key, text);
}

Result<std::uint32_t> agree_version(const PeerIdentity& mine, const PeerIdentity& theirs) {
  const std::uint32_t lowest = std::max(mine.version_min, theirs.version_min);
  const std::uint32_t highest = std::min(mine.version_max, theirs.version_max);
  if (lowest > highest) {
    return make_error(
        Errc::unsupported,
        fmt::format("no common protocol version: {} speaks {} to {}, {} speaks {} to {}; "
                    "upgrade the older one, one release at a time",
                    mine.node_name, mine.version_min, mine.version_max, theirs.node_name,
                    theirs.version_min, theirs.version_max));
  }
  return highest;
}

Result<> check_identity(const PeerIdentity& identity) {
  const auto bad = [](const char* field) {
    return make_error(Errc::invalid_argument, fmt::format("malformed handshake: bad {}", field));
  };
  if (identity.node_name.empty() || identity.node_name.size() > kNameMaxBytes ||
      !printable(identity.node_name)) {
    return bad("node name");
  }
  if (identity.role != "node" && identity.role != "ctl") return bad("role");
  if (!identity.node_id.empty() && identity.node_id.size() != 16) return bad("node id");
  if (identity.cluster_id.size() > kNameMaxBytes || !printable(identity.cluster_id))
    return bad("cluster id");
  if (identity.product_version.size() > kNameMaxBytes || !printable(identity.product_version)) {
    return bad("product version");
  }
  if (identity.version_min == 0 || identity.version_min > identity.version_max)
    return bad("version range");
  return {};
}

Result<> check_cluster(const PeerIdentity& mine, const PeerIdentity& theirs) {
  if (mine.role != "node" || theirs.role != "node") return {};
  if (mine.cluster_id.empty() || theirs.cluster_id.empty()) return {};
  if (mine.cluster_id == theirs.cluster_id) return {};
  return make_error(
      Errc::conflict,
      fmt::format("wrong cluster: {} belongs to cluster {}, {} belongs to cluster {}; clusters "
                  "do not merge: reset the node that is to move, then join_cluster",
                  mine.node_name, mine.cluster_id, theirs.node_name, theirs.cluster_id));
}

std::optional<std::string> clock_warning(const std::string& node, std::int64_t wall_ms,
                                         const std::string& other, std::int64_t other_wall_ms) {
  // The other side may say anything: kept within what a calendar shows.
  constexpr std::int64_t kYear9999 = 253'402'300'799'000;
  wall_ms = std::clamp<std::int64_t>(wall_ms, 0, kYear9999);
  other_wall_ms = std::clamp<std::int64_t>(other_wall_ms, 0, kYear9999);
  const std::int64_t apart = other_wall_ms - wall_ms;
  if (apart <= kClockSkewWarnMs && apart >= -kClockSkewWarnMs) return std::nullopt;
  return fmt::format("the clock of {} shows {}, that of {} shows {}: {} s apart; run a time service "
                     "(chrony, ntpd) on both hosts",
                     node, utc(wall_ms), other, utc(other_wall_ms), apart / 1000);
}

bool CounterWindow::accept(std::uint64_t counter) {
  if (counter == 0) return false;
  if (counter > highest_) {
    const std::uint64_t ahead = counter - highest_;
    seen_ = ahead >= 64 ? 0 : seen_ << ahead;
    seen_ |= 1;
    highest_ = counter;
    return true;
  }
  const std::uint64_t behind = highest_ - counter;
  if (behind >= 64) return false;
  const std::uint64_t bit = std::uint64_t{1} << behind;
  if ((seen_ & bit) != 0) return false;
  seen_ |= bit;
  return true;
}

}  // namespace warren::transport
