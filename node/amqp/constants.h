#pragma once
// Numbers of AMQP 0-9-1: frame types, reply codes, limits. Source: AMQP 0-9-1 reference 1.2, 4.2.

#include <cstdint>
#include <string>
#include <string_view>

namespace warren::amqp {

inline constexpr std::uint8_t kFrameMethod = 1;
inline constexpr std::uint8_t kFrameHeader = 2;
inline constexpr std::uint8_t kFrameBody = 3;
inline constexpr std::uint8_t kFrameHeartbeat = 8;
inline constexpr std::uint8_t kFrameEnd = 0xCE;
inline constexpr std::size_t kFrameHeaderBytes = 7;
inline constexpr std::size_t kFrameOverhead = 8;  ///< header and end octet
inline constexpr std::string_view kProtocolHeader{"AMQP\0\0\x09\x01", 8};

enum class ReplyCode : std::uint16_t {
  success = 200,
  content_too_large = 311,
  no_route = 312,
  no_consumers = 313,
  connection_forced = 320,
  invalid_path = 402,
  access_refused = 403,
  not_found = 404,
  resource_locked = 405,
  precondition_failed = 406,
  frame_error = 501,
  syntax_error = 502,
  command_invalid = 503,
  channel_error = 504,
  unexpected_frame = 505,
  resource_error = 506,
  not_allowed = 530,
  not_implemented = 540,
  internal_error = 541,
};

/// The name that leads a reply text ("NOT_FOUND").
const char* reply_code_name(ReplyCode code);
/// True for codes that close the connection, false for those that close the channel only.
bool closes_connection(ReplyCode code);

/// class << 16 | method.
using MethodId = std::uint32_t;
constexpr MethodId method_id(std::uint16_t class_id, std::uint16_t method) {
  return (static_cast<MethodId>(class_id) << 16) | method;
}

/// A failure that closes a channel or a connection.
/// Errors: the code decides which; the text is sent as "NAME - text", cut to 255 bytes.
struct AmqpError {
  ReplyCode code{ReplyCode::internal_error};
  std::string text;
  MethodId method{0};  ///< the offending method, 0 when none
};

/// "NAME - text", at most 255 bytes, cut at a UTF-8 boundary.
std::string reply_text(const AmqpError& error);

}  // namespace warren::amqp
