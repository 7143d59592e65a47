#include "node/amqp/constants.h"

namespace warren::amqp {

const char* reply_code_name(ReplyCode code) {
  switch (code) {
    case ReplyCode::success: return "REPLY_SUCCESS";
    case ReplyCode::content_too_large: return "CONTENT_TOO_LARGE";
    case ReplyCode::no_route: return "NO_ROUTE";
    case ReplyCode::no_consumers: return "NO_CONSUMERS";
    case ReplyCode::connection_forced: return "CONNECTION_FORCED";
    case ReplyCode::invalid_path: return "INVALID_PATH";
    case ReplyCode::access_refused: return "ACCESS_REFUSED";
    case ReplyCode::not_found: return "NOT_FOUND";
    case ReplyCode::resource_locked: return "RESOURCE_LOCKED";
    case ReplyCode::precondition_failed: return "PRECONDITION_FAILED";
    case ReplyCode::frame_error: return "FRAME_ERROR";
    case ReplyCode::syntax_error: return "SYNTAX_ERROR";
    case ReplyCode::command_invalid: return "COMMAND_INVALID";
    case ReplyCode::channel_error: return "CHANNEL_ERROR";
    case ReplyCode::unexpected_frame: return "UNEXPECTED_FRAME";
    case ReplyCode::resource_error: return "RESOURCE_ERROR";
    case ReplyCode::not_allowed: return "NOT_ALLOWED";
    case ReplyCode::not_implemented: return "NOT_IMPLEMENTED";
    case ReplyCode::internal_error: return "INTERNAL_ERROR";
  }
  return "INTERNAL_ERROR";
}

bool closes_connection(ReplyCode code) {
  switch (code) {
    case ReplyCode::content_too_large:
    case ReplyCode::no_route:
    case ReplyCode::no_consumers:
    case ReplyCode::access_refused:
    case ReplyCode::not_found:
    case ReplyCode::resource_locked:
    case ReplyCode::precondition_failed: return false;
    default: return true;
  }
}

std::string reply_text(const AmqpError& error) {
  std::string text = reply_code_name(error.code);
  text += " - ";
  text += error.text;
  if (text.size() > 255) {
    std::size_t end = 255;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
    text.resize(end);
  }
  return text;
}

}  // namespace warren::amqp
