#include "cluster/transport/reply_reader.h"

namespace warren::transport {
namespace {

boost::json::value parse(const std::string& text, boost::system::error_code& error) {
  boost::json::parse_options options;
  options.allow_invalid_utf8 = true;  // names need not be UTF-8
  return boost::json::parse(text, error, {}, options);
}

}  // namespace

bool ReplyReader::take(const control::v1::CallReply& reply, const OnRow& on_row) {
  if (failed()) return false;
  for (const std::string& text : reply.rows()) {
    boost::system::error_code error;
    boost::json::value row = parse(text, error);
    if (error || !row.is_object()) {
      failure_ = make_error(Errc::corruption, "the node sent a row that is not a JSON object");
      return false;
    }
    bytes_ += text.size();
    if (on_row) on_row(std::move(row.get_object()));
  }
  bytes_ += reply.result_part().size();
  if (bytes_ > max_bytes_) {
    failure_ = make_error(Errc::exhausted, "the node's answer is too large");
    return false;
  }
  result_ += reply.result_part();
  last_ = last_ || reply.last();
  if (reply.has_error()) {
    const auto code = reply.error().code();
    failure_.code = code >= 1 && code <= static_cast<unsigned>(Errc::internal)
                        ? static_cast<Errc>(code)
                        : Errc::internal;
    failure_.text = reply.error().text().empty() ? errc_name(failure_.code) : reply.error().text();
  }
  return !failed();
}

Result<boost::json::value> ReplyReader::finish() const {
  if (failed()) return failure_;
  if (!last_) {
    return make_error(Errc::unavailable,
                      "the connection to the node broke before the answer was complete");
  }
  boost::system::error_code error;
  boost::json::value value = parse(result_, error);
  if (error) return make_error(Errc::corruption, "the node's answer is not JSON");
  return value;
}

}  // namespace warren::transport
