#pragma once
// The 14 properties of class basic, as they stand in a content header: flag words, then the values
// that the flags announce. Messages keep these bytes as they came; the scan reads in place what the
// broker needs for every message, the decoder gives everything to whoever may allocate.
// Pure: no state, no I/O.

#include "base/field_table.h"
#include "base/result.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace warren::amqp {

/// Flag bits of the first flag word, in the order in which the values follow.
/// Source: AMQP 0-9-1 4.2.6.1 and 1.8 (basic properties).
enum PropertyFlag : std::uint16_t {
  kFlagContentType = 1 << 15,
  kFlagContentEncoding = 1 << 14,
  kFlagHeaders = 1 << 13,
  kFlagDeliveryMode = 1 << 12,
  kFlagPriority = 1 << 11,
  kFlagCorrelationId = 1 << 10,
  kFlagReplyTo = 1 << 9,
  kFlagExpiration = 1 << 8,
  kFlagMessageId = 1 << 7,
  kFlagTimestamp = 1 << 6,
  kFlagType = 1 << 5,
  kFlagUserId = 1 << 4,
  kFlagAppId = 1 << 3,
  kFlagClusterId = 1 << 2,
  kFlagUnused = 1 << 1,        ///< announces nothing we know: refused
  kFlagContinuation = 1 << 0,  ///< another flag word follows; we know no property in it
};

/// Largest expiration (PUB-12) and time to live: ten years in milliseconds.
inline constexpr std::uint64_t kExpirationMsMax = 315'360'000'000;

struct BasicProperties {
  std::optional<std::string> content_type, content_encoding;
  std::optional<FieldTable> headers;
  std::optional<std::uint8_t> delivery_mode, priority;
  std::optional<std::string> correlation_id, reply_to, expiration, message_id;
  std::optional<std::uint64_t> timestamp;  ///< seconds since 1970
  std::optional<std::string> type, user_id, app_id, cluster_id;

  bool operator==(const BasicProperties&) const = default;
};

/// Decodes flag words and values.
/// Shape:  `wire` = flags u16, more flag words while bit 0 is set, values; nothing behind them.
/// Errors: invalid_argument: short, over-long, a flag we do not know, a malformed headers table.
///         The connection closes with 502.
Result<BasicProperties> decode_properties(std::string_view wire);

/// The shortest encoding: one flag word, then the values. Short strings are cut at 255 bytes.
std::string encode_properties(const BasicProperties& properties);

/// What the broker looks at in every message; views point into the scanned bytes.
struct PropertiesScan {
  std::uint16_t flags{0};          ///< first flag word: tells absent from empty
  std::uint8_t delivery_mode{0};   ///< 0 = absent
  std::uint8_t priority{0};        ///< 0 = absent or 0
  bool has_headers{false};
  bool has_extra_keys{false};      ///< the headers name CC or BCC at top level
  bool has_bcc{false};             ///< they name BCC: not for consumers to see
  std::string_view headers;        ///< encoded pairs, without the length
  std::string_view content_type, content_encoding;
  std::string_view correlation_id, reply_to, expiration, message_id, type, user_id, app_id,
      cluster_id;
  std::uint64_t timestamp{0};

  bool has(PropertyFlag flag) const { return (flags & flag) != 0; }
  bool persistent() const { return delivery_mode == 2; }
};

/// Checks the bytes as decode_properties does, but in place and without allocating; a headers table
/// is walked to its last value. False = 502, `out` is then unspecified.
bool scan_properties(std::string_view wire, PropertiesScan& out);

/// Checks encoded pairs: known tags, lengths, nesting of at most 64.
/// Ensures: FieldTable::decode accepts exactly the same bytes.
bool valid_table(std::string_view pairs);

/// One value of an encoded table or array, in place.
struct RawValue {
  char tag{'V'};
  std::string_view payload;  ///< of S, x, A and F without its length
};
/// One named value; `bytes` = the whole pair as encoded.
struct RawPair {
  std::string_view name;
  RawValue value;
  std::string_view bytes;
};
/// Takes the first pair off `pairs` (or value off `values`, the payload of an array).
/// False when it is malformed or there is none; inner tables and arrays are not walked.
bool take_pair(std::string_view& pairs, RawPair& out);
bool take_value(std::string_view& values, RawValue& out);

/// Milliseconds of an `expiration` property.
/// Errors: invalid_argument unless it is digits only and at most kExpirationMsMax: 406 (PUB-12).
Result<std::uint64_t> parse_expiration(std::string_view text);

}  // namespace warren::amqp
