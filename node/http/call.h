#pragma once
// One request on its way to an answer: who asks, for what, and the ways to answer. Handlers get it,
// ask the node through the control methods (docs/control-methods.md) or the broker, and answer once.

#include "node/http/message.h"
#include "node/http/routes.h"
#include "node/server/node.h"

#include <boost/json.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace warren::http {

/// Owner: the loop's thread; kept alive by whoever will answer. The first answer counts.
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(server::Node& node, Request request, std::function<void(Response)> answer)
      : node(node), request(std::move(request)), answer_(std::move(answer)) {}

  server::Node& node;
  const Request request;
  PathParameters parameters;
  access::Identity user;
  std::vector<std::string> tags;  ///< of the user

  server::App& app() { return *node.app(); }
  broker::Broker& broker() { return node.app()->broker(); }
  /// A path parameter; "" when the pattern has none of that name.
  std::string at(std::string_view name) const;
  bool has_tag(Tag tag) const { return tags_allow(tags, tag); }
  /// Monitors see every vhost, others those they may enter.
  bool sees(std::string_view vhost);
  /// The vhosts of the path, or all that the user sees.
  std::vector<std::string> vhosts();

  // ---- answers
  void ok(const boost::json::value& value);
  /// An array, after columns, sort, filter and pages as the query asks (listing.h).
  void list(boost::json::array rows);
  void created_or_updated(bool existed);
  void no_content();
  void fail(int status, std::string_view error, std::string_view reason);
  void fail(const Error& error);
  void not_found();
  void respond(Response response);

  // ---- asking the node
  /// The rows of a control method that answers at once.
  boost::json::array rows(std::string_view method, const boost::json::object& args);
  /// The result of a control method that answers at once.
  boost::json::value result(std::string_view method, const boost::json::object& args = {});
  /// A listing and its arguments.
  struct Question {
    std::string method;
    boost::json::object args;
  };
  using Then = std::function<void(boost::json::array rows)>;
  /// The rows of a listing of the whole cluster, now or within `warren.status_timeout`: silent members are
  /// stood in for as the listing says (docs/control-methods.md). Errors are answered here, else `then` answers.
  void gather(const Question& question, Then then);
  /// Two listings at once, so that a silent member is waited for once.
  void gather(const Question& one, const Question& other,
              std::function<void(boost::json::array, boost::json::array)> then);
  /// The result of a control method of one member, or why there is none, within the same time.
  void ask(const std::string& member, const std::string& method,
           std::function<void(Result<boost::json::value>)> then);
  /// For listings: the vhost of the path, or all.
  boost::json::object scope() const;
  /// Answers 503 with this text unless something else was answered in time. For what another node has to do:
  /// it may hang.
  void give_up_in_time(std::string text);
  /// Set when a part of the answer came: the time of give_up_in_time() begins anew.
  Millis heard_ms{0};
  bool answered() const { return answer_ == nullptr; }
  /// Runs a control method; errors are answered here, else `then` answers.
  void run(std::string_view method, const boost::json::object& args, std::function<void()> then);
  /// Applies a command to the catalogue; the same.
  void apply(const metadata::Command& command, std::function<void()> then);

  /// The body as a JSON object; an empty body is an empty object. False after a 400.
  bool read_body(boost::json::object& out);

 private:
  void watch(std::string text);

  std::function<void(Response)> answer_;
};

/// Answers one request, from the page to a 404; `answer` is called once, now or later.
void handle(server::Node& node, Request request, std::function<void(Response)> answer);
/// Whether these credentials are right: asked before a large body is read.
bool credentials_ok(server::Node& node, const Request& request);

/// {"error": ..., "reason": ...}
Response error_response(int status, std::string_view error, std::string_view reason);

}  // namespace warren::http
